"""What one courier takes in: reads the log, routes and maps, fills the lanes, settles what is not meant to go.

    log → read → _admit_all → lanes        (or parked, when its lane is; or deferred; or settled at once)

Read first is what was read before: parked lanes that may go, then what has to be mapped again because
the settings have changed; last, when nothing live is left to be read, replayed messages, then those that were
deferred since nobody waits for them (`deferred.py`). Reading stops where memory is full (`room.py`).

While profile writes of a user are replayed, the user's live messages line up behind them in the same lane,
and the replayed events, in a lane of their own, begin when the writes have their outcome. What is deferred of a
user is no longer when a live message of the user arrives, and goes before it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from headgate.delivery.answers import MAX_RETRY_AFTER_S
from headgate.delivery.connection import Connection, Tools
from headgate.delivery.dead_letters import dead_letter, is_untold
from headgate.delivery.facts import DISCARDED, FAILED, DeadLetter, Facts, Outcome, Settled
from headgate.delivery.lanes import Batch, Lane, Lanes, Pending, Run, user_of
from headgate.delivery.progress import Progress
from headgate.delivery.reader import Retry
from headgate.delivery.replays import Replays, Writes, owner_of
from headgate.delivery.room import BEHIND_AT_ONCE, Room
from headgate.delivery.shared_log import Logged
from headgate.delivery.waiting import WaitingList
from headgate.destinations.interface import Discard, Row
from headgate.eventlog.block import BrokenBlock

_READ_AGAIN_AT_ONCE = 5_000
_MAX_RESTORED_TOGETHER = 1_000
_CURSOR_EVERY = 10_000

log = logging.getLogger("headgate.delivery")

_Why = tuple[Outcome, str, str]
_WITHHELD: tuple[_Why, ...] = ((DISCARDED, "erased", ""), (DISCARDED, "suppressed", ""))
_Place = tuple[Lane, bool] | None  # the lane, whether it stands behind; None: not in memory
_Source = tuple[Iterator[list[Logged]], Callable[[list[Logged]], None]]


class Intake:
    """Fills the lanes, as far as there is room."""

    def __init__(
        self,
        connection: Connection,
        tools: Tools,
        progress: Progress,
        replays: Replays,
        retries: dict[int, Retry],
    ) -> None:
        self.connection = connection
        self.progress = progress
        self.replays = replays
        self.lanes = Lanes(connection.kind.endpoints)
        self.waiting = WaitingList()
        self.room = Room(tools.clock, progress, replays, self.lanes, self.waiting, retries)
        self.gives_up: tuple[int, str] | None = None
        self._tools = tools
        self._retries = retries
        self._recorded_cursor = progress.cursor
        self._interrupted = False
        self.arriving: Mapping[str, int] = {}

    def give_up_before(self, received_ms: int, why: str) -> None:
        """From now on live messages received until then fail, unless they are in time with their attempts.

        What waits is read once more for it. `received_ms` of 0 ends it.
        """
        self.gives_up = (received_ms, why) if received_ms else None
        if self.gives_up:
            self.map_again()

    def interrupt(self) -> None:
        """Whatever is being read, stop before the next block."""
        self._interrupted = True

    def map_again(self, *, at_once: bool = False) -> None:
        """What waits, in lanes, parked or for retry, is read once more under the settings that hold now.

        What waits for its next attempt goes on waiting, unless all may be attempted `at_once`. Deferred messages
        are mapped when it is their turn.
        """
        seqs = np.sort(np.array(self.room.clear(at_once=at_once), np.int64))
        live = self.progress.deferred.put_back(self.replays.put_back(seqs))
        self.progress.ask_again(live)
        self.interrupt()

    async def read(self, meanwhile: Callable[[], None]) -> None:
        """Fills the lanes, as far as memory is set aside for; calls `meanwhile` after every block."""
        self._interrupted = False
        while await self._came_upon_damage(meanwhile):
            pass

    async def _came_upon_damage(self, meanwhile: Callable[[], None]) -> bool:
        """Reads to the end, or to a damaged block, which is passed over: then there may be more behind it."""
        for blocks, take_in in self._sources():
            try:
                for messages in blocks:
                    take_in(messages)
                    await self._tools.recorder.keep_up()
                    if self._interrupted:
                        return False
                    meanwhile()
                    if self.room.is_full:
                        break
            except BrokenBlock as broken:
                self._pass_over(broken)
                return True
        return False

    def released(self, lanes: Iterable[Lane]) -> None:
        """These lanes are free; what is parked of them or waited for them may be read again."""
        lanes = list(lanes)
        self.lanes.release(lanes)
        self.room.want_food(lanes)
        if self.replays.is_open:
            self.room.want_food((user_of(lane),) for lane in lanes)

    def cursor(self) -> dict[int, int]:
        """Where the destination stands, to be recorded with the next facts."""
        self._recorded_cursor = self.progress.cursor
        return {self.connection.id: self._recorded_cursor}

    def letters(self, seqs: list[int]) -> dict[int, Logged]:
        """The messages with these numbers, which ascend, for their dead letters."""
        found = (one for messages in self._tools.log.these(seqs) for one in messages)
        return {one.seq: self._with_letter(one) for one in found}

    async def later_writes(self, after_seq: int, writes: Writes) -> Writes:
        """Profile writes above a number, as far as was read, of the users who have some among `writes`."""
        found: list[tuple[int, int]] = []
        while len(writes) and after_seq < (read_to := self.progress.read_to):
            try:
                for messages in self._tools.log.after(after_seq):
                    found += self._writes_among(messages, read_to)
                    after_seq = messages[-1].seq
                    await self._tools.recorder.keep_up()
                    if after_seq >= read_to:
                        break
            except BrokenBlock as broken:
                after_seq = broken.last_seq
        seqs = np.array([seq for seq, _ in found], np.int64)
        owners = np.array([owner for _, owner in found], np.uint64)
        return Writes.of(seqs, owners).of_owners(writes)

    # sources

    def _sources(self) -> Iterator[_Source]:
        """What is read, in order, and how it is taken in. Each is asked for when its turn has come."""
        yield from self._parked()
        yield from self._again()
        if not self.room.is_full:
            yield self._tools.log.after(self.progress.read_to), self._take_in
            yield from self._parked()
        while self._may_read_replayed() and len(replayed := self.replays.to_read(BEHIND_AT_ONCE)):
            yield self._tools.log.these(replayed.tolist()), self._take_in_replayed
        while self._may_read_deferred() and (
            deferred := self.progress.deferred.first(BEHIND_AT_ONCE)
        ):
            yield self._tools.log.these(deferred), self._take_in_deferred

    def _again(self) -> Iterator[_Source]:
        while not self.room.is_full and (again := self.progress.again(_READ_AGAIN_AT_ONCE)):
            yield self._tools.log.these(again), self._take_in_again

    def _parked(self) -> Iterator[_Source]:
        while lane_of := self.room.to_feed(self.connection.spending):
            yield self._tools.log.these(sorted(lane_of)), partial(self._feed, lane_of)
            if self.room.is_full:
                break

    def _may_read_replayed(self) -> bool:
        return not self.room.is_full and not self.room.is_full_behind

    def _may_read_deferred(self) -> bool:
        """Not while older profile writes, which are replayed, have no place in their users' lanes yet."""
        is_full = self.room.is_memory_full or self.room.is_full_behind
        return not is_full and self.replays.writes_are_read

    def _feed(self, lane_of: dict[int, Lane], messages: list[Logged]) -> None:
        """Takes in messages of parked lanes."""
        last = {lane_of[one.seq]: one.seq for one in messages}
        behind = {lane: self.room.would_stand_behind(lane) for lane in last}
        for lane, seq in last.items():
            self.progress.parked.drop(lane, seq)
        self._admit_all(messages, lambda one, row: (lane_of[one.seq], behind[lane_of[one.seq]]))

    def _take_in_again(self, messages: list[Logged]) -> None:
        """Takes in messages that were read before."""
        self.progress.has_read_again(len(messages))
        self._admit_all(messages, self._live_place)

    def _take_in(self, messages: list[Logged]) -> None:
        """Takes in what is new."""
        progress = self.progress
        wanted = [one for one in messages if one.envelope and progress.wants(one.seq, one.envelope)]
        progress.has_read_to(messages[-1].seq)
        self._admit_all(wanted, self._new_place)
        if progress.cursor > self._recorded_cursor + _CURSOR_EVERY:
            self._tools.recorder.record(Facts(cursors=self.cursor()))

    def _take_in_replayed(self, messages: list[Logged]) -> None:
        """Takes in messages that are sent again; some may have been read meanwhile, before live ones."""
        is_write = self.replays.take([one.seq for one in messages])
        self._admit_all(
            [one for one in messages if one.seq in is_write],
            lambda one, row: self._replayed_place(one, row, is_write[one.seq]),
        )

    def _take_in_deferred(self, messages: list[Logged]) -> None:
        """Takes in messages of which only the numbers were taken in when they were read first."""
        taken = set(self.progress.deferred.take([one.seq for one in messages]))
        self._admit_all([one for one in messages if one.seq in taken], self._deferred_place)

    def _pass_over(self, broken: BrokenBlock) -> None:
        """Messages whose bytes are damaged on disk are settled as failed, never skipped in silence."""
        log.error("%s; its messages are lost", broken)
        first_seq = max(broken.first_seq, self.progress.read_to + 1)
        seqs = range(first_seq, broken.last_seq + 1)
        why: _Why = (FAILED, "unreadable_message", str(broken))
        unsettled = [seq for seq in seqs if not self.progress.is_settled(seq)]
        self.progress.has_read_to(broken.last_seq)
        self._settle({why: unsettled} if unsettled else {}, [], [])

    def _writes_among(self, messages: list[Logged], last_seq: int) -> Iterator[tuple[int, int]]:
        """The profile writes that this destination owes: their numbers, and whose they are."""
        endpoints = self.connection.kind.endpoints
        for one in messages:
            if one.seq <= last_seq and one.envelope and self.progress.owes(one.envelope):
                row = self._row(one, one.decoded())
                if isinstance(row, Row) and endpoints[row.endpoint].writes_profile:
                    yield one.seq, owner_of(row.identity)

    # places

    def _new_place(self, one: Logged, row: Row) -> _Place:
        if one.stands_behind:
            self.progress.deferred.add(one.seq, row.identity)
            return None
        return self._live_place(one, row)

    def _live_place(self, one: Logged, row: Row) -> _Place:
        """In its user's lane, behind everything of the user that is replayed in order or was deferred."""
        self._bring_forward(row.identity)
        return self._in_lane(one, row.identity, behind=False)

    def _deferred_place(self, one: Logged, row: Row) -> _Place:
        return self._in_lane(one, row.identity, behind=True)

    def _replayed_place(self, one: Logged, row: Row, is_write: bool) -> _Place:
        lane: Lane = row.identity if is_write else (row.identity,)
        if self.room.has_writes_before(lane):
            self.progress.parked.add(lane, one.seq)
            return None
        return self._in_lane(one, lane, behind=self.room.would_stand_behind(lane))

    def _in_lane(self, one: Logged, lane: Lane, *, behind: bool) -> _Place:
        """Its lane; parked when its lane is."""
        if lane in self.progress.parked:
            self.progress.parked.add(lane, one.seq)
            return None
        return lane, behind

    def _bring_forward(self, lane: str) -> None:
        """What goes before a live message of the user becomes as urgent as that."""
        to_read = self.progress.deferred.take_of(lane)
        has_writes = self.replays.is_open and self.replays.has_writes(lane)
        if has_writes:
            to_read += self.replays.make_live(lane)
        if to_read:
            self.progress.parked.add_all(lane, to_read)
        self.lanes.bring_forward(lane)
        if (has_writes or to_read) and self.lanes.is_idle(lane):
            self.room.want_food([lane])

    # one message

    def _admit_all(self, messages: list[Logged], place: Callable[[Logged, Row], _Place]) -> None:
        """Finds each message's place, or its outcome when it does not go."""
        replayed = self.replays.held([one.seq for one in messages])
        settled: dict[_Why, list[int]] = {}
        letters: list[DeadLetter] = []
        untold: list[int] = []
        restored: dict[tuple[Retry, str], list[Run]] = {}
        for one in map(self._with_letter, messages):
            message = one.decoded()
            row = self._row(one, message)
            why = row if isinstance(row, tuple) else self._given_up(one, one.seq in replayed)
            if why in _WITHHELD and one.seq in replayed:
                why = self._tools.outcome_before(self.connection.id, one.seq) or why
            if why is not None:
                settled.setdefault(why, []).append(one.seq)
                letters += self._dead_letters(one, message, row, why)
                if is_untold(one, why[0], why[1]):
                    untold.append(one.seq)
                continue
            assert isinstance(row, Row) and message is not None
            found = place(one, row)
            if found is None:
                continue
            lane, behind = found
            if one.seq in replayed:
                self.progress.opened_again(one.seq, len(row.encoded))
            else:
                self.progress.opened(one.seq, len(row.encoded))
            pending = Pending(one.seq, row, message["messageId"])
            self._admit(pending, lane, behind, restored)
        self._wait_as_before(restored)
        self._settle(settled, letters, untold)

    def _with_letter(self, one: Logged) -> Logged:
        """The message; as its dead letter kept it, when the log no longer holds it."""
        if one.envelope is not None or not self.replays.is_open:
            return one
        return self._tools.letter(self.connection.id, one.seq) or one

    def _row(self, one: Logged, message: dict[str, Any] | None) -> Row | _Why:
        """The message as a row, or its outcome when it does not go."""
        if one.envelope is None:
            return FAILED, "unreadable_message", "its block is damaged or gone"
        if one.envelope.erased:
            return DISCARDED, "erased", ""
        if message is None:
            return DISCARDED, "unreadable_message", ""
        if withheld := self._tools.withheld(message.get("userId") or "", one.seq):
            return DISCARDED, withheld, ""
        try:
            row = self.connection.router.row(message, one.envelope.source)
        except Exception as error:
            log.exception("message %s cannot be mapped", one.seq)
            return FAILED, "mapping_failed", f"{type(error).__name__}: {error}"[:500]
        return (DISCARDED, row.reason, row.detail) if isinstance(row, Discard) else row

    def _given_up(self, one: Logged, is_replayed: bool) -> _Why | None:
        """The outcome of a message that waited in vain for a refusing destination; None for the others."""
        if self.gives_up is None or is_replayed:
            return None
        before_ms, why = self.gives_up
        retry = self._retries.get(one.seq)
        assert one.envelope is not None
        since_ms = retry.first_attempt_ms if retry else one.envelope.received_at_ms
        return (FAILED, "destination_refusing", why) if since_ms <= before_ms else None

    def _dead_letters(
        self, one: Logged, message: dict[str, Any] | None, row: Row | _Why, why: _Why
    ) -> Iterator[DeadLetter]:
        """Of a message that fails and can be read; one that was never mapped has no row."""
        if why[0] == FAILED and message is not None:
            if not isinstance(row, Row):
                row = Row("", message.get("userId") or "", b"")
            settled = Settled(self.connection.id, *why, self._tools.clock.now_ms(), [one.seq])
            yield dead_letter(settled, one, message["messageId"], row)

    def _admit(
        self,
        pending: Pending,
        lane: Lane,
        behind: bool,
        restored: dict[tuple[Retry, str], list[Run]],
    ) -> None:
        """Puts the message into its lane; under `restored` when it goes on waiting for its next attempt."""
        row = pending.row
        retry = self._not_before(row.identity, self._retries.pop(pending.seq, None))
        if retry is not None:
            pending.attempts, pending.first_attempt_ms = retry.attempts, retry.first_attempt_ms
            if retry.due_at_ms and self.lanes.hold(lane, behind=behind):
                run = Run(lane, [pending])
                restored.setdefault((retry, row.endpoint), []).append(run)
                return
        self.lanes.add(pending, lane, behind=behind)

    def _not_before(self, user: str, retry: Retry | None) -> Retry | None:
        """No attempt while an older write of the user, sent before a kill, may still take effect."""
        until_ms = self.arriving.get(user, 0)
        if until_ms <= self._tools.clock.now_ms():
            return retry
        attempts, first_attempt_ms, due_at_ms = retry or (0, 0, 0)
        return Retry(attempts, first_attempt_ms, max(due_at_ms, until_ms))

    def _wait_as_before(self, restored: dict[tuple[Retry, str], list[Run]]) -> None:
        clock = self._tools.clock
        for (retry, endpoint), runs in restored.items():
            wait_s = min((retry.due_at_ms - clock.now_ms()) / 1000, MAX_RETRY_AFTER_S)
            together = max(
                1, _MAX_RESTORED_TOGETHER >> retry.attempts
            )  # they had been halved so often
            for at in range(0, len(runs), together):
                batch = Batch(endpoint, runs[at : at + together])
                self.waiting.add(batch, clock.monotonic_s() + wait_s)

    def _settle(
        self, settled: dict[_Why, list[int]], letters: list[DeadLetter], untold: list[int]
    ) -> None:
        if not settled:
            return
        now_ms = self._tools.clock.now_ms()
        facts = Facts(dead_letters=letters, untold=untold)
        for (outcome, reason, detail), seqs in settled.items():
            facts.settled.append(
                Settled(self.connection.id, outcome, reason, detail, now_ms, sorted(seqs))
            )
            for seq in seqs:
                self._retries.pop(seq, None)
            facts.add(self.replays.settled(seqs, outcome))
        if facts.replayed:
            self.room.want_food(self.progress.parked.replayed())
        facts.cursors = self.cursor()
        self._tools.recorder.record(facts)
