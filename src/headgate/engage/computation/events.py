"""Event conditions taken apart: what a message alone answers, and what has to wait for the evaluation."""

from functools import reduce

from headgate.engage.computation.comparing import Test, compared_with, test_of
from headgate.engage.computation.folds import Read
from headgate.engage.computation.leaves.leaf import Accepts
from headgate.engage.computation.moment import FOREVER
from headgate.engage.observed import Observed
from headgate.language.checks import parts_of
from headgate.language.paths import steps_of, value_behind
from headgate.language.printer import text_of
from headgate.language.tree import (
    And,
    Compared,
    Condition,
    Context,
    DateTested,
    Exists,
    Literal_,
    NearNowTested,
    Not,
    OneOf,
    Or,
    Property,
    Reduced,
    Scalar,
    TextTested,
    Trait,
)
from headgate.language.values import compare


def split(where: Condition | None) -> tuple[Condition | None, Condition | None]:
    """A `where` as the part that a message answers alone, and the part that it does not."""
    if where is None:
        return None, None
    parts = where.parts if isinstance(where, And) else (where,)
    lasting = [part for part in parts if _is_lasting(part)]
    changing = [part for part in parts if not _is_lasting(part)]
    return _all_of(lasting), _all_of(changing)


def reader(of: Scalar | None) -> Read:
    """How a message is asked for a property or a field of its context."""
    if of is None:
        return lambda observed: None
    if isinstance(of, Literal_):
        return lambda observed: of.value
    if not isinstance(of, Property | Context):
        raise TypeError(f"no message has {text_of(of)}")
    steps = steps_of(of.path)
    if isinstance(of, Context):
        return lambda observed: value_behind(observed.context, steps)
    if len(steps) == 1:
        name = steps[0]
        return lambda observed: observed.properties.get(name)
    return lambda observed: value_behind(observed.properties, steps)


def accepting(
    lasting: Condition | None, not_from: tuple[str, ...], since_ms: int | None
) -> Accepts | None:
    """Whether a message is one of those meant; None when all are."""
    passes = None if lasting is None else _predicate(lasting)
    if not not_from and since_ms is None:
        return passes
    earliest_ms = -FOREVER if since_ms is None else since_ms

    def accepts(observed: Observed) -> bool:
        if observed.received_at_ms < earliest_ms or observed.source in not_from:
            return False
        return passes is None or passes(observed)

    return accepts


def _predicate(condition: Condition) -> Accepts:
    """A condition that a message answers alone, as a function of it."""
    match condition:
        case And(parts):
            return reduce(_both, map(_predicate, parts))
        case Or(parts):
            return reduce(_either, map(_predicate, parts))
        case Not(part):
            unwanted = _predicate(part)
            return lambda observed: not unwanted(observed)
        case Compared(left, comparison, Literal_(literal)):
            return _tested(left, compared_with(comparison, literal))
        case Compared(left, comparison, right):
            read, read_other = reader(left), reader(right)
            return lambda observed: compare(read(observed), comparison, read_other(observed))
        case TextTested() | OneOf() | Exists() | DateTested():
            return _tested(condition.left, test_of(condition))
    raise TypeError(f"no message answers {text_of(condition)} alone")


def _both(one: Accepts, other: Accepts) -> Accepts:
    return lambda observed: one(observed) and other(observed)


def _either(one: Accepts, other: Accepts) -> Accepts:
    return lambda observed: one(observed) or other(observed)


def _tested(left: Scalar, test: Test) -> Accepts:
    read = reader(left)
    if isinstance(left, Property) and len(steps_of(left.path)) == 1:
        (name,) = steps_of(left.path)
        return lambda observed: test(observed.properties.get(name))
    return lambda observed: test(read(observed))


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
