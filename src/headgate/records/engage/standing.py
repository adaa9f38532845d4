"""How one person stands with one computation: a member or not, and whether destinations know. Pure.

The profile's record says it all: what was evaluated last, and what each destination was told last.
"""

from collections.abc import Iterator
from typing import NamedTuple

from headgate.engage.profile import Profile, Sent
from headgate.engage.registry import Record
from headgate.engage.rules import USER_ID
from headgate.engage.sync import is_empty, same


class Last(NamedTuple):
    """What a destination was told last of one userId."""

    destination: str
    user_id: str
    sent: Sent


def is_member(profile: Profile, record: Record) -> bool:
    """Whether the person is in the audience, or has a value of the trait that is not empty."""
    return is_worth(record, profile.value(record.number, is_audience=record.is_audience))


def is_worth(record: Record, value: object) -> bool:
    """Whether it is membership, or a value that is not empty: what destinations are told as the first."""
    return value is True if record.is_audience else not is_empty(value)


def last_told(profile: Profile, record: Record) -> Iterator[Last]:
    """The last telling of each userId at each destination, those that are told no more included."""
    named = f"{record.number}/"
    for user_id, told in profile.sent.items():
        for name, sent in told.items():
            if name.startswith(named):
                yield Last(name.removeprefix(named), user_id, sent)


def untold(profile: Profile, record: Record) -> set[str]:
    """The destinations that do not know what holds now, for at least one of the person's userIds."""
    value = profile.value(record.number, is_audience=record.is_audience)
    return {
        slug
        for user_id in profile.of_type(USER_ID)
        for slug in record.destinations
        if is_due(profile.sent.get(user_id, {}).get(f"{record.number}/{slug}"), record, value)
    }


def left_at_ms(profile: Profile, record: Record, now_ms: int) -> int | None:
    """When somebody who is no member was one last, as far as destinations were told; None: never.

    Who has left and was not told of yet has left now.
    """
    if is_member(profile, record):
        return None
    told = [one.sent for one in last_told(profile, record) if one.sent.is_known]
    if any(is_worth(record, one.value) for one in told):
        return now_ms
    return max((one.at_ms for one in told), default=None)


def is_due(last: Sent | None, record: Record, value: object) -> bool:
    """Whether a destination does not know that the value holds, after what it was told last.

    What it was told in vain it does not know, and has to know unless it never got anything.
    """
    if last is None:
        return is_worth(record, value)
    if last.is_lost:
        return is_worth(record, value) or last.is_known
    return not same(value, last.value)
