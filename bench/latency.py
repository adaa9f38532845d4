"""How soon a message that was accepted is at Heap, while messages come in at a steady rate.

Messages are posted one by one, at moments that do not depend on how fast anybody answers. The time is from
the answer at the sender to the arrival at Heap, on one clock.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from bench import goals, messages
from bench.figure import Figure
from bench.gateway import prepare, serving
from bench.heap import ACCEPTS, NEVER_ANSWERS, REFUSES, heap
from bench.processes import pace
from bench.programs.pace import Plan
from bench.scale import Scale
from bench.warming import warm_up

_PER_S = 1_000
_PER_S_BESIDE = 200
_CONNECTIONS = 64
_TEMPLATES = 2_000
_TROUBLES = {
    "hangs": NEVER_ANSWERS,
    "answers 500": REFUSES,
    "answers 400": "400",
}


def live(scale: Scale, place: Path) -> Iterator[Figure]:
    """One destination, at 1,000 messages a second."""
    latencies_ms = _latencies_ms(place / "live", _PER_S, scale.live_s, [ACCEPTS])
    what = f"accepted to at Heap, {_PER_S:,} messages/s"
    p50_ms, p99_ms = percentile(latencies_ms, 50), percentile(latencies_ms, 99)
    yield Figure(
        what=f"{what}, p50",
        value=f"{p50_ms:.1f} ms",
        measured=p50_ms,
        goal=goals.LATENCY_P50_MS,
    )
    yield Figure(
        what=f"{what}, p99",
        value=f"{p99_ms:.1f} ms, at most {latencies_ms[-1]:.0f} ms",
        measured=p99_ms,
        goal=goals.LATENCY_P99_MS,
    )


def beside_trouble(scale: Scale, place: Path) -> Iterator[Figure]:
    """A healthy destination at 200 messages a second, beside a second one of the same source in trouble."""

    def p99_ms(other: str) -> float:
        directory = place / f"beside-{other}"
        return percentile(
            _latencies_ms(directory, _PER_S_BESIDE, scale.beside_s, [ACCEPTS, other]), 99
        )

    healthy_ms = p99_ms(ACCEPTS)
    for trouble, answer in _TROUBLES.items():
        beside_ms = p99_ms(answer)
        yield Figure(
            what=f"p99 at {_PER_S_BESIDE} messages/s beside a Heap that {trouble}",
            value=f"{beside_ms:.1f} ms",
            beside=f"beside a healthy one: {healthy_ms:.1f} ms",
            ratio=beside_ms / healthy_ms,
        )


def _latencies_ms(place: Path, per_second: int, seconds: float, answers: list[str]) -> list[float]:
    """Of every message to the first of these Heaps, ascending."""
    with ExitStack() as server, ExitStack() as ended_first:  # else a server waits for its answers
        heaps = [ended_first.enter_context(heap(answer)) for answer in answers]
        gateway = server.enter_context(serving(prepare(place, [one.port for one in heaps])))
        before = warm_up(gateway, heaps[0])
        bodies = messages.templates(messages.tracks(_TEMPLATES))
        plan = Plan(
            target=gateway.target("/v1/track", bodies),
            connections=_CONNECTIONS,
            per_second=per_second,
            seconds=seconds,
        )
        accepted_at = pace(plan).accepted_at
        heaps[0].acknowledged(before + len(accepted_at), within_s=30)
        arrived_at = heaps[0].arrivals()
    return sorted((arrived_at[one] - at) * 1000 for one, at in accepted_at.items())


def percentile(ordered: list[float], percent: int) -> float:
    """Of values in ascending order."""
    return ordered[len(ordered) * percent // 100]
