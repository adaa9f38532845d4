"""A log directory for tests of the log's files: filled, closed, sealed, damaged, copied, read."""

import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from factories import NOW_MS, arrival
from headgate.clock import ManualClock
from headgate.eventlog.block import Block
from headgate.eventlog.interface import Arrival
from headgate.eventlog.log import BlockLog
from headgate.eventlog.segments import plain_path, sealed_path
from headgate.eventlog.sqlite import SqliteStorage, segment_paths, sqlite_reader
from headgate.eventlog.survey import survey
from headgate.spec.message import Envelope

Told = tuple[int, bytes, Envelope, str]


class LogDir:
    """Writes through the log's own writer, which is closed after every call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock(NOW_MS)

    def open(self, *, segment_messages: int = 1_000_000, seen_to: int = 0) -> BlockLog:
        """The log, to be closed by the test."""
        storage = SqliteStorage(
            self.path, self.clock, max_segment_messages=segment_messages, seen_to=seen_to
        )
        return BlockLog(storage, self.clock)

    def append(self, *groups: Sequence[Arrival], rolled: bool = False) -> None:
        """Appends each group as one block; then ends the segment, if told so."""
        with closing(self.open()) as log:
            for group in groups:
                log.append(group)
            if rolled:
                log.roll()

    def append_each(self, *ids: str, rolled: bool = False, user: str = "ann") -> None:
        """Appends messages with these ids, each as a block of its own."""
        self.append(*([arrival(one, user=user)] for one in ids), rolled=rolled)

    def segments(self) -> list[str]:
        """The names of the segments' files."""
        return [path.name for _, path in segment_paths(self.path)]

    def files_of(self, first_seq: int) -> set[str]:
        """How the names of a segment's files end."""
        name = f"{first_seq:016d}"
        return {path.name.removeprefix(name) for path in self.path.glob(f"{name}*")}

    def sql(self, first_seq: int, *statements: str) -> None:
        """Runs statements on a segment's file."""
        with closing(sqlite3.connect(dict(segment_paths(self.path))[first_seq])) as db:
            for statement in statements:
                db.execute(statement)
            db.commit()

    def copied(self, name: str) -> "LogDir":
        """A copy of the directory as it is now."""
        target = self.path.with_name(name)
        shutil.copytree(self.path, target)
        copy = LogDir(target)
        copy.clock = self.clock
        return copy


def plain(directory: LogDir, first_seq: int = 1) -> Path:
    """A segment's file as it is written."""
    return plain_path(directory.path, first_seq)


def sealed(directory: LogDir, first_seq: int = 1) -> Path:
    """A segment's file once it is sealed."""
    return sealed_path(directory.path, first_seq)


def told(directory: LogDir, after_seq: int = 0) -> list[Told]:
    """Every message as another process reads it."""
    with closing(sqlite_reader(directory.path)) as reader:
        return [
            (entry.seq, entry.raw, entry.envelope, entry.given_id)
            for block in reader.blocks(after_seq)
            for entry in block.entries()
            if entry.seq > after_seq
        ]


def seqs(directory: LogDir) -> list[int]:
    """The numbers of all messages that the survey finds whole."""
    return [
        seq
        for item in survey(directory.path)
        if isinstance(item, Block)
        for seq in range(item.first_seq, item.last_seq + 1)
    ]


def damage(directory: LogDir) -> list[tuple[int, int, str]]:
    """What the survey finds wrong."""
    return [
        (item.first_seq, item.last_seq, item.why)
        for item in survey(directory.path)
        if not isinstance(item, Block)
    ]


def message_ids(directory: LogDir) -> list[str]:
    """The messageId of every message."""
    return [msgspec.json.decode(raw)["messageId"] for _, raw, _, _ in told(directory)]
