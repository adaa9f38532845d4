"""Durations as definitions write them: `30 days`, `1 hour`. Milliseconds everywhere else; a day has 24 h."""

UNITS_MS = {
    "day": 86_400_000,
    "hour": 3_600_000,
    "minute": 60_000,
    "second": 1_000,
    "millisecond": 1,
}
LONGEST_MS = 3_650 * UNITS_MS["day"]
SHORTEST_SESSION_MS = 30 * UNITS_MS["minute"]
LONGEST_SESSION_MS = 90 * UNITS_MS["day"]


def unit_ms(word: str) -> int:
    """How long one unit is, named in the singular or the plural; 0 for no unit."""
    return UNITS_MS.get(word) or UNITS_MS.get(word.removesuffix("s"), 0)


def duration_text(span_ms: int) -> str:
    """In the largest unit that leaves no rest: `1 day` for 24 hours, `36 hours` for a day and a half."""
    unit, ms = next(pair for pair in UNITS_MS.items() if span_ms % pair[1] == 0)
    number = span_ms // ms
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
