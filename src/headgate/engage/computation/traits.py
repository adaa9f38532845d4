"""Traits as identifies set them: for each name the write that holds, and those of the future.

The greatest write that is not in the future holds, by the message's own time, its arrival, its id; null is
kept like any value, so that a late message brings nothing back.
"""

from typing import Any

from headgate.engage.computation.kept import MOST_KEPT, storable
from headgate.engage.computation.moment import FOREVER, Evaluate, Finding, Moment
from headgate.engage.observed import Observed
from headgate.engage.profile import Profile, Write
from headgate.language.paths import steps_of, value_behind

_PLAIN = (str, int, float, bool, type(None))


def take_traits(profile: Profile, observed: Observed) -> list[str]:
    """Notes what an identify says; the names of the traits that it may change.

    A profile has at most 10,000 traits; what names another one is left out.
    """
    traits = profile.traits
    at_ms, received_at_ms = observed.at_ms, observed.received_at_ms
    changed = []
    for name, value in observed.traits.items():
        write = Write(at_ms, received_at_ms, observed.message_id, storable(value))
        writes = traits.get(name)
        if writes is None:
            if len(traits) >= MOST_KEPT:
                continue
            traits[name] = [write]
            changed.append(name)
        elif _add(writes, write, received_at_ms):
            changed.append(name)
    return changed


def merge_traits(into: Profile, gone: Profile) -> None:
    """All writes of both."""
    for name, writes in gone.traits.items():
        into.traits[name] = sorted(into.traits.get(name, []) + writes, key=_place)


def trim_traits(profile: Profile, at_ms: int) -> None:
    """Drops the writes that another one has replaced for good."""
    for writes in profile.traits.values():
        if len(writes) > 1:
            _forget(writes, at_ms)


def written(writes: list[Write] | None, at_ms: int) -> Finding:
    """The value that holds at an instant, and until when it does without another message."""
    if not writes:
        return None, FOREVER
    until = FOREVER
    for write in reversed(writes):
        if write.at_ms <= at_ms:
            return write.value, until
        until = write.at_ms
    return None, until


def custom_trait(path: str) -> Evaluate:
    """The value at a path into the traits that identifies set."""
    name, *steps = steps_of(path)
    rest = tuple(steps)

    def trait(now: Moment, _event: Any, _parent: Any) -> Finding:
        value, until = written(now.traits.get(name), now.at_ms)
        return (value_behind(value, rest) if rest else value), until

    return trait


def _add(writes: list[Write], write: Write, now_ms: int) -> bool:
    """Puts a write among the others; whether another value may hold now or later."""
    last = writes[-1]
    if len(writes) == 1 and last.at_ms <= now_ms and write.at_ms <= now_ms:
        if _place(write) <= _place(last):
            return False
        writes[0] = write
        return not _same(write.value, last.value)
    writes.append(write)
    writes.sort(key=_place)
    _forget(writes, now_ms)
    return True


def _forget(writes: list[Write], at_ms: int) -> None:
    past = sum(write.at_ms <= at_ms for write in writes)
    del writes[: max(past - 1, len(writes) - MOST_KEPT, 0)]


def _same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and type(value) in _PLAIN and bool(value == other)


def _place(write: Write) -> tuple[int, int, str]:
    return write.at_ms, write.received_at_ms, write.message_id
