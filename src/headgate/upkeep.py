"""What the gateway does to the log besides appending: seals what is closed, forgets users, retires what is old.

What Engage knows of users who are to be forgotten is erased from here, too, as far as no process of Engage
does it.

Between the log's writer, whose thread it asks to close a segment, and short-lived children that rewrite
files, so that the doors never feel it. It goes to work when there is something to do, and every ten
minutes for what only time brings about.
"""

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from headgate.clock import Clock
from headgate.eventlog.group_commit import GroupCommit
from headgate.eventlog.interface import EventLog, LogFull
from headgate.eventlog.retention import retire
from headgate.eventlog.sealing import unsealed
from headgate.stores import LOG
from headgate.workspace.errors import WorkspaceError
from headgate.workspace.model import Retention
from headgate.workspace.privacy import PrivacyStore

_EVERY_S = 600.0
_AT_MOST_EVERY_S = 0.5  # however often it is woken
_CROWDED = 0.75  # of the configured size: from here on, what is settled has to go

log = logging.getLogger("headgate.eventlog")


class Upkeep:
    """Keeps the log small, and forgets whom it has to.

    `settled_to` says what may go. `crowded` is told when that should become more, `retired` where the log
    begins after something went, `erased` that users were forgotten; `engage_forgets` asks Engage's process
    to forget them, if there is one.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        event_log: EventLog,
        commits: GroupCommit,
        privacy: PrivacyStore,
        clock: Clock,
        retention: Callable[[], Retention],
        settled_to: Callable[[], int],
        crowded: Callable[[], None],
        retired: Callable[[int], None],
        erased: Callable[[], Awaitable[object]],
        engage_forgets: Callable[[], Awaitable[None]],
    ) -> None:
        self._data_dir = data_dir
        self._directory = data_dir / LOG
        self._log = event_log
        self._commits = commits
        self._privacy = privacy
        self._clock = clock
        self._retention = retention
        self._settled_to = settled_to
        self._crowded = crowded
        self._retired = retired
        self._erased = erased
        self._engage_forgets = engage_forgets
        self._wake = asyncio.Event()
        self._open_first_seq = 0

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def appended(self) -> None:
        """After a commit: a segment that was closed by it is to be sealed."""
        if self._log.open_first_seq() != self._open_first_seq:
            self._open_first_seq = self._log.open_first_seq()
            self.wake()

    def settled(self) -> None:
        """More is settled: where the log is crowded, it may go at once."""
        if self._is_crowded():
            self.wake()

    async def run(self) -> None:
        """Until it is cancelled. What fails is logged, and tried again the next time."""
        while True:
            self._wake.clear()
            try:
                await self._round()
            except (OSError, LogFull, WorkspaceError) as error:
                log.error("the log's upkeep failed, it goes on later: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _EVERY_S)
            await asyncio.sleep(_AT_MOST_EVERY_S)

    async def _round(self) -> None:
        await self._forget()
        await self._make_room()
        if await asyncio.to_thread(unsealed, self._directory, self._log.open_first_seq()):
            await self._child("sealing", b"")
        await self._retire()
        await self._commits.limit(self._retention().max_bytes)
        await self._forget_in_engage()

    async def _forget(self) -> None:
        """Erases from the log, and from what was refused, whom delivery has forgotten already."""
        due = [one for one in self._privacy.open_deletions() if one.facts_erased_at_ms]
        if not due:
            return
        await self._commits.roll()
        cutoffs = {one.user_id: one.cutoff_seq or 0 for one in due}
        await self._child("erasing", json.dumps(cutoffs).encode())
        await self._commits.erase_refused(list(cutoffs))
        self._privacy.log_erased([one.id for one in due])
        await self._erased()

    async def _forget_in_engage(self) -> None:
        """Last: when Engage's files cannot be written, everything else goes on all the same."""
        due = [one for one in self._privacy.deletions_in_engage() if one.cutoff_seq is not None]
        if any(one.engage_erased_at_ms is None for one in due):
            await self._engage_forgets()
        if due:
            await _run("headgate.engage.forgetting", str(self._data_dir))

    async def _make_room(self) -> None:
        """Closes the segment that is written when the log is crowded, so that its messages can go, too."""
        if not self._is_crowded():
            return
        self._crowded()
        if self._settled_to() >= self._log.open_first_seq():
            await self._commits.roll()

    def _is_crowded(self) -> bool:
        max_bytes = self._retention().max_bytes
        return bool(max_bytes) and self._log.size_bytes() > _CROWDED * max_bytes

    async def _retire(self) -> None:
        retention = self._retention()
        removed = await asyncio.to_thread(
            retire,
            self._directory,
            now_ms=self._clock.now_ms(),
            settled_to=self._settled_to(),
            days=retention.days,
            max_bytes=retention.max_bytes,
        )
        if removed:
            self._retired(self._log.first_seq())

    async def _child(self, module: str, stdin: bytes) -> None:
        """Runs one of the modules that rewrite closed segments; the open one is left alone."""
        arguments = str(self._directory), str(self._log.open_first_seq())
        await _run(f"headgate.eventlog.{module}", *arguments, stdin=stdin)


async def _run(module: str, *arguments: str, stdin: bytes = b"") -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        await process.communicate(stdin)
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise OSError(f"{module} ended with status {process.returncode}")
