"""The dedupe window: which id hashes were seen lately, and under which numbers. Owned by the log's writer.

The newest ids are in a dict; full dicts become sorted arrays (12 bytes an id) that are searched by
bisection and forgotten as a whole once their newest id is older than the window. Those of sealed segments
are mapped from their files instead, and stay there. A hash that is found is only a suspicion: the caller
compares the stored messageId before it calls anything a duplicate.
"""

from collections.abc import Sequence

import numpy as np

from headgate.eventlog.ids import IdRun

WINDOW_MS = 24 * 3600 * 1000
_FOLD_AT = 65_536
_FOLD_AFTER_MS = 6 * 3600 * 1000
_MERGE_BELOW = 2_000_000


class IdWindow:
    """Every id hash of at least the last 24 h."""

    def __init__(self) -> None:
        self._recent: dict[int, int] = {}
        self._recent_since_ms: int | None = None
        self._runs: list[IdRun] = []

    def __len__(self) -> int:
        return len(self._recent) + sum(map(len, self._runs))

    def suspects(self, hashes: Sequence[int]) -> set[int]:
        """Those of the hashes that were seen before."""
        seen = self._recent.keys() & hashes
        if self._runs:
            wanted = np.sort(np.array(hashes, dtype=np.uint64))  # neighbours share pages
            for run in self._runs:
                held = run.holds(wanted)
                if held.any():
                    seen |= set(wanted[held].tolist())
        return seen

    def find(self, id_hash: int) -> list[int]:
        """The numbers of the messages with this hash, oldest first."""
        found = [seq for run in self._runs for seq in run.find(id_hash)]
        recent = self._recent.get(id_hash)
        return found if recent is None else [*found, recent]

    def add(self, hashes: Sequence[int], first_seq: int, now_ms: int) -> None:
        """Remember hashes of messages numbered from `first_seq`, just made durable."""
        self._recent.update(zip(hashes, range(first_seq, first_seq + len(hashes)), strict=True))
        if self._recent_since_ms is None:
            self._recent_since_ms = now_ms
        if len(self._recent) >= _FOLD_AT or now_ms - self._recent_since_ms > _FOLD_AFTER_MS:
            self._fold(now_ms)

    def load(self, run: IdRun) -> None:
        """Take in what an earlier process had appended."""
        if len(run):
            self._runs.append(run)

    def _fold(self, now_ms: int) -> None:
        n = len(self._recent)
        hashes = np.fromiter(self._recent.keys(), np.uint64, n)
        self.load(IdRun.of(hashes, np.fromiter(self._recent.values(), np.int64, n), now_ms))
        self._recent = {}
        self._recent_since_ms = None
        self._runs = [run for run in self._runs if run.newest_ms > now_ms - WINDOW_MS]
        self._merge_small()

    def _merge_small(self) -> None:
        """Keeps the number of runs low: the newest is merged into its elder while that is not far larger."""
        while len(self._runs) > 1:
            elder, newest = self._runs[-2:]
            if (
                elder.is_mapped
                or len(elder) > 4 * len(newest)
                or len(elder) + len(newest) > _MERGE_BELOW
            ):
                return
            self._runs[-2:] = [elder.merged(newest)]
