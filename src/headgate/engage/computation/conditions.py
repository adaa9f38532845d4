"""Parts of definitions as functions: how junctions and comparisons are answered, and until when.

A junction that is settled by one part stays so while that part does; otherwise it may change with any.
"""

from collections.abc import Callable, Sequence
from typing import Any

from headgate.engage.computation.comparing import Test
from headgate.engage.computation.moment import FOREVER, Evaluate, Finding, Moment
from headgate.language import values
from headgate.language.tree import Comparison


def constant(value: Any) -> Evaluate:
    """Always the same."""
    finding = (value, FOREVER)
    return lambda _now, _event, _parent: finding


def all_of(parts: Sequence[Evaluate]) -> Evaluate:
    """Whether all parts hold."""

    def all_of(now: Moment, event: Any, parent: Any) -> Finding:
        until = FOREVER
        for part in parts:
            holds, settled = part(now, event, parent)
            if not holds:
                return False, settled
            if settled < until:
                until = settled
        return True, until

    return all_of


def any_of(parts: Sequence[Evaluate]) -> Evaluate:
    """Whether a part holds."""

    def any_of(now: Moment, event: Any, parent: Any) -> Finding:
        until = FOREVER
        for part in parts:
            holds, settled = part(now, event, parent)
            if holds:
                return True, settled
            if settled < until:
                until = settled
        return False, until

    return any_of


def opposite(part: Evaluate) -> Evaluate:
    """Whether a part does not hold."""

    def opposite(now: Moment, event: Any, parent: Any) -> Finding:
        holds, until = part(now, event, parent)
        return not holds, until

    return opposite


def tested(left: Evaluate, test: Test) -> Evaluate:
    """Whether a value passes a test that does not depend on time."""

    def tested(now: Moment, event: Any, parent: Any) -> Finding:
        value, until = left(now, event, parent)
        return test(value), until

    return tested


def compared(left: Evaluate, comparison: Comparison, right: Evaluate) -> Evaluate:
    """How two values compare."""

    def compared(now: Moment, event: Any, parent: Any) -> Finding:
        value, until = left(now, event, parent)
        other, settled = right(now, event, parent)
        return values.compare(value, comparison, other), min(until, settled)

    return compared


def dated(left: Evaluate, passing: Callable[[int], tuple[int, int]]) -> Evaluate:
    """Whether now lies between the two instants, both included, that belong to a date."""

    def dated(now: Moment, event: Any, parent: Any) -> Finding:
        value, until = left(now, event, parent)
        date_ms = values.date_ms(value)
        if date_ms is None:
            return False, until
        first, last = passing(date_ms)
        if now.at_ms < first:
            return False, min(until, first)
        if now.at_ms <= last:
            return True, min(until, last + 1)
        return False, until

    return dated


def waiting(actual: Evaluate, of_nothing: Evaluate, passed_ms: int, awaited: bool) -> Evaluate:
    """A condition on what follows an event, which nothing would answer with `awaited`.

    That answer holds only when so much time has passed since the event that nothing more can follow.
    """

    def waiting(now: Moment, event: Any, parent: Any) -> Finding:
        holds, until = actual(now, event, parent)
        over_at = event[0] + passed_ms
        if holds is not awaited or now.at_ms >= over_at:
            return holds, until
        holds_of_nothing, settled = of_nothing(now, event, parent)
        if holds_of_nothing is not awaited:
            return holds, min(until, settled)
        return not awaited, min(until, settled, over_at)

    return waiting
