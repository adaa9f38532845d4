"""Chunks: history's messages for a new computation, read from a file piece by piece.

Between `backfill.py`, which writes the file in a process of its own, and Engage, which takes a chunk per
step and remembers the offset with it, so that it goes on there after a restart.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec

from headgate.engage.observed import Observed


class _Line(msgspec.Struct, gc=False):
    seq: int
    profile: int
    message_id: str
    source: str
    at_ms: int
    received_at_ms: int
    name: str
    properties: dict[str, Any]
    context: dict[str, Any]


class Chunk(msgspec.Struct):
    """All messages of some profiles, each list in the order of the log, and the offset behind them."""

    profiles: list[tuple[int, list[Observed]]]
    offset: int


_decode = msgspec.json.Decoder(_Line).decode


def chunks(path: Path, offset: int = 0, messages: int = 2_000) -> Iterator[Chunk]:
    """The chunks from an offset on: of at least so many messages, and of whole profiles.

    A profile's number is that of the time of writing: it may be part of another one by now.
    """
    with path.open("rb") as file:
        file.seek(offset)
        lines: list[_Line] = []
        for raw in file:
            line = _decode(raw)
            if len(lines) >= messages and line.profile != lines[-1].profile:
                yield _chunk(lines, offset)
                lines = []
            lines.append(line)
            offset += len(raw)
        if lines:
            yield _chunk(lines, offset)


def _chunk(lines: list[_Line], offset: int) -> Chunk:
    by_profile = groupby(lines, key=attrgetter("profile"))
    return Chunk([(id_, [_observed(one) for one in of_it]) for id_, of_it in by_profile], offset)


def _observed(line: _Line) -> Observed:
    return Observed(
        seq=line.seq,
        message_id=line.message_id,
        source=line.source,
        at_ms=line.at_ms,
        received_at_ms=line.received_at_ms,
        name=line.name,
        properties=line.properties,
        context=line.context,
    )
