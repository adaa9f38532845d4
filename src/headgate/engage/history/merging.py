"""Merging: makes large parts of many small ones, since opening a file costs more than reading a few rows.

After archiving, in its process. A day that is over ends as one part, unless it is large; of the day that goes
on, small parts are merged when there are several. One run merges a few times at most.
"""

import contextlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import duckdb

from headgate.engage.history.duck import parts_sql, write_part
from headgate.engage.history.parts import Part, alone, new_part, parts_in, remove
from headgate.locks import Locked

_SMALL_BYTES = 4_000_000  # some 50,000 messages
_MOST_BYTES = 32_000_000
_MOST_MERGES = 4
_SEVERAL = 8
_READERS_TIMEOUT_S = 10.0


def merge_small_parts(connection: duckdb.DuckDBPyConnection, directory: Path) -> None:
    """Merges what is worth it; with `writing` held. What readers are at stays for another time."""
    for parts in list(_worthwhile(parts_in(directory)))[:_MOST_MERGES]:
        with contextlib.suppress(Locked):
            _merge(connection, directory, parts)


def _worthwhile(parts: list[Part]) -> Iterator[list[Part]]:
    newest_day = parts[-1].day if parts else ""
    for day, of_day in groupby(parts, key=lambda one: one.day):
        least = _SEVERAL if day == newest_day else 2
        yield from (run for run in _small_runs(list(of_day)) if len(run) >= least)


def _small_runs(parts: list[Part]) -> Iterator[list[Part]]:
    """Small parts that follow each other, as many as make one of bounded size."""
    run: list[Part] = []
    size = 0
    for part in parts:
        weighs = part.path.stat().st_size
        if run and (weighs > _SMALL_BYTES or size + weighs > _MOST_BYTES):
            yield run
            run, size = [], 0
        if weighs <= _SMALL_BYTES:
            run.append(part)
            size += weighs
    if run:
        yield run


def _merge(connection: duckdb.DuckDBPyConnection, directory: Path, parts: list[Part]) -> None:
    first, last = parts[0], parts[-1]
    with contextlib.ExitStack() as stack:
        with new_part(directory, first.day, first.first, last.last) as unfinished:
            write_part(connection, parts_sql(part.path for part in parts), unfinished)
            stack.enter_context(alone(directory, _READERS_TIMEOUT_S))
        remove(parts)
