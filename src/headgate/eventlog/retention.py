"""Retention: whole segments are unlinked once they are old or the log is too large, and all is settled.

A segment with anything pending stays, and so does the one that is written. Message ids are known for at
least 24 h whatever the configuration says, because a segment younger than that is never removed.
"""

from itertools import pairwise
from pathlib import Path

from headgate.eventlog.sqlite import segment_paths
from headgate.eventlog.window import WINDOW_MS

_DAY_MS = 24 * 3600 * 1000


def retire(
    directory: Path, *, now_ms: int, settled_to: int, days: int, max_bytes: int
) -> list[Path]:
    """Removes what may go; the segments removed. 0 days or 0 bytes mean no such limit."""
    segments = segment_paths(directory)
    sizes = {path: _size(path) for _, path in segments}
    total = sum(sizes.values())
    removed = []
    for (_, path), (next_first, _) in pairwise(segments):
        age_ms = now_ms - round(path.stat().st_mtime * 1000)
        too_old = days > 0 and age_ms > days * _DAY_MS
        too_large = 0 < max_bytes < total
        if not (too_old or too_large) or next_first - 1 > settled_to or age_ms <= WINDOW_MS:
            break
        total -= sizes[path]
        for part in _parts(path):
            part.unlink(missing_ok=True)
        removed.append(path)
    return removed


def _parts(path: Path) -> list[Path]:
    return [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]


def _size(path: Path) -> int:
    return sum(part.stat().st_size for part in _parts(path) if part.exists())
