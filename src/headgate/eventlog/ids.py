"""Sorted ids: what dedupe and trace search for a messageId in, in memory or mapped from a file beside a segment.

    header  64 bytes: magic | version u32 | 0 u32 | n u64 | first_seq i64 | newest_ms i64
            | xxh3 of the body u64 | crc32 of all that u32 | zeros
    body    n x u64 id hash, ascending | n x u32 number of the message, as its distance from first_seq

All numbers are little-endian. Mapped, a file of any size costs a start nothing, and a search a few pages.
The header is checked whenever the file is opened, the body only for those who ask, since that reads it.
Nothing is in it that the segment does not hold as well: a damaged one is made again from the columns.
"""

import mmap
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from xxhash import xxh3_64

Hashes = npt.NDArray[np.uint64]
Offsets = npt.NDArray[np.uint32]
Seqs = npt.NDArray[np.int64]

_HEADER = struct.Struct("<8sIIQqqQ")
_CRC = struct.Struct("<I")
_HEADER_BYTES = 64
_BYTES_PER_ID = 12
_MAGIC = b"HGIDS\r\n\x1a"
_VERSION = 1


def numbers(firsts: Sequence[int], counts: Sequence[int]) -> Seqs:
    """The numbers of the messages of blocks that begin at `firsts` and hold `counts` of them."""
    first, count = np.array(firsts, np.int64), np.array(counts, np.int64)
    starts = np.cumsum(count) - count
    seqs: Seqs = np.repeat(first - starts, count) + np.arange(count.sum())
    return seqs


class IdRun:
    """Sorted hashes with the numbers of their messages, kept as offsets from the smallest."""

    def __init__(
        self,
        hashes: Hashes,
        offsets: Offsets,
        base: int,
        newest_ms: int,
        *,
        is_mapped: bool = False,
    ) -> None:
        self.hashes = hashes
        self.offsets = offsets
        self.base = base
        self.newest_ms = newest_ms
        self.is_mapped = is_mapped

    @classmethod
    def of(cls, hashes: Hashes, seqs: Seqs, newest_ms: int) -> "IdRun":
        """A run of ids in any order."""
        order = np.argsort(hashes, kind="stable")
        base = int(seqs.min()) if len(seqs) else 0
        return cls(hashes[order], (seqs[order] - base).astype(np.uint32), base, newest_ms)

    def __len__(self) -> int:
        return len(self.hashes)

    def seqs(self) -> Seqs:
        """The numbers, in the order of the hashes."""
        return self.offsets.astype(np.int64) + self.base

    def holds(self, wanted: Hashes) -> npt.NDArray[np.bool_]:
        """Which of the hashes are among these; the run must not be empty."""
        at = self.hashes.searchsorted(wanted)
        at[at == len(self.hashes)] = 0
        held: npt.NDArray[np.bool_] = self.hashes[at] == wanted
        return held

    def find(self, wanted: int) -> list[int]:
        """The numbers of the messages with this hash, oldest first."""
        key = np.uint64(wanted)
        first, last = np.searchsorted(self.hashes, key), np.searchsorted(self.hashes, key, "right")
        return [self.base + int(offset) for offset in self.offsets[first:last]]

    def merged(self, other: "IdRun") -> "IdRun":
        """Both runs' ids in one."""
        return IdRun.of(
            np.concatenate((self.hashes, other.hashes)),
            np.concatenate((self.seqs(), other.seqs())),
            max(self.newest_ms, other.newest_ms),
        )


def ids_path(directory: Path, first_seq: int) -> Path:
    """The ids file of a segment."""
    return directory / f"{first_seq:016d}.ids"


def write_ids(path: Path, run: IdRun) -> None:
    """Replaces the file by one of these ids; all or nothing."""
    body = run.hashes.tobytes() + run.offsets.tobytes()
    header = _HEADER.pack(
        _MAGIC, _VERSION, 0, len(run), run.base, run.newest_ms, xxh3_64(body).intdigest()
    )
    header += _CRC.pack(zlib.crc32(header))
    growing = path.with_suffix(".ids.new")
    with growing.open("wb") as file:
        file.write(header.ljust(_HEADER_BYTES, b"\0") + body)
        file.flush()
        os.fsync(file.fileno())
    growing.replace(path)


def read_ids(path: Path, *, whole: bool = False) -> IdRun | None:
    """The ids of the file, mapped; None when it is missing or damaged.

    Its body is read, and damage in there noticed, only with `whole`.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (FileNotFoundError, ValueError):  # mmap refuses an empty file by ValueError
        return None
    header = mapped[: _HEADER.size]
    if len(header) < _HEADER.size or len(mapped) < _HEADER_BYTES:
        return None
    (crc,) = _CRC.unpack_from(mapped, _HEADER.size)
    magic, version, _, n, first_seq, newest_ms, body_hash = _HEADER.unpack(header)
    if (
        crc != zlib.crc32(header)
        or (magic, version) != (_MAGIC, _VERSION)
        or len(mapped) != _HEADER_BYTES + n * _BYTES_PER_ID
    ):
        return None
    if whole and xxh3_64(memoryview(mapped)[_HEADER_BYTES:]).intdigest() != body_hash:
        return None
    hashes = np.frombuffer(mapped, np.uint64, n, _HEADER_BYTES)
    offsets = np.frombuffer(mapped, np.uint32, n, _HEADER_BYTES + 8 * n)
    return IdRun(hashes, offsets, first_seq, newest_ms, is_mapped=True)
