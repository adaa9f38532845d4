"""A data directory for tests, written through the stores' own interfaces, as gateway and worker do."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import factories
from headgate.clock import ManualClock
from headgate.delivery.facts import (
    FAILED,
    REPLAYED,
    Attempt,
    DeadLetter,
    Facts,
    Outcome,
    Replay,
    Settled,
    Standing,
    Waiting,
)
from headgate.delivery.letters import Letter, sealed
from headgate.delivery.store import DeliveryStore
from headgate.destinations.catalog import CATALOG
from headgate.eventlog.interface import Arrival
from headgate.eventlog.log import BlockLog
from headgate.eventlog.refused import Refusal, RefusedRing
from headgate.eventlog.retired import advance_mark
from headgate.eventlog.sqlite import SqliteStorage, segment_paths, sqlite_reader
from headgate.records.stored import Stored
from headgate.spec.message import normalize
from headgate.spec.names import CALL_TYPE_CODES
from headgate.workspace.document import checked
from headgate.workspace.sqlite_store import SqliteWorkspaceReader, SqliteWorkspaceStore

NOW_MS = factories.NOW_MS
SETTINGS = {name: destination.settings for name, destination in CATALOG.items()}


def source(slug: str = "website", **keys: Any) -> dict[str, Any]:
    """A source as headgate.yaml has it."""
    return {"slug": slug, "type": "website", "writeKeys": [f"wk_{slug}"], **keys}


def destination(slug: str = "heap", source_id: str = "website", **keys: Any) -> dict[str, Any]:
    """A Heap destination as headgate.yaml has it."""
    return {"slug": slug, "sourceId": source_id, "settings": {"appId": "1535634150"}, **keys}


class DataDir:
    """Writes a data directory; destinations have the ids 1, 2, 3 … in the order in which they appear."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock(NOW_MS)
        self._attempts = 0
        path.mkdir(exist_ok=True)

    def use(self, *, sources: Sequence[Any] = (), destinations: Sequence[Any] = ()) -> int:
        """Commits a workspace; its version."""
        document = checked(
            {"sources": list(sources) or [source()], "destinations": list(destinations)},
            catalog=SETTINGS,
            environment={},
        )
        with closing(SqliteWorkspaceStore(self.path / "workspace.db", self.clock)) as store:
            return store.commit(document, actor="a test")

    def accept(self, *ids: str, segment_messages: int = 1000, **fields: Any) -> None:
        """Appends one request of track calls by user ann; `fields` are its envelope's."""
        self.append(
            factories.arrival(*ids, **({"received_at_ms": self.clock.now_ms()} | fields)),
            segment_messages=segment_messages,
        )

    def accept_raw(self, raw: bytes, message_id: str, **fields: Any) -> None:
        """Appends a request of one message as it is."""
        envelope = factories.envelope(**({"received_at_ms": self.clock.now_ms()} | fields))
        self.append(Arrival(envelope, [raw], [message_id], ["ann"], bytearray(1)))

    def append(self, *arrivals: Arrival, segment_messages: int = 1000) -> None:
        """Appends requests as one block."""
        self.append_blocks(arrivals, segment_messages=segment_messages)

    def append_blocks(
        self, *blocks: Sequence[Arrival], segment_messages: int = 1000, minutes_apart: int = 0
    ) -> None:
        """Appends requests, block after block, with some minutes in between on the clock."""
        storage = SqliteStorage(
            self.path / "log", self.clock, max_segment_messages=segment_messages
        )
        with closing(BlockLog(storage, self.clock)) as log:
            for block in blocks:
                log.append(block)
                self.clock.advance(60 * minutes_apart)

    def say(self, call_type: str, message_id: str, user: str = "ann", **fields: Any) -> Arrival:
        """A request of one message by a user, received now, for `append`; `fields` are the message's."""
        envelope = factories.envelope(received_at_ms=self.clock.now_ms())
        raw = factories.message(message_id, type=call_type, userId=user, **fields)
        code = CALL_TYPE_CODES[call_type]
        return Arrival(envelope, [raw], [message_id], [user], bytearray([code]))

    def refuse(self, message_id: str, reason: str, **fields: Any) -> None:
        """Counts and keeps a refusal."""
        usual: dict[str, Any] = {"at_ms": self.clock.now_ms(), "source": "website", "body": b"{}"}
        with closing(RefusedRing(self.path / "refused.db")) as ring:
            ring.add([Refusal(**(usual | {"reason": reason, "message_id": message_id} | fields))])

    def record(self, facts: Facts) -> None:
        """Records facts of delivery."""
        with closing(DeliveryStore(self.path / "delivery" / "delivery.db")) as store:
            store.record(facts)

    def settle(
        self,
        outcome: Outcome,
        *seqs: int,
        to: int = 1,
        cursor: int | None = None,
        **fields: Any,
    ) -> None:
        """Records one outcome of some messages at destination `to`; `fields` as in `Settled`."""
        usual: dict[str, Any] = {"reason": "", "detail": "", "at_ms": self.clock.now_ms() + 50}
        settled = Settled(destination=to, outcome=outcome, seqs=list(seqs), **(usual | fields))
        cursors = {} if cursor is None else {to: cursor}
        self.record(Facts(settled=[settled], cursors=cursors))

    def pass_by(self, seq: int, to: int = 1) -> None:
        """Moves a destination's cursor, whether or not there are outcomes."""
        self.record(Facts(cursors={to: seq}))

    def attempt(self, *seqs: int, to: int = 1, **fields: Any) -> int:
        """Records a request that held these messages; its number."""
        self._attempts += 1
        usual: dict[str, Any] = {
            "started_at_ms": self.clock.now_ms() + 10,
            "ended_at_ms": self.clock.now_ms() + 35,
            "url": "http://heap.test/api/track",
            "status": 200,
            "error": "",
            "answer": b"{}",
            "request": b'{"app_id":"1535634150","events":[]}',
        }
        attempt = Attempt(id=self._attempts, destination=to, seqs=list(seqs), **(usual | fields))
        self.record(Facts(attempts=[attempt]))
        return self._attempts

    def give_up(
        self,
        *seqs: int,
        to: int = 1,
        reason: str = "refused",
        attempt_id: int | None = None,
        cursor: int | None = None,
    ) -> None:
        """Records that messages of the log failed, with a dead letter that keeps each."""
        at_ms = self.clock.now_ms() + 50
        letters = [
            self._letter(seq, destination=to, reason=reason, at_ms=at_ms, attempt_id=attempt_id)
            for seq in seqs
        ]
        settled = Settled(to, FAILED, reason, "answered 400", at_ms, list(seqs), attempt_id)
        cursors = {} if cursor is None else {to: cursor}
        self.record(Facts(settled=[settled], dead_letters=letters, cursors=cursors))

    def replay(self, name: str, *seqs: int, to: int = 1, settled: int = 0) -> None:
        """Records that messages are to be sent again, and that so many of them have been."""
        at_ms = self.clock.now_ms() + 60
        again = Settled(to, REPLAYED, "", name, at_ms, list(seqs))
        begun = Replay(name, to, at_ms, "everything", len(seqs), b"")
        self.record(Facts(settled=[again], replays=[begun]))
        if settled:
            self.record(Facts(replayed=Counter({(name, to): settled})))

    def forget_before(self, seq: int, to: int = 1) -> None:
        """Forgets the facts of what retention has taken out of the log."""
        with closing(DeliveryStore(self.path / "delivery" / "delivery.db")) as store:
            store.forget_before(to, seq)

    def stand(self, state: str, trouble: str, to: int = 1) -> None:
        """Records how a destination is doing from now on."""
        self.record(Facts(standings={to: Standing(state, trouble, self.clock.now_ms())}))

    def _letter(self, seq: int, **fields: Any) -> DeadLetter:
        with closing(sqlite_reader(self.path / "log")) as log:
            entry = log.entry(seq)
        said = normalize(entry.raw, entry.envelope, entry.given_id)
        kept = sealed(Letter(entry.envelope, entry.raw, entry.given_id))
        return DeadLetter(
            seq=seq,
            message_id=said["messageId"],
            user_id=said["userId"],
            row=b'{"the":"row"}',
            message=kept,
            **fields,
        )

    def wait(self, *seqs: int, to: int = 1, attempts: int, due_at_ms: int) -> None:
        """Records that messages were tried and will be tried again."""
        waiting = Waiting(to, attempts, self.clock.now_ms(), due_at_ms, list(seqs))
        self.record(Facts(waiting=[waiting]))

    @contextmanager
    def opened(self) -> Iterator[Stored]:
        """The directory as trace, audit and status read it."""
        with closing(SqliteWorkspaceReader(self.path / "workspace.db")) as workspace:
            yield Stored(self.path, workspace, catalog=SETTINGS, environment={})

    def retire(self, first_kept: int) -> None:
        """Takes away the segments before the one that begins with a message, as retention does."""
        advance_mark(self.path / "log", first_kept - 1)
        for first_seq, path in segment_paths(self.path / "log"):
            if first_seq < first_kept:
                path.unlink()

    # damage

    def sql(self, seq: int, *statements: str) -> None:
        """Runs statements on the segment that holds a message."""
        paths = [path for first, path in segment_paths(self.path / "log") if first <= seq]
        with closing(sqlite3.connect(paths[-1], isolation_level=None)) as db:
            for statement in statements:
                db.execute(statement)

    def lose_block(self, seq: int) -> None:
        """Takes the block that begins with a message out of the log, as a lost write does."""
        self.sql(seq, f"DELETE FROM block WHERE first_seq = {seq}")

    def flip_a_bit(self, seq: int) -> None:
        """Changes a byte of the block that begins with a message, as a bad disk does."""
        self.sql(
            seq,
            "UPDATE block SET payload = cast(substr(payload, 1, length(payload) - 1) || x'ff' AS BLOB)"
            f" WHERE first_seq = {seq}",
        )
