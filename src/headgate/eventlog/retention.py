"""Retention: whole segments are unlinked once they are old or the log is too large, and all is settled.

A segment with anything pending stays, and so does the one that is written. Message ids are known for at
least 24 h whatever the configuration says: a segment that has to make room before that leaves its ids
file behind, and one that has none, because it is not sealed yet, stays. Before a segment goes, the mark
(`retired.py`) says so, or it would look lost.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from headgate.eventlog.ids import ids_path, read_ids
from headgate.eventlog.retired import advance_mark
from headgate.eventlog.rewriting import NotNow, alone_in
from headgate.eventlog.segments import (
    open_segment,
    plain_parts,
    sealed_path,
    segment_paths,
    sync_directory,
)
from headgate.eventlog.space import held_bytes, segment_bytes_under
from headgate.eventlog.window import WINDOW_MS

_DAY_MS = 24 * 3600 * 1000


def retire(
    directory: Path, *, now_ms: int, settled_to: int, days: int, max_bytes: int
) -> list[Path]:
    """Removes what may go; the segments removed, oldest first. 0 days or 0 bytes mean no such limit.

    Below `max_bytes` room is kept for one more segment. Nothing is removed while segments are being
    rewritten: then another time will do.
    """
    try:
        with alone_in(directory, wait=False):
            removed = list(_retire_segments(directory, now_ms, settled_to, days, max_bytes))
            _forget_ids(directory, now_ms)
            sync_directory(directory)
    except NotNow:
        return []
    return removed


def _retire_segments(
    directory: Path, now_ms: int, settled_to: int, days: int, max_bytes: int
) -> Iterator[Path]:
    room = max_bytes - segment_bytes_under(max_bytes)
    for (first_seq, path), (next_first, _) in pairwise(segment_paths(directory)):
        newest_ms = _newest_ms(directory, first_seq)
        age_ms = now_ms - (newest_ms or round(path.stat().st_mtime * 1000))
        too_old = days > 0 and age_ms > days * _DAY_MS
        too_large = max_bytes > 0 and held_bytes(directory) > max(room, 0)
        if not (too_old or too_large) or next_first - 1 > settled_to:
            return
        if age_ms <= WINDOW_MS and newest_ms is None:
            return
        advance_mark(directory, _last_seq(directory, first_seq, next_first))
        for part in [*plain_parts(directory, first_seq), sealed_path(directory, first_seq)]:
            part.unlink(missing_ok=True)
        yield path


def _last_seq(directory: Path, first_seq: int, next_segment: int) -> int:
    """The segment's last number; what is missing behind it is still to be missed.

    A segment that cannot say where it ends counts up to the next one.
    """
    try:
        segment = open_segment(directory, first_seq)
        if segment is not None:
            with closing(segment):
                end = segment.end(next_segment)
                return end.last_seq if end else next_segment - 1
    except sqlite3.Error:
        pass
    return next_segment - 1


def _newest_ms(directory: Path, first_seq: int) -> int | None:
    """When the newest message of a sealed segment was received; None when it is not sealed."""
    ids = read_ids(ids_path(directory, first_seq))
    is_sealed = sealed_path(directory, first_seq).exists()
    return ids.newest_ms if ids is not None and is_sealed else None


def _forget_ids(directory: Path, now_ms: int) -> None:
    """Removes the ids of segments that are gone, once nobody asks for them any more."""
    held = {first_seq for first_seq, _ in segment_paths(directory)}
    for path in directory.glob("*.ids"):
        ids = read_ids(path)
        if int(path.stem) not in held and (ids is None or ids.newest_ms < now_ms - WINDOW_MS):
            path.unlink(missing_ok=True)
