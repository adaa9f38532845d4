"""A data directory for tests, written through the stores' own interfaces, as gateway and worker do."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import factories
from headgate.clock import ManualClock
from headgate.delivery.facts import Attempt, Facts, Outcome, Settled, Waiting
from headgate.delivery.store import DeliveryStore
from headgate.destinations.catalog import CATALOG
from headgate.eventlog.interface import Arrival
from headgate.eventlog.log import BlockLog
from headgate.eventlog.refused import Refusal, RefusedRing
from headgate.eventlog.sqlite import SqliteStorage, segment_paths
from headgate.records.stored import Stored
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
        storage = SqliteStorage(
            self.path / "log", self.clock, max_segment_messages=segment_messages
        )
        with closing(BlockLog(storage, self.clock)) as log:
            log.append(arrivals)

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

    def wait(self, *seqs: int, to: int = 1, attempts: int, due_at_ms: int) -> None:
        """Records that messages were tried and will be tried again."""
        waiting = Waiting(to, attempts, self.clock.now_ms(), due_at_ms, list(seqs))
        self.record(Facts(waiting=[waiting]))

    @contextmanager
    def opened(self) -> Iterator[Stored]:
        """The directory as trace, audit and status read it."""
        with closing(SqliteWorkspaceReader(self.path / "workspace.db")) as workspace:
            yield Stored(self.path, workspace, catalog=SETTINGS, environment={})

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
