"""What destinations were told of a computation, counted: one look at everybody, for all computations at once.

A person counts once for each of their userIds, as destinations know them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import floor, isfinite, log10
from typing import Any

import msgspec

from headgate.engage.profile import Profile
from headgate.engage.registry import Record
from headgate.engage.rules import USER_ID
from headgate.engage.sync import is_empty
from headgate.records.engage.members import LEFT_WITHIN_MS
from headgate.records.engage.standing import (
    Last,
    is_due,
    is_member,
    is_worth,
    last_told,
    left_at_ms,
)
from headgate.records.engage.stored import Engaged
from headgate.records.engage.tellings import message_id_of

_MOST_VALUES = 10_000  # different values that are counted
_MOST_TOP = 10
_BARS = 10


class Latest(msgspec.Struct, frozen=True):
    """The last message to a destination, and when it was told."""

    message_id: str
    at_ms: int


class Told(msgspec.Struct):
    """What one destination knows. `holding` userIds were told last that they are members, or a value;
    `emptied` false, or an empty one; `in_vain` were told last what never arrived. `waiting` are to be told
    something else than that."""

    holding: int = 0
    emptied: int = 0
    in_vain: int = 0
    waiting: int = 0
    latest: Latest | None = None


class Bar(msgspec.Struct, frozen=True):
    """How many people have a number from `low` on and below `high`."""

    low: float
    high: float
    people: int


class Values(msgspec.Struct):
    """The values of a computed trait: how many people have which, `without` of them none or an empty one.

    `others` have one of the values beyond those that are counted.
    """

    without: int = 0
    top: list[tuple[Any, int]] = []
    others: int = 0
    bars: list[Bar] = []


class Tally(msgspec.Struct):
    """Figures of one computation. `left`: who was a member within the last 7 days and is not any more."""

    members: int = 0
    undeliverable: int = 0
    left: int = 0
    untold: int = 0
    told: dict[str, Told] = {}
    values: Values | None = None


def tally(store: Engaged, records: Sequence[Record], now_ms: int) -> dict[int, Tally]:
    """The figures of these computations, by number."""
    counting = [_Counting(one) for one in records]
    for profile in store.profiles():
        for one in counting:
            one.take(profile, now_ms)
    return {one.record.number: one.tally() for one in counting}


class _Counting:
    """Counts one computation."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._tally = Tally(told={slug: Told() for slug in record.destinations})
        self._values: Counter[Any] = Counter()
        self._numbers: list[float] = []
        self._without = 0
        self._latest: dict[str, tuple[Profile, Last]] = {}

    def take(self, profile: Profile, now_ms: int) -> None:
        """One more person."""
        record = self.record
        member = is_member(profile, record)
        if member:
            self._tally.members += 1
            self._tally.undeliverable += not profile.of_type(USER_ID)
        else:
            left_ms = left_at_ms(profile, record, now_ms) if profile.sent else None
            self._tally.left += left_ms is not None and left_ms > now_ms - LEFT_WITHIN_MS
        if not record.is_audience:
            self._take_value(profile.values.get(record.number))
        if profile.sent or member:
            self._take_told(profile, member=member)

    def _take_told(self, profile: Profile, *, member: bool) -> None:
        value = profile.value(self.record.number, is_audience=self.record.is_audience)
        known: set[tuple[str, str]] = set()
        waiting: set[tuple[str, str]] = set()
        for last in last_told(profile, self.record):
            slug, user_id, sent = last
            known.add((user_id, slug))
            told = self._tally.told.setdefault(slug, Told())
            if sent.is_lost:
                told.in_vain += 1
            elif is_worth(self.record, sent.value):
                told.holding += 1
            else:
                told.emptied += 1
            if slug not in self._latest or sent.at_ms >= self._latest[slug][1].sent.at_ms:
                self._latest[slug] = profile, last
            if slug in self.record.destinations and is_due(sent, self.record, value):
                waiting.add((user_id, slug))
        if member:
            pairs = (
                (id_, slug) for id_ in profile.of_type(USER_ID) for slug in self.record.destinations
            )
            waiting.update(pair for pair in pairs if pair not in known)
        for _, slug in waiting:
            self._tally.told[slug].waiting += 1
        self._tally.untold += bool(waiting)

    def _take_value(self, value: Any) -> None:
        if is_empty(value):
            self._without += 1
            return
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._numbers.append(value)
        text = msgspec.json.encode(value)
        if text in self._values or len(self._values) < _MOST_VALUES:
            self._values[text] += 1

    def tally(self) -> Tally:
        """What was counted."""
        for slug, (profile, last) in self._latest.items():
            message_id = message_id_of(profile, self.record, slug, last.user_id, last.sent)
            self._tally.told[slug].latest = Latest(message_id, last.sent.at_ms)
        if self.record.is_audience:
            return self._tally
        counted = self._values.most_common(_MOST_TOP)
        top = [(msgspec.json.decode(text), n) for text, n in counted]
        others = self._tally.members - sum(n for _, n in counted)
        values = Values(self._without, top, others, bars_of(self._numbers))
        return msgspec.structs.replace(self._tally, values=values)


def bars_of(numbers: Iterable[float]) -> list[Bar]:
    """How numbers are spread, in about ten bars as wide as 1, 2 or 5 times a power of ten.

    None when all numbers are equal.
    """
    found = sorted(numbers)
    if not found or not isfinite(found[-1] - found[0]) or found[0] == found[-1]:
        return []
    width = _width((found[-1] - found[0]) / _BARS)
    first = floor(found[0] / width)
    counts = Counter(floor(one / width) for one in found)
    return [
        Bar(at * width, (at + 1) * width, counts[at])
        for at in range(first, floor(found[-1] / width) + 1)
    ]


def _width(least: float) -> float:
    """The first round width that is not below."""
    power = 10.0 ** floor(log10(least))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= least)
