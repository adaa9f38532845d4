"""What destinations have to be told: the difference between what computations came to and what was told last.

Between evaluation and the outbox. Level-triggered: what came and went between two syncs is not told, and
nobody is told `false`, or an empty value, who was never told anything else.
"""

from collections.abc import Sequence
from typing import Any

from headgate.engage.identifies import Identify, Told, identify
from headgate.engage.profile import Profile, Sent

_NOTHING: dict[str, Sent] = {}


def tell(profile: Profile, told: Sequence[Told], at_ms: int, resent_ms: int = 0) -> list[Identify]:
    """The messages that are due, and `profile.sent` brought up to them.

    What was told before `resent_ms` is told again. A profile without a userId cannot be told of.
    """
    messages = []
    for user_id in profile.of_type("user_id"):
        sent = profile.sent.get(user_id, _NOTHING)
        for one in told:
            value = profile.values.get(one.number)
            name = f"{one.number}/{one.destination}"
            last = sent.get(name)
            if not _is_due(value, last, resent_ms, is_audience=one.is_audience):
                continue
            nth = last.number + 1 if last else 1
            messages.append(identify(profile, user_id, one, value, nth=nth, at_ms=at_ms))
            profile.sent.setdefault(user_id, {})[name] = Sent(value, nth, at_ms)
    return messages


def _is_due(value: Any, last: Sent | None, resent_ms: int, *, is_audience: bool) -> bool:
    if last is None:
        return value is True if is_audience else not _is_empty(value)
    return last.at_ms < resent_ms or not _same(value, last.value)


def _is_empty(value: Any) -> bool:
    """Null, nothing in a list, a count or sum of nothing: what is not worth telling as the first."""
    return value is None or value == [] or (value == 0 and type(value) is not bool)


def _same(value: Any, other: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(_same, value, other))
    return value == other and isinstance(value, bool) == isinstance(other, bool)
