"""One destination's courier: sends what its intake has put into the lanes, records what became of it.

    log → intake → lanes → _start_batches → _carry → _attempt → transport
                                               └→ _settle / _try_again → recorder

Everything is driven by events: new messages, answers, due retries. Order per user is the lanes' job
(`lanes.py`); a message that waits for retry keeps its lane held, so nothing of its user overtakes it.
What is in memory can be rebuilt: after a restart the intake reads on from the cursor, passes over what
is settled above it, and takes the retry state from the store.
"""

import asyncio
import logging
from collections.abc import Iterable

from headgate.delivery.answers import (
    MAX_BACKOFF_S,
    Answer,
    Meaning,
    backoff_s,
    in_words,
    meaning,
    retry_after_s,
)
from headgate.delivery.breaker import Breaker, State
from headgate.delivery.budget import Reservation
from headgate.delivery.connection import Connection, Tools
from headgate.delivery.facts import DELIVERED, FAILED, Attempt, Outcome
from headgate.delivery.intake import Intake
from headgate.delivery.lanes import (
    Batch,
    Pending,
    Run,
    affordable,
    first_message,
    partition,
    split,
)
from headgate.delivery.ledger import Ledger
from headgate.delivery.progress import Progress
from headgate.delivery.reader import Retry

MAX_IN_FLIGHT = 4
MAX_RETRYING = 3  # one is for what is new: retries that time out never take all
_AGAIN_AFTER_ERROR_S = 60.0
_ON_AFTER_ERROR_S = 5.0

log = logging.getLogger("headgate.delivery")


class Courier:
    """Delivers one destination's messages."""

    def __init__(
        self,
        connection: Connection,
        tools: Tools,
        progress: Progress,
        retries: dict[int, Retry],
        breaker: Breaker,
    ) -> None:
        self.connection = connection
        self.breaker = breaker
        self.progress = progress
        self._tools = tools
        self._intake = Intake(connection, tools, progress, retries)
        self._lanes = self._intake.lanes
        self._waiting = self._intake.waiting
        self._ledger = Ledger(connection.id, tools, self._intake, breaker)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._retrying: set[asyncio.Task[None]] = set()
        self._settings_changes = 0
        self._probes = 0
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def name(self) -> str:
        """The destination's slug."""
        return self.connection.destination.slug

    def wake(self) -> None:
        """Something happened: new messages, an answer, other settings."""
        self._wake.set()

    def reconnect(self, connection: Connection) -> None:
        """Go on with other settings; everything that waits is routed and mapped anew.

        What is in flight goes on as it was sent; when it has to be tried again, it is mapped anew too.
        """
        self.connection = self._intake.connection = connection
        self._settings_changes += 1
        self.breaker.probe_soon()
        self._intake.map_again()
        self.wake()

    async def run(self) -> None:
        """Delivers until `stop`. Whatever goes wrong here is logged, and delivery goes on."""
        clock = self._tools.clock
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                await self._intake.read(self._start_batches)
                self._start_batches()
                self._make_room()
                timer_s = self._next_timer_s()
            except Exception:
                log.exception("%s: delivery stumbled and goes on", self.name)
                await clock.wait(self._stopping, _ON_AFTER_ERROR_S)
            else:
                await clock.wait(self._wake, timer_s)

    async def stop(self, within_s: float) -> None:
        """Starts nothing new; what is in flight has `within_s` seconds to be answered and recorded."""
        self._stopping.set()
        self._intake.interrupt()
        self.wake()
        clock = self._tools.clock
        end_s = clock.monotonic_s() + within_s
        while self._in_flight and clock.monotonic_s() < end_s:
            self._wake.clear()
            await clock.wait(self._wake, end_s - clock.monotonic_s())
        for task in (late := list(self._in_flight)):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._ledger.keep()

    # sending

    def _start_batches(self) -> None:
        """Starts whatever may be attempted now."""
        if self._stopping.is_set():
            return
        if self.breaker.is_open:
            self._start_probe()
            return
        now_s = self._tools.clock.monotonic_s()
        while len(self._in_flight) < MAX_IN_FLIGHT:
            may_retry = len(self._retrying) < MAX_RETRYING
            waited = self._waiting.take_due(now_s) if may_retry else None
            batch = self._affordable(waited) if waited else self._next_batch(now_s)
            if batch is not None:
                self._start(batch, is_retry=waited is not None)
            elif waited is None:
                return

    def _next_batch(self, now_s: float, max_rows: int | None = None) -> Batch | None:
        """What has been ready longest, as much as may go in one request."""
        spending = self.connection.spending
        room = spending.room(now_s) if max_rows is None else max_rows
        first = self._lanes.next_endpoint()
        if first is None or room <= 0:
            return None
        others = (name for name in self.connection.kind.endpoints if name != first)
        for name in (first, *others):
            batch = self._lanes.take(name, room, spending.room_for)
            if batch.runs:
                return batch
        return None

    def _affordable(self, batch: Batch) -> Batch | None:
        """What of the batch the budgets allow now; the rest waits for room."""
        now_s = self._tools.clock.monotonic_s()
        spending = self.connection.spending
        now, later, rests = affordable(batch, spending.room(now_s), spending.room_for)
        if later is not None:
            self._waiting.add(later, now_s + (spending.next_room_s(now_s) or 0.0))
        self._return_to_lanes(rests)
        return now

    def _start_probe(self) -> None:
        """One message asks whether the destination is back, when its time has come."""
        now_s = self._tools.clock.monotonic_s()
        if self._in_flight or self.breaker.probe_in_s(now_s) > 0:
            return
        if self.connection.spending.room(now_s) > 0:
            probe = self._probe(now_s)
            if probe is not None:
                self._start(probe)

    def _probe(self, now_s: float) -> Batch | None:
        """One of the two oldest messages that wait, in turn: one that always fails must not decide alone."""
        self._probes += 1
        batch = self._to_probe_with(now_s)
        if batch is None:
            return None
        alone, others, rest = first_message(batch)
        if others is not None:
            self._waiting.add(others, now_s)
        self._return_to_lanes([rest] if rest else [])
        return self._affordable(alone)

    def _to_probe_with(self, now_s: float) -> Batch | None:
        """The oldest first, but those last for which one more failure would be the end."""
        next_ms = self._tools.clock.now_ms() + round(MAX_BACKOFF_S * 1000)
        with_time = self._waiting.oldest(2, lambda batch: not self._is_over(batch.oldest, next_ms))
        rank = self._probes % 2
        if rank >= len(with_time):
            fresh = self._next_batch(now_s, max_rows=1)
            if fresh is not None:
                return fresh
        candidates = with_time or self._waiting.oldest(1)
        return (
            self._waiting.take(candidates[min(rank, len(candidates) - 1)]) if candidates else None
        )

    def _is_over(self, message: Pending, next_attempt_ms: int) -> bool:
        """Whether the message's window, if it has begun, ends before the next attempt."""
        window_ms = round(self.connection.retry_window_s * 1000)
        return 0 < message.first_attempt_ms < next_attempt_ms - window_ms

    def _start(self, batch: Batch, *, is_retry: bool = False) -> None:
        """Takes the rows out of the budget at once, before anybody else can ask for room."""
        reservation = self.connection.spending.reserve(batch.rows_by_user())
        task = asyncio.get_running_loop().create_task(
            self._carry(batch, reservation),
            name=f"{self.name}: {len(batch)} to {batch.endpoint}",
        )
        self._in_flight.add(task)
        if is_retry:
            self._retrying.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
        self._retrying.discard(task)
        self.wake()

    async def _carry(self, batch: Batch, reservation: Reservation) -> None:
        """Sends a batch and what it has to be taken apart into, until each message is settled or waits."""
        changes = self._settings_changes
        parts = await self._carry_part(batch, reservation)
        while parts and changes == self._settings_changes:
            part = self._allowed(parts.pop())
            if part is not None:
                parts += await self._carry_part(
                    part, self.connection.spending.reserve(part.rows_by_user())
                )
        if changes != self._settings_changes:
            for part in parts:
                self._wait(part)
            self._intake.map_again()

    def _allowed(self, part: Batch) -> Batch | None:
        """The part of a batch, as far as it may be attempted now; the rest waits."""
        if self.breaker.is_open or self._stopping.is_set():
            self._wait(part)
            return None
        return self._affordable(part)

    async def _carry_part(self, part: Batch, reservation: Reservation) -> list[Batch]:
        """One attempt and what follows from its answer; the parts that are to be sent next."""
        try:
            attempt, answer = await self._attempt(part, reservation)
            return await self._judge(part, attempt, answer)
        except Exception:
            log.exception("%s: a batch is tried again later", self.name)
            self._wait(part, _AGAIN_AFTER_ERROR_S)
            return []

    async def _attempt(self, batch: Batch, reservation: Reservation) -> tuple[Attempt, Answer]:
        """One request and its answer; its rows count against the budget until 61 s after it ended."""
        clock, connection = self._tools.clock, self.connection
        attempt_id = self._ledger.starting(reservation)
        started_ms = clock.now_ms()
        try:
            rows = [message.row for message in batch.messages()]
            request = connection.kind.request(batch.endpoint, rows, connection.destination.settings)
            answer = await self._tools.transport.post(request)
        finally:
            reservation.ended(clock.monotonic_s())
            self._ledger.ended(attempt_id, reservation)
        attempt = Attempt(
            id=attempt_id,
            destination=connection.id,
            started_at_ms=started_ms,
            ended_at_ms=clock.now_ms(),
            url=request.url,
            status=answer.status,
            error=answer.error,
            answer=answer.body,
            request=request.body,
            seqs=batch.seqs,
        )
        return attempt, answer

    # outcomes

    async def _judge(self, batch: Batch, attempt: Attempt, answer: Answer) -> list[Batch]:
        """What follows from an answer."""
        found = meaning(answer)
        if found is Meaning.DONE:
            self._succeeded()
            await self._settle(batch, attempt, DELIVERED)
        elif found in (Meaning.REFUSED, Meaning.TOO_LARGE) and len(batch) > 1:
            await self._ledger.attempted(attempt)
            first, others, rest = split(batch)
            self._return_to_lanes([rest] if rest else [])
            return [others, first] if others is not None else [first]
        elif found is Meaning.REFUSED:
            await self._refused(batch, attempt, answer)
        else:
            await self._try_again(batch, attempt, answer)
        return []

    def _succeeded(self) -> None:
        """The destination takes messages: after an outage everything that waits may go."""
        if self.breaker.is_open:
            self._reopened()
        self.breaker.succeeded()

    def _reopened(self) -> None:
        log.info("%s: delivering again", self.name)
        self._waiting.release(self._tools.clock.monotonic_s())

    async def _settle(
        self, batch: Batch, attempt: Attempt, outcome: Outcome, reason: str = "", detail: str = ""
    ) -> None:
        """Records the outcome; the lanes are free once it is durable."""
        messages = list(batch.messages())
        await self._ledger.settled(messages, attempt, outcome, reason, detail)
        self._release(batch.identities)

    async def _refused(self, batch: Batch, attempt: Attempt, answer: Answer) -> None:
        """400 for one message alone is final, unless the destination refuses everybody's."""
        state = self.breaker.state
        now_s = self._tools.clock.monotonic_s()
        self.breaker.refused(batch.runs[0].identity, in_words(answer), now_s)
        if state is State.REFUSING:
            await self._try_again(batch, attempt, answer)
            return
        if state is State.FAILING and not self.breaker.is_open:
            self._reopened()
        await self._settle(batch, attempt, FAILED, "refused", in_words(answer))

    async def _try_again(self, batch: Batch, attempt: Attempt, answer: Answer) -> None:
        """Has the messages wait, in halves, so that one bad one is found; those fail whose window is over."""
        for message in batch.messages():
            message.attempts += 1
            message.first_attempt_ms = message.first_attempt_ms or attempt.started_at_ms
        wait_s = self._pause_s(batch, attempt, answer)
        due_at_ms = self._tools.clock.now_ms() + round(wait_s * 1000)
        over, others = partition(batch, lambda message: self._is_over(message, due_at_ms))
        await self._ledger.tried(attempt, over, others, due_at_ms, in_words(answer))
        held = set(others.identities) if others is not None else set()
        self._release([identity for identity in batch.identities if identity not in held])
        if others is not None:
            self._wait_in_halves(others, wait_s)

    def _pause_s(self, batch: Batch, attempt: Attempt, answer: Answer) -> float:
        """How long a batch that failed has to wait; tells the breaker."""
        clock = self._tools.clock
        attempts = max(message.attempts for message in batch.messages())
        backoff = backoff_s(attempts, self._tools.chance)
        asked = retry_after_s(answer, clock.now_ms())
        if meaning(answer) is not Meaning.REFUSED:
            self.breaker.failed(
                batch.identities,
                in_words(answer),
                clock.monotonic_s(),
                lasted_s=(attempt.ended_at_ms - attempt.started_at_ms) / 1000,
                backoff_s=backoff,
                asked_s=asked,
            )
        return max(backoff, asked)

    def _wait_in_halves(self, batch: Batch, wait_s: float) -> None:
        if len(batch) == 1:
            self._wait(batch, wait_s)
            return
        first, others, rest = split(batch)
        self._wait(first, wait_s)
        if others is not None:
            self._wait(others, wait_s)
        self._return_to_lanes([rest] if rest else [])

    def _wait(self, batch: Batch, wait_s: float = 0.0) -> None:
        self._waiting.add(batch, self._tools.clock.monotonic_s() + wait_s)
        self.wake()

    def _return_to_lanes(self, runs: Iterable[Run]) -> None:
        for run in runs:
            self._lanes.put_back(run.identity, run.messages)

    def _release(self, identities: list[str]) -> None:
        self._intake.released(identities)
        self.wake()

    # waiting

    def _make_room(self) -> None:
        """When memory is full of messages that have to wait for their users' sake, lets others pass."""
        if self.breaker.is_open or len(self._in_flight) >= MAX_IN_FLIGHT:
            return
        has_room = self.connection.spending.room(self._tools.clock.monotonic_s()) > 0
        if self._intake.is_full and has_room and self._intake.make_room():
            self.wake()

    def _next_timer_s(self) -> float | None:
        """Seconds until something is due without any event; None when nothing is."""
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            return None
        now_s = self._tools.clock.monotonic_s()
        due_s = self._waiting.next_s()
        anything = due_s is not None or len(self._lanes) or len(self.progress.parked)
        if not anything or (self.breaker.is_open and self._in_flight):
            return None
        room_in_s = self.connection.spending.next_room_s(now_s)
        if self.breaker.is_open:
            return self.breaker.probe_in_s(now_s) or room_in_s
        may_retry = len(self._retrying) < MAX_RETRYING
        timers = [max(0.0, due_s - now_s)] if due_s is not None and may_retry else []
        return min([*timers, room_in_s] if room_in_s is not None else timers, default=None)
