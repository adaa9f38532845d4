"""The worker process: delivers what the gateway has logged, and serves the private port.

Started by the gateway (`server.py`) with one end of the channel and the private port's socket. It ends
when the channel ends, whatever the reason, so that it never outlives its gateway by much.
"""

import asyncio
import logging
import os
import random
import select
import signal
import socket
import sqlite3
import sys
from collections.abc import Coroutine
from pathlib import Path

import uvloop

from headgate.app.private import PrivatePort
from headgate.app.profile_api import ProfileApi
from headgate.channel import (
    Appended,
    Channel,
    Look,
    Looked,
    Message,
    Ready,
    Retired,
    Scrubbed,
    SettledTo,
)
from headgate.clock import SystemClock
from headgate.delivery.engine import Delivery
from headgate.delivery.forgetting import Forgetting
from headgate.delivery.reader import OtherStore
from headgate.delivery.remote_deletion import RemoteDeletions, accounts_of
from headgate.delivery.requested import Requested
from headgate.delivery.store import DeliveryStore
from headgate.delivery.transport import HttpTransport
from headgate.delivery.withheld import Withheld
from headgate.destinations.catalog import CATALOG
from headgate.eventlog.segments import NewerLog
from headgate.eventlog.sqlite import sqlite_reader
from headgate.http import HttpServer
from headgate.locks import Locked, hold
from headgate.stores import DELIVERY, LOG, REPLAYS, WORKSPACE, UnusableDirectory, check_readable
from headgate.workspace.errors import InvalidWorkspace, WorkspaceError
from headgate.workspace.sqlite_privacy import SqlitePrivacyStore
from headgate.workspace.sqlite_store import SqliteWorkspaceReader
from headgate.workspace.versions import Versions

LOCK_TIMEOUT_S = 30.0
_STOP_WITHIN_S = 4.5

log = logging.getLogger("headgate.worker")


def work(data_dir: Path, line: socket.socket, private: socket.socket, public_url: str) -> None:
    """Runs the worker until the gateway hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        lock = hold(data_dir / "worker.lock", LOCK_TIMEOUT_S, lambda: _hung_up(line))
    except Locked as error:
        if not _hung_up(line):
            log.error("%s; delivery cannot start", error)
        return
    with lock:
        try:
            uvloop.run(_Worker(data_dir).run(line, private, public_url))
        except (UnusableDirectory, OtherStore, NewerLog, WorkspaceError) as error:
            log.error("%s; delivery cannot start", error)
            raise SystemExit(1) from None


def _facts(data_dir: Path) -> DeliveryStore:
    check_readable(data_dir)
    try:
        return DeliveryStore(data_dir / DELIVERY)
    except sqlite3.Error as error:
        raise UnusableDirectory(f"{data_dir / DELIVERY} cannot be opened: {error}") from None


class _Worker:
    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._over = asyncio.Event()
        self._settled_to = 0
        self._looking: set[asyncio.Task[None]] = set()

    async def run(self, line: socket.socket, private: socket.socket, public_url: str) -> None:
        clock, chance = SystemClock(), random.Random()
        store = SqliteWorkspaceReader(self._data_dir / WORKSPACE)
        self._versions = Versions(
            store,
            catalog={kind: destination.settings for kind, destination in CATALOG.items()},
            environment=os.environ,
        )
        self._say_when_newest_does_not_fit()
        privacy = SqlitePrivacyStore(self._data_dir / WORKSPACE, clock)
        withheld = Withheld(privacy)
        withheld.read()
        transport = HttpTransport()
        self._delivery = Delivery(
            log=sqlite_reader(self._data_dir / LOG),
            store=_facts(self._data_dir),
            versions=self._versions,
            history=self._versions.destination_history,
            catalog=CATALOG,
            transport=transport,
            clock=clock,
            chance=chance,
            settled=self._tell_settled,
            withheld=withheld.reason,
        )
        self._delivery.start()
        self._channel = Channel(line, self._received, self._over.set)
        self._forgetting = Forgetting(
            privacy=privacy,
            withheld=withheld,
            delivery=self._delivery,
            remote=RemoteDeletions(
                privacy=privacy,
                accounts=lambda: accounts_of(self._versions.current().workspace, CATALOG),
                transport=transport,
                clock=clock,
                chance=chance,
            ),
            clock=clock,
            facts_erased=lambda: self._channel.send(Scrubbed()),
        )
        self._forgetting.start()
        self._channel.send(Ready())
        self._tell_settled(self._delivery.settled_to())
        self._aside(self._take_up_replays())
        profiles = ProfileApi(
            self._data_dir,
            lambda: self._versions.current().workspace.engage.profile_api_tokens,
            clock,
        )
        web = HttpServer(
            PrivatePort(
                self._delivery, self._data_dir, profiles, public_url=public_url, clock=clock
            )
        )
        await web.start(private)

        await self._over.wait()

        await web.stop(grace_s=0.5)
        await self._forgetting.stop()
        await self._delivery.stop(within_s=_STOP_WITHIN_S)
        privacy.close()
        store.close()

    def _received(self, message: Message) -> None:
        if isinstance(message, Appended):
            self._delivery.wake()
            self._tell_settled(self._delivery.settled_to())
        elif isinstance(message, Retired):
            self._delivery.log_starts_at(message.first_seq)
        elif isinstance(message, Look):
            self._aside(self._look(message))

    async def _look(self, asked: Look) -> None:
        """Reads what was changed, and says so."""
        trouble = ""
        try:
            if asked.at == "replays":
                await self._take_up_replays()
            elif asked.at == "privacy":
                self._forgetting.look()
            elif asked.at == "retries":
                self._delivery.try_again()
            else:
                self._use_workspace()
        except Exception as error:
            trouble = str(error)
            if not isinstance(error, WorkspaceError):
                log.exception("%s could not be looked at", asked.at)
        self._channel.send(Looked(asked.number, trouble))

    def _use_workspace(self) -> None:
        """Delivers by the newest version; raises InvalidWorkspace when it does not fit the environment."""
        self._versions.newest()
        self._delivery.reconfigure()
        self._forgetting.look()  # there may be another account to ask

    async def _take_up_replays(self) -> None:
        await Requested(self._data_dir / REPLAYS).take_up(self._delivery.replay)

    def _aside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    def _say_when_newest_does_not_fit(self) -> None:
        """A worker that died of it would be started again and again, and nothing would be delivered."""
        try:
            self._versions.newest()
        except InvalidWorkspace as error:
            log.error(
                "the newest workspace cannot be used, delivery goes on with version %s; mend it and"
                " apply it again, or start the server with what is missing: %s",
                self._versions.current().number,
                error,
            )

    def _tell_settled(self, seq: int) -> None:
        if seq > self._settled_to:
            self._settled_to = seq
            self._channel.send(SettledTo(seq))


def _hung_up(line: socket.socket) -> bool:
    """Whether the gateway has gone while nobody was listening to it yet."""
    poll = select.poll()
    poll.register(line, 0)
    return bool(poll.poll(0))


def main() -> None:
    """What the gateway starts: DATA_DIR CHANNEL_FD PRIVATE_FD PUBLIC_URL."""
    data_dir, line, private, public_url = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    work(
        Path(data_dir),
        socket.socket(fileno=int(line)),
        socket.socket(fileno=int(private)),
        public_url,
    )


if __name__ == "__main__":
    main()
