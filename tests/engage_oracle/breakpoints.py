"""The instants at which some answer may change: where the engine is compared, and one ms around each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engage_oracle.comparing import instant_ms
from engage_oracle.oracle import Asked
from headgate.engage.observed import Observed
from headgate.language.tree import Node


def breakpoints(log: Sequence[Observed], definitions: Mapping[str, Asked]) -> list[int]:
    """Every instant at which a value may flip, and some more, ascending.

    An event flips something at its own time, at its arrival, and every span of a definition later:
    ts + D and ts + A, ts + B of windows, ts + L of a look-back, lastTs + G of a session, ts_a + d of a
    waiting funnel. A date of a trait or property flips at d, d + N and d - N; since those ends are
    included, at one ms later too.
    """
    spans = {span for asked in definitions.values() for span in _spans(asked)}
    moments = {moment for message in log for moment in (message.at_ms, message.received_at_ms)}
    dates = {date for message in log for date in _dates(message)}
    after = {moment + span for moment in moments | dates for span in spans}
    before = {date - span for date in dates for span in spans}
    return sorted(moments | dates | after | before)


def around(instants: Sequence[int]) -> list[int]:
    """Each instant, the millisecond before and the one after."""
    return sorted({at + shift for at in instants for shift in (-1, 0, 1)})


def _spans(asked: Asked) -> Iterator[int]:
    if not isinstance(asked.history, bool):
        yield asked.history
    yield from _spans_in(asked.tree)


def _spans_in(part: Any) -> Iterator[int]:
    """Every length of time in a tree: what ends in `_ms`."""
    if isinstance(part, tuple):
        for one in part:
            yield from _spans_in(one)
    elif isinstance(part, Node):
        for name in part.__struct_fields__:
            field = getattr(part, name)
            if name.endswith("_ms"):
                yield field
            yield from _spans_in(field)


def _dates(message: Observed) -> Iterator[int]:
    for value in _leaves([message.properties, message.context, message.traits]):
        date = instant_ms(value)
        if date is not None:
            yield date


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _leaves(one)
    else:
        yield value
