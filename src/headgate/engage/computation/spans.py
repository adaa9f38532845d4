"""Where windows begin and end: all boundaries are here.

A sliding window at instant τ holds the events with τ - far < ts <= τ - near: an event enters it at
ts + near and has left it at ts + far exactly. Behind a parent event at a, a window holds the events with
a + first <= ts <= a + last.
"""

from typing import NamedTuple

from headgate.engage.computation.moment import FOREVER
from headgate.language.tree import Between, Session, Window, Within


class Span(NamedTuple):
    """A sliding window; without end when `far` is FOREVER."""

    near: int = 0
    far: int = FOREVER


class Behind(NamedTuple):
    """A window behind a parent event; it has passed `passed` after the parent, FOREVER: never."""

    first: int
    last: int
    passed: int


def span_of(window: Window | None, look_back_ms: int = FOREVER) -> Span:
    """The sliding window of an event condition; no event counts for longer than `look_back_ms`."""
    match window:
        case Within(span_ms):
            return Span(0, min(span_ms, look_back_ms))
        case Between(from_ms, to_ms):
            return Span(from_ms, max(from_ms, min(to_ms, look_back_ms)))
        case Session() | None:
            return Span(0, look_back_ms)


def behind_of(window: Window | None) -> Behind:
    """The window of an event condition inside another one's `where`: always later than its parent."""
    match window:
        case Within(span_ms):
            return Behind(1, span_ms, span_ms)
        case Between(from_ms, to_ms):
            return Behind(max(1, from_ms), to_ms - 1, to_ms)
        case _:
            return Behind(1, FOREVER, FOREVER)
