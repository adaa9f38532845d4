"""Room in memory for one destination's messages: how many may be there, which leave, and which come back.

Between its intake, which reads as long as there is room, and its lanes. What cannot go, because of what its
users do, leaves: it is parked (`parked.py`), so that the others pass, or it rests, which is to be parked until
its next attempt is due. A parked lane of which nothing is left in memory is hungry; it is fed when it may go.
"""

import heapq
from array import array
from collections.abc import Iterable
from itertools import count

from headgate.clock import Clock
from headgate.delivery.budget import Spending
from headgate.delivery.lanes import Batch, Lane, Lanes, Pending, user_of
from headgate.delivery.progress import Progress
from headgate.delivery.reader import Retry
from headgate.delivery.replays import Replays
from headgate.delivery.waiting import WaitingList

MAX_IN_MEMORY = 20_000
MAX_IN_MEMORY_BYTES = 64 * 1024 * 1024
MAX_BEHIND_IN_MEMORY = 2_000
MAX_PARKED = 5_000_000
BEHIND_AT_ONCE = 500
_FED_AT_ONCE = 1_000
_RESTED_AT_ONCE = 50
_NEARLY_S = 1.0
WATCHED_S = 0.25
_LEFT_BY_REPLAYS = 0.04
_LEFT_BY_DEFERRED = 0.2


class Room:
    """What is in memory, and what had to leave it.

    `retries` is what was tried of messages that are not in memory.
    """

    def __init__(
        self,
        clock: Clock,
        progress: Progress,
        replays: Replays,
        lanes: Lanes,
        waiting: WaitingList,
        retries: dict[int, Retry],
    ) -> None:
        self.retries = retries
        self._clock = clock
        self._progress = progress
        self._replays = replays
        self._lanes = lanes
        self._waiting = waiting
        self._hungry: dict[Lane, None] = {}
        self._resting: list[tuple[float, int, Lane]] = []  # by when the lane's first is due
        self._rests = count()
        self._watched = (0.0, 0)

    @property
    def is_full(self) -> bool:
        """Whether no more may be read."""
        return self.is_memory_full or self._progress.out_of_memory_count >= MAX_PARKED

    @property
    def is_memory_full(self) -> bool:
        """Whether no more may be in memory."""
        return (
            self._progress.open_count >= MAX_IN_MEMORY
            or self._progress.open_bytes >= MAX_IN_MEMORY_BYTES
        )

    @property
    def is_full_behind(self) -> bool:
        """Whether no more of what stands behind may be read."""
        return (
            self._progress.behind_count >= MAX_BEHIND_IN_MEMORY
            or len(self._progress.parked) >= MAX_PARKED // 2
        )

    @property
    def left_free(self) -> float:
        """The part of a budget that what stands behind leaves free for what is live."""
        return _LEFT_BY_DEFERRED if self._progress.has_deferred else _LEFT_BY_REPLAYS

    def is_moving(self, now_s: float) -> bool:
        """Whether so much of what was in memory has left it lately that waiting is cheaper than parking.

        What is parked has to be read, decoded and mapped once more.
        """
        since_s, closed_before = self._watched
        if now_s < since_s + WATCHED_S:
            return True
        closed = self._progress.closed_count
        self._watched = (now_s, closed)
        return closed - closed_before >= MAX_IN_MEMORY // 20

    # leaving

    def make(self) -> bool:
        """Parks what is in memory and cannot go, the longest lanes first; False when nothing can be parked.

        Half of the memory is free afterwards. Of what waits for retry, the last to be due is parked first.
        """
        parked_before = len(self._progress.parked)
        keep = 2 * _FED_AT_ONCE
        while keep and self._more_than_half_full():
            keep //= 2
            self._park(self._lanes.shorten(keep))
        while self._more_than_half_full() and (late := self._waiting.take_latest(_FED_AT_ONCE)):
            self._rest(late)
        return len(self._progress.parked) > parked_before

    def make_behind(self) -> bool:
        """The same with what stands behind the others."""
        parked_before = len(self._progress.parked)
        self._park(self._lanes.shorten(0, only_behind=True))
        while self._progress.behind_count > MAX_BEHIND_IN_MEMORY // 2 and (
            late := self._waiting.take_latest(BEHIND_AT_ONCE, self._lanes.stands_behind)
        ):
            self._rest(late)
        return len(self._progress.parked) > parked_before

    def clear(self, *, at_once: bool) -> "array[int]":
        """Everything leaves that waits, in lanes, parked or for retry; the numbers, in no order.

        What waits for its next attempt is due when it was, or `at_once`.
        """
        clock = self._clock
        seqs = array("q")
        for at_s, batch in self._waiting.drain():
            due_at_ms = clock.now_ms() + round((at_s - clock.monotonic_s()) * 1000)
            self._forget(list(batch.messages()), 0 if at_once else due_at_ms)
            seqs.extend(batch.seqs)
            self._lanes.release(batch.lanes)
        for tail in self._lanes.shorten(0).values():
            self._forget(tail)
            seqs.extend(one.seq for one in tail)
        seqs.extend(self._progress.parked.drain())
        self._hungry.clear()
        self._resting.clear()
        return seqs

    def _more_than_half_full(self) -> bool:
        return (
            self._progress.open_count > MAX_IN_MEMORY // 2
            or self._progress.open_bytes > MAX_IN_MEMORY_BYTES // 2
        )

    def _park(self, tails: dict[Lane, list[Pending]]) -> None:
        for lane, tail in tails.items():
            self._progress.parked.add_all(lane, [one.seq for one in tail])
            self._forget(tail)
            if self._lanes.is_idle(lane):
                self._hungry[lane] = None

    def _rest(self, late: list[tuple[float, Batch]]) -> None:
        """Parks batches until they are due."""
        now_s, now_ms = self._clock.monotonic_s(), self._clock.now_ms()
        for at_s, batch in late:
            for run in batch.runs:
                self._forget(run.messages, now_ms + round((at_s - now_s) * 1000))
                self._progress.parked.add_all(run.lane, [one.seq for one in run.messages])
                heapq.heappush(self._resting, (at_s, next(self._rests), run.lane))
            self._lanes.release(batch.lanes)

    def _forget(self, messages: list[Pending], due_at_ms: int = 0) -> None:
        """The messages leave memory; what has been tried of them is kept. 0: they are due when they may go."""
        self._progress.closed(one.seq for one in messages)
        for one in messages:
            if one.attempts:
                self.retries[one.seq] = Retry(one.attempts, one.first_attempt_ms, due_at_ms)

    # coming back

    def want_food(self, lanes: Iterable[Lane]) -> None:
        """What is parked of these lanes may be read again: they are free, or what they waited for is."""
        parked = self._progress.parked
        self._hungry.update((lane, None) for lane in lanes if lane in parked)

    def next_rested_s(self) -> float | None:
        """When the next parked message is due that waits for its retry; None when there is none."""
        return self._resting[0][0] if self._resting else None

    def to_feed(self, spending: Spending) -> dict[int, Lane]:
        """The first messages of parked lanes that may go: their numbers, and whose they are."""
        parked, now_s = self._progress.parked, self._clock.monotonic_s()
        spending.room(now_s)
        self._wake_rested(now_s)
        lane_of: dict[int, Lane] = {}
        fed_behind = 0
        for lane in list(self._hungry):
            if lane not in parked or not self._lanes.is_idle(lane) or self.has_writes_before(lane):
                del self._hungry[lane]
                continue
            behind = self.would_stand_behind(lane)
            if len(lane_of) < MAX_IN_MEMORY // 2 and self._may_feed(
                lane, spending, behind, fed_behind
            ):
                seqs = parked.first(lane, self._helping(lane, behind))
                lane_of.update((seq, lane) for seq in seqs)
                fed_behind += len(seqs) if behind else 0
        return lane_of

    def has_writes_before(self, lane: Lane) -> bool:
        """Whether these are events, and profile writes of the same user are replayed first."""
        return not isinstance(lane, str) and self._replays.has_writes(user_of(lane))

    def would_stand_behind(self, lane: Lane) -> bool:
        """Whether nothing that may come into the lane is live."""
        if not isinstance(lane, str):
            return True
        if self._replays.is_open and not self._replays.is_live(lane):
            return True
        parked, deferred = self._progress.parked, self._progress.deferred
        return lane in parked and all(seq in deferred for seq in parked.all(lane))

    def _wake_rested(self, now_s: float) -> None:
        """Parked messages whose next attempt is due may be read, some at a time, when it is their turn.

        For their sake others are parked that are due later.
        """
        if not self._resting or self._resting[0][0] > min(now_s, self._waiting.next_s() or now_s):
            return
        if self._more_than_half_full() and not self._make_way(self._resting[0][0]):
            return
        for _ in range(_RESTED_AT_ONCE):
            if self._resting and self._resting[0][0] <= now_s:
                self._hungry[heapq.heappop(self._resting)[2]] = None

    def _make_way(self, at_s: float) -> bool:
        """Parks some of what is due later than this; False when there is nothing."""
        late = self._waiting.take_latest(_RESTED_AT_ONCE)
        for early in (one for one in late if one[0] <= at_s + _NEARLY_S):
            self._waiting.add(early[1], early[0])
        later = [one for one in late if one[0] > at_s + _NEARLY_S]
        self._rest(later)
        return bool(later)

    def _may_feed(self, lane: Lane, spending: Spending, behind: bool, fed_behind: int) -> bool:
        leaving = self.left_free if behind else 0.0
        if not spending.room_for(user_of(lane), 1, leaving=leaving):
            return False
        if behind:
            return not self.is_full_behind and fed_behind < MAX_BEHIND_IN_MEMORY // 2
        # what is to be read again may belong into the lane
        is_complete = not self._progress.again(1)
        return is_complete or not self._replays.has_writes(user_of(lane))

    def _helping(self, lane: Lane, behind: bool) -> int:
        """How many of a parked lane are read at once; one, when it waits for its retry."""
        if self._progress.parked.first(lane, 1)[0] in self.retries:
            return 1
        return BEHIND_AT_ONCE if behind else _FED_AT_ONCE
