"""What every privacy store does; runs over SQLite and over its in-memory twin."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace

from headgate.clock import ManualClock
from headgate.workspace.memory_privacy import MemoryPrivacyStore
from headgate.workspace.privacy import (
    Deletion,
    PrivacyStore,
    RemoteDeletion,
    RemoteState,
    Suppression,
    SuppressionChange,
)
from headgate.workspace.sqlite_privacy import SqlitePrivacyReader, SqlitePrivacyStore
from headgate.workspace.suppressed import SuppressedUsers

NOW_MS = 1_700_000_000_000
SCOPE = "https://heap 1"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS)


@pytest.fixture(params=["memory", "sqlite"])
def store(
    request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path
) -> Iterator[PrivacyStore]:
    """An empty store of each kind."""
    opened: PrivacyStore = (
        MemoryPrivacyStore(clock)
        if request.param == "memory"
        else SqlitePrivacyStore(tmp_path / "workspace.db", clock)
    )
    yield opened
    opened.close()


def test_nobody_is_suppressed_or_deleted_at_first(store: PrivacyStore) -> None:
    """And the store can be asked."""
    assert store.suppressed() == frozenset()
    assert store.suppression_change() == 0
    assert store.suppressions() == []
    assert store.suppression_changes("ann") == []
    assert store.deletions() == store.open_deletions() == store.deletions_in_engage() == []
    assert store.remote_deletions() == store.open_remote_deletions() == []


def test_every_suppression_and_its_end_is_recorded(store: PrivacyStore, clock: ManualClock) -> None:
    """Who did it and when, for each user; the list holds who is suppressed now."""
    assert store.suppress("bob", actor="root")
    clock.advance(1)
    assert store.suppress("ann", actor="root")
    clock.advance(1)
    assert store.unsuppress("bob", actor="eve")
    assert store.suppressed() == {"ann"}
    assert store.suppressions() == [Suppression("ann", NOW_MS + 1_000, "root")]
    assert store.suppression_changes("bob") == [
        SuppressionChange("bob", NOW_MS, "root", True),
        SuppressionChange("bob", NOW_MS + 2_000, "eve", False),
    ]
    assert store.suppression_change() == 3


def test_saying_it_twice_changes_nothing(store: PrivacyStore, clock: ManualClock) -> None:
    """The first suppression stands, and nobody has to read the list again."""
    assert store.suppress("ann", actor="root")
    clock.advance(1)
    assert not store.suppress("ann", actor="eve")
    assert not store.unsuppress("bob", actor="eve")
    assert store.suppressions() == [Suppression("ann", NOW_MS, "root")]
    assert store.suppression_change() == 1


@pytest.mark.parametrize("user_id", ["0", " ann ", "Ann", "größer 🦔", "a'b;--", "x" * 5_000])
def test_users_are_named_to_the_letter(store: PrivacyStore, user_id: str) -> None:
    """Case, spaces and other scripts make another user."""
    store.suppress("ann", actor="root")
    assert store.suppress(user_id, actor="root")
    assert store.suppressed() == {"ann", user_id}


def test_a_deletion_is_followed_to_its_end(store: PrivacyStore, clock: ManualClock) -> None:
    """Recorded, taken up, erased from delivery, erased from the log; the record stays."""
    asked = store.delete("ann", actor="root")
    assert asked == Deletion(1, "ann", NOW_MS, "root")
    store.take_up(17)
    clock.advance(1)
    store.facts_erased([1], [])
    clock.advance(1)
    assert store.open_deletions() == [
        replace(asked, cutoff_seq=17, facts_erased_at_ms=NOW_MS + 1_000)
    ]
    store.log_erased([1])
    assert store.open_deletions() == []
    assert store.deletions() == [
        replace(
            asked,
            cutoff_seq=17,
            facts_erased_at_ms=NOW_MS + 1_000,
            log_erased_at_ms=NOW_MS + 2_000,
        )
    ]


def test_engage_is_followed_beside_delivery_and_log(
    store: PrivacyStore, clock: ManualClock
) -> None:
    """What it knows first, then its history; each is marked once, whatever the log has come to."""
    asked = store.delete("ann", actor="root")
    store.history_erased([1])
    store.log_erased([1])
    assert store.open_deletions() == []
    left = replace(asked, log_erased_at_ms=NOW_MS)
    assert store.deletions_in_engage() == [left]
    store.engage_erased([1, 7])
    clock.advance(1)
    store.engage_erased([1])
    known_by_history = replace(left, engage_erased_at_ms=NOW_MS)
    assert store.deletions_in_engage() == [known_by_history]
    store.history_erased([1])
    assert store.deletions_in_engage() == []
    assert store.deletions() == [replace(known_by_history, history_erased_at_ms=NOW_MS + 1_000)]


def test_a_deletion_taken_up_keeps_its_messages(store: PrivacyStore) -> None:
    """What arrives afterwards belongs to the next deletion; a repeated step changes nothing."""
    store.delete("ann", actor="root")
    store.take_up(17)
    store.delete("ann", actor="root")
    store.take_up(20)
    store.take_up(30)
    assert [one.cutoff_seq for one in store.open_deletions()] == [17, 20]


def test_steps_are_marked_once(store: PrivacyStore, clock: ManualClock) -> None:
    """A step that is done again after a restart keeps its first time; others stay as they were."""
    store.delete("ann", actor="root")
    store.delete("bob", actor="root")
    store.facts_erased([1], [])
    clock.advance(1)
    store.facts_erased([1, 7], [])
    ann, bob = store.deletions()
    assert (ann.facts_erased_at_ms, bob.facts_erased_at_ms) == (NOW_MS, None)


def test_a_user_can_be_suppressed_and_deleted_in_one_step(store: PrivacyStore) -> None:
    """So that nothing new comes in between."""
    store.delete("ann", actor="root", suppress=True)
    assert store.suppressed() == {"ann"}
    assert [one.user_id for one in store.deletions()] == ["ann"]
    store.delete("ann", actor="root", suppress=True)
    assert store.suppression_change() == 1


def test_destinations_are_asked_once_delivery_has_forgotten(store: PrivacyStore) -> None:
    """What is to be asked is recorded with the step before it, and what they say replaces it."""
    store.delete("ann", actor="root")
    store.delete("bob", actor="root")
    asks = [remote(1, "ann"), remote(2, "bob"), remote(2, "bob", scope="https://heap 2")]
    store.facts_erased([1, 2], asks)
    assert store.open_remote_deletions() == store.remote_deletions() == asks
    failed = replace(asks[0], state=RemoteState.FAILED, answer="answered 401", attempts=9)
    complete = replace(asks[1], state=RemoteState.COMPLETE, request_id="7")
    store.record_remote([failed, complete])
    assert store.open_remote_deletions() == asks[2:]
    assert store.remote_deletions() == [failed, complete, asks[2]]


def test_a_step_that_is_done_again_asks_nobody_anew(store: PrivacyStore) -> None:
    """A worker that died after it may repeat it."""
    store.delete("ann", actor="root")
    store.facts_erased([1], [remote(1, "ann")])
    complete = remote(1, "ann", state=RemoteState.COMPLETE)
    store.record_remote([complete])
    store.facts_erased([1], [remote(1, "ann"), remote(1, "ann", scope="https://heap 2")])
    assert store.remote_deletions() == [complete, remote(1, "ann", scope="https://heap 2")]


def test_an_account_without_a_key_stays_open(store: PrivacyStore) -> None:
    """It is asked once somebody configures one."""
    store.delete("ann", actor="root")
    without = remote(1, "ann", state=RemoteState.NO_KEY)
    store.facts_erased([1], [without])
    assert store.open_remote_deletions() == [without]


def test_closing_twice_is_fine(store: PrivacyStore) -> None:
    """Whoever cleans up need not know whether somebody did."""
    store.close()
    store.close()


def test_the_list_in_memory_is_read_again_after_a_change_only(
    store: PrivacyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking costs a number; a hundred thousand users are read when one of them is new."""
    reads: list[frozenset[str]] = []
    suppressed = store.suppressed

    def counted() -> frozenset[str]:
        reads.append(suppressed())
        return reads[-1]

    monkeypatch.setattr(store, "suppressed", counted)
    users = SuppressedUsers(store)
    assert users() == frozenset()
    users.read()
    users.read()
    assert len(reads) == 1
    store.suppress("ann", actor="root")
    users.read()
    assert users() == {"ann"}
    assert len(reads) == 2


def test_a_command_beside_the_server_sees_what_it_records(tmp_path: Path) -> None:
    """Two writers take turns, and a reader needs no reopening."""
    path = tmp_path / "workspace.db"
    server, command = (SqlitePrivacyStore(path, ManualClock(NOW_MS)) for _ in range(2))
    reader = SqlitePrivacyReader(path)
    command.delete("ann", actor="root", suppress=True)
    server.take_up(3)
    command.delete("bob", actor="root")
    assert [one.cutoff_seq for one in reader.deletions()] == [3, None]
    assert reader.suppressed() == {"ann"}
    for opened in (server, command, reader):
        opened.close()


def remote(
    deletion_id: int, user_id: str, *, scope: str = SCOPE, state: RemoteState = RemoteState.ASKING
) -> RemoteDeletion:
    """How an account stands to a deletion."""
    return RemoteDeletion(deletion_id, user_id, scope, state, NOW_MS)


class TwinsAgree(RuleBasedStateMachine):
    """Both stores, told the same in the same order, answer every question alike."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock(NOW_MS)
        path = self.folder / f"{len(list(self.folder.iterdir()))}.db"
        self.stores: tuple[PrivacyStore, PrivacyStore] = (
            MemoryPrivacyStore(self.clock),
            SqlitePrivacyStore(path, self.clock),
        )

    users = st.sampled_from(["ann", "bob", ""])
    numbers = st.integers(1, 4)

    @rule(user=users, on=st.booleans())
    def suppress(self, user: str, on: bool) -> None:
        """On the list, or off it."""
        self.clock.advance(1)
        changes = [
            (store.suppress if on else store.unsuppress)(user, actor="x") for store in self.stores
        ]
        assert changes[0] == changes[1]

    @rule(user=users, suppress=st.booleans())
    def delete(self, user: str, suppress: bool) -> None:
        """A deletion, with or without suppression."""
        memory, sqlite = (store.delete(user, actor="x", suppress=suppress) for store in self.stores)
        assert memory == sqlite

    @rule(seq=st.integers(0, 9))
    def take_up(self, seq: int) -> None:
        """The gateway looks."""
        for store in self.stores:
            store.take_up(seq)

    @rule(ids=st.sets(numbers), state=st.sampled_from(RemoteState))
    def erase_facts(self, ids: set[int], state: RemoteState) -> None:
        """Delivery has forgotten some."""
        for store in self.stores:
            known = {one.id: one.user_id for one in store.deletions()}
            asks = [remote(n, known[n], state=state) for n in sorted(ids & known.keys())]
            store.facts_erased(ids, asks)

    @rule(ids=st.sets(numbers))
    def erase_log(self, ids: set[int]) -> None:
        """The log has forgotten some."""
        for store in self.stores:
            store.log_erased(ids)

    @rule(ids=st.sets(numbers))
    def erase_engage(self, ids: set[int]) -> None:
        """Engage has forgotten some."""
        for store in self.stores:
            store.engage_erased(ids)

    @rule(ids=st.sets(numbers))
    def erase_history(self, ids: set[int]) -> None:
        """Its history has forgotten some."""
        for store in self.stores:
            store.history_erased(ids)

    @invariant()
    def both_tell_the_same(self) -> None:
        """Whatever is asked."""
        memory, sqlite = self.stores
        assert memory.suppressed() == sqlite.suppressed()
        assert memory.suppression_change() == sqlite.suppression_change()
        assert memory.suppressions() == sqlite.suppressions()
        assert memory.suppression_changes("ann") == sqlite.suppression_changes("ann")
        assert memory.deletions() == sqlite.deletions()
        assert memory.open_deletions() == sqlite.open_deletions()
        assert memory.deletions_in_engage() == sqlite.deletions_in_engage()
        assert memory.remote_deletions() == sqlite.remote_deletions()
        assert memory.open_remote_deletions() == sqlite.open_remote_deletions()

    def teardown(self) -> None:
        for store in self.stores:
            store.close()


def test_the_twins_agree(tmp_path: Path) -> None:
    """Any sequence of changes leads both stores to the same answers."""
    TwinsAgree.folder = tmp_path
    run_state_machine_as_test(
        TwinsAgree, settings=settings(max_examples=20, stateful_step_count=10, deadline=None)
    )
