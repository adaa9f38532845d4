"""What one courier takes in: reads the log, routes and maps, fills the lanes, settles what is not meant to go.

    log → read → _admit → lanes        (or parked, when its lane is; or settled at once)

Read first is what was read before: parked lanes that may go, then what has to be mapped again because
the settings have changed. At most about MAX_IN_MEMORY messages are in memory. Reading stops there as long
as some of them can be sent; when none can, because of what their users do, `make_room` parks them.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from headgate.delivery.answers import MAX_RETRY_AFTER_S
from headgate.delivery.connection import Connection, Tools
from headgate.delivery.decoded import Decoded
from headgate.delivery.facts import DISCARDED, FAILED, Facts, Outcome, Settled
from headgate.delivery.lanes import Batch, Lanes, Pending, Run
from headgate.delivery.progress import Progress
from headgate.delivery.reader import Retry
from headgate.delivery.waiting import WaitingList
from headgate.destinations.interface import Discard, Row
from headgate.eventlog.block import BrokenBlock

MAX_IN_MEMORY = 20_000
MAX_IN_MEMORY_BYTES = 64 * 1024 * 1024
MAX_PARKED = 5_000_000
_FED_AT_ONCE = 1_000
_READ_AGAIN_AT_ONCE = 5_000
_MAX_RESTORED_TOGETHER = 1_000
_CURSOR_EVERY = 10_000

log = logging.getLogger("headgate.delivery")

_Why = tuple[Outcome, str, str]


class Intake:
    """Fills the lanes, and knows what could not be kept in memory."""

    def __init__(
        self,
        connection: Connection,
        tools: Tools,
        progress: Progress,
        retries: dict[int, Retry],
    ) -> None:
        self.connection = connection
        self.progress = progress
        self.lanes = Lanes(connection.kind.endpoints)
        self.waiting = WaitingList()
        self._tools = tools
        self._retries = retries
        self._hungry: dict[str, None] = {}  # parked lanes of which nothing is in memory
        self._recorded_cursor = progress.cursor
        self._interrupted = False

    @property
    def is_full(self) -> bool:
        """Whether no more may be read."""
        return (
            self.progress.open_count >= MAX_IN_MEMORY
            or self.progress.open_bytes >= MAX_IN_MEMORY_BYTES
            or len(self.progress.parked) >= MAX_PARKED
        )

    def interrupt(self) -> None:
        """Whatever is being read, stop before the next block."""
        self._interrupted = True

    async def read(self, meanwhile: Callable[[], None]) -> None:
        """Fills the lanes, as far as memory is set aside for; calls `meanwhile` after every block."""
        self._interrupted = False
        for blocks, take_in in self._sources():
            try:
                for messages in blocks:
                    take_in(messages)
                    await self._tools.recorder.keep_up()
                    if self._interrupted:
                        return
                    meanwhile()
                    if self.is_full:
                        break
            except BrokenBlock as broken:
                self._pass_over(broken)

    def released(self, identities: Iterable[str]) -> None:
        """These lanes are free; those of them that are parked may be read again."""
        self.lanes.release(identities)
        parked = self.progress.parked
        self._hungry.update((one, None) for one in identities if one in parked)

    def cursor(self) -> dict[int, int]:
        """Where the destination stands, to be recorded with the next facts."""
        self._recorded_cursor = self.progress.cursor
        return {self.connection.id: self._recorded_cursor}

    def map_again(self) -> None:
        """What waits, in lanes, parked or for retry, is read once more under the settings that hold now."""
        for batch in self.waiting.drain():
            for run in batch.runs:
                self.lanes.put_back(run.identity, run.messages)
            self.lanes.release(batch.identities)
        waiting = [one for tail in self.lanes.shorten(0).values() for one in tail]
        self._forget(waiting)
        self.progress.ask_again(one.seq for one in waiting)
        self.progress.ask_again(self.progress.parked.drain())
        self._hungry.clear()
        self.interrupt()

    def make_room(self) -> bool:
        """Parks what is in memory and cannot go, the longest lanes first; False when nothing can be parked.

        Half of the memory is free afterwards, unless batches that wait for retry hold more than that.
        """
        parked_before = len(self.progress.parked)
        keep = 2 * _FED_AT_ONCE
        while keep and self._more_than_half_full():
            keep //= 2
            for identity, tail in self.lanes.shorten(keep).items():
                self.progress.parked.add_before(identity, [one.seq for one in tail])
                self._forget(tail)
                if self.lanes.is_idle(identity):
                    self._hungry[identity] = None
        return len(self.progress.parked) > parked_before

    def _more_than_half_full(self) -> bool:
        return (
            self.progress.open_count > MAX_IN_MEMORY // 2
            or self.progress.open_bytes > MAX_IN_MEMORY_BYTES // 2
        )

    # sources

    def _sources(
        self,
    ) -> Iterator[tuple[Iterator[list[Decoded]], Callable[[list[Decoded]], None]]]:
        """What is read, in order, and how it is taken in. Each is asked for when its turn has come."""
        while lane_of := self._to_feed():
            fed = self._tools.log.these(sorted(lane_of))
            yield fed, partial(self._feed, lane_of)
            if self.is_full:
                break
        while not self.is_full and (again := self.progress.again(_READ_AGAIN_AT_ONCE)):
            yield self._tools.log.these(again), self._take_in_again
        if not self.is_full:
            yield self._tools.log.after(self.progress.read_to), self._take_in

    def _to_feed(self) -> dict[int, str]:
        """The first messages of parked lanes that may go: their numbers, and whose they are."""
        parked, spending = self.progress.parked, self.connection.spending
        spending.room(self._tools.clock.monotonic_s())
        lane_of: dict[int, str] = {}
        for identity in list(self._hungry):
            if identity not in parked or not self.lanes.is_idle(identity):
                del self._hungry[identity]
            elif len(lane_of) < MAX_IN_MEMORY // 2 and spending.room_for(identity, 1):
                lane_of.update((seq, identity) for seq in parked.first(identity, _FED_AT_ONCE))
        return lane_of

    def _feed(self, lane_of: dict[int, str], messages: list[Decoded]) -> None:
        """Takes in messages of parked lanes."""
        last = {lane_of[one.seq]: one.seq for one in messages}
        for identity, seq in last.items():
            self.progress.parked.drop(identity, seq)
        self._admit_all(messages, past_parked=True)

    def _take_in_again(self, messages: list[Decoded]) -> None:
        """Takes in messages that were read before."""
        self.progress.has_read_again(len(messages))
        self._admit_all(messages)

    def _take_in(self, messages: list[Decoded]) -> None:
        """Takes in what is new."""
        progress = self.progress
        wanted = [one for one in messages if one.envelope and progress.wants(one.seq, one.envelope)]
        progress.has_read_to(messages[-1].seq)
        self._admit_all(wanted)
        if progress.cursor > self._recorded_cursor + _CURSOR_EVERY:
            self._tools.recorder.record(Facts(cursors=self.cursor()))

    def _pass_over(self, broken: BrokenBlock) -> None:
        """Messages whose bytes are damaged on disk are settled as failed, never skipped in silence."""
        log.error("%s; its messages are lost", broken)
        first_seq = max(broken.first_seq, self.progress.read_to + 1)
        seqs = range(first_seq, broken.last_seq + 1)
        why: _Why = (FAILED, "unreadable_message", str(broken))
        unsettled = [seq for seq in seqs if not self.progress.is_settled(seq)]
        self.progress.has_read_to(broken.last_seq)
        self._settle({why: unsettled} if unsettled else {})

    # one message

    def _admit_all(self, messages: list[Decoded], *, past_parked: bool = False) -> None:
        settled: dict[_Why, list[int]] = {}
        restored: dict[tuple[Retry, str], list[Run]] = {}
        for one in messages:
            row = self._row(one)
            if isinstance(row, tuple):
                settled.setdefault(row, []).append(one.seq)
            elif not past_parked and row.identity in self.progress.parked:
                self.progress.parked.add(row.identity, one.seq)
            else:
                self._admit(one, row, restored)
        self._wait_as_before(restored)
        self._settle(settled)

    def _row(self, one: Decoded) -> Row | _Why:
        """The message as a row, or its outcome when it does not go."""
        if one.envelope is None:
            return FAILED, "unreadable_message", "its block is damaged or gone"
        if one.message is None:
            return DISCARDED, "unreadable_message", ""
        try:
            row = self.connection.router.row(one.message)
        except Exception as error:
            log.exception("message %s cannot be mapped", one.seq)
            return FAILED, "mapping_failed", f"{type(error).__name__}: {error}"[:500]
        return (DISCARDED, row.reason, row.detail) if isinstance(row, Discard) else row

    def _admit(self, one: Decoded, row: Row, restored: dict[tuple[Retry, str], list[Run]]) -> None:
        """Puts the message into its lane; under `restored` when it goes on waiting for its next attempt."""
        assert one.message is not None
        self.progress.opened(one.seq, len(row.encoded))
        pending = Pending(one.seq, row, one.message["messageId"])
        retry = self._retries.pop(one.seq, None)
        if retry is not None:
            pending.attempts, pending.first_attempt_ms = retry.attempts, retry.first_attempt_ms
            if retry.due_at_ms > self._tools.clock.now_ms() and self.lanes.hold(row.identity):
                run = Run(row.identity, [pending])
                restored.setdefault((retry, row.endpoint), []).append(run)
                return
        self.lanes.add(pending)

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

    def _settle(self, settled: dict[_Why, list[int]]) -> None:
        if not settled:
            return
        now_ms = self._tools.clock.now_ms()
        facts = [
            Settled(self.connection.id, outcome, reason, detail, now_ms, seqs)
            for (outcome, reason, detail), seqs in settled.items()
        ]
        for seqs in settled.values():
            for seq in seqs:
                self._retries.pop(seq, None)
        self._tools.recorder.record(Facts(settled=facts, cursors=self.cursor()))

    def _forget(self, messages: list[Pending]) -> None:
        """The messages leave memory; what has been tried of them is kept. They are due as soon as they may go."""
        self.progress.closed(one.seq for one in messages)
        for one in messages:
            if one.attempts:
                self._retries[one.seq] = Retry(one.attempts, one.first_attempt_ms, 0)
