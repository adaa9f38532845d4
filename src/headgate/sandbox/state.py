"""What Heap would hold in the end: users, properties, events, accounts, migrations, per app.

Events: a repeated idempotency_key changes nothing, for ever, within its app
(https://developers.heap.io/reference/track-1). Properties: the last write wins. Migration: one identity
per user_id, ten user_ids per identity and month, what exceeds that is ignored without an error
(https://developers.heap.io/reference/identify-1).

Every count is exact; the events that can be looked at are bounded, oldest dropped first.

While it stores, the store checks two promises: events whose key had come before are counted as
suppressed, and where properties hold a number named `sandbox_sequence`, it must not fall from one
write of a user to the next, events and properties alike.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from headgate.sandbox.options import Options
from headgate.sandbox.writes import (
    Migrate,
    SetAccountProperties,
    SetUserProperties,
    TrackEvent,
    Who,
    Write,
)

SEQUENCE = "sandbox_sequence"
MAX_USER_IDS_PER_IDENTITY = 10
MONTH_MS = 30 * 24 * 3600 * 1000
EXAMPLES = 100


class Arrival(msgspec.Struct, frozen=True):
    """The request a write came with: its number in the journal and its time."""

    request: int
    at: str
    now_ms: int


class Applied(msgspec.Struct):
    """What became of a request's writes, in rows."""

    stored: int = 0
    duplicates: int = 0
    ignored: int = 0


class StoredEvent(msgspec.Struct, gc=False):
    """An event as kept: `n` numbers all events in order of arrival, `encoded` is its JSON object."""

    n: int
    user: int
    event: str
    encoded: bytes


class User:
    """One Heap user. `number` is its place in order of first appearance."""

    def __init__(self, number: int, app_id: str, who: Who) -> None:
        self.number = number
        self.app_id = app_id
        self.identity = who.identity
        self.user_ids: list[str] = [] if who.user_id is None else [who.user_id]
        self.properties: dict[str, Any] = {}
        self.events: deque[StoredEvent] = deque()
        self.events_total = 0
        self.sequence: float | None = None
        self.migrated_ms: deque[int] = deque()

    @property
    def name(self) -> str:
        return self.identity if self.identity is not None else self.user_ids[0]


class App:
    """One environment at Heap."""

    def __init__(self) -> None:
        self.by_identity: dict[str, User] = {}
        self.by_user_id: dict[str, User] = {}
        self.keys: set[str] = set()
        self.accounts: dict[str, dict[str, Any]] = {}


class Tally:
    """Exact counts over everything stored, with the latest few cases of what stands out."""

    def __init__(self) -> None:
        self.events = 0
        self.without_key = 0
        self.duplicates = 0
        self.property_writes = 0
        self.migrations = 0
        self.deleted_users = 0
        self.sequence_checked = 0
        self.sequence_fell = 0
        self.duplicate_examples: deque[dict[str, Any]] = deque(maxlen=EXAMPLES)
        self.fell_examples: deque[dict[str, Any]] = deque(maxlen=EXAMPLES)


class Store:
    """The effective state. Not shared between threads."""

    def __init__(self, options: Options) -> None:
        self._kept_limit = options.events_kept
        self._kept_per_user = options.events_kept_per_user
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.apps: dict[str, App] = {}
        self.users: dict[int, User] = {}
        self.kept: deque[StoredEvent] = deque()
        self.tally = Tally()
        self._numbers = itertools.count(1)

    def apply(self, app_id: str, writes: Iterable[Write], arrival: Arrival) -> Applied:
        """Carry out the writes of one accepted request, in order."""
        app = self.apps.get(app_id)
        if app is None:
            app = self.apps[app_id] = App()
        applied = Applied()
        for write in writes:
            if type(write) is TrackEvent:
                self._add_event(app_id, app, write, arrival, applied)
            elif type(write) is SetUserProperties:
                self._set_properties(app_id, app, write, arrival, applied)
            elif type(write) is SetAccountProperties:
                app.accounts.setdefault(write.account_id, {}).update(write.properties)
                applied.stored += 1
            elif type(write) is Migrate:
                self._migrate(app_id, app, write, arrival, applied)
        return applied

    def find(self, identity: str, app_id: str | None = None) -> list[User]:
        """The users of this identity, or of this user id, at most one in an app."""
        apps = self.apps.values() if app_id is None else [self.apps.get(app_id, App())]
        found = (app.by_identity.get(identity) or app.by_user_id.get(identity) for app in apps)
        return [user for user in found if user is not None]

    def delete(self, app_id: str, users: Iterable[Who]) -> None:
        """Forget users and their events; a later write makes new ones. Unknown users are fine."""
        app = self.apps.get(app_id, App())
        for who in users:
            user = self._lookup(app, who)
            if user is not None:
                self._unlist(user)
                self.tally.deleted_users += 1
        self.kept = deque(event for event in self.kept if event.user in self.users)

    def events(self) -> Iterator[tuple[User, StoredEvent]]:
        """The events still kept, in order of arrival."""
        return ((self.users[event.user], event) for event in self.kept)

    def _add_event(
        self, app_id: str, app: App, write: TrackEvent, arrival: Arrival, applied: Applied
    ) -> None:
        tally = self.tally
        if write.key is None:
            tally.without_key += 1
        elif write.key in app.keys:
            self._suppress(app_id, write.key, arrival)
            applied.duplicates += 1
            return
        else:
            app.keys.add(write.key)
        user = self._user(app_id, app, write.who)
        if SEQUENCE in write.properties:
            self._check_sequence(user, write.properties, arrival)
        tally.events += 1
        user.events_total += 1
        applied.stored += 1
        self._keep(
            user, StoredEvent(tally.events, user.number, write.event, _encode(write, arrival))
        )

    def _keep(self, user: User, event: StoredEvent) -> None:
        user.events.append(event)
        if len(user.events) > self._kept_per_user:
            user.events.popleft()
        self.kept.append(event)
        if len(self.kept) > self._kept_limit:
            oldest = self.kept.popleft()
            owner = self.users[oldest.user]
            if owner.events and owner.events[0] is oldest:
                owner.events.popleft()

    def _suppress(self, app_id: str, key: str, arrival: Arrival) -> None:
        self.tally.duplicates += 1
        self.tally.duplicate_examples.append(
            {"app_id": app_id, "idempotency_key": key, "request": arrival.request}
        )

    def _set_properties(
        self, app_id: str, app: App, write: SetUserProperties, arrival: Arrival, applied: Applied
    ) -> None:
        user = self._user(app_id, app, write.who)
        if SEQUENCE in write.properties:
            self._check_sequence(user, write.properties, arrival)
        user.properties.update(write.properties)
        self.tally.property_writes += 1
        applied.stored += 1

    def _check_sequence(self, user: User, properties: dict[str, Any], arrival: Arrival) -> None:
        now, was = properties[SEQUENCE], user.sequence
        if not isinstance(now, int | float):
            return
        self.tally.sequence_checked += 1
        user.sequence = now
        if was is not None and now < was:
            self.tally.sequence_fell += 1
            self.tally.fell_examples.append(
                {
                    "app_id": user.app_id,
                    "user": user.name,
                    "was": was,
                    "now": now,
                    "request": arrival.request,
                }
            )

    def _migrate(
        self, app_id: str, app: App, write: Migrate, arrival: Arrival, applied: Applied
    ) -> None:
        source = self._user(app_id, app, Who(None, write.user_id))
        if source.identity is not None:
            applied.stored += source.identity == write.identity
            applied.ignored += source.identity != write.identity
            return
        target = self._user(app_id, app, Who(write.identity, None))
        while target.migrated_ms and target.migrated_ms[0] <= arrival.now_ms - MONTH_MS:
            target.migrated_ms.popleft()
        if len(target.migrated_ms) >= MAX_USER_IDS_PER_IDENTITY:
            applied.ignored += 1
            return
        target.migrated_ms.append(arrival.now_ms)
        self._merge(source, target)
        app.by_user_id[write.user_id] = target
        self.tally.migrations += 1
        applied.stored += 1

    def _merge(self, source: User, target: User) -> None:
        """Move an anonymous user's events to an identified one; the latter's properties win."""
        for event in source.events:
            event.user = target.number
        if source.events_total > len(source.events):
            # Events dropped from the user's own list may still be in the common one.
            for event in self.kept:
                if event.user == source.number:
                    event.user = target.number
        both = sorted((*source.events, *target.events), key=lambda event: event.n)
        target.events = deque(both[-self._kept_per_user :])
        target.events_total += source.events_total
        target.properties = source.properties | target.properties
        target.user_ids += source.user_ids
        del self.users[source.number]

    def _user(self, app_id: str, app: App, who: Who) -> User:
        user = self._lookup(app, who)
        if user is not None:
            return user
        user = User(next(self._numbers), app_id, who)
        self.users[user.number] = user
        if who.identity is not None:
            app.by_identity[who.identity] = user
        elif who.user_id is not None:
            app.by_user_id[who.user_id] = user
        return user

    def _lookup(self, app: App, who: Who) -> User | None:
        if who.identity is not None:
            return app.by_identity.get(who.identity)
        return app.by_user_id.get(who.user_id or "")

    def _unlist(self, user: User) -> None:
        app = self.apps[user.app_id]
        if user.identity is not None:
            del app.by_identity[user.identity]
        for user_id in user.user_ids:
            del app.by_user_id[user_id]
        del self.users[user.number]


class _Event(msgspec.Struct, omit_defaults=True):
    event: str
    timestamp: str
    request: int
    at: str
    properties: dict[str, Any]
    idempotency_key: str | None = None
    session_id: str | None = None


_encoder = msgspec.json.Encoder()


def _encode(write: TrackEvent, arrival: Arrival) -> bytes:
    """The event as people see it; without a timestamp it happened when it arrived, as documented."""
    return _encoder.encode(
        _Event(
            write.event,
            write.timestamp or arrival.at,
            arrival.request,
            arrival.at,
            write.properties,
            write.key,
            write.session_id,
        )
    )
