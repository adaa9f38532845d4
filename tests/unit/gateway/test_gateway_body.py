"""A body is decompressed when it is gzip, and never larger than the limit."""

import contextlib
import gzip
import zlib
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.gateway.body import BodyTooLarge, BrokenGzip, decompressed
from headgate.spec.limits import MAX_BODY_BYTES


@pytest.mark.parametrize("body", [b"", b"{}", b"\x1f", b"\x8b\x1f", b"PK", b"\x28\xb5\x2f\xfd"])
def test_what_is_not_gzip_is_taken_as_it_came(body: bytes) -> None:
    """Whatever the headers say; other compressions are not known."""
    assert decompressed(body) == body


@pytest.mark.parametrize("size", [0, 1, MAX_BODY_BYTES - 1, MAX_BODY_BYTES])
def test_what_fits_is_decompressed(size: int) -> None:
    """gzip is known by its first bytes; up to the limit itself."""
    assert decompressed(gzip.compress(b"x" * size)) == b"x" * size


def test_members_and_padding_are_one_body() -> None:
    """gzip files may be joined, and padded with zeros."""
    assert decompressed(gzip.compress(b"a") + gzip.compress(b"b") + b"\0" * 10) == b"ab"


TOO_LARGE: dict[str, bytes | None] = {
    "not kept by the connection": None,
    "one byte over": gzip.compress(b"x" * (MAX_BODY_BYTES + 1)),
    "several members": gzip.compress(b"x" * MAX_BODY_BYTES) * 2,
    "a bomb": gzip.compress(b"\0" * 100_000_000, 1),
}


@pytest.mark.parametrize("body", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_body_over_the_limit_is_refused(body: bytes | None) -> None:
    """As sent or once decompressed."""
    with pytest.raises(BodyTooLarge):
        decompressed(body)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decompression stops at the limit, so memory does not depend on what the sender claims."""
    asked: list[int] = []

    class Watched:
        def __init__(self, member: Any) -> None:
            self.member = member

        def decompress(self, data: bytes, limit: int) -> bytes:
            asked.append(limit)
            whole: bytes = self.member.decompress(data, limit)
            return whole

    unpack = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", lambda bits: Watched(unpack(bits)))
    with pytest.raises(BodyTooLarge):
        decompressed(gzip.compress(b"\0" * 50_000_000, 1))
    assert asked == [MAX_BODY_BYTES + 1]


def broken_gzips() -> Iterable[tuple[str, bytes]]:
    packed = gzip.compress(b'{"a":1}' * 100)
    yield "only the first two bytes", packed[:2]
    yield "cut in the middle", packed[: len(packed) // 2]
    yield "without its last byte", packed[:-1]
    yield "a wrong checksum", packed[:-8] + b"\0" * 8
    yield "another method", packed[:2] + b"\x07" + packed[3:]
    yield "something behind it", packed + b"{}"


BROKEN = dict(broken_gzips())


@pytest.mark.parametrize("packed", BROKEN.values(), ids=BROKEN)
def test_broken_gzip_is_refused(packed: bytes) -> None:
    """Never taken for a shorter body."""
    with pytest.raises(BrokenGzip):
        decompressed(packed)


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_anything_behind_the_magic_is_a_body_or_refused(rest: bytes) -> None:
    """No other error comes out of decompression."""
    with contextlib.suppress(BrokenGzip):
        assert isinstance(decompressed(b"\x1f\x8b" + rest), bytes)
