"""The oracle: what every definition comes to, for every profile, at one instant.

O(events · conditions) and worse, on purpose. The words in brackets name the rule that is followed:
[window] who counts when, [value] what events come to, [trait] the last writer, [funnel] a child event
against its parent, [wait] a did-not funnel that waits, [history] what a definition may look back on.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import fsum
from typing import Any, Literal

from engage_oracle.comparing import (
    compared,
    date_tested,
    is_number,
    near_now,
    one_of,
    scalar_text,
    text_tested,
)
from engage_oracle.people import Person, Rules, people
from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier
from headgate.language.tree import (
    And,
    Between,
    Compared,
    Condition,
    Context,
    DateTested,
    Definition,
    Events,
    Exists,
    Literal_,
    NearNowTested,
    Not,
    OneOf,
    Or,
    Property,
    Reduced,
    Scalar,
    Session,
    TextTested,
    Trait,
    Within,
)

MOST_UNIQUE = 10_000


@dataclass(frozen=True)
class Asked:
    """One computation: an audience (its tree a condition) or a computed trait (its tree a scalar).

    `history`: True counts all events, False those received from `created_at_ms` on, a span in
    milliseconds those that young. `wait`: a did-not funnel waits until its window has passed.
    """

    kind: Literal["audience", "trait"]
    tree: Definition
    created_at_ms: int = 0
    history: bool | int = True
    wait: bool = False


@dataclass(frozen=True)
class Scope:
    """Where a condition is read: whose, for which computation, when; inside a `where`, of which event.

    `event` is the one whose `where` is being read, `parent` the one whose `where` it stands in.
    """

    person: Person
    definitions: Mapping[str, Asked]
    asked: Asked
    at_ms: int
    event: Observed | None = None
    parent: Observed | None = None


def evaluate(
    log: Sequence[Observed],
    definitions: Mapping[str, Asked],
    at_ms: int,
    rules: Rules | None = None,
) -> list[tuple[list[Identifier], dict[str, Any]]]:
    """Of every profile, in order of creation: its identifiers and the value of every definition.

    `log` is in arrival order; what arrived after `at_ms` is not looked at.
    """
    return [
        (
            person.identifiers,
            {key: _computed(key, person, definitions, at_ms) for key in definitions},
        )
        for person in people(log, at_ms, rules or Rules())
    ]


def _computed(key: str, person: Person, definitions: Mapping[str, Asked], at_ms: int) -> Any:
    """An audience is true or false, for a non-member too; a computed trait its value."""
    asked = definitions[key]
    scope = Scope(person, definitions, asked, at_ms)
    if isinstance(asked.tree, Scalar):
        return value_of(asked.tree, scope)
    return holds(asked.tree, scope)


# Conditions


def holds(condition: Condition, scope: Scope, wanted: bool = True) -> bool:
    """Whether a condition is true. `wanted`: the answer that lets the event around it count, for [wait]."""
    if isinstance(condition, And):
        return all(holds(part, scope, wanted) for part in condition.parts)
    if isinstance(condition, Or):
        return any(holds(part, scope, wanted) for part in condition.parts)
    if isinstance(condition, Not):
        return not holds(condition.part, scope, not wanted)
    if _has_to_wait(condition, scope, wanted):
        return not wanted
    return _tested(condition, value_of(condition.left, scope), scope)


def _tested(condition: Condition, left: Any, scope: Scope) -> bool:
    """A condition without parts, its left side known."""
    match condition:
        case Compared(comparison=comparison, right=right):
            return compared(left, comparison, value_of(right, scope))
        case TextTested(test=test, texts=texts):
            return text_tested(left, test, texts)
        case OneOf(values=values, negated=negated):
            return one_of(left, values, negated)
        case Exists(negated=negated):
            return (left is not None) != negated
        case DateTested(test=test, instant=instant):
            return date_tested(left, test, instant)
        case NearNowTested(test=near, span_ms=span_ms):
            return near_now(left, near, span_ms, scope.at_ms)
    raise TypeError(condition)


def _has_to_wait(condition: Any, scope: Scope, wanted: bool) -> bool:
    """[wait] A condition on child events that no child at all would satisfy, its window still open.

    A child without a window never stops being awaited, so there is nothing to wait for.
    """
    left = condition.left
    if not (scope.asked.wait and scope.event and isinstance(left, Reduced)):
        return False
    match left.events.window:
        case Within(span_ms=last_ms) | Between(to_ms=last_ms):
            still_open = scope.at_ms < scope.event.at_ms + last_ms
            return still_open and _tested(condition, reduced(left, []), scope) == wanted
    return False


# Scalars


def value_of(scalar: Scalar, scope: Scope) -> Any:
    """The value of a scalar; None when there is none."""
    match scalar:
        case Literal_(value=value):
            return value
        case Property(path=path, of_parent=of_parent):
            event = scope.parent if of_parent else scope.event
            assert event, "a property outside of an event's where"
            return at_path(event.properties, steps(path))
        case Context(path=path):
            assert scope.event, "a context outside of an event's where"
            return at_path(scope.event.context, steps(path))
        case Trait(path=path):
            return _trait(steps(path), scope)
        case Reduced():
            return reduced(scalar, counted(scalar.events, scope))
    raise TypeError(scalar)


def _trait(path: list[str], scope: Scope) -> Any:
    """[trait] A computation's value of the same instant, or the custom trait."""
    if path[0] in scope.definitions:
        value = _computed(path[0], scope.person, scope.definitions, scope.at_ms)
    else:
        value = _written(path[0], scope)
    return at_path(value, path[1:])


def _written(name: str, scope: Scope) -> Any:
    """[trait] The last writer by (ts, rt, id) that is not in the future; null removes."""
    writers = [
        message
        for message in scope.person.messages
        if name in message.traits and message.at_ms <= scope.at_ms
    ]
    return max(writers, key=in_order).traits[name] if writers else None


def in_order(message: Observed) -> tuple[int, int, str, int]:
    """By the message's own time, then by arrival, then by id; one id in two sources: by place in the log."""
    return message.at_ms, message.received_at_ms, message.message_id, message.seq


def steps(path: str) -> list[str]:
    """The names of a dotted path; `\\.` is a dot within a name."""
    return [step.replace("\0", ".") for step in path.replace("\\.", "\0").split(".")]


def at_path(value: Any, path: Sequence[str]) -> Any:
    """What stands there, through objects only; None when nothing does."""
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


# Events


def counted(events: Events, scope: Scope) -> list[Observed]:
    """[window] The events that count at this instant, in their order."""
    passing = [
        event
        for event in sorted(scope.person.messages, key=in_order)
        if event.name == events.name
        and event.source not in events.not_from
        and _in_history(event, scope)
        and _in_window(event, events, scope)
        and _passes(event, events, scope)
    ]
    if isinstance(events.window, Session):
        return _last_chain(passing, events.window.gap_ms, scope.at_ms)
    return passing


def _in_history(event: Observed, scope: Scope) -> bool:
    """[history] Nothing counts before its own time; then what the computation may look back on."""
    if event.at_ms > scope.at_ms:
        return False
    history = scope.asked.history
    if history is True:
        return True
    if history is False:
        return event.received_at_ms >= scope.asked.created_at_ms
    return scope.at_ms - history < event.at_ms


def _in_window(event: Observed, events: Events, scope: Scope) -> bool:
    """[window] By age, when it stands alone; [funnel] by the time since its parent, when it has one."""
    if scope.event:
        return _follows(event.at_ms - scope.event.at_ms, events)
    match events.window:
        case Within(span_ms=span_ms, of_parent=False):
            return scope.at_ms - span_ms < event.at_ms
        case Between(from_ms=from_ms, to_ms=to_ms, of_parent=False):
            return scope.at_ms - to_ms < event.at_ms <= scope.at_ms - from_ms
        case None | Session():
            return True
    raise ValueError("a window of a parent, without a parent")


def _follows(after_ms: int, events: Events) -> bool:
    """[funnel] Strictly after the parent and up to d after it; without a window, any time later."""
    match events.window:
        case None:
            return after_ms > 0
        case Within(span_ms=span_ms, of_parent=True):
            return 0 < after_ms <= span_ms
        case Between(from_ms=from_ms, to_ms=to_ms, of_parent=True):
            return after_ms > 0 and from_ms <= after_ms < to_ms
    raise ValueError("a window of its own, within a parent")


def _passes(event: Observed, events: Events, scope: Scope) -> bool:
    if events.where is None:
        return True
    return holds(events.where, replace(scope, event=event, parent=scope.event))


def _last_chain(events: list[Observed], gap_ms: int, at_ms: int) -> list[Observed]:
    """[window] The newest events without a gap over `gap_ms`, while the newest is younger than that."""
    if not events or at_ms - events[-1].at_ms >= gap_ms:
        return []
    chain = [events[-1]]
    for event in reversed(events[:-1]):
        if chain[0].at_ms - event.at_ms > gap_ms:
            break
        chain.insert(0, event)
    return chain


# Reducers


def reduced(reduction: Reduced, events: list[Observed]) -> Any:
    """[value] What these events, in order, come to."""
    if reduction.reducer == "count":
        return len(events)
    values = [value for event in events if (value := _read(reduction, event)) is not None]
    if reduction.reducer == "unique":
        listed = _unique(values)
        return len(listed) if reduction.counted else listed
    if reduction.reducer == "mode":
        return _mode(values, reduction.minimum, whole_arrays=reduction.read_as == "array")
    if reduction.reducer in ("min", "max") and reduction.read_as == "string":
        return _least_or_greatest(reduction, [scalar_text(value) for value in values])
    return _REDUCERS[reduction.reducer](reduction, values)


def _read(reduction: Reduced, event: Observed) -> Any:
    if isinstance(reduction.of, Context):
        return at_path(event.context, steps(reduction.of.path))
    assert isinstance(reduction.of, Property)
    return at_path(event.properties, steps(reduction.of.path))


def _sum(_: Reduced, values: list[Any]) -> float | int | None:
    """Of numbers only; nothing sums up to 0, and what no number can hold to nothing."""
    try:
        return plain_number(fsum(filter(is_number, values)))
    except OverflowError:
        return None


def _avg(_: Reduced, values: list[Any]) -> float | int | None:
    numbers = list(filter(is_number, values))
    try:
        return plain_number(fsum(numbers) / len(numbers)) if numbers else None
    except OverflowError:
        return None


def plain_number(value: float) -> float | int:
    """A whole number without its decimal point."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _numbers_limit(reduction: Reduced, values: list[Any]) -> Any:
    return _least_or_greatest(reduction, list(filter(is_number, values)))


def _least_or_greatest(reduction: Reduced, values: list[Any]) -> Any:
    """Least or greatest by number, or by the alphabet; None of nothing."""
    there = [value for value in values if value is not None]
    return (min if reduction.reducer == "min" else max)(there, default=None)


def _mode(values: list[Any], minimum: int, *, whole_arrays: bool) -> Any:
    """The value seen most often, `minimum` times at least; of several, the alphabetically first.

    Values are one value when their texts are; it is told with the JSON type that it has most often, as a text
    when that is as often.
    """
    seen: dict[str, list[Any]] = defaultdict(list)
    for value in values:
        text = scalar_text(value)
        if text is None and whole_arrays and isinstance(value, list):
            text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        if text is not None:
            seen[text].append(value)
    often = sorted((-len(same), text) for text, same in seen.items() if len(same) >= minimum)
    return _most_typical(seen[often[0][1]]) if often else None


def _most_typical(values: list[Any]) -> Any:
    """The value in the type that most of these have; a text before anything else."""
    kinds = [float if is_number(value) else type(value) for value in values]
    most = max(kinds.count(kind) for kind in kinds)
    typical = [
        value for value, kind in zip(values, kinds, strict=True) if kinds.count(kind) == most
    ]
    return min(typical, key=lambda value: not isinstance(value, str))


def _unique(values: list[Any]) -> list[str]:
    """The texts of all values, each once, by the alphabet."""
    texts = {text for value in values if (text := scalar_text(value)) is not None}
    assert len(texts) <= MOST_UNIQUE, "which values are dropped is not for the oracle to say"
    return sorted(texts)


_REDUCERS: dict[str, Callable[[Reduced, list[Any]], Any]] = {
    "sum": _sum,
    "avg": _avg,
    "min": _numbers_limit,
    "max": _numbers_limit,
    "first": lambda _, values: values[0] if values else None,
    "last": lambda _, values: values[-1] if values else None,
}
