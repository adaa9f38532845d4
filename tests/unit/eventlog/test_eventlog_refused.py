"""Refusals are counted exactly and kept within bounds: the newest, per source and in all."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from factories import NOW_MS
from headgate.eventlog import refused as refused_module
from headgate.eventlog.refused import (
    MAX_KEPT_PER_SECOND_OF_UNKNOWN,
    UNKNOWN_SOURCE,
    Refusal,
    RefusedRing,
    UnknownKey,
    masked_key,
    refusal_counts,
    refusals_of,
    unknown_keys,
)

MINUTE_MS = 60_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "refused.db"


@pytest.fixture
def ring(path: Path) -> Iterator[RefusedRing]:
    opened = RefusedRing(path)
    yield opened
    opened.close()


def refusal(message_id: str = "m", **fields: object) -> Refusal:
    usual: dict[str, object] = {
        "at_ms": NOW_MS,
        "source": "website",
        "reason": "no_ids",
        "body": b"{}",
    }
    return Refusal(message_id=message_id, **(usual | fields))  # type: ignore[arg-type]


def kept(path: Path) -> list[tuple[str, str]]:
    """(source, messageId) of everything in the ring, oldest first."""
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT source, message_id FROM refusal ORDER BY id").fetchall()
    db.close()
    return rows


def counted(path: Path) -> int:
    return sum(n for *_, n in refusal_counts(path))


def test_a_refusal_is_found_by_its_message_id(ring: RefusedRing, path: Path) -> None:
    """With everything known about it, oldest first."""
    first = refusal("a", body=b'{"messageId":"a"}', reason="no_event_name")
    again = refusal("a", at_ms=NOW_MS + 1, answered=400)
    ring.add([first, refusal("b")])
    ring.add([again])
    assert list(refusals_of(path, "a")) == [first, again]
    assert list(refusals_of(path, "c")) == []


def test_a_ring_that_does_not_exist_yet_holds_nothing(path: Path) -> None:
    """Reading makes no file."""
    assert list(refusals_of(path, "a")) == []
    assert refusal_counts(path) == []
    assert not path.exists()


def test_counts_are_told_by_source_reason_status_and_minute(ring: RefusedRing, path: Path) -> None:
    """They add up over calls; a range takes whole minutes."""
    minute_ms = NOW_MS - NOW_MS % MINUTE_MS
    ring.add([refusal(), refusal(), refusal(reason="bad_json", answered=400)])
    ring.add([refusal(), refusal(source="shop"), refusal(at_ms=minute_ms + MINUTE_MS)])
    assert refusal_counts(path) == [
        ("shop", "no_ids", 200, 1),
        ("website", "bad_json", 400, 1),
        ("website", "no_ids", 200, 4),
    ]
    later = refusal_counts(path, from_ms=minute_ms + MINUTE_MS)
    assert later == [("website", "no_ids", 200, 1)]


def test_a_source_keeps_its_newest(
    ring: RefusedRing, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One source that is refused a lot pushes out only its own; all are counted."""
    monkeypatch.setattr(refused_module, "MAX_KEPT_PER_SOURCE", 3)
    ring.add([refusal("s-1", source="shop")])
    for group in ([1, 2], [3, 4, 5, 6, 7], [8]):
        ring.add([refusal(f"w-{n}") for n in group])
    assert kept(path) == [
        ("shop", "s-1"),
        ("website", "w-6"),
        ("website", "w-7"),
        ("website", "w-8"),
    ]
    assert counted(path) == 9


def test_a_flood_in_one_call_writes_no_more_than_the_ring_holds(
    ring: RefusedRing, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One hostile batch is a quarter of a million refusals; those that would be dropped at once are not written."""
    monkeypatch.setattr(refused_module, "MAX_KEPT_PER_SOURCE", 10)
    ring.add([refusal(f"{source}-{n}", source=source) for n in range(1_000) for source in "ab"])
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT max(id) FROM refusal").fetchone() == (20,)
    db.close()
    assert kept(path)[-1] == ("b", "b-999")
    assert counted(path) == 2_000


def test_the_ring_stays_within_its_bytes(
    ring: RefusedRing, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest of all sources go first; after a restart the weight is still known."""
    monkeypatch.setattr(refused_module, "MAX_KEPT_BYTES", 1_000)
    ring.add([refusal(f"{n}", body=b"x" * 4, source=f"source-{n}") for n in range(150)])
    assert len(kept(path)) == 150
    ring.add([refusal("large", body=b"x" * 500)])
    assert kept(path) == [(f"source-{n}", f"{n}") for n in range(25, 150)] + [("website", "large")]
    reopened = RefusedRing(path)
    reopened.add([refusal("larger", body=b"x" * 900)])
    reopened.close()
    assert kept(path) == [("website", "larger")]
    assert counted(path) == 152


def test_a_body_larger_than_the_ring_is_counted_only(
    ring: RefusedRing, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else fits, and it does not fit either."""
    monkeypatch.setattr(refused_module, "MAX_KEPT_BYTES", 100)
    ring.add([refusal("a", body=b"x" * 101)])
    assert kept(path) == []
    assert counted(path) == 1


def test_unknown_write_keys_count_as_one_source_and_are_kept_at_a_rate(
    ring: RefusedRing, path: Path
) -> None:
    """A flood of guesses costs 100 rows a second; each guess is counted."""
    for at_ms in (NOW_MS, NOW_MS + 999, NOW_MS + 1_000):
        ring.add([refusal(f"{at_ms}", source=UNKNOWN_SOURCE, at_ms=at_ms) for _ in range(150)])
    limit = MAX_KEPT_PER_SECOND_OF_UNKNOWN
    assert kept(path) == [("", f"{NOW_MS}")] * limit + [("", f"{NOW_MS + 1_000}")] * limit
    assert counted(path) == 450


def test_known_sources_are_kept_beside_a_flood_of_unknown_keys(
    ring: RefusedRing, path: Path
) -> None:
    """The rate is the unknown's alone."""
    ring.add([refusal(source=UNKNOWN_SOURCE) for _ in range(500)] + [refusal("mine")])
    assert kept(path)[-1] == ("website", "mine")


def test_what_could_not_be_written_weighs_nothing(
    ring: RefusedRing, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed commit is an error, and afterwards the ring knows again what it really holds."""
    monkeypatch.setattr(refused_module, "MAX_KEPT_BYTES", 1_000)
    ring.add([refusal("a", body=b"x" * 10)])
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TRIGGER no BEFORE DELETE ON refusal BEGIN SELECT raise(ABORT, 'no'); END"
        )
    for _ in range(5):
        with pytest.raises(sqlite3.Error):
            ring.add([refusal("b", body=b"x" * 995)])
    with db:
        db.execute("DROP TRIGGER no")
    db.close()
    ring.add([refusal("c", body=b"x" * 600)])
    assert kept(path) == [("website", "a"), ("website", "c")]
    assert counted(path) == 2


def test_text_from_anywhere_is_kept(ring: RefusedRing, path: Path) -> None:
    """Bodies are bytes as they came; ids any text."""
    odd = refusal("\x00'\"🦔", body=b"\xff\x00")
    ring.add([odd])
    assert list(refusals_of(path, odd.message_id)) == [odd]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"userId":"ann","type":"tr"}', id="a message"),
        pytest.param(b'{"batch":[{"userId":"bob"},{"userId":"ann"}]}', id="a batch"),
        pytest.param(b'[{"userId":"ann"}]', id="a list"),
        pytest.param(b'{"userId":"ann","x":NaN}', id="a message to be mended"),
        pytest.param(b'{"userId":"ann","type', id="no JSON, but about her"),
    ],
)
def test_a_user_is_forgotten(ring: RefusedRing, path: Path, body: bytes) -> None:
    """What is about the user goes from the file as well; counts and everybody else's stay."""
    ring.add([refusal("hers", body=body), refusal("his", body=b'{"userId":"bob"}')])
    before = refusal_counts(path)
    assert ring.erase(["ann", "eve"]) == 1
    assert ring.erase(["ann"]) == 0
    assert [list(refusals_of(path, one)) for one in ("hers",)] == [[]]
    assert [one.message_id for one in refusals_of(path, "his")] == ["his"]
    assert refusal_counts(path) == before
    for part in path.parent.glob(f"{path.name}*"):
        assert b"ann" not in part.read_bytes()


def test_a_user_id_that_is_a_number_is_forgotten(ring: RefusedRing, path: Path) -> None:
    """Compared as text, and in whole."""
    ring.add([refusal("hers", body=b'{"userId":7}'), refusal("his", body=b'{"userId":77}')])
    assert ring.erase(["7"]) == 1
    assert list(refusals_of(path, "hers")) == []


def test_what_is_forgotten_makes_room(
    ring: RefusedRing, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ring weighs what it holds."""
    monkeypatch.setattr(refused_module, "MAX_KEPT_PER_SOURCE", 2)
    ring.add([refusal("hers", body=b'{"userId":"ann"}'), refusal("old")])
    ring.erase(["ann"])
    ring.add([refusal("new")])
    assert len(list(refusals_of(path, "old"))) == 1


def test_every_use_of_an_unknown_key_counts(
    ring: RefusedRing, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the library that used it last; of many keys, those that were used last are kept."""
    monkeypatch.setattr(refused_module, "MAX_KEPT_KEYS", 2)
    body = b'{"context":{"library":{"name":"analytics-node","version":"2.1"}}}'
    for at_ms, key in enumerate(("wk_a…1", "wk_b…2", "wk_c…3"), NOW_MS):
        ring.add([refusal(source=UNKNOWN_SOURCE, at_ms=at_ms, write_key=key, body=b"")] * 3)
    ring.add([refusal(source=UNKNOWN_SOURCE, at_ms=NOW_MS + 9, write_key="wk_b…2", body=body)])
    ring.add([refusal("known")])
    assert unknown_keys(path, 0) == [
        UnknownKey("wk_b…2", 4, NOW_MS + 1, NOW_MS + 9, "analytics-node 2.1"),
        UnknownKey("wk_c…3", 3, NOW_MS + 2, NOW_MS + 2, ""),
    ]
    assert [one.write_key for one in unknown_keys(path, NOW_MS + 3)] == ["wk_b…2"]


def test_a_masked_key_tells_itself_from_others_and_opens_nothing() -> None:
    """Of a short one still less is shown."""
    assert masked_key("wk_website_0123456789") == "wk_w…89"
    assert masked_key("wk_1") == "wk…"
    assert masked_key("") == "…"


@pytest.mark.parametrize("body", [b"", b"[1]", b'{"context":7}', b'{"context":{"library":"x"}}'])
def test_a_library_is_not_needed_to_count(ring: RefusedRing, path: Path, body: bytes) -> None:
    """Whatever stands in its place."""
    ring.add([refusal(source=UNKNOWN_SOURCE, write_key="wk_a…1", body=body)])
    assert [one.library for one in unknown_keys(path, 0)] == [""]
