"""Engage's engine as such: batches, damage, failures, time, sweeps, and what it counts.

What computations come to is the model's to check (`tests/model/test_engage_model.py`).
"""

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from factories import NOW_MS, arrival, message
from headgate.clock import ManualClock
from headgate.engage.computation.model import Computation
from headgate.engage.computation.program import Program
from headgate.engage.engine import Engine
from headgate.engage.identifies import Told
from headgate.engage.plan import Plan
from headgate.engage.profile import Identifier
from headgate.engage.rules import Rules
from headgate.engage.step import UNDELIVERABLE
from headgate.engage.store import EngageStore
from headgate.eventlog.interface import Arrival
from headgate.eventlog.memory import MemoryStorage, memory_log
from headgate.language.parser import parse
from headgate.spec.names import CALL_TYPE_CODES, TRACK

DAY_S = 86_400
BUYERS, ORDERS, VIEWS = 1, 2, 3
DEFINITIONS = {
    BUYERS: "event('Order Completed').within(30 days).count() >= 1",
    ORDERS: "event('Order Completed').count()",
    VIEWS: "event('Product Viewed').count()",
}
KEYS = {BUYERS: "buyers", ORDERS: "orders", VIEWS: "views"}


class FailingStore(EngageStore):
    """A store of which one commit fails: the one behind so many that do not."""

    fails_after: int | None = None

    def land(self) -> None:
        if self.fails_after == 0:
            self.fails_after = None
            self._db.execute("ROLLBACK")
            raise sqlite3.OperationalError("disk I/O error")
        if self.fails_after is not None:
            self.fails_after -= 1
        super().land()


class House:
    """An engine beside a log in memory, in a directory; it can be started again."""

    def __init__(self, directory: Path) -> None:
        self.clock = ManualClock(NOW_MS)
        self.storage = MemoryStorage()
        self.log = memory_log(self.clock, self.storage)
        self._path = directory / "engage.db"
        self.plan = plan()
        self.start()

    def start(self) -> None:
        """A process that knows what is on disk."""
        self.store = FailingStore(self._path)
        self.engine = Engine(event_log=self.log, store=self.store, clock=self.clock)
        self.engine.use(self.plan)

    def restart(self) -> None:
        """The process dies, and another one begins."""
        self.store.close()
        self.start()

    def use(self, **fields: Any) -> None:
        """Another plan."""
        self.plan = plan(**fields)
        self.engine.use(self.plan)

    def order(self, *users: str) -> None:
        """A block of orders, one of each of these users."""
        n = self.log.last_seq()
        ids = [f"m{n + at}" for at in range(len(users))]
        raws = [message(one, userId=user) for one, user in zip(ids, users, strict=True)]
        types = bytearray([CALL_TYPE_CODES[TRACK]] * len(ids))
        envelope = arrival("m", received_at_ms=self.clock.now_ms()).envelope
        self.log.append([Arrival(envelope, raws, ids, list(users), types)])

    def say(self, **fields: Any) -> None:
        """A block of one message."""
        message_id = f"m{self.log.last_seq()}"
        one = arrival(message_id, received_at_ms=self.clock.now_ms())
        one.raws[0] = message(message_id, **fields)
        self.log.append([one])

    def told(self) -> list[tuple[str, str, Any]]:
        """(user, key, value) of what waits for the log, which takes it."""
        rows = self.store.outbox(100_000)
        self.store.taken([row.number for row in rows])
        return [
            (row.user_id, key, value)
            for row in rows
            for key, value in msgspec.json.decode(row.raw)["traits"].items()
        ]

    def behind(self) -> dict[str, bool]:
        """Of whom something waits for the log, and whether it stands behind."""
        return {row.user_id: row.behind for row in self.store.outbox(100)}

    def orders_of(self, user: str) -> Any:
        """What the number of orders is kept as."""
        profile = self.store.find(Identifier("user_id", user))
        return profile and profile.values.get(ORDERS)

    def undeliverable(self) -> Mapping[int, int]:
        """How many members cannot be told of, by computation."""
        counters = self.store.counters()
        return {number: n for number in KEYS if (n := counters.get(f"{UNDELIVERABLE}{number}", 0))}


def plan(**fields: Any) -> Plan:
    """All computations, live, told to one Heap at once."""
    leaves: dict[str, int] = {}
    program = Program(
        [
            Computation(number, KEYS[number], kind_of(number), parse(text), NOW_MS)
            for number, text in DEFINITIONS.items()
        ],
        lambda text: leaves.setdefault(text, len(leaves) + 1),
    )
    told = [Told(n, key, n == BUYERS, key, "heap", "Heap") for n, key in KEYS.items()]
    usual: dict[str, Any] = {
        "program": program,
        "live": frozenset(DEFINITIONS),
        "preparing": False,
        "audiences": frozenset({BUYERS}),
        "told": tuple(told),
        "rules": Rules(),
        "sync_interval_ms": 0,
    }
    return Plan(**(usual | fields))


def kind_of(number: int) -> Any:
    """Of a computation."""
    return "audience" if number == BUYERS else "trait"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Somebody lives here."""
    made = House(tmp_path)
    yield made
    made.store.close()


def test_whatever_waits_is_read_in_batches_to_the_end(house: House) -> None:
    """More than one call takes in; every message is counted once, and known by its owner."""
    users = [f"u{n % 700}" for n in range(23_100)]
    for first in range(0, len(users), 770):
        house.order(*users[first : first + 770])
    calls = 0
    while house.engine.read():
        calls += 1
    assert calls > 1
    assert house.engine.read_to == house.store.position().seq == 23_100
    assert {house.orders_of(user) for user in set(users)} == {33}
    assert sum(one.n for one in house.store.assigned(0, 1_000)) == 23_100
    assert house.store.sizes() == {BUYERS: 700, ORDERS: 700}


def test_a_value_that_changes_within_a_batch_is_told_as_it_is_in_the_end(house: House) -> None:
    """And not again when the next batch leaves it alone."""
    house.order("ann", "ann", "ann")
    house.engine.read()
    assert sorted(house.told()) == [("ann", "buyers", True), ("ann", "orders", 3)]
    house.order("bob")
    house.say(userId="ann", event="Something Else")
    house.engine.read()
    assert sorted(house.told()) == [("bob", "buyers", True), ("bob", "orders", 1)]


def test_all_that_a_batch_says_of_somebody_is_told(house: House) -> None:
    """Whichever computations its messages concern, of somebody who is known already."""
    house.order("ann")
    house.engine.read()
    house.told()
    house.order("ann")
    house.say(userId="ann", event="Product Viewed")
    house.engine.read()
    assert sorted(house.told()) == [("ann", "orders", 2), ("ann", "views", 1)]


def test_a_damaged_block_is_passed_over(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """What comes before and behind it counts, and the log says what is missing."""
    house.order("ann")
    house.order("ann", "ann")
    house.order("ann")
    house.storage._blocks[1] = house.storage._blocks[1]._replace(payload=b"?")
    while house.engine.read():
        pass
    assert (house.orders_of("ann"), house.store.position().seq) == (2, 4)
    assert "block 2 to 3 is broken" in caplog.text


@pytest.mark.parametrize("landed", [0, 1])
def test_a_commit_that_fails_loses_nothing_and_doubles_nothing(
    house: House, landed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of a call's, while the second is read; and the second."""
    monkeypatch.setattr("headgate.engage.engine._MESSAGES_AT_ONCE", 5_000)
    for _ in range(12):
        house.order(*["ann", "bob"] * 500)
    house.store.fails_after = landed
    with pytest.raises(sqlite3.OperationalError, match="I/O"):
        house.engine.read()
    assert house.store.position().seq == 5_000 * landed
    while house.engine.read():
        pass
    assert (house.orders_of("ann"), house.orders_of("bob")) == (6_000, 6_000)
    assert house.store.sizes() == {BUYERS: 2, ORDERS: 2}
    told = house.told()
    assert told.count(("ann", "buyers", True)) == 1
    assert {(user, key): value for user, key, value in told}["ann", "orders"] == 6_000


def test_a_store_that_is_locked_for_a_while_loses_nothing(house: House, tmp_path: Path) -> None:
    """The first half of a commit fails then."""
    house.store._db.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(tmp_path / "engage.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    house.order("ann", "ann")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        house.engine.read()
    other.execute("ROLLBACK")
    other.close()
    house.engine.read()
    assert house.orders_of("ann") == 2
    assert sorted(house.told()) == [("ann", "buyers", True), ("ann", "orders", 2)]


def test_what_time_alone_brings_about_comes_at_its_instant(house: House) -> None:
    """Not a millisecond before, and once."""
    house.order("ann")
    house.engine.read()
    house.told()
    assert house.engine.due_at_ms() == NOW_MS + 30 * DAY_S * 1000
    house.clock.advance(30 * DAY_S - 0.001)
    assert not house.engine.let_time_pass()
    house.clock.advance(0.001)
    assert house.engine.let_time_pass()
    assert house.told() == [("ann", "buyers", False)]
    assert house.store.sizes() == {BUYERS: 0, ORDERS: 1}
    assert not house.engine.let_time_pass()
    assert house.engine.due_at_ms() is None


def test_a_timer_that_a_failed_commit_has_met_goes_off_again(house: House) -> None:
    """After a restart as well."""
    house.order("ann")
    house.engine.read()
    house.told()
    house.clock.advance(30 * DAY_S)
    house.store.fails_after = 0
    with pytest.raises(sqlite3.OperationalError):
        house.engine.let_time_pass()
    house.restart()
    assert house.engine.let_time_pass()
    assert house.told() == [("ann", "buyers", False)]


def test_between_two_syncs_nothing_is_told(house: House) -> None:
    """At the next one the newest value is, once; what has come and gone is not."""
    house.use(sync_interval_ms=3_600_000)
    house.order("ann")
    house.engine.read()
    house.clock.advance(60)
    house.order("ann")
    house.engine.read()
    assert house.told() == []
    next_sync_ms = (NOW_MS // 3_600_000 + 1) * 3_600_000
    assert house.engine.due_at_ms() == next_sync_ms
    house.restart()
    house.clock.advance((next_sync_ms - house.clock.now_ms()) / 1000)
    assert house.engine.let_time_pass()
    assert sorted(house.told()) == [("ann", "buyers", True), ("ann", "orders", 2)]
    house.clock.advance(60)
    house.order("ann")
    house.engine.read()
    assert house.told() == []
    house.clock.advance(3_600 - 60)
    assert house.engine.let_time_pass()
    assert house.told() == [("ann", "orders", 3)]


def test_members_without_a_user_id_are_counted_and_told_once_they_have_one(house: House) -> None:
    """As undeliverable until then."""
    house.say(userId=None, anonymousId="x")
    house.say(userId=None, anonymousId="y")
    house.engine.read()
    assert house.store.sizes() == {BUYERS: 2, ORDERS: 2}
    assert house.undeliverable() == {BUYERS: 2, ORDERS: 2}
    assert house.told() == []
    house.say(type="identify", userId="ann", anonymousId="x")
    house.engine.read()
    assert house.store.sizes() == {BUYERS: 2, ORDERS: 2}
    assert house.undeliverable() == {BUYERS: 1, ORDERS: 1}
    assert sorted(house.told()) == [("ann", "buyers", True), ("ann", "orders", 1)]


def test_two_who_become_one_are_counted_once(house: House) -> None:
    """Whichever of them had a userId; what is told is what both come to."""
    house.say(userId=None, anonymousId="x")
    house.order("ann")
    house.engine.read()
    house.told()
    house.say(type="identify", userId="ann", anonymousId="x")
    house.engine.read()
    assert house.store.sizes() == {BUYERS: 1, ORDERS: 1}
    assert house.undeliverable() == {}
    assert house.told() == [("ann", "orders", 2)]


def test_what_a_sweep_says_stands_behind_what_messages_and_time_say(house: House) -> None:
    """Nobody waits for it; of a user of whom something urgent is said, it does no longer."""
    house.use(told=())
    house.order("time")
    house.engine.read()
    house.clock.advance(29 * DAY_S)
    house.order("ann", "bob")
    house.engine.read()
    house.use()
    house.store.swept_to(0)
    assert house.engine.sweep()
    assert house.behind() == {"ann": True, "bob": True, "time": True}
    house.order("bob", "new")
    house.engine.read()
    assert house.behind() == {"ann": True, "bob": False, "new": False, "time": True}
    house.clock.advance(DAY_S)
    assert house.engine.let_time_pass()
    assert house.behind() == {"ann": True, "bob": False, "new": False, "time": False}


def test_what_is_told_at_the_end_of_an_interval_stands_behind(house: House) -> None:
    """It is about everybody of the interval at once."""
    house.use(sync_interval_ms=60_000)
    house.order("ann")
    house.engine.read()
    house.clock.advance(60)
    assert house.engine.let_time_pass()
    assert house.behind() == {"ann": True}


def test_a_sweep_goes_on_behind_a_restart_and_tells_everybody_once(house: House) -> None:
    """Of a log that was there before: while it is read, nothing is told; then everything is."""
    house.use(live=frozenset(), told=())
    users = [f"u{n}" for n in range(1_100)]
    house.order(*users)
    house.engine.read()
    assert (house.told(), house.store.sizes()) == ([], {})
    house.use()
    house.store.swept_to(0)
    assert house.engine.sweep()
    told = house.told()
    assert 0 < len(told) < 2 * len(users)
    house.restart()
    while house.engine.sweep():
        pass
    told += house.told()
    assert sorted(told) == sorted(
        [(user, "buyers", True) for user in users] + [(user, "orders", 1) for user in users]
    )
    assert house.store.sizes() == {BUYERS: 1_100, ORDERS: 1_100}


def test_a_calendar_that_is_set_back_changes_nothing(house: House) -> None:
    """Who has left does not come back, after a restart either."""
    house.order("ann")
    house.engine.read()
    house.clock.advance(30 * DAY_S)
    house.engine.let_time_pass()
    house.told()
    house.clock.jump(-30 * DAY_S)
    house.restart()
    assert house.engine.now_ms() == NOW_MS + 30 * DAY_S * 1000
    house.say(userId="ann", event="Something Else")
    house.engine.read()
    assert house.told() == []


def test_engages_own_messages_are_nobodys(house: House) -> None:
    """Nor are those that cannot be read."""
    one = arrival("m-own", source="engage/heap")
    broken = arrival("m-broken")
    broken.raws[0] = b"{"
    house.log.append([one, broken])
    house.engine.read()
    assert house.store.position().seq == 2
    assert house.store.profile_count() == 0
