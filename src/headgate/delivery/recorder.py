"""Records facts in groups: while one group is being committed, the next one gathers. Between couriers and store.

A disk that takes no writes stops delivery, never outcomes: what was to be recorded is kept and tried
again every second, and nobody goes on before it is durable.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeVar

from headgate.clock import Clock
from headgate.delivery.facts import REPLAYED, Facts
from headgate.delivery.store import DeliveryStore

_AGAIN_AFTER_S = 1.0
_MAX_LETTERS = 2_000  # that gather while a commit is under way

log = logging.getLogger("headgate.delivery")

T = TypeVar("T")


class Recorder:
    """The one way into the delivery store.

    `settled_to` is asked what everything given so far amounts to, and `recorded` is told it once that is on
    disk.
    Commits run in `executor`, one at a time; in a thread of their own when there is none. `counts` are the
    messages by (destination, outcome, reason) that are on disk.
    """

    def __init__(
        self,
        store: DeliveryStore,
        clock: Clock,
        settled_to: Callable[[], int],
        recorded: Callable[[int], None],
        executor: Executor | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._thread = executor or ThreadPoolExecutor(max_workers=1, thread_name_prefix="facts")
        self._settled_to = settled_to
        self._tell = recorded
        self._gathering = Facts()
        self._recorded: asyncio.Future[None] | None = None
        self._recording: asyncio.Task[None] | None = None
        self._last_attempt_id = store.last_attempt_id()
        self._stopping = asyncio.Event()
        self._closed = False
        self.trouble = ""
        self.counts = _counted(store)

    @property
    def is_behind(self) -> bool:
        """Whether anything is yet to be made durable."""
        return self._recorded is not None or self._recording is not None

    def next_attempt_id(self) -> int:
        """A number for an attempt that is about to be made."""
        self._last_attempt_id += 1
        return self._last_attempt_id

    def record(self, facts: Facts) -> "asyncio.Future[None]":
        """Takes the facts at once; the future is done when they are durable."""
        loop = asyncio.get_running_loop()
        self._gathering.add(facts)
        if self._recorded is None:
            self._recorded = loop.create_future()
        if self._recording is None and not self._closed:
            self._recording = loop.create_task(self._record(), name="record facts")
        return self._recorded

    async def keep_up(self) -> None:
        """Lets others run; while the disk takes no writes, or not enough, waits until it does again."""
        is_behind = self.trouble or len(self._gathering.dead_letters) > _MAX_LETTERS
        if is_behind and self._recorded is not None:
            await asyncio.shield(self._recorded)
        await asyncio.sleep(0)

    async def run(self, work: Callable[[DeliveryStore], T]) -> T:
        """What `work` makes of the store, between two commits."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work, self._store)

    async def quiet(self) -> None:
        """Returns when nothing is being recorded."""
        while self._recording is not None:
            await asyncio.wait([self._recording])

    async def close(self) -> None:
        """Records what is left, unless the disk refuses, and closes the store.

        What could not be recorded is delivered again by the next process.
        """
        self._stopping.set()
        while self._recording is not None:
            await asyncio.wait([self._recording])
        self._closed = True
        if self._recorded is not None:
            self._recorded.cancel()
        self._thread.shutdown()
        self._store.close()

    async def _record(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._recorded is not None:
                facts, self._gathering = self._gathering, Facts()
                recorded, self._recorded = self._recorded, None
                settled_to = self._settled_to()
                while not await loop.run_in_executor(self._thread, self._try, facts):
                    if self._stopping.is_set():
                        recorded.cancel()
                        return
                    await self._clock.wait(self._stopping, _AGAIN_AFTER_S)
                for one in facts.settled:
                    if one.outcome != REPLAYED:
                        self.counts[one.destination, one.outcome, one.reason] += len(one.seqs)
                recorded.set_result(None)
                self._tell(settled_to)
        finally:
            self._recording = None

    def _try(self, facts: Facts) -> bool:
        try:
            self._store.record(facts)
        except Exception as error:
            if not self.trouble:
                log.error("outcomes cannot be recorded, delivery waits: %s", error)
            self.trouble = f"outcomes cannot be recorded: {error}"
            return False
        self.trouble = ""
        return True


def _counted(store: DeliveryStore) -> Counter[tuple[int, str, str]]:
    return Counter(
        {(one.destination, one.outcome, one.reason): one.recorded for one in store.tallies()}
    )
