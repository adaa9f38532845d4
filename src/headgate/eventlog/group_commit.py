"""Group commit: while one group is being made durable, the arrivals that come in gather for the next.

Between the doors (one asyncio loop) and the log (one thread). Nobody waits for a timer: a lone message
is committed at once, and under load the groups grow by themselves.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from headgate.eventlog.interface import Arrival, EventLog, LogFull
from headgate.eventlog.refused import Refusal, RefusedRing

MAX_GROUP_MESSAGES = 5_000
MAX_WAITING_BYTES = 64 * 1024 * 1024
_CLOSED = "the event log is closed: the server is stopping"

log = logging.getLogger("headgate.eventlog")

T = TypeVar("T")


class Overloaded(LogFull):
    """More is waiting for its commit than memory is set aside for."""


class _Waiting(NamedTuple):
    """One request's share of the next group."""

    arrival: Arrival | None
    refusals: list[Refusal]
    size_bytes: int
    done: asyncio.Future[None]

    @property
    def messages(self) -> int:
        return (len(self.arrival.raws) if self.arrival else 0) + len(self.refusals)


class GroupCommit:
    """Appends to the log, and to the ring of refusals, in groups.

    `committed` is called with the log's last number after every commit.
    """

    def __init__(
        self, log: EventLog, refused: RefusedRing, committed: Callable[[int], None]
    ) -> None:
        self._log = log
        self._refused = refused
        self._committed = committed
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="log")
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._flushing: asyncio.Task[None] | None = None
        self._closed = False

    def append(self, arrival: Arrival | None, refusals: list[Refusal]) -> "asyncio.Future[None]":
        """Done once the request's messages and refusals are durable.

        Fails with LogFull when they could not be made durable, with Overloaded when too much is waiting.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if self._closed:
            done.set_exception(LogFull(_CLOSED))
            return done
        size = sum(len(refusal.body) for refusal in refusals)
        if arrival is not None:
            size += arrival.size_bytes
        if self._waiting_bytes + size > MAX_WAITING_BYTES:
            done.set_exception(
                Overloaded("more messages are waiting to be written than memory allows")
            )
            return done
        self._waiting.append(_Waiting(arrival, refusals, size, done))
        self._waiting_bytes += size
        if self._flushing is None:
            self._flushing = loop.create_task(self._flush(), name="group commit")
        return done

    async def trouble(self) -> str:
        """Why messages cannot be accepted right now, in words; "" when they can."""
        if self._closed:
            return _CLOSED
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._log.trouble)

    async def roll(self) -> None:
        """Ends the log's open segment. See `interface.EventLog`; nothing happens once the log is closed."""
        if not self._closed:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._log.roll)

    async def limit(self, max_bytes: int) -> None:
        """Sets the most that the log may weigh, 0 for no limit, and looks up what it weighs."""
        if not self._closed:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._log.limit, max_bytes)

    async def erase_refused(self, user_ids: Collection[str]) -> int:
        """Forgets these users in the ring of refusals, between two commits; how many refusals went."""
        if self._closed:
            return 0
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._refused.erase, user_ids)

    async def caught_up(self) -> None:
        """Returns when whatever was handed over before is durable, or was refused."""
        if self._waiting:
            await asyncio.wait([self._waiting[-1].done])
        if not self._closed:
            await asyncio.get_running_loop().run_in_executor(self._thread, bool)

    def lost(self) -> list[tuple[int, int]]:
        """(first, last) number of every stretch of the log that was missing or damaged at the start."""
        return self._log.lost()

    async def close(self) -> None:
        """Takes nothing more, commits what is waiting, then closes the log and the ring."""
        if self._closed:
            return
        self._closed = True
        while self._flushing is not None:
            await asyncio.wait([self._flushing])
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def _flush(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                group = self._next_group()
                failures = await loop.run_in_executor(self._thread, self._commit, group)
                for waiting, failure in zip(group, failures, strict=True):
                    if waiting.done.done():
                        continue
                    if failure is None:
                        waiting.done.set_result(None)
                    else:
                        waiting.done.set_exception(failure)
                if None in failures:
                    self._committed(self._log.last_seq())
        finally:
            self._flushing = None

    def _next_group(self) -> list[_Waiting]:
        messages = taken = 0
        while taken < len(self._waiting) and messages < MAX_GROUP_MESSAGES:
            messages += self._waiting[taken].messages
            taken += 1
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        self._waiting_bytes -= sum(waiting.size_bytes for waiting in group)
        return group

    def _commit(self, group: Sequence[_Waiting]) -> list[LogFull | None]:
        """In the thread. Whatever goes wrong becomes an answer, so that nobody is left waiting."""
        arrivals = [waiting.arrival for waiting in group if waiting.arrival is not None]
        refusals = [refusal for waiting in group for refusal in waiting.refusals]
        unwritten = _failure(self._log.append, arrivals)
        if unwritten is not None:
            return [unwritten] * len(group)
        unrecorded = _failure(self._refused.add, refusals)
        return [unrecorded if waiting.refusals else None for waiting in group]

    def _close(self) -> None:
        self._log.close()
        self._refused.close()


def _failure(write: Callable[[list[T]], object], items: list[T]) -> LogFull | None:
    """Why the items could not be written; None when they are durable."""
    try:
        if items:
            write(items)
    except LogFull as error:
        return error
    except sqlite3.Error as error:
        return LogFull(f"refusals cannot be recorded: {error}")
    except Exception as error:
        log.exception("a group of messages could not be written")
        return LogFull(f"{type(error).__name__}: {error}")
    return None
