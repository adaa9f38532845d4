"""A calendar that was wrong for a while: what it made Engage believe does not outlast it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from data_dirs import SETTINGS
from engage_dirs import EngageDir, audience
from headgate.destinations.catalog import CATALOG
from headgate.engage.backfiller import Backfiller
from headgate.engage.engine import Engine
from headgate.engage.planning import Planning
from headgate.engage.store import EngageStore
from headgate.eventlog.sqlite import sqlite_reader
from headgate.stores import ENGAGE
from headgate.workspace.sqlite_store import SqliteWorkspaceReader
from headgate.workspace.versions import Versions

DAY_S = 86_400
PREPARED_WITHIN_S = 30.0


@pytest.fixture
def data_dir(tmp_path: Path) -> EngageDir:
    """Somebody who ordered today is in an audience of the last 30 days; the value of the order is kept."""
    one = EngageDir(tmp_path / "data")
    one.configure(
        audience("Lately", "event('Bought').within(30 days).count() >= 1", "heap"),
        traits=[audience("Orders", "event('Bought').count()", "heap")],
    )
    one.track("Bought", "m1")
    one.compute()
    assert sizes(one) == {"lately": 1, "orders": 1}
    return one


def sizes(data_dir: EngageDir) -> dict[str, int]:
    with closing(EngageStore(data_dir.path / ENGAGE)) as store:
        members = store.sizes()
        return {one.key: members.get(one.number, 0) for one in store.computations()}


class Computing:
    """Engage's parts on a data directory, worked by hand."""

    def __init__(self, data_dir: EngageDir, store: EngageStore, engine: Engine) -> None:
        self.engine = engine
        self._prepared = asyncio.Event()
        with closing(SqliteWorkspaceReader(data_dir.path / "workspace.db")) as workspace:
            self._workspace = (
                Versions(workspace, catalog=SETTINGS, environment={}).newest().workspace
            )
        clock = data_dir.clock
        self.planning = Planning(store, CATALOG, clock, lambda: engine.read_to)
        self.backfiller = Backfiller(data_dir.path, store, engine, clock, self._prepared.set)
        self.plan = self.planning.by(self._workspace)
        engine.use(self.plan)

    async def work(self) -> None:
        """Until there is nothing left to do."""
        self._step()
        while self.plan.preparing:
            self._prepared.clear()
            self.backfiller.look()
            async with asyncio.timeout(PREPARED_WITHIN_S):
                await self._prepared.wait()
            self._step()

    def anew(self) -> None:
        """Everything from history."""
        self.plan = self.planning.anew()
        self.engine.use(self.plan)

    def _step(self) -> None:
        while (
            self.engine.read()
            or self.engine.let_time_pass()
            or self.engine.sweep()
            or self.backfiller.step()
            or self._is_ready()
        ):
            pass

    def _is_ready(self) -> bool:
        plan = self.planning.ready(self.plan)
        if plan is not None:
            self.plan = plan
            self.engine.use(plan)
        return plan is not None


@asynccontextmanager
async def computing(data_dir: EngageDir) -> AsyncIterator[Computing]:
    """Engage as a process that has just begun."""
    with (
        closing(EngageStore(data_dir.path / ENGAGE)) as store,
        closing(sqlite_reader(data_dir.path / "log")) as log,
    ):
        engine = Engine(event_log=log, store=store, clock=data_dir.clock)
        one = Computing(data_dir, store, engine)
        running = asyncio.create_task(one.backfiller.run())
        try:
            yield one
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_clock_that_was_ten_years_ahead_leaves_nothing_behind(data_dir: EngageDir) -> None:
    """Windows had passed, and what was in them was let go: it comes back from history, also after a restart."""
    data_dir.clock.advance(3650 * DAY_S)
    data_dir.track("Seen", "m2", userId="bob")
    data_dir.compute()
    assert sizes(data_dir) == {"lately": 0, "orders": 1}
    data_dir.clock.jump(-3650 * DAY_S)
    data_dir.track("Bought", "m3", userId="cem")
    async with computing(data_dir) as engage:
        assert engage.engine.fall_back() == 3650 * DAY_S * 1000
        engage.anew()
        await engage.work()
        assert engage.engine.now_ms() == data_dir.clock.now_ms()
    assert sizes(data_dir) == {"lately": 2, "orders": 2}
    data_dir.clock.advance(30 * DAY_S)
    async with computing(data_dir) as engage:
        assert engage.engine.fall_back() == 0
        await engage.work()
    assert sizes(data_dir) == {"lately": 0, "orders": 2}


async def test_a_small_correction_only_holds_time_up(data_dir: EngageDir) -> None:
    """Network time sets clocks back by a little, all the time."""
    async with computing(data_dir) as engage:
        now_ms = engage.engine.now_ms()
        data_dir.clock.jump(-60)
        assert engage.engine.fall_back() == 0
        assert engage.engine.now_ms() == now_ms
        data_dir.clock.jump(-1)
        assert engage.engine.fall_back() == 61_000
        assert engage.engine.now_ms() == now_ms - 61_000
