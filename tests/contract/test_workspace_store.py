"""What every workspace store does; runs over SQLite and over its in-memory twin."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from headgate.clock import ManualClock
from headgate.workspace.document import encoded
from headgate.workspace.errors import Conflict, InvalidWorkspace, UnknownVersion
from headgate.workspace.memory_store import MemoryWorkspaceStore
from headgate.workspace.model import Document
from headgate.workspace.sqlite_store import SqliteWorkspaceStore
from headgate.workspace.store import DestinationStay, WorkspaceStore

NOW_MS = 1_700_000_000_000


def document(*slugs: str, name: str = "API") -> Document:
    """A document with one source and these destinations."""
    return {
        "sources": [{"slug": "api", "name": name, "writeKeys": ["${KEY}"]}],
        "destinations": [{"slug": slug, "sourceId": "api"} for slug in slugs],
    }


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_MS)


@pytest.fixture(params=["memory", "sqlite"])
def store(
    request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path
) -> Iterator[WorkspaceStore]:
    """An empty store of each kind."""
    opened: WorkspaceStore = (
        MemoryWorkspaceStore(clock)
        if request.param == "memory"
        else SqliteWorkspaceStore(tmp_path / "workspace.db", clock)
    )
    yield opened
    opened.close()


def test_a_new_store_is_at_version_0_with_an_empty_document(store: WorkspaceStore) -> None:
    """Nothing was ever committed, yet there is something to read."""
    current = store.current()
    assert (current.number, current.document) == (0, {"sources": [], "destinations": []})
    assert store.at(0) == current
    assert store.destination_ids(0) == {}
    assert store.destination_history() == []
    assert store.applied_file_digest() is None


def test_every_version_is_kept(store: WorkspaceStore, clock: ManualClock) -> None:
    """Each commit adds a version; older ones stay as they were."""
    assert store.commit(document("a"), actor="apply") == 1
    clock.advance(60)
    assert store.commit(document("a", "b"), actor="ann") == 2
    first, second = store.at(1), store.at(2)
    assert (first.number, first.at_ms, first.actor) == (1, NOW_MS, "apply")
    assert (second.number, second.at_ms, second.actor) == (2, NOW_MS + 60_000, "ann")
    assert first.document == document("a")
    assert store.current() == second


def engaging(
    *audiences: tuple[str, str], traits: tuple[tuple[str, str], ...] = ()
) -> dict[str, Any]:
    """A document with these audiences and computed traits, by name and definition."""
    kinds = {"audiences": audiences, "computedTraits": traits}
    engage = {
        kind: [{"name": name, "definition": definition} for name, definition in items]
        for kind, items in kinds.items()
    }
    return {**document("a"), "engage": engage}


BOUGHT = "event('Bought').count() >= 1"
BUYERS = ("Buyers", BOUGHT)


def test_a_key_is_used_once(store: WorkspaceStore) -> None:
    """Also when its computation was removed versions ago, whatever the new one is; staying is not using."""
    store.commit(engaging(BUYERS), actor="apply")
    store.commit(engaging(BUYERS, ("Others", BOUGHT)), actor="apply")
    store.commit(engaging(("Others", BOUGHT)), actor="apply")
    store.commit(document("b"), actor="apply")
    before = store.current()
    for again in (
        engaging(BUYERS),
        engaging(("Shoppers", BOUGHT), ("BUYERS!", BOUGHT)),
        engaging(traits=(("Buyers", "event('Bought').count()"),)),
    ):
        with pytest.raises(InvalidWorkspace, match="never used, found buyers, the key of an aud"):
            store.commit(again, actor="apply")
        with pytest.raises(InvalidWorkspace):
            store.refuse_used_keys(again)
    assert store.current() == before
    store.commit(engaging(("Shoppers", BOUGHT)), actor="apply")


def test_a_key_that_is_in_use_does_not_go_to_another_kind(store: WorkspaceStore) -> None:
    """Its values would become others while they are members."""
    store.commit(engaging(BUYERS), actor="apply")
    with pytest.raises(InvalidWorkspace, match=r"engage\.computedTraits\[0\]\.name"):
        store.commit(engaging(traits=(("Buyers", "event('Bought').count()"),)), actor="apply")
    store.commit(engaging(("Buyers", "event('Bought').count() >= 2")), actor="apply")


def test_what_a_definition_reads_is_not_removed(store: WorkspaceStore) -> None:
    """Together with the definition, or once it reads something else, it is."""
    vip = ("VIP", "trait('buyers') = true")
    store.commit(engaging(BUYERS, vip), actor="apply")
    with pytest.raises(InvalidWorkspace, match=r"trait\('buyers'\), which this removes"):
        store.commit(engaging(vip), actor="apply")
    store.commit(engaging(("VIP", "trait('plan') = 'vip'")), actor="apply")


def test_a_commit_that_changes_nothing_makes_no_version(store: WorkspaceStore) -> None:
    """The same content in another order of keys is the same."""
    store.commit(document("a"), actor="apply")
    again = dict(reversed(document("a").items()))
    assert store.commit(again, actor="ann") == 1
    assert store.current().actor == "apply"


def test_committing_the_empty_workspace_first_makes_no_version(store: WorkspaceStore) -> None:
    """Version 0 is the empty workspace already."""
    assert store.commit({"sources": [], "destinations": []}, actor="apply") == 0


def test_a_commit_based_on_an_older_version_is_refused(store: WorkspaceStore) -> None:
    """Whoever decided on what is no longer there has to look again; nothing changes."""
    store.commit(document("a"), actor="apply", expected_version=0)
    sentence = "expected workspace version 0 to be the newest, found 1: look again"
    with pytest.raises(Conflict, match=sentence):
        store.commit(document("b"), actor="ann", expected_version=0, applied_digest="d")
    assert store.current().number == 1
    assert store.applied_file_digest() is None
    assert store.commit(document("b"), actor="ann", expected_version=1) == 2


@pytest.mark.parametrize("number", [-1, 2, 10**6])
def test_an_unknown_version_is_refused(store: WorkspaceStore, number: int) -> None:
    """Neither a document nor ids are made up."""
    store.commit(document("a"), actor="apply")
    with pytest.raises(UnknownVersion, match=f"no workspace version {number}"):
        store.at(number)
    with pytest.raises(UnknownVersion):
        store.destination_ids(number)


def test_the_applied_file_is_remembered_with_its_commit(store: WorkspaceStore) -> None:
    """Also when the file says what is stored already; a commit without a file leaves it alone."""
    store.commit(document("a"), actor="serve", applied_digest="one")
    assert store.applied_file_digest() == "one"
    store.commit(document("b"), actor="ann")
    assert store.applied_file_digest() == "one"
    assert store.commit(document("b"), actor="serve", applied_digest="two") == 2
    assert store.applied_file_digest() == "two"


def test_a_destination_keeps_its_id_while_its_slug_stays(store: WorkspaceStore) -> None:
    """Changes of settings, names and order do not make another destination of it."""
    store.commit(document("a", "b"), actor="apply")
    before = store.destination_ids(1)
    store.commit(document("b", "a", name="Other"), actor="apply")
    assert store.destination_ids(2) == before
    assert sorted(before) == ["a", "b"]


def test_a_destination_that_comes_back_is_a_new_one(store: WorkspaceStore) -> None:
    """What was owed to the removed one is never sent to the one that took its slug."""
    for slugs in (["a", "b"], ["b"], ["a", "b"]):
        store.commit(document(*slugs), actor="apply")
    first, second, third = (store.destination_ids(number) for number in (1, 2, 3))
    assert second == {"b": first["b"]}
    assert third["b"] == first["b"]
    assert third["a"] not in first.values()
    assert store.destination_history() == [
        DestinationStay(first["a"], "a", 1, 1),
        DestinationStay(first["b"], "b", 1, None),
        DestinationStay(third["a"], "a", 3, None),
    ]


def test_documents_come_back_as_they_went_in(store: WorkspaceStore) -> None:
    """Any JSON: other scripts, deep values, large numbers, variables as written."""
    written = document("a") | {"engage": {"x": ["größer", "🦔", None, 0.5, 2**53 - 1, {"": {}}]}}
    store.commit(written, actor="apply")
    assert store.current().document == written


def test_closing_twice_is_fine(store: WorkspaceStore) -> None:
    """Whoever cleans up need not know whether somebody did."""
    store.close()
    store.close()


class TwinsAgree(RuleBasedStateMachine):
    """Both stores, given the same commits in the same order, answer every question alike."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        clock = ManualClock(NOW_MS)
        names = len(list(self.folder.iterdir()))
        self.memory = MemoryWorkspaceStore(clock)
        self.sqlite = SqliteWorkspaceStore(self.folder / f"{names}.db", clock)

    @rule(
        slugs=st.lists(st.sampled_from("abc"), unique=True),
        name=st.sampled_from(["API", "Api"]),
        expected=st.none() | st.integers(0, 5),
        digest=st.none() | st.sampled_from(["one", "two"]),
    )
    def commit(self, slugs: list[str], name: str, **options: Any) -> None:
        """Commit to both; both answer, or both refuse."""
        answers = [
            self._answer(store, document(*slugs, name=name), **options)
            for store in (self.memory, self.sqlite)
        ]
        assert answers[0] == answers[1]

    def _answer(
        self, store: WorkspaceStore, written: Document, expected: int | None, digest: str | None
    ) -> int | str:
        try:
            return store.commit(
                written, actor="x", expected_version=expected, applied_digest=digest
            )
        except Conflict as conflict:
            return str(conflict)

    @invariant()
    def both_tell_the_same(self) -> None:
        """Every version, its ids, and the history."""
        newest = self.memory.current().number
        assert self.sqlite.current() == self.memory.current()
        assert self.sqlite.applied_file_digest() == self.memory.applied_file_digest()
        assert self.sqlite.destination_history() == self.memory.destination_history()
        for number in range(newest + 1):
            at = self.memory.at(number)
            assert encoded(self.sqlite.at(number).document) == encoded(at.document)
            ids = self.memory.destination_ids(number)
            assert self.sqlite.destination_ids(number) == ids
            assert sorted(ids) == sorted(one["slug"] for one in at.document["destinations"])

    def teardown(self) -> None:
        self.sqlite.close()


def test_the_twins_agree(tmp_path: Path) -> None:
    """Any sequence of commits leads both stores to the same answers."""
    TwinsAgree.folder = tmp_path
    run_state_machine_as_test(
        TwinsAgree, settings=settings(max_examples=20, stateful_step_count=10, deadline=None)
    )
