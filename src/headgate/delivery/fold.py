"""Facts folded: of all outcomes that some messages were given, the last one. Between the store and its readers."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

Fact = tuple[str, str, Iterator[range]]  # outcome, reason, runs of numbers
Seqs = npt.NDArray[np.int64]


class Folded:
    """The last (outcome, reason) of each of `seqs`, which ascend; None where nothing is recorded."""

    def __init__(self, seqs: Seqs, facts: Iterable[Fact]) -> None:
        self._seqs = seqs
        self._codes = np.zeros(len(seqs), np.uint16)
        self._kinds: list[tuple[str, str] | None] = [None]
        numbers: dict[tuple[str, str], int] = {}
        for outcome, reason, runs in facts:
            code = numbers.setdefault((outcome, reason), len(numbers) + 1)
            if code == len(self._kinds):
                self._kinds.append((outcome, reason))
            for run in runs:
                first, end = np.searchsorted(seqs, (run.start, run.stop))
                self._codes[first:end] = code

    def counts(self) -> dict[tuple[str, str] | None, int]:
        """How many messages have each (outcome, reason)."""
        by_code = np.bincount(self._codes, minlength=len(self._kinds)).tolist()
        return {kind: n for kind, n in zip(self._kinds, by_code, strict=True) if n}

    def groups(self) -> Iterator[tuple[tuple[str, str] | None, Seqs]]:
        """The messages of each (outcome, reason)."""
        for code, kind in enumerate(self._kinds):
            chosen = self._seqs[self._codes == code]
            if len(chosen):
                yield kind, chosen
