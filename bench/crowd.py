"""A crowd of people as Engage keeps them, and what they send: the shop's messages, by anybody of a million.

The profiles are not made message by message. Some thousand people live through two months of visits in
Engage's own engine; everybody else is a copy of one of them under another name.
"""

import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench import messages
from bench.gateway import SOURCE
from headgate.clock import Clock, ManualClock, SystemClock
from headgate.destinations.catalog import CATALOG
from headgate.engage.batch import Batch, Changes, Written
from headgate.engage.engine import Engine
from headgate.engage.planning import Planning
from headgate.engage.process import ENGAGE
from headgate.engage.profile import Profile
from headgate.engage.reader import Kept, key_of
from headgate.engage.store import EngageStore
from headgate.eventlog.interface import Arrival, LogReader
from headgate.eventlog.memory import memory_log
from headgate.sandbox.traffic import Message
from headgate.spec.message import Envelope
from headgate.spec.names import CALL_TYPE_CODES
from headgate.spec.timestamps import iso_ms
from headgate.stores import WORKSPACE
from headgate.workspace.sqlite_store import SqliteWorkspaceReader
from headgate.workspace.versions import Versions

MESSAGES_EACH = 10  # that the profiles are made of, on average

_NAME = b"pppppppppppp"  # the slot for a person's number, twelve digits
_TEMPLATES = 5_000
_AT_A_TIME = 5_000
_VISIT = 15  # messages
_DAYS = 60
_DAY_S = 86_400
_AT_ONCE = 50_000
_LARGE_ID = 1 << 31  # as msgpack, a head and four bytes, wherever a number fits into 32 bits


class Crowd:
    """What `people` persons send, one of them at a time, the messages of a shop in turn.

    `at_ms`: the time that the messages themselves name, if any.
    """

    def __init__(self, people: int, at_ms: int | None = None) -> None:
        self._people = people
        self._random = np.random.default_rng(1)
        own = [_of_somebody(one, at_ms) for one in messages.spoken(_TEMPLATES)]
        self.bodies = messages.templates(own)
        self._types = [CALL_TYPE_CODES[one["type"]] for one in own]
        self._knows = ["userId" in one for one in own]
        self._next = 0
        self._present = self._regulars(_AT_A_TIME)

    def anybody(self, count: int) -> list[int]:
        """The numbers of so many persons, everybody as often as everybody else."""
        found: list[int] = self._random.integers(0, self._people, count).tolist()
        return found

    def visitors(self, count: int) -> list[int]:
        """Whoever is in the shop: some thousand at once, each for fifteen messages or so.

        A fifth of the people come four times in five.
        """
        leaving = self._random.integers(0, _AT_A_TIME, count // _VISIT)
        self._present[leaving] = self._regulars(len(leaving))
        found: list[int] = self._random.choice(self._present, count).tolist()
        return found

    def _regulars(self, count: int) -> NDArray[np.int64]:
        places = (self._random.random(count) ** 7.2 * self._people).astype(np.int64)
        return places * 7_919 % self._people  # so that they are not all neighbours in the store

    def arrival(self, persons: Sequence[int], received_at_ms: int) -> Arrival:
        """A request with a message of each of these."""
        ids = messages.fresh_ids(len(persons))
        raws, users, types = [], [], bytearray()
        for person, message_id in zip(persons, ids, strict=True):
            at = self._next
            self._next = (at + 1) % len(self.bodies)
            raws.append(body_of(self.bodies[at], person).replace(messages.ID_SLOT, message_id))
            users.append(user_id(person) if self._knows[at] else "")
            types.append(self._types[at])
        envelope = Envelope(source=SOURCE, received_at_ms=received_at_ms, workspace_version=1)
        return Arrival(envelope, raws, [one.decode() for one in ids], users, types)


def user_id(person: int) -> str:
    """The userId of a person."""
    return f"user_{person:012d}"


def body_of(template: bytes, person: int) -> bytes:
    """A message of the crowd as this person sends it."""
    return template.replace(_NAME, b"%012d" % person)


def populate(data_dir: Path, people: int, models: int) -> None:
    """Gives a prepared directory's Engage so many profiles, copied from `models` that have a history."""
    with closing(EngageStore(data_dir / ENGAGE)) as store:
        made = [_Model(kept) for kept in _lived(store, data_dir, models, first=people)]
        last_profile = store.position().last_profile
        for first in range(0, people, _AT_ONCE):
            persons = range(first, min(first + _AT_ONCE, people))
            copies = [
                made[person % len(made)].copy(last_profile + 1 + person, person)
                for person in persons
            ]
            changes = Changes(
                [written for written, _ in copies],
                [one for _, held in copies for one in held],
                last_profile=last_profile + persons.stop,
            )
            store.commit(Batch(0, SystemClock().now_ms(), changes))


def engine_of(data_dir: Path, log: LogReader, store: EngageStore, clock: Clock) -> Engine:
    """An engine by the directory's workspace, every computation live."""
    engine = Engine(event_log=log, store=store, clock=clock)
    with closing(SqliteWorkspaceReader(data_dir / WORKSPACE)) as workspace:
        settings = {kind: one.settings for kind, one in CATALOG.items()}
        newest = Versions(workspace, catalog=settings, environment={}).newest().workspace
    planning = Planning(store, CATALOG, clock, lambda: 0)
    plan = planning.by(newest)
    engine.use(planning.ready(plan) or plan)
    return engine


def _lived(store: EngageStore, data_dir: Path, people: int, first: int) -> list[Kept]:
    """Persons numbered from `first` on, as the engine has made them of two months' messages."""
    now_ms = SystemClock().now_ms()
    clock = ManualClock(now_ms - _DAYS * _DAY_S * 1000 - _DAY_S * 500)
    crowd = Crowd(people)
    log = memory_log(clock)
    engine = engine_of(data_dir, log, store, clock)
    for _ in range(_DAYS):
        clock.advance(_DAY_S)
        persons = [first + one for one in crowd.anybody(people * MESSAGES_EACH // _DAYS)]
        log.append([crowd.arrival(persons, clock.now_ms())])
        engine.read()
    clock.advance((now_ms - clock.now_ms()) / 1000)
    store.swept_to(0)
    while engine.sweep():
        pass
    store.archived(engine.read_to)
    while waiting := store.outbox(_AT_ONCE):
        store.taken([row.number for row in waiting])
    return store.load(range(1, store.position().last_profile + 1))


class _Model:
    """A profile as it is copied: its record with places for a number and a name."""

    def __init__(self, kept: Kept) -> None:
        profile, self.due_at_ms, _ = kept
        profile.id = _LARGE_ID
        self._name = _name_in(profile)
        self._record = msgspec.msgpack.encode(profile)
        self._keys = [key_of(one) for one in profile.identifiers]

    def copy(self, id_: int, person: int) -> tuple[Written, list[tuple[str, int]]]:
        """The same for another person, and the keys that this one is found by."""
        name = b"%012d" % person
        record = self._record.replace(self._name, name)
        record = record[:2] + id_.to_bytes(4) + record[6:]
        held = [(key.replace(self._name.decode(), name.decode()), id_) for key in self._keys]
        return Written(id_, record, self.due_at_ms, True, True), held


def _name_in(profile: Profile) -> bytes:
    """The twelve digits that all identifiers of a person of the crowd share."""
    found = re.search(r"\d{12}", profile.identifiers[0].value)
    assert found is not None
    return found[0].encode()


def _of_somebody(message: Message, at_ms: int | None) -> Message:
    """The shop's message, of a person who is yet to be named."""
    name = _NAME.decode()
    first: Message = (
        {"properties": {}} if "properties" in message else {}
    )  # with a look to be recognised by
    ours = first | message | {"anonymousId": f"{name}-5eed-4a7e"}
    del ours["timestamp"]
    if at_ms is not None:
        ours["timestamp"] = iso_ms(at_ms)
    if "userId" in ours:
        ours["userId"] = f"user_{name}"
    if "traits" in ours and "email" in ours["traits"]:
        ours["traits"] = ours["traits"] | {"email": f"customer_{name}@example.com"}
    if ours.get("event") == "Product Viewed":
        ours["properties"] = {"look": messages.ID_SLOT.decode()} | ours["properties"]
    return ours
