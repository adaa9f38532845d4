"""The gateway's side of a process beside it: starts it, starts it again when it dies, talks to it, ends it.

Between `server.py`, which owns the keepers, and what they keep: the worker (`worker.py`), and Engage's
process (`engage/process.py`) while Engage is configured. A process that has just started reads everything
from disk, so whatever it was asked to look at before counts as seen.
"""

import asyncio
import contextlib
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import NamedTuple

from headgate.channel import Channel, Look, Looked, Message, Ready, Subject, channel_pair

_ENDS_WITHIN_S = 6.5
_STARTS_AT_MOST_EVERY_S = 1.0
_LONGEST_WAIT = 30.0  # times that
_DIES_AT_ONCE_S = 5.0
_LOOKS_WITHIN_S = 8.0

log = logging.getLogger("headgate")


class Program(NamedTuple):
    """What a keeper runs: a module, its data directory, sockets that it inherits, and what else it is told."""

    name: str
    module: str
    data_dir: Path
    sockets: tuple[socket.socket, ...] = ()
    words: tuple[str, ...] = ()


class Keeper:
    """Keeps a program running. `heard` is called for what it says by itself."""

    def __init__(self, program: Program, heard: Callable[[Message], None]) -> None:
        self._program = program
        self._heard = heard
        self._channel: Channel | None = None
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[str]] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        """Until it is to stop; then asks the process to end, and sees to it that it does."""
        pace = Pace()
        while not stopping.is_set():
            started_s = time.monotonic()
            hung_up = asyncio.Event()
            process = self._start(hung_up)
            await _either(stopping, hung_up)
            if stopping.is_set():
                await self._end(process)
                return
            await asyncio.to_thread(process.wait)
            log.error(
                "%s ended with status %s; starting it again",
                self._program.name,
                process.returncode,
            )
            pause_s = pace.pause_s(time.monotonic() - started_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause_s)

    def send(self, message: Message) -> None:
        """Tells the process; one that is yet to start finds it on disk."""
        if self._channel is not None:
            self._channel.send(message)

    async def look(self, at: Subject) -> str:
        """Has the process read what was changed; "" once it uses it, else why it does not."""
        number = next(self._numbers)
        looked: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked[number] = looked
        self.send(Look(number, at))
        try:
            async with asyncio.timeout(_LOOKS_WITHIN_S):
                return await looked
        except TimeoutError:
            return f"{self._program.name} did not say in time that it uses the change"
        finally:
            del self._asked[number]

    def _start(self, hung_up: asyncio.Event) -> "subprocess.Popen[bytes]":
        here, there = channel_pair()
        with there:
            inherited = [end.fileno() for end in (there, *self._program.sockets)]
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", self._program.module, str(self._program.data_dir)),
                    *map(str, inherited),
                    *self._program.words,
                ],
                pass_fds=inherited,
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the gateway, which then ends the worker
            )
        self._channel = Channel(here, self._received, hung_up.set)
        return process

    async def _end(self, process: "subprocess.Popen[bytes]") -> None:
        if self._channel is not None:
            self._channel.close()
        try:
            await asyncio.to_thread(process.wait, _ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            log.warning(
                "%s did not end in time; what it had in hand is done again", self._program.name
            )
            process.kill()

    def _received(self, message: Message) -> None:
        if isinstance(message, Looked):
            self._answer([message.number], message.trouble)
        elif isinstance(message, Ready):
            self._answer(list(self._asked), "")
        else:
            self._heard(message)

    def _answer(self, numbers: list[int], trouble: str) -> None:
        for number in numbers:
            looked = self._asked.get(number)
            if looked is not None and not looked.done():
                looked.set_result(trouble)


class Standby:
    """Runs a keeper while it is wanted, and lets its process end when it is not any more."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._enough = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def want(self, wanted: bool) -> None:
        """Whether the process is to run from now on."""
        if not wanted:
            self._enough.set()
        elif self._running is None or self._enough.is_set():
            self._enough = asyncio.Event()
            self._running = asyncio.get_running_loop().create_task(
                self._run_after(self._running, self._enough), name="keep a process on standby"
            )

    async def look(self, at: Subject) -> str:
        """As the keeper's; "" when nothing runs that could look."""
        if self._running is None or self._enough.is_set():
            return ""
        return await self._keeper.look(at)

    async def end(self) -> None:
        """Returns when the process has ended."""
        self._enough.set()
        if self._running is not None:
            await self._running

    async def _run_after(self, before: "asyncio.Task[None] | None", enough: asyncio.Event) -> None:
        if before is not None:
            await before
        await self._keeper.run(enough)


class Pace:
    """How soon a process that died is started again: less and less soon while it dies at once."""

    def __init__(self) -> None:
        self._wait = 1.0

    def pause_s(self, lived_s: float) -> float:
        """Seconds to wait after a process that lived so long; starts are 1 s apart, 2, 4, up to 30."""
        if lived_s >= _DIES_AT_ONCE_S:
            self._wait = 1.0
            return 0.0
        pause_s = self._wait * _STARTS_AT_MOST_EVERY_S - lived_s
        self._wait = min(2 * self._wait, _LONGEST_WAIT)
        return max(0.0, pause_s)


async def _either(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
