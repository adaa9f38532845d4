"""The tables of named points: where, on the path of a message, a process can be made to kill itself.

A point is the passing of one function of the product, or of one that the product calls. Points of the
operating system (`os`, `pathlib`) are told apart by the file that they are about.
"""

from typing import Literal, NamedTuple

Role = Literal["gateway", "worker", "sealing", "apply", "engage", "archiving", "backfilling"]


class Point(NamedTuple):
    """The process dies just before or just after the function, at one of its first `passings`.

    `about` leaves only those calls whose first argument, as text, ends so.
    """

    role: Role
    module: str
    function: str
    when: Literal["before", "after"]
    passings: int = 1
    about: str = ""


_LOG = "headgate.eventlog.sqlite"
_COMMITS = "headgate.eventlog.group_commit"
_REWRITING = "headgate.eventlog.rewriting"
_STORE = "headgate.delivery.store"
_COURIER = "headgate.delivery.courier"
_WORKSPACE = "headgate.workspace.sqlite_store"

DELIVERY_POINTS = {
    # a message comes in
    "before append": Point("gateway", "headgate.eventlog.log", "BlockLog.append", "before", 60),
    "before fsync": Point("gateway", _LOG, "SqliteStorage.write", "before", 60),
    "after fsync, before the witness": Point("gateway", "os", "pwrite", "before", 60),
    "before refusals are recorded": Point(
        "gateway", "headgate.eventlog.refused", "RefusedRing.add", "before", 20
    ),
    "while refusals are recorded": Point(
        "gateway", "headgate.eventlog.refused", "RefusedRing._trim", "before", 20
    ),
    "before the 200": Point("gateway", _COMMITS, "GroupCommit._commit", "after", 60),
    "after the 200": Point(
        "gateway", "headgate.gateway.connection", "Connection._write", "after", 60
    ),
    "before the worker hears of it": Point(
        "gateway", "headgate.server", "_Gateway._appended", "before", 60
    ),
    # the log
    "while the log is opened": Point("gateway", _LOG, "SqliteStorage._resume", "before"),
    "while the ids are loaded": Point(
        "gateway", "headgate.eventlog.log", "BlockLog._load_window", "before"
    ),
    "before a segment has its name": Point(
        "gateway", "pathlib", "Path.replace", "before", 1, ".new"
    ),
    "after a segment has its name": Point("gateway", "pathlib", "Path.replace", "after", 1, ".new"),
    "before trim": Point("gateway", "headgate.upkeep", "retire", "before"),
    "during trim, before a sealed segment goes": Point(
        "gateway", "pathlib", "Path.unlink", "before", 2, ".sealed.db"
    ),
    "during trim, after a sealed segment has gone": Point(
        "gateway", "pathlib", "Path.unlink", "after", 2, ".sealed.db"
    ),
    # sealing
    "before a segment is rewritten": Point("sealing", _REWRITING, "_checkpoint", "before"),
    "after its WAL is in it": Point("sealing", _REWRITING, "_checkpoint", "after"),
    "while the sealed file is written": Point("sealing", _REWRITING, "_Rewriter.finish", "before"),
    "before the ids have their name": Point(
        "sealing", "pathlib", "Path.replace", "before", 1, ".ids.new"
    ),
    "after the ids have their name": Point("sealing", _REWRITING, "write_ids", "after"),
    "before the sealed file has its name": Point(
        "sealing", "pathlib", "Path.replace", "before", 1, ".sealed.new"
    ),
    "after the sealed file has its name": Point(
        "sealing", "pathlib", "Path.replace", "after", 1, ".sealed.new"
    ),
    "before the plain file goes": Point("sealing", "pathlib", "Path.unlink", "before", 1, ".db"),
    "before its WAL goes": Point("sealing", "pathlib", "Path.unlink", "before", 1, ".db-wal"),
    "before its index goes": Point("sealing", "pathlib", "Path.unlink", "before", 1, ".db-shm"),
    # delivery
    "before send": Point(
        "worker", "headgate.delivery.transport", "HttpTransport.send", "before", 12
    ),
    "while the answer is read": Point(
        "worker", "headgate.delivery.transport", "_some_of_the_body", "before", 12
    ),
    "before the answer is looked at": Point(
        "worker", "headgate.delivery.transport", "HttpTransport.send", "after", 12
    ),
    "before spending is remembered": Point(
        "worker", "headgate.delivery.ledger", "Ledger.starting", "before", 12
    ),
    "after spending is remembered": Point(
        "worker", "headgate.delivery.ledger", "Ledger.starting", "after", 12
    ),
    "before a retry is recorded": Point(
        "worker", "headgate.delivery.ledger", "Ledger.tried", "before", 2
    ),
    "after a retry is recorded": Point(
        "worker", "headgate.delivery.ledger", "Ledger.tried", "after", 2
    ),
    "before the outcome": Point("worker", _STORE, "DeliveryStore.record", "before", 20),
    "while the outcome is written": Point("worker", _STORE, "DeliveryStore._write", "after", 20),
    "after the outcome": Point("worker", _STORE, "DeliveryStore.record", "after", 20),
    "before the lanes are free": Point("worker", _COURIER, "Courier._release", "before", 12),
    "while a courier starts": Point("worker", _STORE, "DeliveryReader.settled_above", "before", 2),
    "before the first reading": Point(
        "worker", "headgate.delivery.intake", "Intake.read", "before"
    ),
    # the workspace
    "before the gateway applies": Point(
        "gateway", "headgate.server", "_Gateway._use_newest", "before"
    ),
    "after the gateway has applied": Point(
        "gateway", "headgate.server", "_Gateway._use_newest", "after"
    ),
    "before the worker applies": Point(
        "worker", "headgate.delivery.engine", "Delivery.reconfigure", "before", 2
    ),
    "while the worker applies": Point("worker", _COURIER, "Courier.reconnect", "before", 2),
    "after the worker has applied": Point(
        "worker", "headgate.delivery.engine", "Delivery.reconfigure", "after", 2
    ),
    "before a version is committed": Point(
        "apply", _WORKSPACE, "SqliteWorkspaceStore.commit", "before"
    ),
    "while a version is committed": Point(
        "apply", _WORKSPACE, "SqliteWorkspaceStore._add", "after"
    ),
    "after a version is committed": Point(
        "apply", _WORKSPACE, "SqliteWorkspaceStore.commit", "after"
    ),
}

_ENGAGE = "headgate.engage.engine"
_ENGAGE_STORE = "headgate.engage.store"
_HISTORY = "headgate.engage.history"

ENGAGE_POINTS = {
    # what people do is computed
    "before Engage reads on": Point("engage", _ENGAGE, "Engine.read", "before", 20),
    "before time passes": Point("engage", _ENGAGE, "Engine.let_time_pass", "before", 20),
    "before what changed is written": Point(
        "engage", _ENGAGE_STORE, "EngageStore.write", "before", 8
    ),
    "while what changed is written": Point(
        "engage", _ENGAGE_STORE, "EngageStore._write_figures", "before", 8
    ),
    "before what changed is durable": Point(
        "engage", _ENGAGE_STORE, "EngageStore.land", "before", 8
    ),
    "after what changed is durable": Point("engage", _ENGAGE_STORE, "EngageStore.land", "after", 8),
    # what was computed is handed over to the log
    "before it is handed over": Point(
        "engage", "headgate.engage.handover", "Handover._hand_over", "before", 8
    ),
    "before the gateway takes it": Point(
        "gateway", "headgate.gateway.emitted", "take", "before", 8
    ),
    "after the gateway has taken it": Point(
        "gateway", "headgate.gateway.emitted", "take", "after", 8
    ),
    "before it leaves the outbox": Point("engage", _ENGAGE_STORE, "EngageStore.taken", "before", 8),
    "after it has left the outbox": Point("engage", _ENGAGE_STORE, "EngageStore.taken", "after", 8),
    # history
    "before history is written": Point("archiving", f"{_HISTORY}.parts", "tidy", "before"),
    "before a part is written": Point("archiving", f"{_HISTORY}.duck", "write_part", "before"),
    "after a part is written": Point("archiving", f"{_HISTORY}.duck", "write_part", "after"),
    "before parts are merged": Point(
        "archiving", f"{_HISTORY}.merging", "merge_small_parts", "before"
    ),
    "before what is archived is forgotten": Point(
        "engage", _ENGAGE_STORE, "EngageStore.archived", "before"
    ),
    "after what is archived is forgotten": Point(
        "engage", _ENGAGE_STORE, "EngageStore.archived", "after"
    ),
    # a new computation gets the past
    "before a new computation is known": Point(
        "engage", "headgate.engage.planning", "Planning.by", "before", 2
    ),
    "after a new computation is known": Point(
        "engage", "headgate.engage.planning", "Planning.by", "after", 2
    ),
    "before the past is selected": Point("backfilling", f"{_HISTORY}.view", "opened", "before"),
    "before the past has its name": Point(
        "backfilling", "pathlib", "Path.replace", "before", 1, ".unfinished"
    ),
    "after the past has its name": Point(
        "backfilling", "pathlib", "Path.replace", "after", 1, ".unfinished"
    ),
    "before the past is taken": Point("engage", _ENGAGE, "Engine.backfill", "before"),
    "after the past is taken": Point("engage", _ENGAGE, "Engine.backfill", "after"),
    "before a backfill ends": Point("engage", _ENGAGE_STORE, "EngageStore.end_backfill", "before"),
    "after a backfill has ended": Point(
        "engage", _ENGAGE_STORE, "EngageStore.end_backfill", "after"
    ),
}

POINTS = DELIVERY_POINTS | ENGAGE_POINTS
