"""Engage's process: computes beside delivery, while audiences or computed traits are configured.

Started by the gateway (`server.py`) with one end of the channel. It ends when the channel ends, whatever
the reason. Nothing polls: it is woken by what the gateway says, and by the next instant at which time alone
changes something.
"""

import asyncio
import gc
import logging
import os
import signal
import socket
import sqlite3
import sys
from pathlib import Path

import uvloop

from headgate.channel import (
    Appended,
    Channel,
    Crowded,
    Look,
    Looked,
    Message,
    ReadTo,
    Ready,
    Scrubbed,
    Taken,
)
from headgate.clock import Clock, SystemClock
from headgate.destinations.catalog import CATALOG
from headgate.engage.archivist import Archivist
from headgate.engage.backfiller import Backfiller
from headgate.engage.engine import Engine
from headgate.engage.forgetting import forget
from headgate.engage.handover import Handover
from headgate.engage.hearing import Hearing
from headgate.engage.history.parts import history_directory, parts_in
from headgate.engage.plan import Plan
from headgate.engage.planning import Planning
from headgate.engage.reader import OtherStore
from headgate.engage.requests import Requests
from headgate.engage.resuming import take_off
from headgate.engage.store import EngageStore
from headgate.engage.withheld import WithheldLog
from headgate.eventlog.segments import NewerLog
from headgate.eventlog.sqlite import sqlite_reader
from headgate.locks import Locked, hold
from headgate.untold import UntoldReader
from headgate.workspace.errors import WorkspaceError
from headgate.workspace.privacy import cutoffs_of
from headgate.workspace.sqlite_privacy import SqlitePrivacyStore
from headgate.workspace.sqlite_store import SqliteWorkspaceReader
from headgate.workspace.versions import Versions

ENGAGE = "engage/engage.db"
DELIVERY = "delivery/delivery.db"
_LOCK_TIMEOUT_S = 30.0
_TROUBLE_PAUSE_S = 1.0
_LONGEST_SLEEP_S = 600.0  # the calendar may be set while the process sleeps

log = logging.getLogger("headgate.engage")


def compute(data_dir: Path, line: socket.socket) -> None:
    """Runs until the gateway hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        lock = hold(data_dir / "engage.lock", _LOCK_TIMEOUT_S)
    except Locked as error:
        log.error("%s; Engage cannot start", error)
        return
    with lock:
        try:
            uvloop.run(_Engage(data_dir, SystemClock()).run(line))
        except sqlite3.Error as error:
            log.error("%s; Engage cannot go on; see headgate engage list", error)
            raise SystemExit(1) from None
        except (StoreMissing, OtherStore, NewerLog, WorkspaceError) as error:
            log.error("%s; Engage cannot start", error)
            raise SystemExit(1) from None


class StoreMissing(Exception):
    """There is history, and no store that says whose."""


def _store(data_dir: Path) -> EngageStore:
    """The store, which is made where there is none; history without it is of people that nobody knows."""
    path, history = data_dir / ENGAGE, history_directory(data_dir)
    if not path.exists() and parts_in(history):
        raise StoreMissing(
            f"{path} is missing, and {history} is of no use without it: restore a backup, or move"
            f" {path.parent} away, and everything is made anew from the log as far as it reaches"
        )
    return EngageStore(path)


class _Engage:
    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self._data_dir = data_dir
        self._clock = clock
        self._over = asyncio.Event()
        self._wake = asyncio.Event()
        self._read_to = 0
        self._beside: set[asyncio.Task[None]] = set()
        self._forgotten: set[int] = set()

    async def run(self, line: socket.socket) -> None:
        workspace = SqliteWorkspaceReader(self._data_dir / "workspace.db")
        self._versions = Versions(
            workspace,
            catalog={kind: destination.settings for kind, destination in CATALOG.items()},
            environment=os.environ,
        )
        self._privacy = SqlitePrivacyStore(self._data_dir / "workspace.db", self._clock)
        self._log = WithheldLog(sqlite_reader(self._data_dir / "log"))
        self._store = _store(self._data_dir)
        self._privacy.engage_erased(self._forget())
        take_off(self._store, self._log)
        self._engine = Engine(event_log=self._log, store=self._store, clock=self._clock)
        self._planning = Planning(self._store, CATALOG, self._clock, self._log.last_seq)
        self._untold = UntoldReader(self._data_dir / DELIVERY)
        self._hearing = Hearing(self._store, self._engine, self._log, self._untold)
        self._backfiller = Backfiller(
            self._data_dir, self._store, self._engine, self._clock, self._wake.set
        )
        self._use_workspace()
        self._requests = Requests(self._data_dir)
        self._take_up_requests()
        self._channel = Channel(line, self._received, self._hung_up)
        self._handover = Handover(self._store, self._channel, self._clock)
        self._channel.send(Ready())
        self._channel.send(Scrubbed())
        self._archivist = Archivist(self._data_dir, self._store, self._clock, self._tell_read_to)
        loop = asyncio.get_running_loop()
        beside = [
            loop.create_task(one.run())
            for one in (self._handover, self._archivist, self._backfiller)
        ]
        while not self._over.is_set():
            self._wake.clear()
            await self._clock.wait(self._wake, await self._work())
        for task in (*beside, *self._beside):
            task.cancel()
        await asyncio.gather(*beside, *self._beside, return_exceptions=True)
        self._store.close()
        self._untold.close()
        self._log.close()
        self._privacy.close()
        workspace.close()

    async def _work(self) -> float | None:
        """Does what there is to do; the seconds until there is more, if nobody says so before."""
        try:
            worked = self._step()
        except sqlite3.Error as error:
            if type(error) is sqlite3.DatabaseError:  # the file is not as it was written
                raise
            log.error("Engage cannot go on, and tries again: %s", error)
            return _TROUBLE_PAUSE_S
        due_at_ms = self._engine.due_at_ms()
        if worked or due_at_ms is None:
            return 0.0 if worked else None
        return min(_LONGEST_SLEEP_S, max(0.0, (due_at_ms - self._clock.now_ms()) / 1000))

    def _step(self) -> bool:
        """One of everything that there is to do; False when there was nothing."""
        if ahead_ms := self._engine.fall_back():
            log.error("the clock was %s s ahead: all is computed anew", ahead_ms // 1000)
            self._use(self._planning.anew())
        worked = [
            self._hearing.step(),
            self._engine.read(),
            self._engine.let_time_pass(),
            self._engine.sweep(),
            self._backfiller.step(),
        ]
        plan = self._planning.ready(self._plan)
        if plan is not None:
            self._use(plan)
        if self._engine.read_to > self._read_to:
            self._read_to = self._engine.read_to
            self._archivist.read(self._read_to)
            self._tell_read_to()
        self._handover.filled()
        return any(worked) or plan is not None

    def _tell_read_to(self) -> None:
        """What the gateway may let go of; what is told twice is told the same."""
        self._channel.send(ReadTo(self._archivist.needed_above()))

    def _hung_up(self) -> None:
        self._over.set()
        self._wake.set()

    def _received(self, message: Message) -> None:
        if isinstance(message, Appended):
            self._wake.set()
        elif isinstance(message, Taken):
            self._handover.answered(message)
        elif isinstance(message, Crowded):
            self._archivist.hurry()
        elif isinstance(message, Look):
            self._channel.send(Looked(message.number, self._look(message)))
            self._wake.set()

    def _look(self, asked: Look) -> str:
        """Reads what was changed; why that failed, or ""."""
        try:
            if asked.at == "workspace":
                self._use_workspace()
            elif asked.at == "engage":
                self._take_up_requests()
            elif asked.at == "privacy":
                self._forget_beside()
        except (WorkspaceError, sqlite3.Error) as error:
            return str(error)
        return ""

    def _take_up_requests(self) -> None:
        """Computations of which destinations are to be told again."""
        asked = self._requests.waiting()
        if asked:
            self._use(self._planning.resync(set(asked.values())))
            self._requests.done(asked)

    def _use_workspace(self) -> None:
        self._use(self._planning.by(self._versions.newest().workspace))

    def _use(self, plan: Plan) -> None:
        self._plan = plan
        self._engine.use(plan)
        self._backfiller.look()

    def _forget(self) -> list[int]:
        """Withholds what deleted users have said, then forgets them; the deletions that are to be recorded."""
        self._log.withhold(cutoffs_of(self._privacy.open_deletions()))
        forgotten = forget(self._store, self._privacy, self._clock, done=self._forgotten)
        self._forgotten.update(forgotten)
        return forgotten

    def _forget_beside(self) -> None:
        deletions = self._forget()
        if deletions:
            self._engine.use(self._plan)  # which has nobody at hand any more
            task = asyncio.get_running_loop().create_task(self._record_forgotten(deletions))
            self._beside.add(task)
            task.add_done_callback(self._beside.discard)

    async def _record_forgotten(self, deletions: list[int]) -> None:
        """Not before the gateway has seen what was said last: until then, it takes in nothing of these users."""
        await self._handover.idle()
        self._privacy.engage_erased(deletions)
        self._channel.send(Scrubbed())


def main() -> None:
    """What the gateway starts: DATA_DIR CHANNEL_FD."""
    gc.disable()  # profiles are many small objects without cycles; looking for some took a third of the time
    data_dir, line = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    compute(Path(data_dir), socket.socket(fileno=int(line)))


if __name__ == "__main__":
    main()
