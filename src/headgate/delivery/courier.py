"""One destination's courier: reads the log, routes and maps, sends batches, records what became of them.

    log → _read → lanes → _start_batches → _carry → _attempt → transport
                                             └→ _settle / _wait_and_see → recorder

Everything is driven by events: new messages, answers, due retries. Order per user is the lanes' job
(`lanes.py`); a message that waits for retry keeps its lane held, so nothing of its user overtakes it.
What is in memory can be rebuilt: after a restart the courier reads on from its cursor, passes over what
is settled above it, and takes the retry state from the store.
"""

import asyncio
import heapq
import logging
import random
from collections import Counter

import msgspec

from headgate.clock import Clock
from headgate.delivery.answers import (
    MAX_RETRY_AFTER_S,
    Answer,
    Meaning,
    backoff_s,
    meaning,
    retry_after_s,
)
from headgate.delivery.breaker import Breaker, State
from headgate.delivery.budget import Spending
from headgate.delivery.decoded import Decoded, DecodedLog
from headgate.delivery.facts import (
    DELIVERED,
    DISCARDED,
    FAILED,
    Attempt,
    DeadLetter,
    Facts,
    Outcome,
    Settled,
    Spent,
    Waiting,
)
from headgate.delivery.lanes import Batch, Lanes, Pending, Run, first_message, split
from headgate.delivery.progress import Progress
from headgate.delivery.recorder import Recorder
from headgate.delivery.routing import Removed, Router
from headgate.delivery.store import Retry
from headgate.delivery.transport import Transport
from headgate.destinations.interface import Destination as Kind
from headgate.destinations.interface import Discard
from headgate.eventlog.block import BrokenBlock
from headgate.workspace.model import Destination

MAX_IN_FLIGHT = 4
MAX_IN_MEMORY = 20_000
_CURSOR_EVERY = 10_000
_ROOM_AGAIN_S = 0.05
_AGAIN_AFTER_ERROR_S = 60.0

log = logging.getLogger("headgate.delivery")


class Connection(msgspec.Struct):
    """What a courier has to know of its destination as configured now."""

    id: int
    destination: Destination
    kind: Kind
    router: Router | Removed
    retry_window_s: float


class Tools(msgspec.Struct):
    """What all couriers share."""

    log: DecodedLog
    recorder: Recorder
    transport: Transport
    clock: Clock
    chance: random.Random


class _Due(msgspec.Struct, order=True):
    """A batch that waits for its next attempt."""

    at_s: float
    oldest_seq: int
    batch: Batch


class Courier:
    """Delivers one destination's messages. `owes` tells which messages of the log are its own."""

    def __init__(
        self,
        connection: Connection,
        tools: Tools,
        spending: Spending,
        progress: Progress,
        retries: dict[int, Retry],
    ) -> None:
        self.connection = connection
        self.breaker = Breaker()
        self.progress = progress
        self._tools = tools
        self._spending = spending
        self._retries = retries
        self._spent: list[Spent] = []
        self._lanes = Lanes(connection.kind.endpoints)
        self._due: list[_Due] = []
        self._in_flight: set[asyncio.Task[None]] = set()
        self._in_batches = 0
        self._probing = False
        self._probe_turn = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._rewound = False
        self._read_to = self._recorded_cursor = progress.cursor

    @property
    def pending(self) -> int:
        """Messages that were read from the log and are not settled yet."""
        return len(self._lanes) + self._in_batches

    @property
    def read_to(self) -> int:
        """The number of the last message read from the log."""
        return self._read_to

    def wake(self) -> None:
        """Something happened: new messages, an answer, other settings."""
        self._wake.set()

    def reconnect(self, connection: Connection, spending: Spending) -> None:
        """Go on with other settings; rows that wait are mapped anew."""
        self.connection = connection
        self._spending = spending
        self._map_again()
        self.wake()

    async def run(self) -> None:
        """Delivers until `stop`."""
        while not self._stopping:
            self._wake.clear()
            await self._read()
            self._start_batches()
            await self._tools.clock.wait(self._wake, self._next_timer_s())

    async def stop(self, within_s: float) -> None:
        """Starts nothing new; what is in flight has `within_s` seconds to be answered and recorded."""
        self._stopping = True
        self.wake()
        if self._in_flight:
            _, late = await asyncio.wait(self._in_flight, timeout=within_s)
            for task in late:
                task.cancel()
        await self._recorded(Facts(cursors=self._cursor()))

    # reading

    async def _read(self) -> None:
        """Fills the lanes from the log, as far as memory is set aside for."""
        if self.pending >= MAX_IN_MEMORY:
            return
        self._rewound = False
        try:
            for messages in self._tools.log.after(self._read_to):
                self._take_in(messages)
                await self._tools.recorder.keep_up()
                if self.pending >= MAX_IN_MEMORY or self._stopping or self._rewound:
                    return
                self._start_batches()
        except BrokenBlock as broken:
            self._pass_over(broken)

    def _take_in(self, messages: list[Decoded]) -> None:
        discarded: dict[tuple[str, str], list[int]] = {}
        restored: dict[tuple[Retry, str], list[Run]] = {}
        for one in messages:
            if not self.progress.wants(one.seq) or not self.progress.owes(one.envelope):
                continue
            discard = self._admit(one, restored)
            if discard is not None:
                discarded.setdefault((discard.reason, discard.detail), []).append(one.seq)
        self._read_to = messages[-1].seq
        self.progress.read_to(self._read_to)
        self._wait_as_before(restored)
        self._settle_discarded(discarded)

    def _admit(self, one: Decoded, restored: dict[tuple[Retry, str], list[Run]]) -> Discard | None:
        """Puts the message into its lane, or says why it does not go.

        One that had been tried before a restart goes on waiting: it is put under `restored`.
        """
        if one.message is None:
            return Discard("unreadable_message")
        row = self.connection.router.row(one.message)
        if isinstance(row, Discard):
            return row
        self.progress.opened(one.seq)
        pending = Pending(one.seq, row, one.message["messageId"])
        retry = self._retries.pop(one.seq, None)
        if retry is not None:
            pending.attempts, pending.first_attempt_ms = retry.attempts, retry.first_attempt_ms
            if self._lanes.hold(row.identity):
                run = Run(row.identity, [pending])
                restored.setdefault((retry, row.endpoint), []).append(run)
                return None
        self._lanes.add(pending)
        return None

    def _wait_as_before(self, restored: dict[tuple[Retry, str], list[Run]]) -> None:
        clock = self._tools.clock
        for (retry, endpoint), runs in restored.items():
            self._in_batches += len(runs)
            wait_s = max(0.0, (retry.due_at_ms - clock.now_ms()) / 1000)
            self._wait(Batch(endpoint, runs), clock.monotonic_s() + min(wait_s, MAX_RETRY_AFTER_S))

    def _settle_discarded(self, discarded: dict[tuple[str, str], list[int]]) -> None:
        now_ms = self._tools.clock.now_ms()
        settled = [
            Settled(self.connection.id, DISCARDED, reason, detail, now_ms, seqs)
            for (reason, detail), seqs in discarded.items()
        ]
        for each in settled:
            self.progress.closed(each.seqs)
        if settled or self.progress.cursor > self._recorded_cursor + _CURSOR_EVERY:
            self._tools.recorder.record(Facts(settled=settled, cursors=self._cursor()))

    def _pass_over(self, broken: BrokenBlock) -> None:
        """Messages whose bytes are damaged on disk are settled as failed, never skipped in silence."""
        log.error("%s; its messages are lost", broken)
        seqs = list(range(max(broken.first_seq, self._read_to + 1), broken.last_seq + 1))
        lost = Settled(
            destination=self.connection.id,
            outcome=FAILED,
            reason="unreadable_message",
            detail=str(broken),
            at_ms=self._tools.clock.now_ms(),
            seqs=seqs,
        )
        self._read_to = broken.last_seq
        self.progress.read_to(self._read_to)
        self._tools.recorder.record(Facts(settled=[lost], cursors=self._cursor()))
        self.wake()

    def _map_again(self) -> None:
        """Reads what waits, in lanes or for retry, once more under the settings that hold now."""
        for due in self._due:
            for run in due.batch.runs:
                self._return_to_lane(run)
            self._lanes.release(run.identity for run in due.batch.runs)
        self._due.clear()
        waiting = sorted(self._lanes.drain(), key=lambda message: message.seq)
        if not waiting:
            return
        for message in waiting:
            if message.attempts:
                self._retries[message.seq] = Retry(message.attempts, message.first_attempt_ms, 0)
        self.progress.again(message.seq for message in waiting)
        self._read_to = waiting[0].seq - 1
        self._rewound = True

    # sending

    def _start_batches(self) -> None:
        """Starts whatever may be attempted now."""
        if self._stopping:
            return
        if self.breaker.is_open:
            self._start_probe()
            return
        now_s = self._tools.clock.monotonic_s()
        while len(self._in_flight) < MAX_IN_FLIGHT and self._due and self._due[0].at_s <= now_s:
            batch = heapq.heappop(self._due).batch
            if not self._affordable(batch, now_s):
                self._wait_for_room(batch, now_s)
                continue
            self._start(batch)
        while len(self._in_flight) < MAX_IN_FLIGHT:
            fresh = self._next_batch(now_s)
            if fresh is None:
                return
            self._start(fresh)

    def _affordable(self, batch: Batch, now_s: float) -> bool:
        """Whether the budgets allow the batch now."""
        if self._spending.room(now_s) < len(batch):
            return False
        room_for = self._spending.room_for
        return all(
            room_for(run.identity, len(run.messages)) == len(run.messages) for run in batch.runs
        )

    def _wait_for_room(self, batch: Batch, now_s: float) -> None:
        room_in_s = self._spending.next_room_s(now_s)
        self._wait(batch, now_s + max(_ROOM_AGAIN_S, room_in_s or 0.0))

    def _next_batch(self, now_s: float) -> Batch | None:
        room = self._spending.room(now_s)
        endpoint = self._lanes.next_endpoint()
        if endpoint is None or room <= 0:
            return None
        for name in (
            endpoint,
            *(other for other in self.connection.kind.endpoints if other != endpoint),
        ):
            batch = self._lanes.take(name, room, self._spending.room_for)
            if batch.runs:
                self._in_batches += len(batch)
                return batch
        return None

    def _start_probe(self) -> None:
        """One message asks whether the destination is back, when its time has come."""
        now_s = self._tools.clock.monotonic_s()
        if self._probing or self._in_flight or self.breaker.probe_in_s(now_s) > 0:
            return
        batch = self._probe()
        if batch is not None and self._spending.room(now_s) > 0:
            self._probing = True
            self._start(batch)

    def _probe(self) -> Batch | None:
        """One of the two oldest messages that wait, in turn: one that always fails must not decide alone."""
        if not self._due:
            batch = self._next_batch(self._tools.clock.monotonic_s())
            return self._alone(batch) if batch else None
        self._probe_turn += 1
        oldest = heapq.nsmallest(2, self._due, key=lambda due: due.oldest_seq)
        due = oldest[self._probe_turn % len(oldest)]
        self._due.remove(due)
        heapq.heapify(self._due)
        return self._alone(due.batch)

    def _alone(self, batch: Batch) -> Batch:
        alone, others, rest = first_message(batch)
        if others is not None:
            self._wait(others, self._tools.clock.monotonic_s())
        if rest is not None:
            self._return_to_lane(rest)
        return alone

    def _start(self, batch: Batch) -> None:
        name = f"{self.connection.destination.slug}: {len(batch)} to {batch.endpoint}"
        task = asyncio.get_running_loop().create_task(
            self._carry(batch, self._reserve(batch)), name=name
        )
        self._in_flight.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
        self._probing = False
        self.wake()

    def _reserve(self, batch: Batch) -> Counter[str]:
        """Takes the batch's rows out of the budget, at once, before anybody else can ask for room."""
        rows = Counter({run.identity: len(run.messages) for run in batch.runs})
        self._spending.spend(rows)
        return rows

    async def _carry(self, batch: Batch, reserved: Counter[str]) -> None:
        """Sends a batch and what it has to be taken apart into, until each message is settled or waits."""
        parts = [batch]
        while parts:
            part = parts.pop()
            now_s = self._tools.clock.monotonic_s()
            if part is not batch and not self._affordable(part, now_s):
                self._wait_for_room(part, now_s)
            elif self.breaker.is_open and not self._probing:
                self._wait(part, now_s)
                if part is batch:
                    self._spending.give_back(reserved)
            else:
                rows = reserved if part is batch else self._reserve(part)
                try:
                    parts += await self._carry_part(part, rows)
                except Exception:
                    log.exception(
                        "%s: a batch is tried again later", self.connection.destination.slug
                    )
                    self._wait(part, now_s + _AGAIN_AFTER_ERROR_S)

    async def _carry_part(self, part: Batch, reserved: Counter[str]) -> list[Batch]:
        """One attempt and what follows from its answer; the parts that are to be sent next."""
        attempt, answer = await self._attempt(part, reserved)
        found = meaning(answer)
        if found is Meaning.DONE:
            self._succeeded()
            await self._settle(part, attempt, DELIVERED)
        elif found in (Meaning.REFUSED, Meaning.TOO_LARGE) and len(part) > 1:
            await self._recorded(Facts(attempts=[attempt]))
            first, others, rest = split(part)
            if rest is not None:
                self._return_to_lane(rest)
            return [others, first] if others is not None else [first]
        elif found is Meaning.REFUSED:
            await self._refused(part, attempt, answer)
        else:
            await self._try_again(part, attempt, answer)
        return []

    def _succeeded(self) -> None:
        """A success after an outage releases everything that waits."""
        if self.breaker.is_open:
            log.info("%s: delivering again", self.connection.destination.slug)
            now_s = self._tools.clock.monotonic_s()
            self._due = [_Due(now_s, due.oldest_seq, due.batch) for due in self._due]
            heapq.heapify(self._due)
        self.breaker.succeeded()

    async def _attempt(self, batch: Batch, reserved: Counter[str]) -> tuple[Attempt, Answer]:
        """One request and its answer; its rows count against the budget until 61 s after it ended."""
        clock, kind = self._tools.clock, self.connection.kind
        rows = [message.row for message in batch.messages()]
        request = kind.request(batch.endpoint, rows, self.connection.destination.settings)
        started_ms = clock.now_ms()
        try:
            answer = await self._tools.transport.post(request)
        finally:
            self._spending.ended(reserved, clock.monotonic_s())
            if self._spending.is_limited:
                scope = self._spending.budget.scope
                self._spent.append(Spent(scope, clock.now_ms(), dict(reserved)))
        attempt = Attempt(
            id=self._tools.recorder.next_attempt_id(),
            destination=self.connection.id,
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

    async def _settle(
        self, batch: Batch, attempt: Attempt, outcome: Outcome, reason: str = "", detail: str = ""
    ) -> None:
        """Records the outcome; the lanes are free once it is durable."""
        settled = Settled(
            destination=self.connection.id,
            outcome=outcome,
            reason=reason,
            detail=detail,
            at_ms=attempt.ended_at_ms,
            seqs=attempt.seqs,
            attempt_id=attempt.id,
        )
        dead = self._dead_letters(batch, attempt, reason) if outcome == FAILED else []
        self.progress.closed(attempt.seqs)
        await self._recorded(
            Facts(attempts=[attempt], settled=[settled], dead_letters=dead, cursors=self._cursor())
        )
        self._in_batches -= len(batch)
        self._lanes.release(run.identity for run in batch.runs)
        self.wake()

    async def _refused(self, batch: Batch, attempt: Attempt, answer: Answer) -> None:
        """400 for one message alone is final, unless the destination refuses everybody's."""
        why = _in_words(answer)
        was_refusing = self.breaker.state is State.REFUSING
        self.breaker.refused(batch.runs[0].identity, why, self._tools.clock.monotonic_s())
        if was_refusing:
            await self._try_again(batch, attempt, answer)
        else:
            await self._settle(batch, attempt, FAILED, "refused", why)

    async def _try_again(self, batch: Batch, attempt: Attempt, answer: Answer) -> None:
        """Puts the messages on the list of those that wait, in halves, so that one bad one is found."""
        clock = self._tools.clock
        now_ms, now_s = clock.now_ms(), clock.monotonic_s()
        for message in batch.messages():
            message.attempts += 1
            message.first_attempt_ms = message.first_attempt_ms or attempt.started_at_ms
        attempts = max(message.attempts for message in batch.messages())
        backoff = backoff_s(attempts, self._tools.chance)
        asked = retry_after_s(answer, now_ms)
        if self.breaker.state is not State.REFUSING:
            self.breaker.failed(
                {run.identity for run in batch.runs},
                _in_words(answer),
                now_s,
                backoff_s=backoff,
                asked_s=asked,
            )
        wait_s = max(backoff, asked)
        if self._window_over(batch, now_ms + wait_s * 1000):
            await self._settle(batch, attempt, FAILED, "retry_window_over", _in_words(answer))
            return
        waiting = [
            Waiting(
                self.connection.id,
                attempts,
                min(message.first_attempt_ms for message in batch.messages()),
                now_ms + round(wait_s * 1000),
                attempt.seqs,
            )
        ]
        await self._recorded(Facts(attempts=[attempt], waiting=waiting))
        if len(batch) == 1:
            self._wait(batch, now_s + wait_s)
            return
        first, others, rest = split(batch)
        self._wait(first, now_s + wait_s)
        if others is not None:
            self._wait(others, now_s + wait_s)
        if rest is not None:
            self._return_to_lane(rest)

    def _window_over(self, batch: Batch, next_ms: float) -> bool:
        window_ms = self.connection.retry_window_s * 1000
        first_ms = min(message.first_attempt_ms for message in batch.messages())
        return next_ms > first_ms + window_ms

    def _wait(self, batch: Batch, at_s: float) -> None:
        heapq.heappush(self._due, _Due(at_s, batch.oldest_seq, batch))
        self.wake()

    def _return_to_lane(self, run: Run) -> None:
        self._lanes.put_back(run.identity, run.messages)
        self._in_batches -= len(run.messages)

    async def _recorded(self, facts: Facts) -> None:
        facts.spent += self._spent
        self._spent = []
        await asyncio.shield(self._tools.recorder.record(facts))

    def _dead_letters(self, batch: Batch, attempt: Attempt, reason: str) -> list[DeadLetter]:
        return [
            DeadLetter(
                destination=self.connection.id,
                seq=message.seq,
                message_id=message.message_id,
                user_id=message.row.identity,
                reason=reason,
                at_ms=attempt.ended_at_ms,
                attempt_id=attempt.id,
                row=message.row.encoded,
            )
            for message in batch.messages()
        ]

    def _cursor(self) -> dict[int, int]:
        self._recorded_cursor = self.progress.cursor
        return {self.connection.id: self._recorded_cursor}

    def _next_timer_s(self) -> float | None:
        """Seconds until something is due without any event; None when nothing is."""
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            return None
        now_s = self._tools.clock.monotonic_s()
        if self.breaker.is_open:
            waits = self._due or len(self._lanes)
            return None if self._in_flight or not waits else self.breaker.probe_in_s(now_s)
        timers: list[float] = []
        if self._due:
            timers.append(max(0.0, self._due[0].at_s - now_s))
        room_in_s = self._spending.next_room_s(now_s)
        if room_in_s is not None and (len(self._lanes) or self._due):
            timers.append(room_in_s)
        return min(timers) if timers else None


def _in_words(answer: Answer) -> str:
    """A destination's answer on one line."""
    if not answer.status:
        return answer.error
    text = answer.body[:200].decode("utf-8", "replace").strip()
    return f"answered {answer.status}: {text}" if text else f"answered {answer.status}"
