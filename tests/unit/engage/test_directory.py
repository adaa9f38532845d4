"""The working set: the same people come of it however batches, memory and restarts fall."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import people
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_identity import NaivePeople
from people import about, anonymous, email, see, told, user

from headgate.engage.batch import Batch
from headgate.engage.directory import Directory
from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier, Profile, Write
from headgate.engage.reader import EngageReader
from headgate.engage.rules import Rules
from headgate.engage.store import EngageStore
from headgate.engage.violations import Violations


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EngageStore]:
    """An empty store."""
    with closing(EngageStore(tmp_path / "engage.db")) as made:
        yield made


def directory(store: EngageReader, *, kept: int = 100, rules: Rules | None = None) -> Directory:
    """A working set that keeps this many profiles from batch to batch."""
    rules = rules or Rules()
    return Directory(store, rules, people.merge_seen, Violations(), kept_profiles=kept)


def take(working: Directory, messages: Sequence[Observed]) -> list[Profile | None]:
    """Resolves a batch; every profile sees its messages."""
    working.prefetch(messages)
    profiles = []
    for message in messages:
        profile = working.resolve(message)
        if profile is not None:
            see(profile, message)
            working.changed(profile)
        profiles.append(profile)
    return profiles


def commit(store: EngageStore, working: Directory) -> None:
    """The batch is durable."""
    store.commit(Batch(0, 0, working.changes()))
    working.committed()


def one(working: Directory, *identifiers: Identifier, seq: int = 1) -> Profile:
    """The profile of a batch of one message."""
    (profile,) = take(working, [about(seq, *identifiers)])
    assert profile is not None
    return profile


@settings(max_examples=50, deadline=None)  # each commits to a disk
@given(
    messages=people.identifier_lists,
    limits=people.limits,
    sizes=st.lists(st.integers(1, 4), min_size=12, max_size=12),
    kept=st.sampled_from([0, 1, 100]),
    restarts=st.booleans(),
)
def test_batches_memory_and_restarts_make_no_difference(
    messages: list[list[Identifier]],
    limits: dict[str, int],
    sizes: list[int],
    kept: int,
    restarts: bool,
) -> None:
    """What is stored at the end is what the rules say of the messages in their order."""
    observed = [about(seq, *wanted) for seq, wanted in enumerate(messages, 1)]
    naive = NaivePeople(limits)
    for message in observed:
        naive.take(message.seq, message.identifiers)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(EngageStore(Path(folder, "e.db"))) as store,
    ):
        working = directory(store, kept=kept, rules=Rules(limits))
        while observed:
            size = sizes.pop()
            batch, observed = observed[:size], observed[size:]
            take(working, batch)
            commit(store, working)
            if restarts:
                working = directory(store, kept=kept, rules=Rules(limits))
        found = list(store.profiles())
        assert [told(profile) for profile in found] == [each.told() for each in naive.profiles]
        for profile in found:
            assert all(store.find(identifier) == profile for identifier in profile.identifiers)
        survivors = {profile.id for profile in found}
        assert set(store.merged().values()) <= survivors
        assert survivors | store.merged().keys() == set(range(1, store.position().last_profile + 1))


def test_who_is_to_be_evaluated_whole_is_told(store: EngageStore) -> None:
    """Those who are new, were merged or given an identifier in this batch, and are still there."""
    working = directory(store)
    take(working, [about(1, user("ann")), about(2, anonymous("x")), about(3, user("bob"))])
    assert list(working.reshaped) == [1, 2, 3]
    commit(store, working)
    assert working.reshaped == {}
    take(working, [about(4, user("bob")), about(5, user("ann"), anonymous("x"))])
    assert list(working.reshaped) == [1]
    assert working.is_gone(2)
    take(working, [about(6, user("bob"), email("bob@b"))])
    assert list(working.reshaped) == [1, 3]
    take(working, [about(7, user("eve")), about(8, user("eve"), anonymous("y"))])
    take(working, [about(9, email("z@z")), about(10, user("eve"), email("z@z"))])
    assert list(working.reshaped) == [1, 3, 4]


def test_merges_upon_merges_in_one_batch_lead_to_who_is_left(store: EngageStore) -> None:
    """Every number that ever was leads there."""
    working = directory(store)
    take(working, [about(1, user("ann")), about(2, anonymous("x")), about(3, email("ann@a"))])
    take(working, [about(4, email("ann@a"), anonymous("x")), about(5, user("ann"), anonymous("x"))])
    commit(store, working)
    assert store.merged() == {2: 1, 3: 1}


def test_what_changes_after_an_evaluation_is_stored(store: EngageStore) -> None:
    """Once it is told."""
    working = directory(store)
    ann = one(working, user("ann"))
    working.evaluated(ann, None, 0)
    ann.values[1] = True
    working.changed(ann)
    commit(store, working)
    assert store.find(user("ann")) == ann


def test_who_went_into_another_one_does_not_come_back(store: EngageStore) -> None:
    """Neither in the same batch nor while it is on its way into the store."""
    working = directory(store)
    take(working, [about(1, user("ann")), about(2, anonymous("x"))])
    commit(store, working)
    one(working, user("ann"), anonymous("x"), seq=3)
    assert [profile.id for profile in working.bring([1, 2])] == [1]
    changes = working.changes()
    assert [profile.id for profile in working.bring([1, 2])] == [1]
    store.commit(Batch(0, 0, changes))
    working.committed()
    assert [profile.id for profile in working.bring([2, 1])] == [1]


def test_the_next_batch_may_begin_before_the_last_one_is_durable(
    store: EngageStore, tmp_path: Path
) -> None:
    """Reading as of before it, through a connection of its own, with no room to keep anybody."""
    with closing(EngageReader(tmp_path / "engage.db")) as before:
        working = directory(before, kept=0)
        take(working, [about(1, user("ann")), about(2, anonymous("x"))])
        commit(store, working)
        take(working, [about(3, user("ann"), anonymous("x")), about(4, user("bob"))])
        store.write(Batch(0, 0, working.changes()))
        take(working, [about(5, anonymous("x")), about(6, user("bob"))])
        store.land()
        working.committed()
        assert working.resolve(about(7, anonymous("x"))) is not None
        commit(store, working)
    assert [told(profile) for profile in store.profiles()] == [
        ([anonymous("x"), user("ann")], [1, 2, 3, 5]),
        ([user("bob")], [4, 6]),
    ]


def test_after_a_failed_commit_it_starts_again_from_the_store(store: EngageStore) -> None:
    """With the same numbers."""
    working = directory(store)
    one(working, user("ann"))
    commit(store, working)
    take(working, [about(2, user("ann"), anonymous("x")), about(3, user("bob"))])
    working.changes()
    working.discard()
    assert working.reshaped == {}
    again = take(working, [about(2, user("bob")), about(3, anonymous("x"))])
    assert [profile.id for profile in again if profile] == [2, 3]


def test_a_deleted_person_is_forgotten_here_too(store: EngageStore) -> None:
    """Who comes under the same name is somebody new."""
    working = directory(store)
    ann = one(working, user("ann"))
    commit(store, working)
    store.forget(ann, {}, 0)
    working.drop(ann.id)
    assert one(working, user("ann")).id == 2


DUE_CASES = [
    # stored, until, at, whole, then due
    pytest.param(None, 50, 10, False, 50, id="the first"),
    pytest.param(None, None, 10, True, None, id="never"),
    pytest.param(60, 50, 10, False, 50, id="an earlier one"),
    pytest.param(60, 90, 10, True, 60, id="a later one: the timer may be early"),
    pytest.param(60, None, 10, True, 60, id="none any more: the timer may be early"),
    pytest.param(60, 90, 60, True, 90, id="the timer has come"),
    pytest.param(60, None, 60, True, None, id="the timer has come for the last time"),
    pytest.param(60, 90, 60, False, 60, id="the timer has come, not everything was evaluated"),
]


@pytest.mark.parametrize(("stored", "until", "at", "whole", "due"), DUE_CASES)
def test_a_timer_is_never_late_and_seldom_moved(
    store: EngageStore, stored: int | None, until: int | None, at: int, whole: bool, due: int | None
) -> None:
    """It moves to be earlier, or when it has come."""
    working = directory(store, kept=0)
    working.evaluated(one(working, user("ann")), stored, 0, whole=True)
    commit(store, working)
    working.evaluated(one(working, user("ann")), until, at, whole=whole)
    (written,) = working.changes().written
    assert written.due_at_ms == due
    assert written.is_due_new == (stored != due)


def test_a_merged_profile_is_due_when_either_was(store: EngageStore) -> None:
    """Whatever it is evaluated to."""
    working = directory(store)
    working.evaluated(one(working, user("ann")), 500, 0, whole=True)
    working.evaluated(one(working, anonymous("x")), 300, 0, whole=True)
    commit(store, working)
    one(working, user("ann"), anonymous("x"))
    commit(store, working)
    assert (store.earliest_due(), store.due(400, 10)) == (300, [1])


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (2**64 - 1, 2**64 - 1),
        (10**20, 1e20),
        ([{"n": -(10**20)}], [{"n": -1e20}]),
        (10**400, None),
        ({"a": 1, "b": "x", "c": [True, None]}, {"a": 1, "b": "x", "c": [True, None]}),
    ],
)
def test_numbers_of_any_size_can_be_stored(store: EngageStore, value: object, kept: object) -> None:
    """As a double where 64 bits are too few, in memory as in the store."""
    working = directory(store)
    ann = one(working, user("ann"))
    ann.traits["t"] = [Write(1, 2, "m", value)]
    commit(store, working)
    stored = store.find(user("ann"))
    assert stored == ann
    assert ann.traits["t"][0].value == kept
    assert type(ann.traits["t"][0].value) is type(kept)


def test_bottomless_nesting_can_be_stored(store: EngageStore) -> None:
    """Down to some level."""
    working = directory(store)
    ann = one(working, user("ann"))
    deep: list[object] = []
    for _ in range(5_000):
        deep = [deep]
    ann.traits["t"] = [Write(1, 2, "m", deep)]
    commit(store, working)
    assert store.find(user("ann")) == ann


def test_memory_is_bounded_by_count_and_by_bytes(store: EngageStore) -> None:
    """Who was needed last is kept."""
    working = Directory(
        store, Rules(), people.merge_seen, Violations(), kept_profiles=3, kept_bytes=10_000
    )
    for n in range(5):
        one(working, user(f"u{n}"), seq=n)
        commit(store, working)
    assert [n for n in range(5) if working.holder(user(f"u{n}"))] == [2, 3, 4]
    one(working, user("u2"))
    one(working, user("u9"))
    commit(store, working)
    assert [n for n in range(10) if working.holder(user(f"u{n}"))] == [2, 4, 9]
    one(working, user("u9")).traits["t"] = [Write(1, 2, "m", "x" * 9_990)]
    commit(store, working)
    assert [n for n in range(10) if working.holder(user(f"u{n}"))] == []
    one(working, user("u1"))
    commit(store, working)
    assert working.holder(user("u1"))
