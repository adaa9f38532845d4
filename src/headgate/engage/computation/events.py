"""Event conditions taken apart: what a message alone answers, and what has to wait for the evaluation."""

from collections.abc import Callable
from typing import Any

from headgate.engage.computation.folds import Read
from headgate.engage.computation.leaves.leaf import Accepts
from headgate.engage.observed import Observed
from headgate.language.checks import parts_of
from headgate.language.paths import steps_of, value_behind
from headgate.language.tree import (
    And,
    Condition,
    Context,
    NearNowTested,
    Property,
    Reduced,
    Trait,
)


def split(where: Condition | None) -> tuple[Condition | None, Condition | None]:
    """A `where` as the part that a message answers alone, and the part that it does not."""
    if where is None:
        return None, None
    parts = where.parts if isinstance(where, And) else (where,)
    lasting = [part for part in parts if _is_lasting(part)]
    changing = [part for part in parts if not _is_lasting(part)]
    return _all_of(lasting), _all_of(changing)


def reader(of: Property | Context | None) -> Read:
    """How a message is asked for a property or a field of its context."""
    if of is None:
        return lambda observed: None
    steps = steps_of(of.path)
    if isinstance(of, Context):
        return lambda observed: value_behind(observed.context, steps)
    if len(steps) == 1:
        name = steps[0]
        return lambda observed: observed.properties.get(name)
    return lambda observed: value_behind(observed.properties, steps)


def accepting(
    passes: Callable[[Any, Observed, Any], tuple[Any, int]] | None,
    not_from: tuple[str, ...],
    since_ms: int | None,
) -> Accepts | None:
    """Whether a message is one of those meant; None when all are."""
    if not not_from and since_ms is None:
        if passes is None:
            return None
        return lambda observed: passes(None, observed, None)[0]
    earliest_ms = 0 if since_ms is None else since_ms

    def accepts(observed: Observed) -> bool:
        if observed.received_at_ms < earliest_ms or observed.source in not_from:
            return False
        return passes is None or bool(passes(None, observed, None)[0])

    return accepts


def _is_lasting(condition: Condition) -> bool:
    """Whether the answer for a message depends on nothing else, and is the same for ever."""
    return not any(
        isinstance(part, Trait | NearNowTested | Reduced)
        or (isinstance(part, Property) and part.of_parent)
        for part in parts_of(condition)
    )


def _all_of(parts: list[Condition]) -> Condition | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return And(tuple(parts))
