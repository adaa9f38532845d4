"""The event log against a model of a few lines: a list of what was accepted, and until when ids are known.

Groups with duplicates inside, across groups and sources; disks that are full or fail in the middle of a
write; kills, restarts, segments that end early, clocks that run and clocks that are set.
"""

import resource
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from depth import search
from factories import NOW_MS, envelope, message
from headgate.clock import ManualClock
from headgate.eventlog.block import Entry
from headgate.eventlog.erasing import erase, segments_holding
from headgate.eventlog.interface import DUPLICATE, Arrival, EventLog, LogFull, LogReader
from headgate.eventlog.log import BlockLog
from headgate.eventlog.memory import MemoryStorage, memory_log
from headgate.eventlog.retention import retire
from headgate.eventlog.sealing import seal, unsealed
from headgate.eventlog.segments import segment_paths
from headgate.eventlog.sqlite import SqliteStorage, sqlite_reader
from headgate.eventlog.survey import Damage, survey

HOUR_S = 3600
DAY_MS = 24 * HOUR_S * 1000
PLENTY = 1 << 40


class Kept(NamedTuple):
    """A message as the log has to hand it out; without its bytes once they are erased."""

    source: str
    message_id: str
    user: str
    received_at_ms: int
    raw: bytes | None

    @property
    def key(self) -> tuple[str, str]:
        """By what duplicates are told."""
        return self.source, self.message_id


class Model:
    """What a log is: a list, and the ids that must still be known."""

    def __init__(self) -> None:
        self.kept: list[Kept] = []
        self.retired_to = 0
        self.ever: set[tuple[str, str]] = set()
        self._known_since_ms: dict[tuple[str, str], int] = {}

    def accept(self, one: Kept, now_ms: int) -> int:
        """The number of a message that is new."""
        self.kept.append(one)
        self.ever.add(one.key)
        self._known_since_ms[one.key] = now_ms
        return len(self.kept)

    def erase(self, user: str, seqs: range) -> int:
        """Forgets what a user sent under these numbers, but for the ids; how many there were."""
        theirs = [seq for seq in seqs if self.kept[seq - 1].user == user]
        there = [seq for seq in theirs if self.kept[seq - 1].raw is not None]
        for seq in there:
            self.kept[seq - 1] = self.kept[seq - 1]._replace(raw=None)
        return len(there)

    def must_know(self, one: Kept) -> bool:
        """Whether it came within 24 h; later it may be forgotten, and need not be."""
        return one.key in self._known_since_ms

    def clock_says(self, now_ms: int) -> None:
        """An id may be forgotten once the clock has read more than a day past it, even by mistake."""
        known = self._known_since_ms.items()
        self._known_since_ms = {key: at_ms for key, at_ms in known if now_ms - at_ms < DAY_MS}


class Kind(Protocol):
    """Where the log under test lives."""

    has_disk: bool

    def open(self, segment_messages: int) -> EventLog: ...
    def reader(self) -> LogReader: ...
    def fill(self) -> None: ...
    def empty(self) -> None: ...
    def kill(self) -> None: ...
    def damages(self) -> list[Damage]: ...
    def remove(self) -> None: ...
    @property
    def directory(self) -> Path: ...


class InMemory:
    """The twin; its storage outlives the log that writes it."""

    has_disk = False
    directory = Path()

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._storage = MemoryStorage()

    def open(self, segment_messages: int) -> EventLog:
        return memory_log(self._clock, self._storage)

    def reader(self) -> LogReader:
        return memory_log(self._clock, self._storage)

    def fill(self) -> None:
        self._storage.failure = "told to fail"

    def empty(self) -> None:
        self._storage.failure = ""

    def kill(self) -> None:
        """A list survives as it is."""

    def damages(self) -> list[Damage]:
        return []

    def remove(self) -> None:
        """Nothing to remove."""


class OnDisk:
    """A directory. After a kill its files are what they were at that moment, without anybody's goodbye."""

    has_disk = True

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._home = Path(tempfile.mkdtemp(prefix="headgate-model-"))
        self._lives = 0
        self._free_bytes = PLENTY

    @property
    def directory(self) -> Path:
        return self._home / str(self._lives)

    def open(self, segment_messages: int) -> EventLog:
        storage = SqliteStorage(
            self.directory,
            self._clock,
            max_segment_messages=segment_messages,
            free_bytes=lambda _: self._free_bytes,
        )
        return BlockLog(storage, self._clock)

    def reader(self) -> LogReader:
        return sqlite_reader(self.directory)

    def fill(self) -> None:
        self._free_bytes = 0

    def empty(self) -> None:
        self._free_bytes = PLENTY

    def kill(self) -> None:
        left = self.directory
        self._lives += 1
        shutil.copytree(left, self.directory, ignore=shutil.ignore_patterns("*-shm"))

    def damages(self) -> list[Damage]:
        return [one for one in survey(self.directory) if isinstance(one, Damage)]

    def remove(self) -> None:
        shutil.rmtree(self._home)


@contextmanager
def files_end_at(size_bytes: int) -> Iterator[None]:
    """Every write beyond this size fails in the middle, as on a disk that breaks."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


ids = st.sampled_from(["a", "b", "c", "7", "8"])
users = st.sampled_from(["ann", "bob"])
requests = st.tuples(
    st.sampled_from(["website", "shop"]),
    users,
    st.lists(st.tuples(ids, st.sampled_from(["usual", "given", "numeric"])), max_size=5),
)
groups = st.lists(requests, min_size=1, max_size=3)


class LogModel(RuleBasedStateMachine):
    """One log, one model, and everything that happens to logs."""

    kind_of: type[InMemory] | type[OnDisk]

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(NOW_MS)
        self.kind: Kind = self.kind_of(self.clock)
        self.model = Model()
        self.made = 0
        self.unanswered: list[Kept] = []
        self.log = self.kind.open(5)
        self.reader = self.kind.reader()

    # what happens

    @rule(group=groups)
    def append(self, group: list[Any]) -> None:
        """New messages get the next numbers, the rest is told apart as duplicates."""
        self.kind.empty()
        arrivals = [self._arrival(*request) for request in group]
        answers = self.log.append(arrivals)
        self._learn(arrivals, answers)

    @rule(group=groups)
    def append_to_a_full_disk(self, group: list[Any]) -> None:
        """Nothing is kept; a group of nothing but duplicates needs no space."""
        self.kind.fill()
        arrivals = [self._arrival(*request) for request in group]
        try:
            answers = self.log.append(arrivals)
        except LogFull:
            assert self.log.trouble()
        else:
            assert all(seq == DUPLICATE for answer in answers for seq in answer)
            self._learn(arrivals, answers)
        self.kind.empty()

    @precondition(lambda self: self.kind.has_disk)
    @rule(group=groups, size_bytes=st.integers(0, 60_000))
    def append_to_a_disk_that_breaks(self, group: list[Any], size_bytes: int) -> None:
        """A write that fails in the middle may surface after a crash, whole; its sender tries again."""
        arrivals = [self._arrival(*request) for request in group]
        try:
            with files_end_at(size_bytes):
                answers = self.log.append(arrivals)
        except LogFull:
            self.unanswered = [one for arrival in arrivals for one in _messages(arrival)]
        else:
            self._learn(arrivals, answers)

    @rule()
    def ask_for_trouble(self) -> None:
        """With a sound disk there is none, whatever there was."""
        assert self.log.trouble() == ""

    @rule(segment_messages=st.integers(1, 12))
    def restart(self, segment_messages: int) -> None:
        """Stopped as it is asked to."""
        self.log.close()
        self._come_back(segment_messages)

    @rule(segment_messages=st.integers(1, 12))
    def kill(self, segment_messages: int) -> None:
        """Gone at once; what was written stays as it was."""
        self.kind.kill()
        self.log.close()
        self._come_back(segment_messages)

    @rule()
    def roll(self) -> None:
        """The open segment ends; what comes is in the next one."""
        self.log.roll()
        assert not self.kind.has_disk or self.log.open_first_seq() == self.log.last_seq() + 1

    @precondition(lambda self: self.kind.has_disk)
    @rule()
    def seal(self) -> None:
        """Every closed segment is rewritten, under the eyes of whoever reads."""
        directory = self.kind.directory
        last = max((first_seq for first_seq, _ in segment_paths(directory)), default=1)
        for first_seq in unsealed(directory, last):
            seal(directory, first_seq)
        assert unsealed(directory, last) == []

    @precondition(lambda self: self.kind.has_disk)
    @rule(days=st.integers(0, 2), max_bytes=st.sampled_from([0, 1, 40_000]), share=st.floats(0, 1))
    def retire(self, days: int, max_bytes: int, share: float) -> None:
        """Old or surplus segments go, oldest first, never with anything unsettled or young in them."""
        now_ms, settled_to = self.clock.now_ms(), int(share * self.log.last_seq())
        retire(
            self.kind.directory,
            now_ms=now_ms,
            settled_to=settled_to,
            days=days,
            max_bytes=max_bytes,
        )
        gone = range(self.model.retired_to + 1, self.log.first_seq())
        assert gone.stop - 1 <= max(settled_to, self.model.retired_to)
        if not max_bytes:
            ages_ms = [now_ms - self.model.kept[seq - 1].received_at_ms for seq in gone]
            assert not gone or (days > 0 and min(ages_ms) > days * DAY_MS)
        self.model.retired_to = self.log.first_seq() - 1

    @precondition(lambda self: self.kind.has_disk)
    @rule(user=users)
    def erase(self, user: str) -> None:
        """A user is forgotten in all closed segments; numbers and ids stay."""
        directory = self.kind.directory
        end = max((first_seq for first_seq, _ in segment_paths(directory)), default=1)
        closed = [one for one in segments_holding(directory, {user: end - 1}) if one < end]
        erased = sum(erase(directory, first_seq, {user: end - 1}) for first_seq in closed)
        assert erased == self.model.erase(user, range(self.log.first_seq(), end))

    @rule(hours=st.sampled_from([1, 7, 23, 25]))
    def wait(self, hours: int) -> None:
        """Time passes."""
        self.clock.advance(hours * HOUR_S)
        self.model.clock_says(self.clock.now_ms())

    @rule(hours=st.sampled_from([-24, -7, -1, 1, 23, 25]))
    def set_the_clock(self, hours: int) -> None:
        """Forward or back."""
        self.clock.jump(hours * HOUR_S)
        self.model.clock_says(self.clock.now_ms())

    # what is asked

    @rule(after_seq=st.integers(0, 60))
    def read_from_anywhere(self, after_seq: int) -> None:
        """Blocks from there on, the first one whole, by whoever has had the log open for long."""
        read = [entry for block in self.reader.blocks(after_seq) for entry in block.entries()]
        expected = range(max(after_seq, self.model.retired_to) + 1, len(self.model.kept) + 1)
        assert [entry.seq for entry in read if entry.seq > after_seq] == list(expected)
        for entry in read:
            self._assert_is_kept(entry)

    @rule(seq=st.integers(0, 60))
    def read_one(self, seq: int) -> None:
        """A number that was given holds its message; any other one holds none."""
        if self.model.retired_to < seq <= len(self.model.kept):
            self._assert_is_kept(self.log.entry(seq))
        else:
            with pytest.raises(KeyError):
                self.log.entry(seq)

    @rule(source=st.sampled_from(["website", "shop"]), message_id=ids)
    def find(self, source: str, message_id: str) -> None:
        """Every number under which a source's id was ever accepted, given ids included."""
        wanted = source, message_id
        numbers = range(self.model.retired_to + 1, len(self.model.kept) + 1)
        expected = [seq for seq in numbers if self.model.kept[seq - 1].key == wanted]
        assert self.reader.find(source, message_id) == expected

    # what holds all along

    @invariant()
    def the_log_is_the_list(self) -> None:
        """Dense numbers from 1, each message as it came, nothing twice, nothing else; no damage."""
        entries = [entry for block in self.log.blocks(0) for entry in block.entries()]
        held = range(self.model.retired_to + 1, len(self.model.kept) + 1)
        assert [entry.seq for entry in entries] == list(held)
        for entry in entries:
            self._assert_is_kept(entry)
        assert self.log.first_seq() == held.start
        assert self.log.last_seq() == self.reader.last_seq() == len(self.model.kept)
        assert self.kind.damages() == []

    def teardown(self) -> None:
        self.reader.close()
        self.log.close()
        self.kind.remove()

    # helpers

    def _assert_is_kept(self, entry: Entry) -> None:
        """The entry is what was accepted under its number, or what is left of it."""
        kept = self.model.kept[entry.seq - 1]
        assert entry.envelope.source == kept.source
        assert entry.envelope.received_at_ms == kept.received_at_ms
        if kept.raw is not None:
            assert entry.raw == kept.raw
        else:
            assert msgspec.json.decode(entry.raw).keys() <= {"type", "messageId"}

    def _arrival(self, source: str, user: str, items: Sequence[tuple[str, str]]) -> Arrival:
        return Arrival(
            envelope=envelope(source=source, received_at_ms=self.clock.now_ms()),
            raws=[self._raw(user, *item) for item in items],
            ids=[message_id for message_id, _ in items],
            users=[user] * len(items),
            types=bytearray([1] * len(items)),
            given=[at for at, (_, form) in enumerate(items) if form == "given"],
        )

    def _raw(self, user: str, message_id: str, form: str) -> bytes:
        """No two alike, so that a duplicate in the place of its original would show."""
        self.made += 1
        fields = {"userId": user, "event": f"E {self.made}"}
        if form == "numeric" and message_id.isdigit():
            return message(None, messageId=int(message_id), **fields)
        return message(None if form == "given" else message_id, **fields)

    def _learn(self, arrivals: list[Arrival], answers: list[Sequence[int]]) -> None:
        """The model follows what was answered, and objects to what it must not be."""
        assert [len(answer) for answer in answers] == [len(arrival.ids) for arrival in arrivals]
        seqs = [seq for answer in answers for seq in answer]
        messages = [one for arrival in arrivals for one in _messages(arrival)]
        for one, seq in zip(messages, seqs, strict=True):
            if seq == DUPLICATE:
                assert one.key in self.model.ever
            else:
                assert not self.model.must_know(one)
                assert seq == self.model.accept(one, self.clock.now_ms())
                self.unanswered = []

    def _come_back(self, segment_messages: int) -> None:
        """A new life; what it brings back of a group that was never answered counts from now on."""
        self.reader.close()
        self.log = self.kind.open(segment_messages)
        self.reader = self.kind.reader()
        surfaced = range(len(self.model.kept) + 1, self.log.last_seq() + 1)
        candidates = iter(self.unanswered)
        for seq in surfaced:
            raw = self.log.entry(seq).raw
            one = next(candidate for candidate in candidates if candidate.raw == raw)
            self.model.accept(one, self.clock.now_ms())
        self.unanswered = []


def _messages(arrival: Arrival) -> list[Kept]:
    about = arrival.envelope
    return [
        Kept(about.source, message_id, user, about.received_at_ms, raw)
        for message_id, user, raw in zip(arrival.ids, arrival.users, arrival.raws, strict=True)
    ]


@pytest.mark.parametrize(("kind", "examples"), [(InMemory, 60), (OnDisk, 25)])
def test_the_log_agrees_with_its_model(kind: type[InMemory] | type[OnDisk], examples: int) -> None:
    """Whatever happens, in whatever order."""

    class Machine(LogModel):
        kind_of = kind

    run_state_machine_as_test(Machine, settings=search(examples))
