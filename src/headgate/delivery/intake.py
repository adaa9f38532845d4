"""What one courier takes in: reads the log, routes and maps, fills the lanes, settles what is not meant to go.

    log → read → _admit_all → lanes        (or parked, when its lane is; or settled at once)

Read first is what was read before: parked lanes that may go, then what has to be mapped again because
the settings have changed; last, when nothing live is left to be read, replayed messages. Reading stops where
memory is full (`room.py`).

While profile writes of a user are replayed, the user's live messages line up behind them in the same lane,
and the replayed events, in a lane of their own, begin when the writes have their outcome.
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
from headgate.delivery.room import REPLAYED_AT_ONCE, Room
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
_Place = tuple[
    Lane, bool, bool
]  # the lane, whether it is parked, whether it stands behind the others
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

        What waits for its next attempt goes on waiting, unless all may be attempted `at_once`.
        """
        seqs = self.room.clear(at_once=at_once)
        self.progress.ask_again(self.replays.put_back(np.sort(np.array(seqs, np.int64))))
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
        while self._may_read_replayed() and len(
            next_ones := self.replays.to_read(REPLAYED_AT_ONCE)
        ):
            yield self._tools.log.these(next_ones.tolist()), self._take_in_replayed

    def _again(self) -> Iterator[_Source]:
        while not self.room.is_full and (again := self.progress.again(_READ_AGAIN_AT_ONCE)):
            yield self._tools.log.these(again), self._take_in_again

    def _parked(self) -> Iterator[_Source]:
        while lane_of := self.room.to_feed(self.connection.spending):
            yield self._tools.log.these(sorted(lane_of)), partial(self._feed, lane_of)
            if self.room.is_full:
                break

    def _may_read_replayed(self) -> bool:
        return self.replays.is_open and not self.room.is_full and not self.room.is_full_of_replayed

    def _feed(self, lane_of: dict[int, Lane], messages: list[Logged]) -> None:
        """Takes in messages of parked lanes."""
        last = {lane_of[one.seq]: one.seq for one in messages}
        for lane, seq in last.items():
            self.progress.parked.drop(lane, seq)
        behind = {lane: self.room.would_stand_behind(lane) for lane in last}
        self._admit_all(messages, lambda seq, row: (lane_of[seq], False, behind[lane_of[seq]]))

    def _take_in_again(self, messages: list[Logged]) -> None:
        """Takes in messages that were read before."""
        self.progress.has_read_again(len(messages))
        self._admit_all(messages, self._live_place)

    def _take_in(self, messages: list[Logged]) -> None:
        """Takes in what is new."""
        progress = self.progress
        wanted = [one for one in messages if one.envelope and progress.wants(one.seq, one.envelope)]
        progress.has_read_to(messages[-1].seq)
        self._admit_all(wanted, self._live_place)
        if progress.cursor > self._recorded_cursor + _CURSOR_EVERY:
            self._tools.recorder.record(Facts(cursors=self.cursor()))

    def _take_in_replayed(self, messages: list[Logged]) -> None:
        """Takes in messages that are sent again; some may have been read meanwhile, before live ones."""
        is_write = self.replays.take([one.seq for one in messages])
        self._admit_all(
            [one for one in messages if one.seq in is_write],
            lambda seq, row: self._replayed_place(row, is_write[seq]),
        )

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

    def _live_place(self, seq: int, row: Row) -> _Place:
        """In its user's lane, behind everything of the user that is replayed in order."""
        lane = row.identity
        if self.replays.is_open and self.replays.has_writes(lane):
            self._bring_writes_forward(lane)
        return lane, lane in self.progress.parked, False

    def _replayed_place(self, row: Row, is_write: bool) -> _Place:
        lane: Lane = row.identity if is_write else (row.identity,)
        is_parked = lane in self.progress.parked or self.room.has_writes_before(lane)
        return lane, is_parked, self.room.would_stand_behind(lane)

    def _bring_writes_forward(self, lane: str) -> None:
        """The user's replayed profile writes become as urgent as the live message that waits for them."""
        to_read = self.replays.make_live(lane)
        if to_read:
            self.progress.parked.add_all(lane, to_read)
        self.lanes.bring_forward(lane)
        if self.lanes.is_idle(lane):
            self.room.want_food([lane])

    # one message

    def _admit_all(self, messages: list[Logged], place: Callable[[int, Row], _Place]) -> None:
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
            lane, is_parked, behind = place(one.seq, row)
            if is_parked:
                self.progress.parked.add(lane, one.seq)
                continue
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
