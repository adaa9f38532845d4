"""Engage as it reads a data directory's log in tests: what is to be told waits in the outbox."""

from collections.abc import Mapping
from contextlib import closing

from data_dirs import SETTINGS
from engage_dirs import EngageDir
from headgate.destinations.catalog import CATALOG
from headgate.engage.engine import Engine
from headgate.engage.planning import Planning
from headgate.engage.store import EngageStore
from headgate.engage.withheld import WithheldLog
from headgate.eventlog.sqlite import sqlite_reader
from headgate.stores import ENGAGE
from headgate.workspace.sqlite_store import SqliteWorkspaceReader
from headgate.workspace.versions import Versions

_NOBODY: Mapping[str, int] = {}


def read_on(data_dir: EngageDir, withheld: Mapping[str, int] = _NOBODY) -> None:
    """Reads and evaluates everything; the messages of some users are withheld, up to each one's number."""
    with (
        closing(EngageStore(data_dir.path / ENGAGE)) as store,
        closing(WithheldLog(sqlite_reader(data_dir.path / "log"))) as log,
        closing(SqliteWorkspaceReader(data_dir.path / "workspace.db")) as workspace,
    ):
        log.withhold(withheld)
        engine = Engine(event_log=log, store=store, clock=data_dir.clock)
        planning = Planning(store, CATALOG, data_dir.clock, log.last_seq)
        versions = Versions(workspace, catalog=SETTINGS, environment={})
        plan = planning.by(versions.newest().workspace)
        engine.use(plan)
        while engine.read() or engine.let_time_pass() or engine.sweep():
            plan = planning.ready(plan) or plan
            engine.use(plan)
