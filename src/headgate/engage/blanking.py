"""Blanking: takes forgotten people out of the files of backfills, of which Engage may be in the middle.

Beside the erasing of history. A line keeps its length and its place, since Engage remembers how far it came in
bytes; what it held becomes a message of nobody in particular, without a name.
"""

import os
from collections.abc import Set
from pathlib import Path
from typing import BinaryIO

import msgspec

_BLANK = {
    "message_id": "",
    "source": "",
    "at_ms": 0,
    "received_at_ms": 0,
    "name": "",
    "properties": {},
    "context": {},
}


class _Whose(msgspec.Struct):
    seq: int
    profile: int


_decode = msgspec.json.Decoder(_Whose).decode


def blank(directory: Path, profiles: Set[int]) -> None:
    """Blanks the lines of these profiles in every backfill's file; durable when it returns."""
    for path in directory.glob("backfill-*.jsonl"):
        with path.open("r+b") as file:
            _blank_lines(file, profiles)
            file.flush()
            os.fsync(file.fileno())


def _blank_lines(file: BinaryIO, profiles: Set[int]) -> None:
    at = 0
    while line := file.readline():
        whose = _decode(line)
        if whose.profile in profiles:
            emptied = msgspec.json.encode(msgspec.structs.asdict(whose) | _BLANK)
            os.pwrite(file.fileno(), emptied.ljust(len(line) - 1), at)
        at += len(line)
