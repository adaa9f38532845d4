"""What a server takes while nothing happens: processor, wake-ups, memory."""

import time
from collections.abc import Iterator
from pathlib import Path

from bench import goals, usage
from bench.figure import Figure
from bench.gateway import prepare, serving
from bench.heap import heap
from bench.scale import Scale
from bench.warming import warm_up

_SETTLES_WITHIN_S = 2.0


def figures(scale: Scale, place: Path) -> Iterator[Figure]:
    """After some messages were delivered: processor and wake-ups over some seconds, and memory."""
    with heap() as target, serving(prepare(place / "data", [target.port])) as gateway:
        warm_up(gateway, target)
        time.sleep(_SETTLES_WITHIN_S)
        before_s, before = gateway.cpu_s(), usage.wake_ups(gateway.pids)
        time.sleep(scale.rest_s)
        percent = (gateway.cpu_s() - before_s) / scale.rest_s * 100
        wake_ups = usage.wake_ups(gateway.pids) - before
        memory_mb = gateway.pss_mb()
    yield Figure(
        what=f"idle for {scale.rest_s:.0f} s, processor",
        value=f"{percent:.2f} % of a core",
        measured=percent,
        goal=goals.IDLE_CPU_PERCENT,
    )
    yield Figure(
        what="idle, wake-ups",
        value=f"{wake_ups} in {scale.rest_s:.0f} s",
        measured=wake_ups / scale.rest_s,
        goal=goals.IDLE_WAKE_UPS_PER_S,
    )
    yield Figure(
        what="memory at rest, all processes",
        value=f"{memory_mb:.0f} MB (PSS)",
        memory_mb=memory_mb,
        measured=memory_mb,
        goal=goals.IDLE_MB,
    )
