"""The mapping alone: decoded messages in, what Heap is to store out. Seconds are the processor's."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from bench import goals, messages, yardsticks
from bench.figure import Figure
from bench.gateway import APP_ID
from bench.scale import Scale
from headgate.destinations.catalog import CATALOG
from headgate.destinations.heap.mapping import map_message
from headgate.sandbox.traffic import Message
from headgate.spec.settings import with_defaults

_MESSAGES = 4_000


def figures(scale: Scale, _: Path) -> Iterator[Figure]:
    """`map_message`, beside Segment's own code for the same messages."""
    sample = messages.deliverable(_MESSAGES)
    half_s = scale.map_s / 2
    if not scale.is_quick:
        yardsticks.fetch_segment()
    before = _per_second(sample, half_s)
    segment = yardsticks.segment(sample, scale.map_s)
    rates = [*before, *_per_second(sample, half_s)]
    rate = median(rates)
    why = "the full benchmark fetches it" if scale.is_quick else "and could not be fetched"
    beside = (
        f"{yardsticks.SEGMENT_PACKAGE} (npm) is not installed, {why}"
        if segment is None
        else f"{yardsticks.SEGMENT_PACKAGE} (npm): {segment.per_cpu_second:,.0f}/s"
    )
    yield Figure(
        what="map_message, one core",
        value=f"{rate:,.0f} messages/s of {messages.mean_bytes(sample):,.0f} bytes",
        beside=beside,
        ratio=None if segment is None else rate / segment.per_cpu_second,
        cpu_s_per_million=1e6 / rate,
        measured=rate,
        goal=goals.MAPPING,
    )


def _per_second(sample: Sequence[Message], seconds: float) -> list[float]:
    """Messages per CPU second, pass after pass over the sample."""
    settings = with_defaults(CATALOG["heap"].settings, {"appId": APP_ID})
    rates = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        used_s = time.process_time()
        for one in sample:
            map_message(one, settings)
        rates.append(len(sample) / (time.process_time() - used_s))
    return rates
