"""How far retention has removed the log: the mark, a number in a small file beside the segments.

Written by retention before it removes a segment, and by the log's writer when there is none yet. Messages
above the mark that no segment holds are lost; those up to it went because they were allowed to. The mark
is overwritten in place, since a full disk must not keep retention from making room.
"""

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

from headgate.eventlog.segments import segment_paths

_SEQ = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_NAME = "retired"


def mark_path(directory: Path) -> Path:
    """The file."""
    return directory / _NAME


def retired_to(directory: Path) -> int:
    """The number of the last message that retention has removed; 0 when it has removed none.

    Without a mark that can be read, as in a log from before there was one, everything before the first
    segment counts as removed. Beside a running server this is to be asked after the segments were listed:
    what was missing from the list by right is below the mark by then.
    """
    mark = _read(directory)
    if mark is not None:
        return mark
    segments = segment_paths(directory)
    return segments[0][0] - 1 if segments else 0


def make_mark(directory: Path) -> None:
    """Makes sure that there is a mark, so that a segment that goes missing from now on is missed."""
    if _read(directory) is None:
        with suppress(OSError):  # without one the log is no worse than it was
            _write(directory, retired_to(directory))


def advance_mark(directory: Path, last_seq: int) -> None:
    """Everything up to this number may be removed when this returns; OSError when nothing may.

    The mark never goes back: what a power failure has brought back may be removed a second time.
    """
    _write(directory, max(last_seq, _read(directory) or 0))


def _read(directory: Path) -> int | None:
    try:
        mark = mark_path(directory).read_bytes()
    except FileNotFoundError:
        return None
    seq, crc = mark[: _SEQ.size], mark[_SEQ.size :]
    return int(_SEQ.unpack(seq)[0]) if crc == _CRC.pack(zlib.crc32(seq)) else None


def _write(directory: Path, last_seq: int) -> None:
    seq = _SEQ.pack(last_seq)
    descriptor = os.open(mark_path(directory), os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(descriptor, seq + _CRC.pack(zlib.crc32(seq)), 0)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
