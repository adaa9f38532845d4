"""The period of a page of figures, as its address says it: the last hour, day or week, or from one moment to another.

Figures are counted by the minute of receipt, so a period has whole minutes, and steps that divide it for charts.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

from headgate.records.flow import Period
from headgate.spec.timestamps import iso_ms, parse_ms

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

LAST = {
    "1h": (HOUR_MS, MINUTE_MS, "last hour"),
    "24h": (DAY_MS, 10 * MINUTE_MS, "last 24 hours"),
    "7d": (7 * DAY_MS, HOUR_MS, "last 7 days"),
}
_STEPS_MS = [MINUTE_MS * n for n in (1, 5, 10, 30, 60, 360, 1440, 10_080)]
_MOST_STEPS = 170


class Span(NamedTuple):
    """A period. `name` is one of `LAST`, "" for one with its own ends; `query` is how addresses name it.

    `problem` says what is wrong with the ends that were asked for; then it is the last hour.
    """

    name: str
    period: Period
    words: str
    query: str
    problem: str = ""

    @property
    def bounds(self) -> dict[str, str]:
        """The same for addresses of messages."""
        return {"from": iso_ms(self.period.from_ms), "to": iso_ms(self.period.to_ms)}

    def at(self, at_ms: int) -> str:
        """When a step begins, shortly: there are many."""
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        return f"{at.day} {at:%b %H:%M}"

    @property
    def earlier(self) -> str:
        """The address's words for the period of the same length before this one."""
        return self._moved(-1)

    @property
    def later(self) -> str:
        """Those for the one behind it; "" for one that ends now."""
        return "" if self.name else self._moved(1)

    def _moved(self, times: int) -> str:
        by_ms = times * (self.period.to_ms - self.period.from_ms)
        return _ends(self.period.from_ms + by_ms, self.period.to_ms + by_ms)

    @property
    def step_words(self) -> str:
        """How long a step is."""
        minutes = self.period.step_ms // MINUTE_MS
        if minutes == 1:
            return "minute"
        if minutes < 60:
            return f"{minutes} minutes"
        hours = minutes // 60
        return "hour" if hours == 1 else f"{hours} hours" if hours < 24 else f"{hours // 24} days"


def span_of(query: Mapping[str, str], now_ms: int, otherwise: str = "1h") -> Span:
    """The period that an address asks for."""
    since, until = query.get("from", ""), query.get("to", "")
    if not since and not until:
        return _last(query.get("period", otherwise), now_ms, otherwise)
    ends = parse_ms(_zoned(since)), parse_ms(_zoned(until)) if until else now_ms
    if ends[0] is None or ends[1] is None or ends[0] >= ends[1]:
        problem = "Expected two moments such as 2026-11-24T14:02, the first before the second."
        return _last("1h", now_ms, "1h")._replace(problem=problem)
    return _custom(ends[0], ends[1])


def _last(name: str, now_ms: int, otherwise: str) -> Span:
    name = name if name in LAST else otherwise
    length_ms, step_ms, words = LAST[name]
    to_ms = now_ms - now_ms % MINUTE_MS + MINUTE_MS
    from_ms = to_ms - length_ms
    period = Period(from_ms - from_ms % step_ms, to_ms, step_ms)
    return Span(name, period, words, urlencode({"period": name}))


def _custom(from_ms: int, to_ms: int) -> Span:
    from_ms -= from_ms % MINUTE_MS
    to_ms += -to_ms % MINUTE_MS
    fitting = (step for step in _STEPS_MS if (to_ms - from_ms) // step <= _MOST_STEPS)
    period = Period(from_ms, to_ms, next(fitting, _STEPS_MS[-1]))
    return Span("", period, "", _ends(from_ms, to_ms))


def _ends(from_ms: int, to_ms: int) -> str:
    return urlencode({"from": iso_ms(from_ms), "to": iso_ms(to_ms)})


def _zoned(text: str) -> str:
    """What a browser's field for a moment gives has no zone; pages speak UTC."""
    return f"{text}Z" if len(text) in (16, 19) and text[10:11] == "T" else text
