"""Engage: fifty computations over a million people, live and catching up, in memory and on disk.

Live, the gateway has its core, delivery the other one, and Engage's process whatever is free of the two.
Catching up, the engine alone reads messages that lie in the log: those of some thousand visitors at a time,
and, what is hardest, each one of somebody else out of all. Everything that changes is told to one Heap.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench import goals, messages, usage
from bench.computations import LINGERING_S
from bench.crowd import MESSAGES_EACH, Crowd, body_of, populate
from bench.figure import Figure
from bench.gateway import Gateway, prepare, serving
from bench.heap import Heap, heap
from bench.latency import percentile
from bench.processes import child_of, pace
from bench.programs.pace import Plan
from bench.scale import Scale
from bench.warming import warm_up
from headgate.clock import SystemClock
from headgate.engage.process import ENGAGE
from headgate.eventlog.sqlite import sqlite_log
from headgate.stores import LOG

_PER_S = 1_000
_CONNECTIONS = 64
_NEWCOMERS = 10  # one message in so many
_GROUP = 1_000
_FOUND_WITHIN_S = 15.0
_LOOK_EVERY_S = 0.5
_RECOMPUTED_EVERY = 1_000  # messages
_NEWCOMER = (
    b'{"batch":[{"userId":"%b","messageId":"%b","type":"track","event":"Product Viewed"}]}'
    % (
        messages.ID_SLOT,
        messages.ID_SLOT,
    )
)
_ENTERED = '"last_look":"([^"]+)"'
_LEFT = r'{"identity":"([0-9a-f]{36})","properties":{[^}]*"lingering":false'


def figures(scale: Scale, place: Path) -> Iterator[Figure]:
    """Of one directory: live first, then behind."""
    with heap() as target:
        data_dir = prepare(place / "data", [target.port], computes=True)
        populate(data_dir, scale.people, scale.models)
        store_bytes = usage.disk_bytes((data_dir / ENGAGE).parent)
        with serving(data_dir) as gateway:
            live = _live(scale, gateway, target)
    yield from _latencies(scale, live)
    yield from _catching_up(scale, data_dir, live)
    yield Figure(
        what="Engage, disk of a profile",
        value=f"{store_bytes / scale.people:,.0f} bytes",
        beside=f"of {scale.people:,}, made of {MESSAGES_EACH} messages each, found by three identifiers",
    )


class _Live(NamedTuple):
    """In milliseconds, ascending: from a message to its identify, and from an exit's instant to its."""

    entries: list[float]
    exits: list[float]
    memory_mb: float


def _live(scale: Scale, gateway: Gateway, target: Heap) -> _Live:
    """The shop's messages at a steady rate, each of somebody else; one in ten is a newcomer's."""
    engage_pid = child_of(gateway.pid, "headgate.engage")
    warm_up(gateway, target)
    count = round(_PER_S * scale.live_s)
    bodies = _bodies(Crowd(scale.people), count, scale.people)
    accepted_at = pace(
        Plan(
            target=gateway.target("/v1/batch", bodies),
            connections=_CONNECTIONS,
            per_second=_PER_S,
            seconds=scale.live_s,
        )
    ).accepted_at
    entered_at = _found(target, _ENTERED, _looks(bodies))
    left_at = _found(target, _LEFT, count // _NEWCOMERS)
    return _Live(
        sorted((at - accepted_at[one]) * 1000 for one, at in entered_at.items()),
        sorted((at - accepted_at[one] - LINGERING_S) * 1000 for one, at in left_at.items()),
        usage.pss_mb([engage_pid]),
    )


def _bodies(crowd: Crowd, count: int, people: int) -> list[bytes]:
    """Batches of one message; the first id in each is what its identify will be recognised by."""
    everybody = range(0, people, max(1, people // count))
    return [
        _NEWCOMER if at % _NEWCOMERS == 0 else body_of(b'{"batch":[' + message + b"]}", person)
        for at, (message, person) in enumerate(
            islice(zip(cycle(crowd.bodies), cycle(everybody)), count)
        )
    ]


def _looks(bodies: list[bytes]) -> int:
    """How many of these are recognised by the product that was looked at."""
    return sum(b'"look"' in body for body in bodies)


def _found(target: Heap, expression: str, count: int) -> dict[str, float]:
    """When each of so many rows arrived at Heap; TimeoutError when they do not all."""
    deadline = time.monotonic() + _FOUND_WITHIN_S
    while len(found := target.arrivals(expression)) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(found):,} of {count:,} rows are at Heap: {expression}")
        time.sleep(_LOOK_EVERY_S)
    return found


def _latencies(scale: Scale, live: _Live) -> Iterator[Figure]:
    people = f"{_PER_S:,} messages/s, {scale.people:,} people"
    for percent, goal in ((50, None), (95, goals.ENGAGE_LIVE_P95_MS), (99, None)):
        at_ms = percentile(live.entries, percent)
        yield Figure(
            what=f"accepted to identify at Heap, {people}, p{percent}",
            value=f"{at_ms:.0f} ms, of {len(live.entries):,} changes",
            measured=at_ms,
            goal=goal,
        )
    yield Figure(
        what="the same, the slowest",
        value=f"{live.entries[-1]:.0f} ms",
        measured=live.entries[-1],
        goal=goals.ENGAGE_LIVE_MOST_MS,
    )
    yield Figure(
        what=f"exits that time brings about, at Heap after their instant, {people}, the slowest",
        value=f"{live.exits[-1]:.0f} ms; p50 {percentile(live.exits, 50):.0f}, "
        f"p99 {percentile(live.exits, 99):.0f}, of {len(live.exits):,}",
        measured=live.exits[-1],
        goal=goals.ENGAGE_EXIT_MOST_MS,
    )


class _Run(msgspec.Struct, frozen=True):
    """What `bench.programs.engage` says."""

    messages: int
    seconds: float
    cpu_seconds: float
    told: int
    memory_mb: float


def _catching_up(scale: Scale, data_dir: Path, live: _Live) -> Iterator[Figure]:
    """Both kinds of traffic in turn, and the memory of the process at its largest."""
    recomputed_s = _recomputed_s(scale)
    crowd = Crowd(scale.people, SystemClock().now_ms())
    runs = []
    for whose, persons in (
        ("of visitors", crowd.visitors),
        ("of anybody at random", crowd.anybody),
    ):
        runs.append(run := _read(data_dir, _append(data_dir, crowd, persons, scale.computed)))
        rate = run.messages / run.seconds
        yield Figure(
            what=f"Engage, 50 computations, {scale.people:,} people, messages {whose}",
            value=f"{rate:,.0f} messages/s, {run.told / run.messages:.2f} identifies each",
            beside=f"DuckDB, 42 of them anew over {scale.history:,} messages: {recomputed_s:.1f} s; "
            f"after every {_RECOMPUTED_EVERY:,}: {_RECOMPUTED_EVERY / recomputed_s:,.0f}/s",
            ratio=rate * recomputed_s / _RECOMPUTED_EVERY,
            cpu_s_per_million=run.cpu_seconds / run.messages * 1e6,
            memory_mb=run.memory_mb,
            measured=rate,
            goal=goals.ENGAGE,
        )
    most_mb = max(live.memory_mb, *(run.memory_mb for run in runs))
    yield Figure(
        what="Engage, memory of its process",
        value=f"{live.memory_mb:.0f} MB (PSS) live, at most {most_mb:.0f} MB behind",
        memory_mb=most_mb,
        measured=most_mb,
        goal=goals.ENGAGE_MB,
    )


def _append(data_dir: Path, crowd: Crowd, persons: Callable[[int], list[int]], count: int) -> int:
    """Puts messages into the log; the number of the last one."""
    clock = SystemClock()
    with closing(sqlite_log(data_dir / LOG, clock)) as log:
        for _ in range(count // _GROUP):
            log.append([crowd.arrival(persons(_GROUP), clock.now_ms())])
        return log.last_seq()


def _read(data_dir: Path, up_to: int) -> _Run:
    """What the engine makes of the messages up to this one, on both cores."""
    words = [sys.executable, "-m", "bench.programs.engage", str(data_dir), str(up_to)]
    return msgspec.json.decode(subprocess.check_output(words), type=_Run)


def _recomputed_s(scale: Scale) -> float:
    """How long DuckDB takes for all messages of all people, on both cores."""
    asked = [str(scale.people), str(scale.history)]
    return float(
        subprocess.check_output([sys.executable, "-m", "bench.programs.recompute", *asked])
    )
