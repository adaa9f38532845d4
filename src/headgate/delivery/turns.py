"""Whose turn it is: what may go in one destination's next request. Between its lanes and its courier.

What has been ready longest goes next, as far as the budgets allow. While the breaker is open, one message
after the other asks whether the destination is back.
"""

from collections.abc import Iterable
from functools import partial

from headgate.clock import Clock
from headgate.delivery.answers import MAX_BACKOFF_S
from headgate.delivery.breaker import Breaker
from headgate.delivery.intake import Intake
from headgate.delivery.lanes import Batch, Pending, Run, affordable, first_message

FRESH_PROBE_EVERY = 8


class Turns:
    """Chooses among what the intake has put into the lanes, and what waits for its next attempt."""

    def __init__(self, intake: Intake, breaker: Breaker, clock: Clock) -> None:
        self._intake = intake
        self._lanes = intake.lanes
        self._waiting = intake.waiting
        self._breaker = breaker
        self._clock = clock
        self._probes = 0
        self._has_probed = not breaker.is_open

    def next_batch(
        self, now_s: float, max_rows: int | None = None, *, behind: bool = False
    ) -> Batch | None:
        """What has been ready longest, as much as may go in one request."""
        spending = self._intake.connection.spending
        leaving = self._leaving(behind)
        room = spending.room(now_s, leaving=leaving) if max_rows is None else max_rows
        first = self._lanes.next_endpoint(behind=behind)
        if first is None or room <= 0:
            return None
        others = (name for name in self._intake.connection.kind.endpoints if name != first)
        room_for = partial(spending.room_for, leaving=leaving)
        for name in (first, *others):
            batch = self._lanes.take(name, room, room_for, behind=behind)
            if batch.runs:
                return batch
        return None

    def affordable(self, batch: Batch) -> Batch | None:
        """What of the batch the budgets allow now; the rest waits for room."""
        now_s = self._clock.monotonic_s()
        spending = self._intake.connection.spending
        leaving = self._leaving(self._lanes.stands_behind(batch))
        room = spending.room(now_s, leaving=leaving)
        now, later, rests = affordable(batch, room, partial(spending.room_for, leaving=leaving))
        if later is not None:
            self._waiting.add(later, now_s + (spending.next_room_s(now_s) or 0.0))
        self.return_to_lanes(rests)
        return now

    def _leaving(self, behind: bool) -> float:
        """The part of the budget that has to be left free."""
        return self._intake.room.left_free if behind else 0.0

    def return_to_lanes(self, runs: Iterable[Run]) -> None:
        """The rests of runs go when their lanes' messages that are under way are settled."""
        for run in runs:
            self._lanes.put_back(run.lane, run.messages)

    # while the breaker is open

    def probe(self, now_s: float) -> Batch | None:
        """One of some messages in turn: one that always fails must not decide alone."""
        self._probes += 1
        batch = self._to_probe_with(now_s)
        if batch is None:
            return None
        alone, others, rest = first_message(batch)
        if others is not None:
            self._waiting.add(others, now_s)
        self.return_to_lanes([rest] if rest else [])
        return self.affordable(alone)

    def next_probe_in_s(self, now_s: float) -> float:
        """Seconds until a probe may be made; 0 when nothing but room is missing."""
        due_s = self._waiting.next_s()
        if not self._has_probed and due_s is not None:
            return max(self._breaker.probe_in_s(now_s), due_s - now_s)
        return self._breaker.probe_in_s(now_s)

    def reopened(self) -> None:
        """The destination is back: everything that waits may go."""
        self._probes = 0
        self._waiting.release(self._clock.monotonic_s())

    def is_over(self, message: Pending, next_attempt_ms: int) -> bool:
        """Whether the message's window, if it has begun, ends before the next attempt."""
        window_ms = round(self._intake.connection.retry_window_s * 1000)
        return 0 < message.first_attempt_ms < next_attempt_ms - window_ms

    def _to_probe_with(self, now_s: float) -> Batch | None:
        """One that was never tried at first and now and then, for the others may be what always fails.

        Of those that wait the oldest, but last those for which one more failure would be the end. The first
        after a start is none that was asked to wait: an earlier process had its answer.
        """
        if not self._has_probed:
            first = self._fresh_probe(now_s) or self._waiting.take_due(now_s)
            self._has_probed = first is not None
            return first
        next_ms = self._clock.now_ms() + round(MAX_BACKOFF_S * 1000)
        with_time = self._waiting.oldest(2, lambda batch: not self.is_over(batch.oldest, next_ms))
        rank = self._probes % 2
        if rank >= len(with_time) or self._probes % FRESH_PROBE_EVERY == 1:
            fresh = self._fresh_probe(now_s)
            if fresh is not None:
                return fresh
        candidates = with_time or self._waiting.oldest(1)
        return (
            self._waiting.take(candidates[min(rank, len(candidates) - 1)]) if candidates else None
        )

    def _fresh_probe(self, now_s: float) -> Batch | None:
        return self.next_batch(now_s, 1) or self.next_batch(now_s, 1, behind=True)
