"""The engine: reads the log, keeps everybody's profile, and says what destinations have to be told.

Between the event log and the outbox. It works in steps, each of which is one transaction of the store:
messages that wait, profiles whose time has come, a stretch of a sweep over everybody. Whatever dies
between two steps, the next one goes on from the store as if nothing had happened.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice

from headgate.clock import Clock
from headgate.engage.batch import Assigned, assigned
from headgate.engage.directory import Directory
from headgate.engage.history.chunks import Chunk
from headgate.engage.in_vain import InVain, take_back
from headgate.engage.observe import observe_at
from headgate.engage.observed import Observed
from headgate.engage.plan import Plan
from headgate.engage.profile import Profile
from headgate.engage.step import Step
from headgate.engage.store import EngageStore
from headgate.engage.sync import Sync
from headgate.engage.violations import Violations
from headgate.eventlog.block import Block, BrokenBlock, Entry
from headgate.eventlog.interface import LogReader
from headgate.spec.message import normalize_apart
from headgate.spec.names import configured_source, engage_destination
from headgate.spec.repair import DECODE_ERRORS

_MESSAGES_AT_ONCE = 10_000
_BATCHES_AT_ONCE = 2
_PROFILES_AT_ONCE = 500
_CORRECTION_MS = 60_000

log = logging.getLogger("headgate.engage")


class Engine:
    """Computes by a plan, which may be exchanged between two steps."""

    def __init__(self, *, event_log: LogReader, store: EngageStore, clock: Clock) -> None:
        self._log = event_log
        self._store = store
        self._clock = clock
        self._reader = store.reader()
        self._lander = ThreadPoolExecutor(max_workers=1)
        self._landing: Future[None] | None = None
        self._is_in_doubt = False  # whether what is in memory is what is stored
        self._violations = Violations()
        position = store.position()
        self._read_to = position.seq
        self._clock_ms = position.clock_ms

    @property
    def read_to(self) -> int:
        """The number of the last message that was read."""
        return self._read_to

    def use(self, plan: Plan) -> None:
        """Goes on by this plan."""
        self._plan = plan
        self._sync = Sync(plan.told, plan.sync_interval_ms)
        self._directory = Directory(self._reader, plan.rules, self._merge, self._violations)

    def now_ms(self) -> int:
        """The time to evaluate at; small corrections of the calendar never let it go back."""
        self._clock_ms = max(self._clock_ms, self._clock.now_ms())
        return self._clock_ms

    def fall_back(self) -> int:
        """Takes the calendar's word when it says that it is over a minute earlier; by how many ms, else 0.

        What was evaluated meanwhile was evaluated too early, and what had left its window then is gone:
        everything is to be computed anew.
        """
        ahead_ms = self._clock_ms - self._clock.now_ms()
        if ahead_ms <= _CORRECTION_MS:
            return 0
        self._clock_ms -= ahead_ms
        return ahead_ms

    def read(self) -> bool:
        """Takes in messages that wait in the log, a few batches of them at most; False when there are none.

        A batch is read while the one before is on its way to the disk.
        """
        self._recover()
        batches = 0
        try:
            while batches < _BATCHES_AT_ONCE and self._read_batch():
                batches += 1
        finally:
            self._land()
        return bool(batches)

    def _read_batch(self) -> bool:
        blocks, read_to = self._waiting()
        if read_to == self._read_to:
            return False
        step = self._begin()
        entries = (entry for block in blocks for entry in block.entries())
        messages = [self._observed(entry) for entry in entries if entry.seq > self._read_to]
        self._directory.prefetch([one for one in messages if one is not None])
        owners = [self._take(step, one) for one in messages]
        self._commit(step, read_to, _assigned(blocks, self._read_to, owners))
        return True

    def let_time_pass(self) -> bool:
        """Evaluates profiles whose time has come; False when there are none.

        With an interval between syncs, everybody of an interval is told at its end, behind what is urgent.
        """
        due = self._store.due(self.now_ms(), _PROFILES_AT_ONCE)
        if due:
            self._evaluate(due, behind=self._plan.sync_interval_ms > 0)
        return bool(due)

    def sweep(self) -> bool:
        """Evaluates the next profiles of the sweep; False when none is under way.

        Nobody waits for what it has to tell.
        """
        after = self._store.sweep()
        if after is None:
            return False
        ids = self._store.ids_after(after, _PROFILES_AT_ONCE)
        self._evaluate(ids, behind=True)
        self._store.swept_to(ids[-1] if ids else None)
        return True

    def events_of(self, leaves: frozenset[int]) -> frozenset[str]:
        """The names of the events that leaves are made of, those leaves that the plan has."""
        program = self._plan.program
        return program.events_of(leaves.intersection(program.leaves))

    def backfill(self, job: int, chunk: Chunk, leaves: frozenset[int]) -> None:
        """Has profiles take messages of the past, for these leaves only."""
        self._recover()
        program = self._plan.program
        wanted = leaves.intersection(program.leaves)
        step = self._begin()
        owners = self._store.owners([id_ for id_, _ in chunk.profiles])
        at_hand = {profile.id: profile for profile in self._directory.bring(set(owners.values()))}
        for id_, messages in chunk.profiles:
            profile = at_hand.get(owners[id_])
            if profile is not None:
                for message in messages:
                    program.take_only(profile, message, wanted)
                self._directory.changed(profile)
        step.backfilled = (job, chunk.offset)
        self._commit(step, self._read_to, [])
        self._land()

    def take_back(self, in_vain: list[InVain], heard: int) -> None:
        """What was told in vain is not taken for told any more; `heard`: up to where that is known now."""
        self._recover()
        holders = self._store.holders({one.user for one in in_vain})
        at_hand = {one.id: one for one in self._directory.bring(set(holders.values()))}
        step = self._begin()
        for one in in_vain:
            profile = at_hand.get(holders.get(one.user, 0))
            if profile is not None and take_back(profile, one):
                self._directory.changed(profile)
        step.heard = heard
        self._commit(step, self._read_to, [])
        self._land()

    def due_at_ms(self) -> int | None:
        """The next instant at which time alone may change something; None: never."""
        return self._store.earliest_due()

    def _evaluate(self, ids: list[int], *, behind: bool) -> None:
        self._recover()
        step = self._begin(behind=behind)
        for profile in self._directory.bring(ids):
            step.evaluate(profile)
        self._commit(step, self._read_to, [])
        self._land()

    def _begin(self, *, behind: bool = False) -> Step:
        now_ms = self.now_ms()
        self._step = Step(self._plan, self._sync, self._directory, now_ms, behind=behind)
        return self._step

    def _merge(self, into: Profile, gone: Profile) -> None:
        """Identity resolution has found that two profiles are one person's."""
        self._plan.program.merge(into, gone)
        self._step.left(gone)

    def _take(self, step: Step, message: Observed | None) -> int:
        """The number of the profile that the message belongs to, which has taken it; 0: nobody's."""
        profile = self._directory.resolve(message) if message is not None else None
        if message is None or profile is None:
            return 0
        step.take(profile, message)
        return profile.id

    def _commit(self, step: Step, read_to: int, owners: list[Assigned]) -> None:
        """Evaluates and writes; `_land` makes it durable, before anything else is asked of the store."""
        self._land()
        with self._in_doubt_on_error():
            self._store.write(step.batch(read_to, owners, self._violations))
        self._violations.clear()
        self._landing = self._lander.submit(self._store.land)
        self._read_to = read_to

    def _land(self) -> None:
        """What was written last is on the disk when this returns."""
        landing, self._landing = self._landing, None
        if landing is None:
            return
        with self._in_doubt_on_error():
            landing.result()
        self._directory.committed()

    @contextmanager
    def _in_doubt_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._is_in_doubt = True
            raise

    def _recover(self) -> None:
        """After an error, forgets what is in memory and goes on from what is in the store."""
        if not self._is_in_doubt:
            return
        self._directory.discard()
        self._violations.clear()
        self._read_to = self._store.position().seq
        self._is_in_doubt = False

    def _waiting(self) -> tuple[list[Block], int]:
        """Whole blocks, and the number up to which the log is read with them; damaged ones are passed over.

        The first may begin with messages that were read: blocks are made larger when a segment is sealed.
        """
        blocks: list[Block] = []
        n, read_to = 0, self._read_to
        try:
            for block in self._log.blocks(self._read_to):
                blocks.append(block)
                read_to = block.last_seq
                n += block.n
                if n >= _MESSAGES_AT_ONCE:
                    break
        except BrokenBlock as broken:
            if not blocks:
                log.error("%s; Engage goes on behind it", broken)
                read_to = broken.last_seq
        return blocks, read_to

    def _observed(self, entry: Entry) -> Observed | None:
        """What there is to see of a message; None for Engage's own, and for what is erased or unreadable."""
        envelope = entry.envelope
        if envelope.erased or engage_destination(envelope.source):
            return None
        try:
            message, at_ms = normalize_apart(entry.raw, envelope, entry.given_id)
        except DECODE_ERRORS:
            return None
        source = configured_source(envelope.source)
        times = at_ms, envelope.received_at_ms
        return observe_at(times, message, entry.seq, source, self._plan.rules, self._violations)


def _assigned(blocks: list[Block], after_seq: int, owners: list[int]) -> list[Assigned]:
    """The owners of the blocks' messages above a number, block by block."""
    remaining = iter(owners)
    spans = ((max(block.first_seq, after_seq + 1), block.last_seq) for block in blocks)
    return [assigned(first, list(islice(remaining, last + 1 - first))) for first, last in spans]
