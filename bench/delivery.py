"""Delivery: messages per second from the door to Heap, and out of a backlog, on two cores.

The worker has a core for itself; gateway, sender and Heap share the other one. Heap's limits are lifted.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from bench import goals, messages, yardsticks
from bench.figure import Figure
from bench.gateway import prepare, serving
from bench.goals import Goal
from bench.heap import heap
from bench.log import arrival
from bench.processes import GATEWAY_CORE, OTHER_CORE, load
from bench.programs.load import Plan
from bench.scale import Scale
from bench.warming import warm_up
from headgate.clock import SystemClock
from headgate.eventlog.sqlite import sqlite_log

_BATCH = 100
_CONNECTIONS = 16
_TEMPLATES = 5_000
_GROUP = 1_000
_SLOWEST_PER_S = 2_000


class _Yardstick(NamedTuple):
    """What Segment's own code delivers on one core, and how that is known."""

    per_s: float
    known: str


def figures(scale: Scale, place: Path) -> Iterator[Figure]:
    """Both rates, beside Segment's own code for the same messages and the same Heap."""
    yardstick = _segment(scale)
    yield _end_to_end(scale, place / "through", yardstick)
    yield _draining(scale, place / "backlog", yardstick)


def _end_to_end(scale: Scale, place: Path, yardstick: _Yardstick) -> Figure:
    """From the first post to Heap's last acknowledgement, while posts and deliveries go on together."""
    bodies = messages.batch_templates(messages.deliverable(_TEMPLATES), _BATCH)
    with heap() as target, serving(prepare(place, [target.port])) as gateway:
        before, before_s = warm_up(gateway, target), gateway.cpu_s()
        plan = Plan(
            target=gateway.target("/v1/batch", bodies),
            connections=_CONNECTIONS,
            requests=scale.delivered // _BATCH,
        )
        posted = load(plan, GATEWAY_CORE)
        counted = target.acknowledged(before + scale.delivered, scale.delivered / _SLOWEST_PER_S)
        what = f"end to end, two cores, {scale.delivered:,} posted in batches of {_BATCH}"
        seconds = counted.last_at - posted.started_at
        run = _Run(what, scale.delivered, seconds, gateway.cpu_s() - before_s, gateway.pss_mb())
    return _figure(run, goals.END_TO_END, yardstick)


def _draining(scale: Scale, place: Path, yardstick: _Yardstick) -> Figure:
    """From Heap's first acknowledgement to its last, after a start that finds a backlog.

    The log's own writer makes the backlog, in groups of 1,000, with no server running.
    """
    with heap() as target:
        data_dir = prepare(place, [target.port])
        write_backlog(data_dir, scale.drained)
        with serving(data_dir) as gateway:
            counted = target.acknowledged(scale.drained, scale.drained / _SLOWEST_PER_S)
            what = f"draining a backlog of {scale.drained:,}, two cores"
            seconds = counted.last_at - counted.first_at
            run = _Run(what, scale.drained, seconds, gateway.cpu_s(), gateway.pss_mb())
    return _figure(run, goals.DRAINING, yardstick)


def write_backlog(data_dir: Path, count: int) -> None:
    """Appends messages that Heap is to get to a prepared directory's log."""
    stream = messages.Stream(messages.deliverable(_TEMPLATES))
    with closing(sqlite_log(data_dir / "log", SystemClock())) as log:
        for _ in range(count // _GROUP):
            log.append([arrival(stream, _GROUP)])


class _Run(NamedTuple):
    what: str
    messages: int
    seconds: float
    cpu_s: float
    memory_mb: float


def _figure(run: _Run, goal: Goal, yardstick: _Yardstick) -> Figure:
    rate = run.messages / run.seconds
    return Figure(
        what=run.what,
        value=f"{rate:,.0f} messages/s",
        beside=f"Segment's npm code on one core, {yardstick.known}: {yardstick.per_s:,.0f}/s",
        ratio=rate / yardstick.per_s,
        cpu_s_per_million=run.cpu_s / run.messages * 1e6,
        memory_mb=run.memory_mb,
        measured=rate,
        goal=goal,
    )


def _segment(scale: Scale) -> _Yardstick:
    """What Segment's code delivers to a Heap of the bench now, or else what it once did."""
    sample = messages.deliverable(_TEMPLATES)
    if not scale.is_quick:
        yardsticks.fetch_segment()
    with heap(core=OTHER_CORE) as target:
        run = yardsticks.segment(sample, scale.map_s, heap_port=target.port)
    if run is None:
        return _Yardstick(yardsticks.SEGMENT_DELIVERS_PER_S, "as measured once")
    return _Yardstick(run.per_second, "to the same Heap")
