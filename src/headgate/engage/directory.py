"""The working set: the profiles of a batch in memory, hot ones kept from batch to batch.

Between the store, where a batch's profiles come from in two queries and go back in one transaction, and
the engine, which has messages resolved here and tells what it changed. One thread.

    prefetch → resolve, message by message → changed, evaluated → changes → (commit) → committed
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from headgate.engage.batch import Changes, Written
from headgate.engage.identity import MergeLeaves, resolve, take_over
from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier, Profile
from headgate.engage.reader import EngageReader, Kept, key_of
from headgate.engage.rules import Rules
from headgate.engage.violations import Violations

_KEPT_PROFILES = 50_000
_KEPT_BYTES = 20_000_000  # of records; as objects they take about twelve times as much
_NESTING = 100

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Profile).decode


class _Entry(msgspec.Struct, gc=False):
    """A profile at hand, with what the store has of it."""

    profile: Profile
    due_at_ms: int | None
    size: int = 0
    record: bytes = b""  # as it is to be written, when that is known
    is_new: bool = False
    is_due_new: bool = False


class Directory:
    """The profiles of the batch at hand. `merge_leaves` moves what the computations kept.

    `violations` is told of identifiers that are left out. After an error on the way to the commit, only
    `discard` helps: what is in memory is not what is stored.
    """

    def __init__(
        self,
        store: EngageReader,
        rules: Rules,
        merge_leaves: MergeLeaves,
        violations: Violations,
        *,
        kept_profiles: int = _KEPT_PROFILES,
        kept_bytes: int = _KEPT_BYTES,
    ) -> None:
        self.reshaped: dict[int, Profile] = {}
        self._store = store
        self._rules = rules
        self._merge_leaves = merge_leaves
        self._violations = violations
        self._kept_profiles = kept_profiles
        self._kept_bytes = kept_bytes
        self._entries: dict[int, _Entry] = {}  # the one that was needed last is the last one
        self._holders: dict[Identifier, Profile] = {}
        self._size = 0
        self._changed: dict[int, _Entry] = {}
        self._held: dict[Identifier, int] = {}
        self._gone: dict[int, int] = {}
        self._vanished: set[int] = set()  # gone, and perhaps still stored
        self._needed: set[int] = set()
        self._last_profile = store.position().last_profile

    # the batch comes in

    def prefetch(self, messages: Sequence[Observed]) -> None:
        """Has everybody at hand whom these messages can be about; to be called before they are resolved."""
        holder = self._holders.get
        unknown: set[Identifier] = set()
        used: set[int] = set()
        for message in messages:
            if message.identifiers:
                first = message.identifiers[0]
                profile = holder(first)
                if profile is None:
                    unknown.add(first)
                else:
                    used.add(profile.id)
        self._use(used)
        self._load_holders(unknown)
        holders = self._holders  # which most of the other identifiers are in by now
        self._load_holders(
            {one for message in messages for one in message.identifiers[1:] if one not in holders}
        )

    def bring(self, ids: Iterable[int]) -> list[Profile]:
        """The profiles with these numbers, at hand from now on; those that are gone are left out."""
        wanted = [id_ for id_ in ids if id_ not in self._gone and id_ not in self._vanished]
        missing = {id_ for id_ in wanted if id_ not in self._entries}
        self._use({id_ for id_ in wanted if id_ not in missing})
        if missing:
            self._take_in(self._store.load(missing))
        return [self._entries[id_].profile for id_ in wanted if id_ in self._entries]

    def is_gone(self, id_: int) -> bool:
        """Whether the profile went into another one in this batch."""
        return id_ in self._gone

    def resolve(self, observed: Observed) -> Profile | None:
        """The profile of a message that was prefetched, found, created or merged; None: nobody's.

        Who was created, merged or given an identifier is in `reshaped` until `changes`, and to be
        evaluated whole. A profile that went into another one must not be used any more.
        """
        return resolve(observed, self, self._rules, self._violations)

    # what identity resolution does

    def holder(self, identifier: Identifier) -> Profile | None:
        """Who has the identifier, of those at hand."""
        return self._holders.get(identifier)

    def create(self, created_at_ms: int) -> Profile:
        """Somebody new."""
        self._last_profile += 1
        profile = Profile(self._last_profile, created_at_ms)
        self._entries[profile.id] = entry = _Entry(profile, None, is_new=True)
        self._changed[profile.id] = entry
        self.reshaped[profile.id] = profile
        return profile

    def attach(self, profile: Profile, identifiers: Sequence[Identifier]) -> None:
        """The profile has these identifiers from now on."""
        profile.identifiers.extend(identifiers)
        self._hold(profile, identifiers)

    def merge(self, into: Profile, gone: Profile) -> None:
        """Only `into` is left; it is due as soon as one of them was."""
        self._hold(into, gone.identifiers)
        take_over(into, gone, self._merge_leaves)
        self._gone[gone.id] = into.id
        was = self._entries.pop(gone.id)
        self._size -= was.size
        self._changed.pop(gone.id, None)
        self.reshaped.pop(gone.id, None)
        self._schedule(
            self._entries[into.id], earlier(was.due_at_ms, self._entries[into.id].due_at_ms)
        )

    def _hold(self, profile: Profile, identifiers: Sequence[Identifier]) -> None:
        for one in identifiers:
            self._holders[one] = profile
            self._held[one] = profile.id
        self.changed(profile)
        self.reshaped[profile.id] = profile

    # what the engine tells

    def changed(self, profile: Profile) -> None:
        """The profile is to be written."""
        entry = self._entries[profile.id]
        entry.record = b""
        self._changed[profile.id] = entry

    def evaluated(
        self, profile: Profile, until_ms: int | None, at_ms: int, *, whole: bool = False
    ) -> None:
        """Computations of the profile hold until `until_ms`, for ever if None, as evaluated at `at_ms`.

        `whole`: all of its computations, so that an instant that has come is done with. To be told last,
        when the profile is as it is to be written.
        """
        entry = self._entries[profile.id]
        self._changed[profile.id] = entry
        stored = entry.due_at_ms
        if whole and stored is not None and stored <= at_ms:
            stored = None
        self._schedule(entry, earlier(stored, until_ms))
        entry.record = _record(profile)  # now, while the processor has all of it at hand

    def _schedule(self, entry: _Entry, due_at_ms: int | None) -> None:
        if due_at_ms != entry.due_at_ms:
            entry.due_at_ms = due_at_ms
            entry.is_due_new = True

    # the batch goes out

    def changes(self) -> Changes:
        """What is to be committed; the next batch may begin, and read from a store without this one.

        Everybody who changed stays at hand until `committed`.
        """
        changes = Changes(
            [self._written(entry) for entry in self._changed.values()],
            [(key_of(one), id_) for one, id_ in self._held.items()],
            [(id_, self._survivor(id_)) for id_ in self._gone],
            self._last_profile,
        )
        self._vanished |= self._gone.keys()
        self._forget_changes()
        return changes

    def committed(self) -> None:
        """All changes are in the store; who was not needed for longest is let go."""
        self._vanished.clear()
        self._let_go()

    def discard(self) -> None:
        """Starts again from what is stored."""
        self._entries.clear()
        self._holders.clear()
        self._size = 0
        self._vanished.clear()
        self._forget_changes()
        self._last_profile = self._store.position().last_profile

    def drop(self, id_: int) -> None:
        """Has a profile no longer at hand, between two batches: it was deleted."""
        entry = self._entries.pop(id_, None)
        if entry is None:
            return
        self._size -= entry.size
        for one in entry.profile.identifiers:
            del self._holders[one]

    def _let_go(self) -> None:
        """In one walk over the oldest: a dict finds its first key slowly after many were taken out."""
        n, size = len(self._entries), self._size
        too_many = []
        for id_, entry in self._entries.items():
            if n <= self._kept_profiles and size <= self._kept_bytes:
                break
            if id_ not in self._needed and id_ not in self._changed:
                too_many.append(id_)
                n, size = n - 1, size - entry.size
        for id_ in too_many:
            self.drop(id_)

    def _forget_changes(self) -> None:
        self.reshaped.clear()
        self._changed.clear()
        self._held.clear()
        self._gone.clear()
        self._needed.clear()

    def _written(self, entry: _Entry) -> Written:
        record = entry.record or _record(entry.profile)
        self._size += len(record) - entry.size
        written = Written(entry.profile.id, record, entry.due_at_ms, entry.is_new, entry.is_due_new)
        entry.size, entry.record = len(record), b""
        entry.is_new = entry.is_due_new = False
        return written

    def _survivor(self, id_: int) -> int:
        while id_ in self._gone:
            id_ = self._gone[id_]
        return id_

    # profiles at hand

    def _use(self, ids: set[int]) -> None:
        self._needed |= ids
        entries = self._entries
        for id_ in ids:
            entries[id_] = entries.pop(id_)

    def _load_holders(self, identifiers: Collection[Identifier]) -> None:
        if identifiers:
            self._take_in(self._store.load_holders(identifiers))

    def _take_in(self, found: Iterable[Kept]) -> None:
        entries, holders = self._entries, self._holders
        for profile, due_at_ms, size in found:
            entries[profile.id] = _Entry(profile, due_at_ms, size)
            self._size += size
            self._needed.add(profile.id)
            for one in profile.identifiers:
                holders[one] = profile


def earlier(one: int | None, other: int | None) -> int | None:
    """The earlier of two instants; None is never."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _record(profile: Profile) -> bytes:
    """The profile as it is stored, which has room for whole numbers of 64 bits and no bottomless nesting.

    Larger numbers, which JSON allows, become what a double makes of them, what is nested deeper becomes
    null, in the profile too: what is computed must not depend on whether it was stored in between.
    """
    try:
        return _encode(profile)
    except (OverflowError, RecursionError):
        record = _encode(_storable(profile, _NESTING))
    stored = _decode(record)
    for field in Profile.__struct_fields__:
        setattr(profile, field, getattr(stored, field))
    return record


def _storable(value: Any, levels: int) -> Any:
    if not levels:
        return None
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.astuple(value)
    if isinstance(value, dict):
        return {key: _storable(one, levels - 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(one, levels - 1) for one in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return float(value) if abs(value) < 2**1023 else None
    return value
