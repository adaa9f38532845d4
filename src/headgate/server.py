"""The whole house, built in start order; stopping is the same list backwards.

Two processes, three with Engage. This one, the gateway, owns the doors, the dedupe window and the log, and
is the only writer of `log/`. It starts the worker (`worker.py`), which delivers and shows, and Engage's
process while audiences or traits are configured, and starts them again if they die, while the doors stay
open. Nobody else constructs collaborators or reads the environment.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import msgspec
import uvloop

from headgate.app.links import owner_link
from headgate.channel import (
    Appended,
    Crowded,
    Emitted,
    Message,
    ReadTo,
    Retired,
    Scrubbed,
    SettledTo,
)
from headgate.clock import SystemClock
from headgate.control import Check, ControlServer, Import, Poke, Reply, Use, answers
from headgate.delivery.reader import seen_to
from headgate.destinations.catalog import CATALOG
from headgate.engage.reader import seen_to as engage_seen_to
from headgate.eventlog.group_commit import GroupCommit
from headgate.eventlog.refused import RefusedRing
from headgate.eventlog.segments import NewerLog
from headgate.eventlog.sqlite import sqlite_log
from headgate.gateway import imported
from headgate.gateway.cdn import Cdn
from headgate.gateway.connection import DoorServer
from headgate.gateway.doors import Doors
from headgate.gateway.emitted import take
from headgate.keeper import Keeper, Program, Standby
from headgate.locks import Lock, Locked, hold, is_held
from headgate.spec.limits import REQUEST_DEADLINE_S
from headgate.stores import (
    DELIVERY,
    ENGAGE,
    UnusableDirectory,
    check_readable,
    check_versions,
    trouble_of_engage,
)
from headgate.upkeep import Upkeep
from headgate.workspace.diff import as_text, changes
from headgate.workspace.document import checked
from headgate.workspace.errors import WorkspaceError
from headgate.workspace.file import digest, parse, read_text
from headgate.workspace.model import Document, Workspace
from headgate.workspace.sqlite_privacy import SqlitePrivacyStore
from headgate.workspace.sqlite_store import SqliteWorkspaceStore
from headgate.workspace.store import WorkspaceStore
from headgate.workspace.suppressed import SuppressedUsers
from headgate.workspace.versions import Versions

_LOCK_TIMEOUT_S = 15.0
_PORT_TIMEOUT_S = 1.0
_ANSWER_WITHIN_S = 3.0

_SETTINGS = {kind: destination.settings for kind, destination in CATALOG.items()}

log = logging.getLogger("headgate")


class ServeOptions(msgspec.Struct, frozen=True):
    """What the command line says."""

    data_dir: Path
    config: Path | None
    host: str
    port: int
    app_port: int


def serve(options: ServeOptions, started: Callable[[str, str], None] | None = None) -> int:
    """Runs the server until SIGTERM or SIGINT; the exit status. `started` is told both addresses."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    with contextlib.ExitStack() as held:
        try:
            check_versions(options.data_dir)
            check_readable(options.data_dir)
            options.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            held.enter_context(_lock(options.data_dir))
            store = SqliteWorkspaceStore(options.data_dir / "workspace.db", SystemClock())
            with contextlib.closing(store):
                wanted = _file_to_apply(options.config, store)
                public = held.enter_context(listen(options.host, options.port))
                private = held.enter_context(
                    _listen_after_worker(options.app_port, options.data_dir / "worker.lock")
                )
                if (
                    wanted is not None
                ):  # last, so that a refused start leaves the workspace as it was
                    _apply(*wanted, store)
        except Locked:
            return _refuse(f"another server runs on {options.data_dir}; stop it first")
        except OSError as error:
            return _refuse(f"{error}; choose another with --port or --app-port")
        except (UnusableDirectory, NewerLog, WorkspaceError) as error:
            return _refuse(str(error))
        return uvloop.run(_Gateway(options, public, private).run(started or _say_started))


def _lock(data_dir: Path) -> Lock:
    return hold(data_dir / "gateway.lock", _LOCK_TIMEOUT_S, lambda: answers(data_dir))


def _file_to_apply(config: Path | None, store: WorkspaceStore) -> tuple[Document, str] | None:
    """The file's document and digest; None when there is no file, or it is the one applied last."""
    if config is None:
        return None
    text = read_text(config)
    if digest(text) == store.applied_file_digest():
        return None
    document = parse(text, catalog=_SETTINGS, environment=os.environ, origin=config.name)
    return document, digest(text)


def _apply(document: Document, applied_digest: str, store: WorkspaceStore) -> None:
    """Makes the document the newest version, and says what that changes."""
    before = store.current().document
    store.commit(document, actor="serve", applied_digest=applied_digest)
    lines = changes(before, document, _SETTINGS, hide_write_keys=True)  # logs outlive terminals
    print(as_text(lines), file=sys.stderr)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; OSError that names the address when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    listener.listen(2048)
    listener.setblocking(False)
    return listener


def _listen_after_worker(port: int, worker_lock: Path) -> socket.socket:
    """The private port. The worker of a server that was killed has it a little longer, until it ends."""
    started_s = time.monotonic()
    while True:
        try:
            return listen("127.0.0.1", port)
        except OSError:
            waited_s = time.monotonic() - started_s
            patience_s = _LOCK_TIMEOUT_S if is_held(worker_lock) else _PORT_TIMEOUT_S
            if not port or waited_s >= patience_s:
                raise
        time.sleep(0.02)


def url_of(listener: socket.socket) -> str:
    """The address under which a listening socket is reached."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Gateway:
    """The gateway process."""

    def __init__(
        self, options: ServeOptions, public: socket.socket, private: socket.socket
    ) -> None:
        self._options = options
        self._public = public
        self._private = private
        self._stopping = asyncio.Event()
        worker = Program(
            "the worker", "headgate.worker", options.data_dir, (private,), (url_of(public),)
        )
        self._worker = Keeper(worker, self._heard)
        engage = Program("Engage", "headgate.engage.process", options.data_dir)
        self._engage = Keeper(engage, self._heard_of_engage)
        self._engaging = Standby(self._engage)
        self._engage_read_to = 0
        self._working: set[asyncio.Task[None]] = set()
        self._settled_to = 0

    async def run(self, started: Callable[[str, str], None]) -> int:
        clock = self._clock = SystemClock()
        data_dir = self._options.data_dir
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._stop)

        store = SqliteWorkspaceStore(data_dir / "workspace.db", clock)
        self._versions = Versions(store, catalog=_SETTINGS, environment=os.environ)
        control = ControlServer(data_dir, self._poked)
        await control.start()  # before the workspace is read: what is applied later is asked about
        try:
            self._now = self._newest()
        except WorkspaceError as error:
            await control.stop()
            store.close()
            return _refuse(str(error))
        self._privacy = SqlitePrivacyStore(data_dir / "workspace.db", clock)
        self._suppressed = SuppressedUsers(self._privacy)
        self._suppressed.read()
        self._log = sqlite_log(data_dir / "log", clock, self._seen_to())
        if lost := self._log.lost():
            log.warning(
                "messages %s of the log are missing or damaged; see headgate audit",
                ", ".join(f"{first} to {last}" for first, last in lost),
            )
        self._log.limit(self._now[1].retention.max_bytes)
        self._privacy.take_up(self._log.last_seq())
        refused = RefusedRing(data_dir / "refused.db")
        commits = self._commits = GroupCommit(self._log, refused, self._appended)
        self._upkeep = Upkeep(
            data_dir,
            event_log=self._log,
            commits=commits,
            privacy=self._privacy,
            clock=clock,
            retention=lambda: self._now[1].retention,
            settled_to=self._done_with_to,
            crowded=lambda: self._engage.send(Crowded()),
            retired=lambda first_seq: self._worker.send(Retired(first_seq)),
            erased=lambda: self._worker.look("privacy"),
            engage_forgets=self._engage_forgets,
        )
        doors = Doors(
            commits, lambda: self._now, clock, self._suppressed, elsewhere=Cdn(lambda: self._now)
        )
        web = DoorServer(doors, request_deadline_s=REQUEST_DEADLINE_S)
        await web.start(self._public)
        started(url_of(self._public), url_of(self._private))
        if link := owner_link(data_dir, url_of(self._private), clock):
            print(f"Make the first account of the app: {link}", flush=True)
        if not self._now[1].sources:
            log.warning(
                "the workspace is empty, every message is refused: give one with --config FILE, or by"
                " headgate apply FILE --data-dir %s",
                data_dir,
            )
        keeper = loop.create_task(self._worker.run(self._stopping), name="keep the worker running")
        if trouble := trouble_of_engage(data_dir):
            log.error("%s", trouble)
        self._engaging.want(self._now[1].engage.configured)
        upkeep = loop.create_task(self._upkeep.run(), name="upkeep")

        await self._stopping.wait()

        await control.stop()  # first, so that the next server waits for this one to end
        upkeep.cancel()
        await asyncio.gather(upkeep, return_exceptions=True)
        await web.stop(_ANSWER_WITHIN_S)
        await self._engaging.end()
        await commits.close()
        await keeper
        self._privacy.close()
        store.close()
        return 0

    def _stop(self) -> None:
        """Asks politely once; the next signal ends at once."""
        self._stopping.set()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(name)

    def _appended(self, seq: int) -> None:
        self._worker.send(Appended(seq))
        self._engage.send(Appended(seq))
        self._upkeep.appended()

    def _heard(self, message: Message) -> None:
        if isinstance(message, SettledTo):
            self._settled_to = message.seq
            self._upkeep.settled()
        elif isinstance(message, Scrubbed):
            self._upkeep.wake()

    def _heard_of_engage(self, message: Message) -> None:
        if isinstance(message, ReadTo):
            self._engage_read_to = message.seq
            self._upkeep.settled()
        elif isinstance(message, Scrubbed):
            self._upkeep.wake()
        elif isinstance(message, Emitted):
            self._aside(self._take(message))

    def _aside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _take(self, emitted: Emitted) -> None:
        version = self._now[0]
        taken = await take(
            emitted,
            self._leaving_engage(),
            commits=self._commits,
            clock=self._clock,
            workspace_version=version,
        )
        self._engage.send(taken)

    def _leaving_engage(self) -> set[str]:
        """Users who are to be forgotten, and whom Engage may not have forgotten yet."""
        open_ones = self._privacy.deletions_in_engage()
        return {one.user_id for one in open_ones if one.engage_erased_at_ms is None}

    def _done_with_to(self) -> int:
        """The last message that nobody needs any more."""
        if not self._now[1].engage.configured:
            return self._settled_to
        return min(self._settled_to, self._engage_read_to)

    def _seen_to(self) -> int:
        """The highest number that anybody beside the log has seen."""
        data_dir = self._options.data_dir
        return max(seen_to(data_dir / DELIVERY), engage_seen_to(data_dir / ENGAGE))

    def _newest(self) -> tuple[int, Workspace]:
        ready = self._versions.newest()
        return ready.number, ready.workspace

    # commands

    async def _poked(self, poke: Poke) -> Reply:
        if isinstance(poke, Check):
            return await self._check(poke.document)
        if isinstance(poke, Use):
            return await self._use_newest()
        if isinstance(poke, Import):
            return await self._import(poke)
        if poke.at == "privacy":
            return await self._use_privacy()
        if poke.at == "engage":
            return Reply(await self._engaging.look("engage"))
        return Reply(await self._worker.look(poke.at))

    async def _check(self, document: Document) -> Reply:
        """Whether a workspace fits this server's environment, which is also the worker's."""
        try:
            await asyncio.to_thread(checked, document, catalog=_SETTINGS, environment=os.environ)
        except WorkspaceError as error:
            return Reply(str(error))
        return Reply()

    async def _use_newest(self) -> Reply:
        """A command has changed the workspace: use it here and in the worker, then say so."""
        try:
            self._now = self._newest()
        except WorkspaceError as error:
            return Reply(str(error))
        self._upkeep.wake()  # retention may be another
        trouble = await self._worker.look("workspace") or await self._engaging.look("workspace")
        self._engaging.want(self._now[1].engage.configured)  # what it ends with, it has seen before
        return Reply(trouble)

    async def _import(self, messages: Import) -> Reply:
        return await imported.take(
            messages,
            self._suppressed(),
            commits=self._commits,
            received_at_ms=self._clock.now_ms(),
            workspace=self._now,
        )

    async def _use_privacy(self) -> Reply:
        """Users were suppressed or are to be forgotten: first here, for what comes, then in the worker."""
        try:
            await asyncio.to_thread(self._suppressed.read)
            await self._commits.caught_up()
            await asyncio.to_thread(self._privacy.take_up, self._log.last_seq())
        except WorkspaceError as error:
            return Reply(str(error))
        self._aside(self._engage_forgets())
        return Reply(await self._worker.look("privacy"))

    async def _engage_forgets(self) -> None:
        """Nobody waits for Engage here: until it has forgotten a user, nothing that it says of them is taken in."""
        if trouble := await self._engaging.look("privacy"):
            log.warning(
                "Engage has not forgotten deleted users yet, it is asked again: %s", trouble
            )


def _say_started(public: str, private: str) -> None:
    print(f"Headgate takes messages at {public} (private port: {private})", flush=True)


def _refuse(why: str) -> int:
    print(f"headgate: {why}", file=sys.stderr)
    return 1
