"""The backfiller: gives new computations the past, piece by piece, between live messages.

Beside the engine. A child process writes the messages that are wanted from history into a file, which the
engine then reads a chunk per step; how far it came is in the store, so that it goes on after a restart.
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from headgate.clock import Clock
from headgate.engage.engine import Engine
from headgate.engage.history.chunks import Chunk, chunks
from headgate.engage.reader import Backfill
from headgate.engage.store import EngageStore

_AFTER_FAILURE_S = 30.0

log = logging.getLogger("headgate.engage")


def backfill_path(data_dir: Path, job: int) -> Path:
    """The file of a job: the messages of the past that it is about."""
    return data_dir / "engage" / f"backfill-{job}.jsonl"


class Backfiller:
    """Works on one job at a time, the oldest first. `prepared` is called when there is something to take."""

    def __init__(
        self,
        data_dir: Path,
        store: EngageStore,
        engine: Engine,
        clock: Clock,
        prepared: Callable[[], None],
    ) -> None:
        self._data_dir = data_dir
        self._store = store
        self._engine = engine
        self._clock = clock
        self._prepared = prepared
        self._wanted = asyncio.Event()
        self._job = 0
        self._chunks: Iterator[Chunk] | None = None

    def look(self) -> None:
        """There may be another job."""
        self._wanted.set()

    async def run(self) -> None:
        """Has the file of the next job written, until it is cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            job = next(iter(self._store.backfills()), None)
            if job is None or self._chunks is not None:
                continue
            is_begun = (
                job.read_to > 0 and self._path(job.job).exists()
            )  # else it may be an older job's
            if not is_begun and not await self._write(job):
                await self._clock.wait(asyncio.Event(), _AFTER_FAILURE_S)
                self._wanted.set()
                continue
            self._job = job.job
            self._chunks = chunks(self._path(job.job), job.read_to)
            self._prepared()

    def step(self) -> bool:
        """Has the engine take the next chunk; False when there is none to take."""
        if self._chunks is None:
            return False
        job = next((one for one in self._store.backfills() if one.job == self._job), None)
        chunk = next(self._chunks, None) if job is not None else None
        if job is not None and chunk is not None:
            try:
                self._engine.backfill(job.job, chunk, job.leaves)
            except BaseException:
                self._chunks = None  # read again from where the store is
                self._wanted.set()
                raise
            return True
        if job is not None:
            self._store.end_backfill(job.leaves)
        self._path(self._job).unlink(missing_ok=True)
        self._chunks = None
        self._wanted.set()
        return True

    def _path(self, job: int) -> Path:
        return backfill_path(self._data_dir, job)

    async def _write(self, job: Backfill) -> bool:
        """Whether the job's file is there."""
        selection = {
            "names": sorted(self._engine.events_of(job.leaves)),
            "up_to_seq": job.to_seq,
            "into": str(self._path(job.job)),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "headgate.engage.history.backfill", str(self._data_dir)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            await process.communicate(msgspec.json.encode(selection))
        except asyncio.CancelledError:
            process.kill()
            await process.wait()
            raise
        if process.returncode:
            log.error("history could not be read, tried again: status %s", process.returncode)
        return not process.returncode
