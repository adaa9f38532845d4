"""One destination's courier: sends what its intake has put into the lanes, records what became of it.

    log → intake → lanes → turns → _start → _carry → _attempt → transport
                                               └→ _settle / _try_again → recorder

Everything is driven by events: new messages, answers, due retries. Order per user is the lanes' job
(`lanes.py`); a message that waits for retry keeps its lane held, so nothing of its user overtakes it.
What is in memory can be rebuilt: after a restart the intake reads on from the cursor, passes over what
is settled above it, and takes the retry state from the store.

Replayed and deferred messages stand behind the live ones: they go when nothing live can, and leave both slots and
some of the budget free.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from headgate.delivery.answers import (
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
from headgate.delivery.facts import DELIVERED, FAILED, Attempt, Outcome, Standing
from headgate.delivery.intake import Intake
from headgate.delivery.lanes import Batch, Lane, partition, split
from headgate.delivery.ledger import Ledger
from headgate.delivery.progress import Progress
from headgate.delivery.reader import Retry
from headgate.delivery.replays import ReplayRequest, Replays, Taken
from headgate.delivery.room import WATCHED_S
from headgate.delivery.taking_up import begun, replay_of, settled_now
from headgate.delivery.turns import Turns

MAX_IN_FLIGHT = 4
MAX_RETRYING = 3  # one is for what is new: retries that time out never take all
MAX_BEHIND = 2
_GIVE_UP_EVERY_S = 60.0
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
        replays: Replays,
        retries: dict[int, Retry],
        standing: Standing,
    ) -> None:
        self.connection = connection
        self.breaker = Breaker(State(standing.state), standing.trouble)
        self.progress = progress
        self.replays = replays
        self._tools = tools
        self._intake = Intake(connection, tools, progress, replays, retries)
        self._lanes = self._intake.lanes
        self._waiting = self._intake.waiting
        self._turns = Turns(self._intake, self.breaker, tools.clock)
        self._ledger = Ledger(connection.id, tools, self._intake, self.breaker, standing)
        self._in_flight: set[asyncio.Task[None]] = set()
        self._retrying: set[asyncio.Task[None]] = set()
        self._behind: set[asyncio.Task[None]] = set()
        self._settings_changes = 0
        self._goes_at_once = False
        self._gave_up_at_s = 0.0
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._reading = asyncio.Lock()
        self._taking_up = asyncio.Lock()
        self._is_resting = False

    @property
    def name(self) -> str:
        """The destination's slug."""
        return self.connection.destination.slug

    @property
    def standing(self) -> Standing:
        """How the destination is doing, and since when."""
        return self._ledger.standing

    def expect(self, arriving: Mapping[str, int]) -> None:
        """Profile writes that an earlier process has sent may take effect until these times, by user."""
        self._intake.arriving = arriving

    def wake(self) -> None:
        """Something happened: new messages, an answer, other settings."""
        self._wake.set()

    def reconnect(self, connection: Connection) -> None:
        """Go on with other settings; everything that waits is routed and mapped anew.

        What is in flight goes on as it was sent; when it has to be tried again, it is mapped anew too.
        """
        self.connection = self._intake.connection = connection
        self.try_again()

    def try_again(self) -> None:
        """What waits for its next attempt is read, routed and attempted at once."""
        self.breaker.probe_soon()
        self.look_again(at_once=True)

    def look_again(self, *, at_once: bool = False) -> None:
        """Everything that waits is looked at once more: something that decides about messages has changed."""
        self._settings_changes += 1
        self._goes_at_once = at_once
        self._intake.map_again(at_once=at_once)
        self.wake()

    async def replay(self, request: ReplayRequest) -> None:
        """Takes up a replay; returns when it is recorded.

        Meanwhile nothing is sent: what has an outcome must not change while it is looked at.
        """
        async with self._taking_up:
            wanted = Taken.of(request.destinations[self.connection.id])
            read_to = self.progress.read_to
            later = await self._intake.later_writes(request.planned_to, wanted.writes)
            async with self._at_rest():
                newest = await self._intake.later_writes(
                    max(read_to, request.planned_to), wanted.writes
                )
                await self._begin(request, wanted.joined_by(later).joined_by(newest))

    async def _begin(self, request: ReplayRequest, wanted: Taken) -> None:
        recorder, id_ = self._tools.recorder, self.connection.id
        now_ms = self._tools.clock.now_ms()
        seqs = await recorder.run(partial(settled_now, destination=id_, seqs=wanted.seqs))
        chosen = wanted.only(seqs)
        replay = replay_of(request.name, id_, request.asked_at_ms, request.criteria, chosen)
        self._intake.map_again()
        await asyncio.shield(recorder.record(begun(replay, chosen, now_ms)))
        self.replays.open(request.name, chosen)

    @asynccontextmanager
    async def _at_rest(self) -> AsyncIterator[None]:
        """Nothing is read, nothing is in flight."""
        self._is_resting = True
        self._intake.interrupt()
        try:
            async with self._reading:
                while self._in_flight:
                    await asyncio.wait(self._in_flight)
                yield
        finally:
            self._is_resting = False
            self.wake()

    async def run(self) -> None:
        """Delivers until `stop`. Whatever goes wrong here is logged, and delivery goes on."""
        clock = self._tools.clock
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self._give_up()
                async with self._reading:
                    await self._intake.read(self._start_batches)
                self._start_batches()
                self._make_room()
                timer_s = self._next_timer_s()
            except Exception:
                log.exception("%s: delivery stumbled and goes on", self.name)
                await clock.wait(self._stopping, _ON_AFTER_ERROR_S)
            else:
                await clock.wait(self._wake, timer_s)

    async def landed(self) -> None:
        """Returns when what is in flight now has been answered, and what came of it is recorded."""
        if self._in_flight:
            await asyncio.wait(list(self._in_flight))

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
        if self._stopping.is_set() or self._is_resting:
            return
        if self.breaker.is_open:
            self._start_probe()
            return
        now_s = self._tools.clock.monotonic_s()
        while len(self._in_flight) < MAX_IN_FLIGHT and self._start_next(now_s):
            pass

    def _start_next(self, now_s: float) -> bool:
        """Starts one more request, or finds out that a retry has to wait; False when nothing may go."""
        may_retry = len(self._retrying) < MAX_RETRYING
        waited = self._waiting.take_due(now_s) if may_retry else None
        batch = self._turns.affordable(waited) if waited else self._turns.next_batch(now_s)
        if batch is None and waited is None and len(self._behind) < MAX_BEHIND:
            batch = self._turns.next_batch(now_s, behind=True)
        if batch is not None:
            self._start(batch, is_retry=waited is not None)
        return batch is not None or waited is not None

    def _start_probe(self) -> None:
        """One message asks whether the destination is back, when its time has come."""
        now_s = self._tools.clock.monotonic_s()
        if self._in_flight or self.breaker.probe_in_s(now_s) > 0:
            return
        if self.connection.spending.room(now_s) > 0:
            probe = self._turns.probe(now_s)
            if probe is not None:
                self._start(probe)

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
        elif self._lanes.stands_behind(batch):
            self._behind.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
        self._retrying.discard(task)
        self._behind.discard(task)
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
            self._intake.map_again(at_once=self._goes_at_once)

    def _allowed(self, part: Batch) -> Batch | None:
        """The part of a batch, as far as it may be attempted now; the rest waits."""
        if self.breaker.is_open or self._stopping.is_set() or self._is_resting:
            self._wait(part)
            return None
        return self._turns.affordable(part)

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
        writes = connection.kind.endpoints[batch.endpoint].writes_profile
        try:
            attempt_id = await self._ledger.starting(reservation, writes_profiles=writes)
            started_ms = clock.now_ms()
            rows = [message.row for message in batch.messages()]
            request = connection.kind.request(batch.endpoint, rows, connection.destination.settings)
            answer = await self._tools.transport.send(request)
        finally:
            reservation.ended(clock.monotonic_s())
        self._ledger.ended(attempt_id, reservation, writes_profiles=writes)
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
            self._turns.return_to_lanes([rest] if rest else [])
            return [others, first] if others is not None else [first]
        elif found is Meaning.REFUSED:
            await self._refused(batch, attempt, answer)
        else:
            await self._try_again(batch, attempt, answer)
        return []

    def _succeeded(self) -> None:
        """The destination takes messages: after an outage everything that waits may go."""
        if self.breaker.is_open:
            self._turns.reopened()
        self.breaker.succeeded()

    async def _settle(
        self, batch: Batch, attempt: Attempt, outcome: Outcome, reason: str = "", detail: str = ""
    ) -> None:
        """Records the outcome; the lanes are free once it is durable."""
        messages = list(batch.messages())
        await self._ledger.settled(messages, attempt, outcome, reason, detail)
        self._release(batch.lanes)

    async def _refused(self, batch: Batch, attempt: Attempt, answer: Answer) -> None:
        """400 for one message alone is final, unless the destination refuses everybody's."""
        state = self.breaker.state
        now_s = self._tools.clock.monotonic_s()
        self.breaker.refused(batch.runs[0].identity, in_words(answer), now_s)
        if state is State.REFUSING:
            await self._try_again(batch, attempt, answer)
            return
        if state is State.FAILING and not self.breaker.is_open:
            self._turns.reopened()
        await self._settle(batch, attempt, FAILED, "refused", in_words(answer))

    async def _try_again(self, batch: Batch, attempt: Attempt, answer: Answer) -> None:
        """Has the messages wait, in halves, so that one bad one is found; those fail whose window is over."""
        for message in batch.messages():
            message.attempts += 1
            message.first_attempt_ms = message.first_attempt_ms or attempt.started_at_ms
        wait_s = self._pause_s(batch, attempt, answer)
        due_at_ms = self._tools.clock.now_ms() + round(wait_s * 1000)
        over, others = partition(batch, lambda message: self._turns.is_over(message, due_at_ms))
        is_refusing = self.breaker.state is State.REFUSING
        reason = "destination_refusing" if is_refusing else "retry_window_over"
        await self._ledger.tried(attempt, over, others, due_at_ms, (reason, in_words(answer)))
        held = set(others.lanes) if others is not None else set()
        self._release([lane for lane in batch.lanes if lane not in held])
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
                is_news=len(batch) > 1 or attempts == 1,
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
        self._turns.return_to_lanes([rest] if rest else [])

    def _wait(self, batch: Batch, wait_s: float = 0.0) -> None:
        self._waiting.add(batch, self._tools.clock.monotonic_s() + wait_s)
        self.wake()

    def _release(self, lanes: list[Lane]) -> None:
        self._intake.released(lanes)
        self.wake()

    # waiting

    def _give_up(self) -> None:
        """While everything is refused, what has waited as long as its window is failed, once a minute."""
        clock = self._tools.clock
        before_ms = self._gives_up_before_ms()
        if not before_ms and self._intake.gives_up is None:
            return
        if before_ms and clock.monotonic_s() < self._gave_up_at_s + _GIVE_UP_EVERY_S:
            return
        self._gave_up_at_s = clock.monotonic_s()
        self._intake.give_up_before(before_ms, self.breaker.trouble)

    def _gives_up_before_ms(self) -> int:
        """Messages received until then have waited long enough; 0 as long as none has."""
        before_ms = self._tools.clock.now_ms() - round(self.connection.retry_window_s * 1000)
        is_refusing = self.breaker.state is State.REFUSING
        return before_ms if is_refusing and self.standing.since_ms <= before_ms else 0

    def _make_room(self) -> None:
        """When memory is full of messages that have to wait for their users' sake, lets others pass."""
        if self.breaker.is_open or self._is_resting or len(self._in_flight) >= MAX_IN_FLIGHT:
            return
        room, spending = self._intake.room, self.connection.spending
        now_s = self._tools.clock.monotonic_s()
        if (
            room.is_full
            and not (self._in_flight and room.is_moving(now_s))
            and spending.room(now_s) > 0
            and room.make()
        ):
            self.wake()
        if (
            room.is_full_behind
            and len(self._behind) < MAX_BEHIND
            and spending.room(now_s, leaving=room.left_free) > 0
            and room.make_behind()
        ):
            self.wake()

    def _next_timer_s(self) -> float | None:
        """Seconds until something is due without any event; None when nothing is."""
        if len(self._in_flight) >= MAX_IN_FLIGHT or self._is_resting:
            return None
        now_s = self._tools.clock.monotonic_s()
        due_s = self._waiting.next_s()
        anything = due_s is not None or len(self._lanes) or len(self.progress.parked)
        if not anything or (self.breaker.is_open and self._in_flight):
            return None
        room_in_s = self.connection.spending.next_room_s(now_s)
        if self.breaker.is_open:
            return self._turns.next_probe_in_s(now_s) or room_in_s
        may_retry = len(self._retrying) < MAX_RETRYING
        timers = [max(0.0, due_s - now_s)] if due_s is not None and may_retry else []
        room = self._intake.room
        rested_s = room.next_rested_s()
        if rested_s is not None and rested_s > now_s:
            timers.append(rested_s - now_s)
        if room.is_full and self._in_flight:
            timers.append(WATCHED_S)
        return min([*timers, room_in_s] if room_in_s is not None else timers, default=None)
