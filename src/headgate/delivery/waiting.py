"""Batches that wait for their next attempt. Pure bookkeeping; their lanes stay held. Between two attempts."""

import heapq
from collections.abc import Callable, Iterator

import msgspec

from headgate.delivery.lanes import Batch


class _Due(msgspec.Struct, order=True):
    at_s: float
    oldest_seq: int
    batch: Batch


class WaitingList:
    """Batches by the time at which they are due, in monotonic seconds."""

    def __init__(self) -> None:
        self._heap: list[_Due] = []

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, batch: Batch, at_s: float) -> None:
        """The batch is due at `at_s`."""
        heapq.heappush(self._heap, _Due(at_s, batch.oldest.seq, batch))

    def next_s(self) -> float | None:
        """When the next one is due."""
        return self._heap[0].at_s if self._heap else None

    def take_due(self, now_s: float) -> Batch | None:
        """The batch that has been due longest."""
        if self._heap and self._heap[0].at_s <= now_s:
            return heapq.heappop(self._heap).batch
        return None

    def oldest(self, n: int, chosen: Callable[[Batch], bool] = lambda batch: True) -> list[Batch]:
        """The `n` chosen batches with the oldest messages, due or not; fewer if there are not so many."""
        found = (due for due in self._heap if chosen(due.batch))
        return [due.batch for due in heapq.nsmallest(n, found, key=lambda due: due.oldest_seq)]

    def take(self, batch: Batch) -> Batch:
        """Takes this batch out."""
        self._heap = [due for due in self._heap if due.batch is not batch]
        heapq.heapify(self._heap)
        return batch

    def take_latest(
        self, n: int, chosen: Callable[[Batch], bool] = lambda batch: True
    ) -> list[tuple[float, Batch]]:
        """Takes out up to `n` of the chosen batches with when they are due, those due latest."""
        found = heapq.nlargest(n, (due for due in self._heap if chosen(due.batch)))
        taken = set(map(id, found))
        self._heap = [due for due in self._heap if id(due) not in taken]
        heapq.heapify(self._heap)
        return [(due.at_s, due.batch) for due in found]

    def release(self, now_s: float) -> None:
        """All are due now."""
        self._heap = [_Due(now_s, due.oldest_seq, due.batch) for due in self._heap]
        heapq.heapify(self._heap)

    def drain(self) -> Iterator[tuple[float, Batch]]:
        """Takes every batch out, with when it is due."""
        waiting, self._heap = self._heap, []
        return ((due.at_s, due.batch) for due in waiting)
