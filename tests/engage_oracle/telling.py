"""What a destination is to be told, and what Heap holds in the end: the oracle of emissions.

Level-triggered: at every sync instant each userId's value is compared with what was told last, so that
entering and leaving between two syncs tells nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from engage_oracle.comparing import is_number, same
from engage_oracle.oracle import Asked, evaluate
from engage_oracle.people import Rules
from headgate.engage.observed import Observed

Told = Mapping[tuple[str, str], Any]
"""The value told last, by userId and key; absent: never told."""


class Telling(NamedTuple):
    """One identify to one destination."""

    at_ms: int
    user_id: str
    key: str
    value: Any


def expected_sent(
    log: Sequence[Observed],
    definitions: Mapping[str, Asked],
    instants: Iterable[int],
    told: Told | None = None,
    rules: Rules | None = None,
) -> tuple[list[Telling], dict[tuple[str, str], Any]]:
    """What one destination is sent at these sync instants, and what it has been told after them.

    `definitions` are those connected to the destination and those they refer to. Starting from an
    earlier `told` continues after an edit, a reconnect or a time of being disabled; those that were
    disabled meanwhile are left out of `definitions`. The order within one instant and profile is free.
    """
    now = dict(told or {})
    sent: list[Telling] = []
    for at_ms in instants:
        for user_id, key, value in _values(log, definitions, at_ms, rules):
            if _is_told(now, (user_id, key), value, definitions[key].kind):
                now[user_id, key] = value
                sent.append(Telling(at_ms, user_id, key, value))
    return sent, now


def _values(
    log: Sequence[Observed], definitions: Mapping[str, Asked], at_ms: int, rules: Rules | None
) -> list[tuple[str, str, Any]]:
    """One identify for each userId of a profile; a profile without any cannot be delivered."""
    return [
        (identifier.value, key, value)
        for identifiers, values in evaluate(log, definitions, at_ms, rules)
        for identifier in identifiers
        if identifier.type == "user_id"
        for key, value in values.items()
    ]


def _is_told(told: Told, place: tuple[str, str], value: Any, kind: str) -> bool:
    """A first value when it says something, later ones when they differ. Never a first `false`."""
    if place in told:
        return not same(told[place], value)
    return value is True if kind == "audience" else not is_empty(value)


def is_empty(value: Any) -> bool:
    """0, `[]` and null: not worth a first telling."""
    return value is None or value == [] or (is_number(value) and value == 0)


def sequences(sent: Iterable[Telling]) -> dict[tuple[str, str], list[Any]]:
    """By userId and key, the values in the order they were sent."""
    lists: dict[tuple[str, str], list[Any]] = {}
    for telling in sent:
        lists.setdefault((telling.user_id, telling.key), []).append(telling.value)
    return lists


def at_heap(sent: Iterable[Telling], null_traits: Any = None) -> dict[str, dict[str, Any]]:
    """The properties Heap ends with, by userId.

    Heap cannot unset a property: a null leaves the value that was there, unless the destination's
    `null_traits` replaces it.
    """
    users: dict[str, dict[str, Any]] = {}
    for telling in sent:
        value = null_traits if telling.value is None else telling.value
        if value is not None:
            users.setdefault(telling.user_id, {})[telling.key] = value
    return users
