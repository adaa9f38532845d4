"""How long delivery takes, from acceptance to the destination's yes: measured on the newest requests of a period."""

from contextlib import closing, suppress
from itertools import chain, islice
from typing import NamedTuple

from headgate.delivery.facts import DELIVERED
from headgate.delivery.reader import DeliveryReader
from headgate.eventlog.block import BrokenBlock
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.flow import Period
from headgate.records.stored import Stored
from headgate.spec.timestamps import MAX_MS

_REQUESTS = 40
_SHARES = (0.50, 0.95, 0.99)


class Latency(NamedTuple):
    """In seconds: half of the messages took no longer than `p50_s`. `messages` were measured."""

    p50_s: float
    p95_s: float
    p99_s: float
    messages: int


def latency(
    stored: Stored, facts: DeliveryReader, destination: int, period: Period
) -> Latency | None:
    """That of the newest requests whose answer came in the period; None when none did.

    All messages of a request count as its first one does.
    """
    to_ms = min(period.to_ms, MAX_MS)
    settled = facts.settled_for(destination, DELIVERED, "", period.from_ms, to_ms)
    took: list[tuple[int, int]] = []
    with closing(sqlite_reader(stored.log)) as log:
        for at_ms, _, found in islice(settled, _REQUESTS):
            runs = list(found)
            n = sum(map(len, runs))
            with suppress(KeyError, BrokenBlock):
                received_ms = log.entry(runs[0].start).envelope.received_at_ms
                took.append((max(0, at_ms - received_ms), n))
    return _of(sorted(took)) if took else None


def _of(took: list[tuple[int, int]]) -> Latency:
    total = sum(n for _, n in took)
    ends = chain.from_iterable([ms] * n for ms, n in took)
    every = list(ends)
    p50, p95, p99 = (every[min(total - 1, int(share * total))] / 1000 for share in _SHARES)
    return Latency(p50, p95, p99, total)
