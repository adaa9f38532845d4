"""The ids that the log holds, of any age: what an import must not take in a second time.

The doors' window reaches back a day, an archive for years, so here every id of the log is looked at: of
sealed segments in their files as they lie there, of anything else in sorted arrays that are merged as they
grow and, when large, kept in unnamed files beside the log, so that an import of any size needs little memory.
Two ids count as the same when their 64 bits are: among a hundred million of either the odds that a message
is passed over for another's id are one in two thousand.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headgate.eventlog.block import BrokenBlock
from headgate.eventlog.reading import SqliteReadStorage

Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

_MAX_IN_MEMORY = 1_000_000
_MAX_MERGED = 8_000_000


class KnownIds:
    """The id hashes (`block.id_hash`) of the log in this directory; reads beside whoever writes it."""

    def __init__(self, log: Path) -> None:
        self._beside = log.parent
        self._storage = SqliteReadStorage(log)
        self._read_to = (
            self._storage.last_seq()
        )  # before the ids: what comes meanwhile is read twice
        self._mapped: list[Hashes] = []
        self._merged: list[Hashes] = []
        for run in self._storage.id_runs(0, whole=True):
            if run.is_mapped:
                self._mapped.append(run.hashes)
            else:
                self.add(run.hashes)

    def catch_up(self) -> None:
        """Looks at what has been appended since the last time."""
        try:
            for block in self._storage.blocks(self._read_to):
                self.add(np.frombuffer(block.columns, np.uint64, block.n))
                self._read_to = block.last_seq
        except BrokenBlock as broken:
            self._read_to = broken.last_seq

    def hold(self, hashes: Sequence[int]) -> Mask:
        """Which of these the log holds."""
        wanted = np.array(hashes, np.uint64)
        order = np.argsort(wanted)  # neighbours share pages
        ascending = wanted[order]
        held = np.zeros(len(wanted), np.bool_)
        for run in (*self._mapped, *self._merged):
            at = np.minimum(run.searchsorted(ascending), len(run) - 1)
            held[order] |= run[at] == ascending
        return held

    def add(self, hashes: Hashes) -> None:
        """These are held as well, from now on."""
        if not len(hashes):
            return
        self._merged.append(np.sort(hashes))
        while len(self._merged) > 1 and self._belong_together(*self._merged[-2:]):
            self._merged[-2:] = [self._kept(np.sort(np.concatenate(self._merged[-2:])))]

    def close(self) -> None:
        """Let go of the log."""
        self._storage.close()

    def _belong_together(self, elder: Hashes, newer: Hashes) -> bool:
        return len(elder) < 2 * len(newer) and len(elder) + len(newer) <= _MAX_MERGED

    def _kept(self, hashes: Hashes) -> Hashes:
        """The same, in a file when they are many; it goes with the process."""
        if len(hashes) <= _MAX_IN_MEMORY:
            return hashes
        with tempfile.TemporaryFile(dir=self._beside) as file:
            hashes.tofile(file)
            file.flush()
            return np.memmap(file, np.uint64, "r")
