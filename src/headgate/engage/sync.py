"""What destinations have to be told: the difference between what computations came to and what was told last.

Between evaluation and the outbox. Level-triggered: what came and went between two syncs is not told, and
nobody is told `false`, or an empty value, who was never told anything else.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from headgate.engage.identifies import Identify, Told, identify
from headgate.engage.profile import TELLINGS, Profile, Sent
from headgate.engage.rules import USER_ID

_NOTHING: dict[str, Sent] = {}


class _Line(NamedTuple):
    """A computation and a destination, under the name by which a profile remembers what was told."""

    name: str
    told: Told


class Sync:
    """Tells destinations at once, or, with an interval, at the beginning of the next one."""

    def __init__(self, told: Iterable[Told], interval_ms: int) -> None:
        self._interval_ms = interval_ms
        self._lines = [_Line(f"{one.number}/{one.destination}", one) for one in told]
        self._lines_of: dict[int, list[_Line]] = defaultdict(list)
        for line in self._lines:
            self._lines_of[line.told.number].append(line)

    def tell(
        self, profile: Profile, changed: Collection[int] | None, at_ms: int, outbox: list[Identify]
    ) -> int | None:
        """Puts what is due into the outbox, and brings `profile.sent` up to it; when to come again, if at all.

        `changed`: the computations that came to something else since destinations were told last; None:
        perhaps all. A profile without a userId cannot be told of.
        """
        if changed is None:
            profile.owed_from_ms = 0
        if not self._interval_ms:
            outbox += _told(profile, self._concerned(changed), at_ms)
            return None
        if not _is_any_due(profile, self._lines):
            profile.untold_since_ms = 0
            return None
        since_ms = profile.untold_since_ms or at_ms
        next_sync_ms = (since_ms // self._interval_ms + 1) * self._interval_ms
        if at_ms < next_sync_ms:
            profile.untold_since_ms = since_ms
            return next_sync_ms
        profile.untold_since_ms = 0
        outbox += _told(profile, self._lines, at_ms)
        return None

    def _concerned(self, changed: Collection[int] | None) -> Sequence[_Line]:
        if changed is None:
            return self._lines
        return [line for number in changed for line in self._lines_of.get(number, ())]


def same(value: Any, other: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(same, value, other))
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)


def is_empty(value: Any) -> bool:
    """Null, nothing in a list, a count or sum of nothing: what is not worth telling as the first."""
    return value is None or value == [] or (value == 0 and type(value) is not bool)


def _told(profile: Profile, lines: Sequence[_Line], at_ms: int) -> list[Identify]:
    """The messages that are due, which are taken for told from now on."""
    messages = []
    for user_id in profile.of_type(USER_ID):
        for name, told in _due(profile, user_id, lines):
            sent = profile.sent.setdefault(user_id, {})
            value = profile.value(told.number, is_audience=told.is_audience)
            before = sent.get(name) or Sent(None, profile.id * TELLINGS, 0)
            sent[name] = now = before.then(value, at_ms)
            messages.append(identify(profile, user_id, told, value, nth=now.number, at_ms=at_ms))
    return messages


def _is_any_due(profile: Profile, lines: Sequence[_Line]) -> bool:
    return any(_due(profile, user_id, lines) for user_id in profile.of_type(USER_ID))


def _due(profile: Profile, user_id: str, lines: Sequence[_Line]) -> list[_Line]:
    sent = profile.sent.get(user_id, _NOTHING)
    return [line for line in lines if _is_due(line.told, profile, sent.get(line.name))]


def _is_due(told: Told, profile: Profile, last: Sent | None) -> bool:
    value = profile.value(told.number, is_audience=told.is_audience)
    is_worth = value is True if told.is_audience else not is_empty(value)
    if last is None:
        return is_worth
    if last.is_lost:
        return is_worth or last.is_known
    return not same(value, last.value) or (last.at_ms < told.again_before_ms and is_worth)
