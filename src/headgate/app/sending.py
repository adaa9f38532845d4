"""What sources send: how much of a period was taken in and refused, how fast, and when the last call came.

Figures are those that delivery counts by the minute of receipt (`records/flow.py`) and the doors' own counts of what
they refused, so they cost the same however much there is.
"""

from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from headgate.app.figures import facts_of
from headgate.app.periods import DAY_MS, MINUTE_MS
from headgate.eventlog.refused import refusal_counts
from headgate.records.flow import Flows, Period, flows
from headgate.records.stored import Stored

_RATE_MINUTES = 5


class Sending(NamedTuple):
    """One source: calls of the last 24 hours, how many a minute lately, and the minute of the last one, 0 for none."""

    taken_in: int
    refused: int
    per_minute: float
    last_ms: int


def sending(stored: Stored, now_ms: int) -> defaultdict[str, Sending]:
    """The last 24 hours of every source, by slug."""
    to_ms = now_ms - now_ms % MINUTE_MS + MINUTE_MS
    day = Period(to_ms - DAY_MS, to_ms, MINUTE_MS)
    with facts_of(stored) as facts:
        found = flows(stored, facts, day)
    refused = {slug: counts.total() for slug, counts in refused_of(stored.refused, day).items()}
    some = {
        slug: _sending(found, slug, refused.get(slug, 0), now_ms)
        for slug in found.sources.keys() | refused.keys()
    }
    return defaultdict(lambda: Sending(0, 0, 0.0, 0), some)


def refused_of(path: Path, period: Period) -> defaultdict[str, Counter[str]]:
    """How many messages of a period were refused, by source and reason."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for slug, reason, _, n in refusal_counts(path, period.from_ms, period.to_ms):
        counts[slug][reason] += n
    return counts


def _sending(found: Flows, slug: str, refused: int, now_ms: int) -> Sending:
    steps = found.sources.get(slug, Counter())
    since_ms = now_ms - now_ms % MINUTE_MS - _RATE_MINUTES * MINUTE_MS
    lately = sum(n for at_ms, n in steps.items() if at_ms >= since_ms)
    per_minute = lately / ((now_ms - since_ms) / MINUTE_MS)
    return Sending(steps.total(), refused, per_minute, max(steps, default=0))
