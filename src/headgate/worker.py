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
import sys
from pathlib import Path

import uvloop

from headgate.app.private import PrivatePort
from headgate.channel import Appended, Channel, Look, Looked, Message, Ready, SettledTo
from headgate.clock import SystemClock
from headgate.delivery.engine import Delivery
from headgate.delivery.store import DeliveryStore
from headgate.delivery.transport import HttpTransport
from headgate.destinations.catalog import CATALOG
from headgate.eventlog.sqlite import sqlite_reader
from headgate.http import HttpServer
from headgate.locks import Locked, hold
from headgate.workspace.errors import InvalidWorkspace, WorkspaceError
from headgate.workspace.sqlite_store import SqliteWorkspaceReader
from headgate.workspace.versions import Versions

LOCK_TIMEOUT_S = 30.0
_STOP_WITHIN_S = 4.5

log = logging.getLogger("headgate.worker")


def work(data_dir: Path, line: socket.socket, private: socket.socket) -> None:
    """Runs the worker until the gateway hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        lock = hold(data_dir / "worker.lock", LOCK_TIMEOUT_S, lambda: _hung_up(line))
    except Locked as error:
        if not _hung_up(line):
            log.error("%s; delivery cannot start", error)
        return
    uvloop.run(_Worker(data_dir).run(line, private))
    lock.release()


class _Worker:
    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._over = asyncio.Event()
        self._settled_to = 0

    async def run(self, line: socket.socket, private: socket.socket) -> None:
        clock = SystemClock()
        store = SqliteWorkspaceReader(self._data_dir / "workspace.db")
        self._versions = Versions(
            store,
            catalog={kind: destination.settings for kind, destination in CATALOG.items()},
            environment=os.environ,
        )
        self._say_when_newest_does_not_fit()
        self._delivery = Delivery(
            log=sqlite_reader(self._data_dir / "log"),
            store=DeliveryStore(self._data_dir / "delivery" / "delivery.db"),
            versions=self._versions,
            history=self._versions.destination_history,
            catalog=CATALOG,
            transport=HttpTransport(),
            clock=clock,
            chance=random.Random(),
            settled=self._tell_settled,
        )
        self._delivery.start()
        self._channel = Channel(line, self._received, self._over.set)
        self._channel.send(Ready())
        self._tell_settled(self._delivery.settled_to())
        web = HttpServer(PrivatePort(self._delivery, self._data_dir / "refused.db"))
        await web.start(private)

        await self._over.wait()

        await web.stop(grace_s=0.5)
        await self._delivery.stop(within_s=_STOP_WITHIN_S)
        store.close()

    def _received(self, message: Message) -> None:
        if isinstance(message, Appended):
            self._delivery.wake()
            self._tell_settled(self._delivery.settled_to())
        elif isinstance(message, Look):
            self._channel.send(Looked(message.number, self._use_workspace()))

    def _use_workspace(self) -> str:
        """Delivers by the newest version; why not, when it does not fit the environment."""
        try:
            self._versions.newest()
        except WorkspaceError as error:
            return str(error)
        self._delivery.reconfigure()
        return ""

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
    """What the gateway starts: DATA_DIR CHANNEL_FD PRIVATE_FD."""
    data_dir, line, private = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    work(
        Path(data_dir),
        socket.socket(fileno=int(line)),
        socket.socket(fileno=int(private)),
    )


if __name__ == "__main__":
    main()
