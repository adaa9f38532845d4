"""A data directory with Engage for tests: messages go into the log, the real engine computes, all by one clock."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec

import factories
from data_dirs import SETTINGS, DataDir, destination, source
from headgate.destinations.catalog import CATALOG
from headgate.engage.engine import Engine
from headgate.engage.plan import Plan
from headgate.engage.planning import Planning
from headgate.engage.store import EngageStore
from headgate.eventlog.interface import Arrival
from headgate.eventlog.sqlite import sqlite_reader
from headgate.spec.message import Envelope
from headgate.spec.names import CALL_TYPE_CODES, IDENTIFY, engage_source
from headgate.spec.timestamps import iso_ms
from headgate.workspace.document import checked
from headgate.workspace.sqlite_store import SqliteWorkspaceReader, SqliteWorkspaceStore
from headgate.workspace.versions import Versions


def audience(name: str, definition: str, *destinations: str, **keys: Any) -> dict[str, Any]:
    """An audience as headgate.yaml has it."""
    return {"name": name, "definition": definition, "destinations": list(destinations), **keys}


class EngageDir(DataDir):
    """Destinations have the ids 1, 2, 3 … in the order in which they appear."""

    def configure(
        self,
        *audiences: Mapping[str, Any],
        traits: Sequence[Mapping[str, Any]] = (),
        destinations: Sequence[Mapping[str, Any]] | None = None,
        **engage: Any,
    ) -> None:
        """Commits a workspace with these audiences and computed traits; one destination, `heap`, unless said."""
        fed = [destination()] if destinations is None else destinations
        document = checked(
            {
                "sources": [source()],
                "destinations": list(fed),
                "engage": {"audiences": audiences, "computedTraits": traits, **engage},
            },
            catalog=SETTINGS,
            environment={},
        )
        with closing(SqliteWorkspaceStore(self.path / "workspace.db", self.clock)) as store:
            store.commit(document, actor="a test")

    def track(self, event: str, message_id: str, *, age_s: float = 0, **fields: Any) -> None:
        """A track call that arrives now and happened `age_s` seconds ago, by user ann unless said."""
        at = iso_ms(self.clock.now_ms() - round(age_s * 1000))
        self._take_in("track", message_id, event=event, timestamp=at, **fields)

    def identify(self, message_id: str, **fields: Any) -> None:
        """An identify call that arrives now, by user ann unless said."""
        self._take_in("identify", message_id, event=None, properties=None, **fields)

    def compute(self, *, hand_over: bool = True) -> None:
        """Engage reads what there is to read, evaluates what is due, and has the log take what it says."""
        with (
            closing(EngageStore(self.path / "engage" / "engage.db")) as store,
            closing(sqlite_reader(self.path / "log")) as log,
            closing(SqliteWorkspaceReader(self.path / "workspace.db")) as workspace,
        ):
            engine = Engine(event_log=log, store=store, clock=self.clock)
            planning = Planning(store, CATALOG, self.clock, log.last_seq)
            newest = Versions(workspace, catalog=SETTINGS, environment={}).newest()
            plan: Plan | None = planning.by(newest.workspace)
            while plan is not None:
                engine.use(plan)
                while engine.read() or engine.let_time_pass() or engine.sweep():
                    pass
                plan = planning.ready(plan)
            rows = store.outbox(1_000) if hand_over else []
            for row in rows:
                self.append(self._emitted(row.destination, row.raw, row.message_id, row.user_id))
            store.taken([row.number for row in rows])

    def _take_in(
        self, call_type: str, message_id: str, *, segment_messages: int = 1000, **fields: Any
    ) -> None:
        raw = factories.message(message_id, **({"type": call_type} | fields))
        said = msgspec.json.decode(raw)
        envelope = factories.envelope(received_at_ms=self.clock.now_ms())
        code = CALL_TYPE_CODES[call_type]
        user = said.get("userId", "")
        arrival = Arrival(envelope, [raw], [message_id], [user], bytearray([code]))
        self.append(arrival, segment_messages=segment_messages)

    def _emitted(self, slug: str, raw: bytes, message_id: str, user_id: str) -> Arrival:
        envelope = Envelope(engage_source(slug), self.clock.now_ms(), 1)
        code = CALL_TYPE_CODES[IDENTIFY]
        return Arrival(envelope, [raw], [message_id], [user_id], bytearray([code]))
