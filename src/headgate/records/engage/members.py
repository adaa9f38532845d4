"""Who is in an audience, who has a value of a computed trait: everybody, or page by page.

A page looks at so many people and no more, so that it costs the same however rare members are: it may have
fewer rows than asked for, and says where to go on.
"""

import heapq
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from headgate.engage.profile import Profile
from headgate.engage.registry import Record
from headgate.engage.rules import USER_ID
from headgate.records.engage.people import identifiers_by_type
from headgate.records.engage.standing import is_member, last_told, left_at_ms, untold
from headgate.records.engage.stored import Engaged

LOOKED_AT = 10_000  # people that a page looks at
LEFT_WITHIN_MS = 7 * 86_400_000

_TELL_EVERY = 1_000


class Member(msgspec.Struct, frozen=True, rename="camel"):
    """A person and the value: true for an audience. `identifiers` by type."""

    profile: int
    value: Any
    identifiers: dict[str, list[str]]


class Among(StrEnum):
    """Whom a page is about: members, those who left in the last 7 days, members whom nobody can be told of
    for want of a userId, people of whom a destination does not know what holds."""

    IN = "in"
    LEFT = "left"
    UNDELIVERABLE = "undeliverable"
    UNTOLD = "untold"


class Order(StrEnum):
    """First seen first, told last first, or by value, the greatest first."""

    SEEN = "seen"
    TOLD = "told"
    VALUE = "value"


class Page(NamedTuple):
    """Some of them. `after` is where the next page begins, "" when there is none."""

    people: list[Profile]
    after: str


def members(
    store: Engaged, record: Record, looked_at: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[Member]:
    """Members in the order in which they were first seen; `looked_at` is told how far the search is.

    What was evaluated last is told: a server that runs has evaluated everything that is due.
    """
    last = store.position().last_profile
    for n, profile in enumerate(store.profiles()):
        if n % _TELL_EVERY == 0:
            looked_at(profile.id, last)
        if is_member(profile, record):
            value = profile.value(record.number, is_audience=record.is_audience)
            yield Member(profile.id, value, identifiers_by_type(profile.identifiers))


def is_among(profile: Profile, record: Record, among: Among, now_ms: int) -> bool:
    """Whether a page about these people shows this one."""
    match among:
        case Among.IN:
            return is_member(profile, record)
        case Among.LEFT:
            left_ms = left_at_ms(profile, record, now_ms)
            return left_ms is not None and left_ms > now_ms - LEFT_WITHIN_MS
        case Among.UNDELIVERABLE:
            return is_member(profile, record) and not profile.of_type(USER_ID)
        case Among.UNTOLD:
            return bool(untold(profile, record))


def page_of(
    store: Engaged, record: Record, among: Among, now_ms: int, *, after: str = "", limit: int = 100
) -> Page:
    """The next people in the order in which they were first seen. `after`: where the page before ended."""
    found: list[Profile] = []
    last = 0
    for looked_at, profile in enumerate(store.profiles(_number(after))):
        if looked_at == LOOKED_AT:
            return Page(found, str(last))
        if is_among(profile, record, among, now_ms):
            if len(found) == limit:
                return Page(found, str(last))
            found.append(profile)
        last = profile.id
    return Page(found, "")


def sorted_page(
    store: Engaged,
    record: Record,
    among: Among,
    order: Order,
    now_ms: int,
    *,
    after: str = "",
    limit: int = 100,
) -> Page:
    """The same told last first, or by value; for stores of at most `LOOKED_AT` people, who are all looked at."""
    begin = _begin(after)
    keyed = (
        (_key(one, record, order), one)
        for one in islice(store.profiles(), LOOKED_AT)
        if is_among(one, record, among, now_ms)
    )
    following = (one for one in keyed if begin is None or one[0] > begin)
    first = heapq.nsmallest(limit + 1, following, key=lambda one: one[0])
    found = [one for _, one in first[:limit]]
    return Page(found, _cursor(first[limit - 1][0]) if len(first) > limit else "")


_Key = tuple[int, float, str, int]  # what kind of value, numbers, texts, the profile


def _key(profile: Profile, record: Record, order: Order) -> _Key:
    """What stands first has the smallest key."""
    if order is Order.TOLD:
        told_ms = max((one.sent.at_ms for one in last_told(profile, record)), default=0)
        return 0, -told_ms, "", profile.id
    value = profile.value(record.number, is_audience=record.is_audience)
    if isinstance(value, int | float):
        return 0, -float(value), "", profile.id
    if isinstance(value, list):
        return 1, -len(value), "", profile.id
    return 2, 0, str(value), profile.id


def _cursor(key: _Key) -> str:
    return msgspec.json.encode(key).decode()


def _begin(after: str) -> _Key | None:
    try:
        return msgspec.json.decode(after, type=_Key) if after else None
    except msgspec.DecodeError:
        return None


def _number(after: str) -> int:
    return int(after) if after.isascii() and after.isdigit() and len(after) < 19 else 0
