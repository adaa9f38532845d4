"""What destinations have to be told: the difference between what computations came to and what was told last.

Between evaluation and the outbox. Level-triggered: what came and went between two syncs is not told, and
nobody is told `false`, or an empty value, who was never told anything else.
"""

from collections.abc import Sequence
from typing import Any

from headgate.engage.identifies import Identify, Told, identify
from headgate.engage.profile import Profile, Sent

_NOTHING: dict[str, Sent] = {}


def tell(profile: Profile, told: Sequence[Told], at_ms: int) -> list[Identify]:
    """The messages that are due, and `profile.sent` brought up to them.

    A profile without a userId cannot be told of.
    """
    messages = []
    for user_id in profile.of_type("user_id"):
        for one in _due(profile, user_id, told):
            sent = profile.sent.setdefault(user_id, {})
            last = sent.get(_name(one))
            nth = last.number + 1 if last else 1
            value = _value(profile, one)
            messages.append(identify(profile, user_id, one, value, nth=nth, at_ms=at_ms))
            sent[_name(one)] = Sent(value, nth, at_ms)
    return messages


def is_due(profile: Profile, told: Sequence[Told]) -> bool:
    """Whether there is anything to tell."""
    return any(_due(profile, user_id, told) for user_id in profile.of_type("user_id"))


def same(value: Any, other: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(same, value, other))
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def is_empty(value: Any) -> bool:
    """Null, nothing in a list, a count or sum of nothing: what is not worth telling as the first."""
    return value is None or value == [] or (value == 0 and type(value) is not bool)


def _due(profile: Profile, user_id: str, told: Sequence[Told]) -> list[Told]:
    sent = profile.sent.get(user_id, _NOTHING)
    return [one for one in told if _is_due(one, _value(profile, one), sent.get(_name(one)))]


def _is_due(told: Told, value: Any, last: Sent | None) -> bool:
    is_worth = value is True if told.is_audience else not is_empty(value)
    if last is None:
        return is_worth
    return not same(value, last.value) or (last.at_ms < told.again_before_ms and is_worth)


def _value(profile: Profile, told: Told) -> Any:
    return profile.value(told.number, is_audience=told.is_audience)


def _name(told: Told) -> str:
    return f"{told.number}/{told.destination}"
