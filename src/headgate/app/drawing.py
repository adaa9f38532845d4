"""Figures over time as lines of an SVG, drawn here so that they need no script. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from headgate.app.computations import Step
from headgate.records.engage.tallying import Bar, Values

_WIDTH, _HEIGHT = 96, 20
_CHART_WIDTH, _CHART_HEIGHT = 720, 160
_BARS_WIDTH = 160


class Line(NamedTuple):
    """A drawn line: `path` for an SVG of this size. The figures are of its beginning and its end."""

    path: str
    width: int
    height: int
    first: int
    last: int
    most: int
    steps: list[Step]


class DrawnBar(NamedTuple):
    """A bar, and how wide it is."""

    label: str
    people: int
    width: float


def line(steps: Sequence[Step], now_ms: int) -> Line | None:
    """A small one, for tables."""
    return _drawn(steps, now_ms, _WIDTH, _HEIGHT)


def chart(steps: Sequence[Step], now_ms: int) -> Line | None:
    """A large one."""
    return _drawn(steps, now_ms, _CHART_WIDTH, _CHART_HEIGHT)


def bars_drawn(values: Values) -> list[DrawnBar]:
    """How numbers are spread, the widest bar as wide as there is room."""
    most = max((one.people for one in values.bars), default=0) or 1
    return [
        DrawnBar(_span(one), one.people, round(_BARS_WIDTH * one.people / most, 1))
        for one in values.bars
    ]


def _drawn(steps: Sequence[Step], now_ms: int, width: int, height: int) -> Line | None:
    """Sizes hold until the next step, so that the line has corners; from 0, with a pixel of room."""
    if not steps:
        return None
    begin_ms, span_ms = steps[0].at_ms, max(1, now_ms - steps[0].at_ms)
    most = max(step.size for step in steps)
    path = ""
    for step in steps:
        x = width * min(1.0, (step.at_ms - begin_ms) / span_ms)
        y = height - 1 - (height - 2) * step.size / (most or 1)
        path += f"H{x:.1f}V{y:.1f}" if path else f"M{x:.1f} {y:.1f}"
    path += f"H{width}"
    return Line(path, width, height, steps[0].size, steps[-1].size, most, list(steps))


def _span(bar: Bar) -> str:
    return f"{bar.low:,.6g} to {bar.high:,.6g}"
