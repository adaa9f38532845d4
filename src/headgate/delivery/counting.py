"""Keeps counts by receipt (`counts.py`) close behind a running server. Beside the couriers, off their way."""

import asyncio
import logging

from headgate.clock import Clock
from headgate.delivery.counts import Seen, counts_of, pieces
from headgate.delivery.reader import DeliveryReader
from headgate.delivery.recorder import Recorder
from headgate.eventlog.interface import SegmentedReader

_MESSAGES_AT_ONCE = 20_000
_BEHIND_S = 2.0
_AGAIN_AFTER_ERROR_S = 60.0

log = logging.getLogger("headgate.delivery")


class Counting:
    """Counts some seconds after anything has happened; when nothing happens, does nothing."""

    def __init__(self, log: SegmentedReader, recorder: Recorder, clock: Clock) -> None:
        self._log = log
        self._recorder = recorder
        self._clock = clock
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Goes on where the last process stopped."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="count by receipt")
        self.wake()

    def wake(self) -> None:
        """There are new messages or outcomes."""
        self._wake.set()

    async def stop(self) -> None:
        """Lets go at once; the next process counts what is left."""
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self._clock.wait(self._wake, None)
            await self._clock.wait(self._stopping, _BEHIND_S)
            self._wake.clear()
            try:
                while not await self._count():
                    pass
            except Exception:
                log.exception("counting stumbled and goes on")
                await self._clock.wait(self._stopping, _AGAIN_AFTER_ERROR_S)
                self.wake()

    async def _count(self) -> bool:
        """Counts a chunk; whether that was all."""
        place = await self._recorder.run(DeliveryReader.counted)
        seen: list[Seen] = []
        for piece in pieces(self._log, place.seq):
            seen.append(piece)
            if piece.last_seq - place.seq >= _MESSAGES_AT_ONCE:
                break
            await asyncio.sleep(0)
        if not seen and place.settled_id == place.newest_id:
            return True
        counts = counts_of(place, seen, self._log.segments())
        counts.is_all = counts.seq - place.seq < _MESSAGES_AT_ONCE
        await self._recorder.run(lambda store: store.count(counts, place))
        return counts.is_all
