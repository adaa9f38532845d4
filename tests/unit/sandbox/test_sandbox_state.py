"""What Heap would hold in the end."""

from typing import Any

import msgspec

from headgate.sandbox.options import Options
from headgate.sandbox.state import MONTH_MS, Applied, Arrival, Store, User
from headgate.sandbox.writes import (
    Migrate,
    SetAccountProperties,
    SetUserProperties,
    TrackEvent,
    Who,
    Write,
)

ANN = Who("ann", None)


def make_store(**options: int) -> Store:
    return Store(Options(**options))  # type: ignore[arg-type]


def track(who: Who = ANN, key: str | None = None, event: str = "E", **properties: Any) -> Write:
    return TrackEvent(who, event, None, properties, key, None)


def apply(store: Store, *writes: Write, app_id: str = "1", now_ms: int = 0) -> Applied:
    return store.apply(app_id, writes, Arrival(1, "2026-11-23T10:00:00.000Z", now_ms))


def the_user(store: Store, identity: str = "ann", app_id: str = "1") -> User:
    [user] = store.find(identity, app_id)
    return user


def names(user: User) -> list[str]:
    return [event.event for event in user.events]


def test_events_are_kept_in_order_of_arrival_under_their_user() -> None:
    store = make_store()
    apply(store, track(event="A"), track(Who("bob", None), event="B"), track(event="C"))
    assert names(the_user(store)) == ["A", "C"]
    assert [event.event for _, event in store.events()] == ["A", "B", "C"]


def test_an_event_without_timestamp_happened_when_it_arrived() -> None:
    store = make_store()
    apply(store, track(key="k", price=1))
    assert msgspec.json.decode(the_user(store).events[0].encoded) == {
        "event": "E",
        "timestamp": "2026-11-23T10:00:00.000Z",
        "request": 1,
        "at": "2026-11-23T10:00:00.000Z",
        "properties": {"price": 1},
        "idempotency_key": "k",
    }


def test_a_repeated_key_changes_nothing_within_its_app() -> None:
    store = make_store()
    assert apply(store, track(key="k"), track(key="k", event="Other")).duplicates == 1
    assert apply(store, track(key="k")) == Applied(stored=0, duplicates=1)
    assert apply(store, track(key="k"), app_id="2").stored == 1
    assert names(the_user(store)) == ["E"]
    assert store.tally.duplicates == 2
    assert store.tally.duplicate_examples[0]["idempotency_key"] == "k"


def test_a_key_is_remembered_after_its_event_has_been_dropped() -> None:
    store = make_store(events_kept=1)
    apply(store, track(key="a"), track(key="b"))
    assert apply(store, track(key="a")).duplicates == 1


def test_events_kept_are_bounded_and_totals_are_not() -> None:
    store = make_store(events_kept=5, events_kept_per_user=3)
    apply(store, *[track(event=str(n)) for n in range(4)])
    assert names(the_user(store)) == ["1", "2", "3"]
    apply(store, *[track(Who("bob", None)) for _ in range(4)])
    assert names(the_user(store)) == ["3"]
    assert len(store.kept) == 5
    assert the_user(store).events_total == 4
    assert store.tally.events == 8


def test_the_last_write_of_a_property_wins() -> None:
    store = make_store()
    apply(store, SetUserProperties(ANN, {"plan": "free", "n": 1}))
    apply(store, SetUserProperties(ANN, {"plan": "paid"}))
    assert the_user(store).properties == {"plan": "paid", "n": 1}


def test_accounts_hold_their_properties() -> None:
    store = make_store()
    apply(store, SetAccountProperties("acme", {"a": 1}), SetAccountProperties("acme", {"b": 2}))
    assert store.apps["1"].accounts == {"acme": {"a": 1, "b": 2}}


def test_migration_moves_the_events_of_a_user_id_in_order() -> None:
    store = make_store()
    device = Who(None, "7")
    apply(store, track(device, event="A"), track(event="B"), track(device, event="C"))
    assert apply(store, Migrate("7", "ann")).stored == 1
    apply(store, track(device, event="D"))
    user = the_user(store)
    assert names(user) == ["A", "B", "C", "D"]
    assert user.events_total == 4
    assert user.user_ids == ["7"]
    assert store.find("7", "1") == [user]
    assert {owner.number for owner, _ in store.events()} == {user.number}


def test_a_user_id_has_one_identity_for_ever() -> None:
    store = make_store()
    apply(store, track(Who(None, "7")), Migrate("7", "ann"))
    assert apply(store, Migrate("7", "bob")).ignored == 1
    assert apply(store, Migrate("7", "ann")).stored == 1
    assert store.find("bob") == []


def test_an_identity_takes_ten_user_ids_a_month() -> None:
    store = make_store()
    for number in range(10):
        assert apply(store, Migrate(str(number), "ann")).stored == 1
    assert apply(store, Migrate("10", "ann")).ignored == 1
    assert apply(store, Migrate("11", "ann"), now_ms=MONTH_MS).stored == 1


def test_a_deleted_user_is_gone_with_its_events() -> None:
    store = make_store()
    apply(store, track(), track(Who("bob", None)), SetUserProperties(ANN, {"a": 1}))
    store.delete("1", [ANN, Who("nobody", None)])
    assert store.find("ann") == []
    assert len(list(store.events())) == 1
    apply(store, track())
    assert the_user(store).properties == {}


def test_a_sequence_that_falls_is_seen_across_events_and_properties() -> None:
    store = make_store()
    apply(store, SetUserProperties(ANN, {"sandbox_sequence": 1}), track(sandbox_sequence=2))
    apply(store, track(Who("bob", None), sandbox_sequence=1))
    assert store.tally.sequence_fell == 0
    apply(store, SetUserProperties(ANN, {"sandbox_sequence": 1}))
    assert (store.tally.sequence_checked, store.tally.sequence_fell) == (4, 1)
    assert store.tally.fell_examples[0] == {
        "app_id": "1", "user": "ann", "was": 2, "now": 1, "request": 1
    }  # fmt: skip
