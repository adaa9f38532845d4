"""kill -9 at named points and at random instants: what was answered with 200 reaches Heap once, whatever dies.

The plan is drawn from a seed, SWEEP_SEED in the environment or 0; a failure names it and who died last.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from importlib import import_module
from pathlib import Path

import pytest
from house import WRITE_KEY
from kills import (
    FLAKY,
    Serving,
    assert_exactly_once,
    keep_applying,
    keep_auditing,
    meanwhile,
    workspace_yaml,
)
from load import Load

from crashing.director import Director
from crashing.hook import place_of
from crashing.plan import Plan
from crashing.points import DELIVERY_POINTS, POINTS
from heap_view import Heap, attempts_by_key

_KILLS = 200
_KILLED_WITHIN_S = 400.0
_SEED = int(os.environ.get("SWEEP_SEED", "0"))
_LATELY = 500

_TO_FLAKY = {"path": "/api/*", "app_id": FLAKY}
_ANSWERS = [
    (0.04, {"status": 503}),
    (0.02, {"connection": "reset"}),
    (0.02, {"connection": "reset", "store": True}),
    (0.005, {"connection": "hang", "store": True}),
]
_FAULTS = [
    {"match": _TO_FLAKY, "probability": probability, "seed": seed, "answer": answer}
    for seed, (probability, answer) in enumerate(_ANSWERS)
]
# Slow enough for kills to find requests under way.
_SLOW = {"match": {"path": "/api/*"}, "answer": {"delay_s": 0.02}}

# What takes hours or gigabytes elsewhere has to happen within seconds.
_CONSTANTS = [
    ("headgate.keeper", "_STARTS_AT_MOST_EVERY_S", 0.0),
    ("headgate.upkeep", "_EVERY_S", 1.0),
    ("headgate.eventlog.space", "_MIN_SEGMENT_BYTES", 100_000),
    (
        "headgate.eventlog.sqlite",
        "SqliteStorage.__init__.__kwdefaults__.max_segment_messages",
        300,
    ),
]


async def test_two_hundred_kills_under_load_lose_nothing_and_double_nothing(
    heap: Heap, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every acknowledged message is held once, in its user's order, also when it is sent again later."""
    data_dir, config, changed = (tmp_path / name for name in ("data", "headgate.yaml", "next.yaml"))
    config.write_text(workspace_yaml(heap))
    heap.play(*_FAULTS, _SLOW)
    started_s = time.monotonic()
    async with Director(Plan(_SEED, DELIVERY_POINTS), _CONSTANTS) as director, _told_of(director):
        with closing(Serving(data_dir, config, director)) as serving:
            load = Load(serving.url, WRITE_KEY, seed=_SEED)
            async with meanwhile(serving.keep(load)):
                async with load.running():
                    async with meanwhile(
                        keep_applying(heap, changed, data_dir, director, load),
                        keep_auditing(data_dir, load),
                    ):
                        await director.until_killed(_KILLS, _KILLED_WITHIN_S)
                    director.end()
                record_property("seconds of killing", round(time.monotonic() - started_s))
                heap.play()
                await assert_exactly_once(load, heap, data_dir)
                record_property("seconds in all", round(time.monotonic() - started_s))
                await _assert_known(load, heap, data_dir)
    for what, times in Counter(role for role, _ in director.deaths).items():
        record_property(f"kills of {what}", times)
    record_property("messages", len(load.accepted))


@pytest.mark.parametrize("name", POINTS)
def test_every_point_is_there(name: str) -> None:
    """A function that was moved or renamed is no longer a place to die at."""
    owner, attribute = place_of(import_module(POINTS[name].module), POINTS[name].function)
    assert callable(getattr(owner, attribute))


async def _assert_known(load: Load, heap: Heap, data_dir: Path) -> None:
    """What was accepted last and is sent again reaches Heap no second time."""
    before = (await asyncio.to_thread(heap.journal))[-1]["n"]
    await load.post_again(_LATELY)
    last = {"type": "track", "userId": "last", "event": "Last", "messageId": "last"}
    assert await load.post(last) is None
    await assert_exactly_once(load, heap, data_dir)
    later = await asyncio.to_thread(heap.journal, since=before)
    assert attempts_by_key(later).keys() == {"last"}


@asynccontextmanager
async def _told_of(director: Director) -> AsyncIterator[None]:
    """Adds to whatever goes wrong how to do it again."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"SWEEP_SEED={_SEED}, {len(director.deaths)} were killed, the last ones:")
        for death in director.deaths[-10:]:
            error.add_note(f"  {death.role}: {death.where}")
        raise
