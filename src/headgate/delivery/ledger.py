"""What a courier has recorded of its attempts: outcomes, retry state, spending, its standing. Before the recorder.

Whoever waits for one of the coroutines goes on once the facts are durable.
"""

import asyncio
import logging

from headgate.delivery.breaker import Breaker
from headgate.delivery.budget import Reservation
from headgate.delivery.connection import Tools
from headgate.delivery.dead_letters import dead_letter, is_untold
from headgate.delivery.facts import (
    FAILED,
    Attempt,
    Facts,
    Outcome,
    Settled,
    Spent,
    Standing,
    Waiting,
)
from headgate.delivery.intake import Intake
from headgate.delivery.lanes import Batch, Pending
from headgate.delivery.transport import LONGEST_ATTEMPT_S

log = logging.getLogger("headgate.delivery")


class Ledger:
    """Turns what happened into facts. What is settled here is open no more.

    `standing` is what people see of the destination.
    """

    def __init__(
        self, destination: int, tools: Tools, intake: Intake, breaker: Breaker, standing: Standing
    ) -> None:
        self.standing = standing
        self._destination = destination
        self._recorder = tools.recorder
        self._clock = tools.clock
        self._intake = intake
        self._breaker = breaker
        self._told = breaker.state
        self._spent: list[Spent] = []

    async def starting(self, reservation: Reservation, *, writes_profiles: bool) -> int:
        """The number of an attempt that is about to be made; what it may cost is remembered from now on.

        Before it is durable nothing may be sent, or a kill could make the next process exceed the limits,
        or overtake a profile write that is still on its way.
        """
        attempt_id = self._recorder.next_attempt_id()
        longest_ms = round(LONGEST_ATTEMPT_S * 1000)
        self._spend(attempt_id, reservation, longest_ms, writes_profiles=writes_profiles)
        if self._spent:
            await self._recorded(Facts())
        return attempt_id

    def ended(self, attempt_id: int, reservation: Reservation, *, writes_profiles: bool) -> None:
        """The attempt's rows count for a minute from now, and are on their way no longer."""
        self._spend(attempt_id, reservation, 0, writes_profiles=writes_profiles)

    async def attempted(self, attempt: Attempt) -> None:
        """The attempt settled nothing; its messages are sent again in parts."""
        await self._recorded(Facts(attempts=[attempt]))

    async def settled(
        self,
        messages: list[Pending],
        attempt: Attempt,
        outcome: Outcome,
        reason: str = "",
        detail: str = "",
    ) -> None:
        """The attempt settled its messages."""
        facts = self._outcome(messages, attempt, outcome, reason, detail)
        facts.attempts.append(attempt)
        await self._recorded(facts)

    async def tried(
        self,
        attempt: Attempt,
        over: list[Pending],
        others: Batch | None,
        due_at_ms: int,
        why: tuple[str, str],
    ) -> None:
        """The attempt failed: the windows of some messages are over, for a reason, the others wait."""
        facts = Facts(attempts=[attempt])
        if over:
            facts.add(self._outcome(over, attempt, FAILED, *why))
        if others is not None:
            facts.waiting += self._waiting(others, due_at_ms)
        await self._recorded(facts)

    def keep(self) -> None:
        """Records where the destination stands, and what has not been recorded yet."""
        self._record(Facts(cursors=self._intake.cursor()))

    def _outcome(
        self, messages: list[Pending], attempt: Attempt, outcome: Outcome, reason: str, detail: str
    ) -> Facts:
        settled = Settled(
            destination=self._destination,
            outcome=outcome,
            reason=reason,
            detail=detail,
            at_ms=attempt.ended_at_ms,
            seqs=sorted(message.seq for message in messages),
            attempt_id=attempt.id,
        )
        facts = Facts(settled=[settled])
        if outcome == FAILED:
            facts.add(self._given_up(messages, settled))
        facts.add(self._intake.replays.settled(settled.seqs, outcome))
        self._intake.progress.closed(settled.seqs)
        facts.cursors = self._intake.cursor()
        return facts

    def _given_up(self, messages: list[Pending], settled: Settled) -> Facts:
        """Their dead letters, with the messages as they came, which are read from the log once more."""
        found = self._intake.letters(settled.seqs)
        return Facts(
            dead_letters=[
                dead_letter(settled, found[message.seq], message.message_id, message.row)
                for message in messages
            ],
            untold=[seq for seq, one in found.items() if is_untold(one, FAILED, settled.reason)],
        )

    def _waiting(self, batch: Batch, due_at_ms: int) -> list[Waiting]:
        """What a restart has to know: every message with its own count and first attempt."""
        alike: dict[tuple[int, int], list[int]] = {}
        for message in batch.messages():
            tried = (message.attempts, message.first_attempt_ms)
            alike.setdefault(tried, []).append(message.seq)
        return [
            Waiting(self._destination, attempts, first_ms, due_at_ms, sorted(seqs))
            for (attempts, first_ms), seqs in alike.items()
        ]

    def _spend(
        self, attempt_id: int, reservation: Reservation, longest_ms: int, *, writes_profiles: bool
    ) -> None:
        if reservation.is_counted or writes_profiles:
            scope, rows = reservation.spending.budget.scope, dict(reservation.rows)
            ended_at_ms = self._clock.now_ms() + longest_ms
            self._spent.append(Spent(attempt_id, scope, ended_at_ms, rows, writes_profiles))

    def _stands(self) -> Standing | None:
        """What people see now, when that has changed."""
        before, breaker = self.standing, self._breaker
        self._tell()
        if (before.state, before.trouble) == (breaker.shown, breaker.trouble):
            return None
        is_new = before.state != breaker.shown
        since_ms = self._clock.now_ms() if is_new else before.since_ms
        self.standing = Standing(breaker.shown.value, breaker.trouble, since_ms)
        return self.standing

    def _tell(self) -> None:
        """A line for the log when everything stops or goes on, without what the destination answered."""
        breaker, slug = self._breaker, self._intake.connection.destination.slug
        if breaker.state is self._told:
            return
        self._told = breaker.state
        if breaker.is_open:
            why = breaker.trouble.partition(":")[0]
            log.warning("%s: %s (%s); its messages wait", slug, breaker.state, why)
        else:
            log.info("%s: delivering again", slug)

    def _record(self, facts: Facts) -> "asyncio.Future[None]":
        facts.spent += self._spent
        self._spent = []
        standing = self._stands()
        if standing is not None:
            facts.standings[self._destination] = standing
        return self._recorder.record(facts)

    async def _recorded(self, facts: Facts) -> None:
        await asyncio.shield(self._record(facts))
