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
from headgate.delivery.facts import (
    DELIVERED,
    FAILED,
    Attempt,
    DeadLetter,
    Facts,
    Outcome,
    Settled,
    Spent,
    Waiting,
)
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
from headgate.delivery.progress import Progress
from headgate.delivery.store import Retry
from headgate.delivery.transport import LONGEST_ATTEMPT_S

MAX_IN_FLIGHT = 4
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
    ) -> None:
        self.connection = connection
        self.breaker = Breaker()
        self.progress = progress
        self._tools = tools
        self._intake = Intake(connection, tools, progress, retries)
        self._lanes = self._intake.lanes
        self._waiting = self._intake.waiting
        self._spent: list[Spent] = []
        self._in_flight: set[asyncio.Task[None]] = set()
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
        self._record(Facts(cursors=self._intake.cursor()))

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
            waited = self._waiting.take_due(now_s)
            batch = self._affordable(waited) if waited else self._next_batch(now_s)
            if batch is not None:
                self._start(batch)
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

    def _start(self, batch: Batch) -> None:
        """Takes the rows out of the budget at once, before anybody else can ask for room."""
        reservation = self.connection.spending.reserve(batch.rows_by_user())
        task = asyncio.get_running_loop().create_task(
            self._carry(batch, reservation),
            name=f"{self.name}: {len(batch)} to {batch.endpoint}",
        )
        self._in_flight.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
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
        attempt_id = self._tools.recorder.next_attempt_id()
        started_ms = clock.now_ms()
        latest_ms = started_ms + round(LONGEST_ATTEMPT_S * 1000)
        self._record(Facts(spent=_spent(attempt_id, latest_ms, reservation)))
        try:
            rows = [message.row for message in batch.messages()]
            request = connection.kind.request(batch.endpoint, rows, connection.destination.settings)
            answer = await self._tools.transport.post(request)
        finally:
            reservation.ended(clock.monotonic_s())
            self._spent += _spent(attempt_id, clock.now_ms(), reservation)
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
            await self._recorded(Facts(attempts=[attempt]))
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
        facts = self._outcome(list(batch.messages()), attempt, outcome, reason, detail)
        facts.attempts.append(attempt)
        await self._recorded(facts)
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
        wait_s = self._pause_s(batch, answer)
        due_at_ms = self._tools.clock.now_ms() + round(wait_s * 1000)
        over, others = partition(batch, lambda message: self._is_over(message, due_at_ms))
        facts = Facts(attempts=[attempt])
        if over:
            facts.add(self._outcome(over, attempt, FAILED, "retry_window_over", in_words(answer)))
        if others is not None:
            facts.waiting += self._waiting_facts(others, due_at_ms)
        await self._recorded(facts)
        held = set(others.identities) if others is not None else set()
        self._release([identity for identity in batch.identities if identity not in held])
        if others is not None:
            self._wait_in_halves(others, wait_s)

    def _pause_s(self, batch: Batch, answer: Answer) -> float:
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

    # facts

    def _outcome(
        self, messages: list[Pending], attempt: Attempt, outcome: Outcome, reason: str, detail: str
    ) -> Facts:
        """The facts that settle the messages, which are open no more."""
        settled = Settled(
            destination=self.connection.id,
            outcome=outcome,
            reason=reason,
            detail=detail,
            at_ms=attempt.ended_at_ms,
            seqs=sorted(message.seq for message in messages),
            attempt_id=attempt.id,
        )
        self.progress.closed(settled.seqs)
        return Facts(
            settled=[settled],
            dead_letters=_dead_letters(messages, settled) if outcome == FAILED else [],
            cursors=self._intake.cursor(),
        )

    def _waiting_facts(self, batch: Batch, due_at_ms: int) -> list[Waiting]:
        """What a restart has to know: every message with its own count and first attempt."""
        alike: dict[tuple[int, int], list[int]] = {}
        for message in batch.messages():
            tried = (message.attempts, message.first_attempt_ms)
            alike.setdefault(tried, []).append(message.seq)
        return [
            Waiting(self.connection.id, attempts, first_ms, due_at_ms, sorted(seqs))
            for (attempts, first_ms), seqs in alike.items()
        ]

    def _record(self, facts: Facts) -> "asyncio.Future[None]":
        facts.spent += self._spent
        self._spent = []
        return self._tools.recorder.record(facts)

    async def _recorded(self, facts: Facts) -> None:
        """Returns once the facts are durable."""
        await asyncio.shield(self._record(facts))

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
        timers = [] if due_s is None else [max(0.0, due_s - now_s)]
        return min([*timers, room_in_s] if room_in_s is not None else timers, default=None)


def _spent(attempt_id: int, at_ms: int, reservation: Reservation) -> list[Spent]:
    if reservation.spending is None:
        return []
    return [Spent(attempt_id, reservation.spending.budget.scope, at_ms, dict(reservation.rows))]


def _dead_letters(messages: list[Pending], settled: Settled) -> list[DeadLetter]:
    return [
        DeadLetter(
            destination=settled.destination,
            seq=message.seq,
            message_id=message.message_id,
            user_id=message.row.identity,
            reason=settled.reason,
            at_ms=settled.at_ms,
            attempt_id=settled.attempt_id,
            row=message.row.encoded,
        )
        for message in messages
    ]
