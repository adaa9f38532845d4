"""The outcome that messages have now, as arrays of small codes. Between delivery's facts and selections."""

import numpy as np
import numpy.typing as npt

from headgate.delivery.facts import REPLAYED
from headgate.delivery.fold import Seqs
from headgate.delivery.reader import DeliveryReader

PENDING = "pending"
BROKEN = "broken"  # delivery has gone past the message, and nothing is recorded

UNRECORDED = ((PENDING, ""), (BROKEN, ""))

Codes = npt.NDArray[np.uint16]


class Outcomes:
    """Folds facts; without any, everything is pending. A code stands for an outcome and its reason."""

    def __init__(self, facts: DeliveryReader | None) -> None:
        self._facts = facts
        self._cursors = facts.cursors() if facts else {}
        self._numbers = {kind: number for number, kind in enumerate(UNRECORDED)}
        self.kinds: list[tuple[str, str]] = list(self._numbers)

    def within(self, destination: int, first_seq: int, last_seq: int) -> Codes:
        """A code, which indexes `kinds`, for each number of the range."""
        return self.of(destination, np.arange(first_seq, last_seq + 1))

    def of(self, destination: int, seqs: Seqs) -> Codes:
        """A code, which indexes `kinds`, for each of these numbers, which ascend.

        What a replay is sending again is pending with the reason `replayed`.
        """
        codes = (seqs <= self._cursors.get(destination, 0)).astype(np.uint16)
        if self._facts is not None:
            for kind, some in self._facts.folded(destination, seqs).groups():
                if kind is not None:
                    codes[np.searchsorted(seqs, some)] = self._number(*kind)
        return codes

    def _number(self, outcome: str, reason: str) -> int:
        kind = (PENDING, REPLAYED) if outcome == REPLAYED else (outcome, reason)
        number = self._numbers.setdefault(kind, len(self.kinds))
        if number == len(self.kinds):
            self.kinds.append(kind)
        return number
