"""When computations change next without a message: because time passes, and something leaves a window.

Engage's store knows who may change next, of all computations together. Each of them is put to the program
that the engine runs, until it is clear that nobody further down can be earlier.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from headgate.engage.registry import Record, State
from headgate.records.engage.evidence import program_of
from headgate.records.engage.explaining import next_change
from headgate.records.engage.stored import Engaged
from headgate.spec.timestamps import parse_ms

_MOST_PEOPLE = 50


class Coming(NamedTuple):
    """Somebody's value becomes another one by itself."""

    at_ms: int
    value: Any


def next_changes(store: Engaged, records: Sequence[Record], now_ms: int) -> dict[int, Coming]:
    """The next change of each computation, by its number.

    One that is left out has none as far as was looked: among those who may change next.
    """
    at_ms = max(now_ms, store.position().clock_ms)
    live = [one for one in records if one.state is State.LIVE]
    if not live:
        return {}
    program = program_of(store.records, store.leaves())
    found: dict[int, Coming] = {}
    for due_ms, profile in store.first_due(_MOST_PEOPLE):
        for one in live:
            if one.number in found and found[one.number].at_ms <= due_ms:
                continue
            value = profile.value(one.number, is_audience=one.is_audience)
            at, then = next_change(program, profile, one.number, at_ms, value)
            coming_ms = parse_ms(at) if at else None
            if coming_ms is not None and (
                one.number not in found or coming_ms < found[one.number].at_ms
            ):
                found[one.number] = Coming(coming_ms, then)
    return found
