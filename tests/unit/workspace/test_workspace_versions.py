"""The cache of versions ready for use, and the look-ups of a workspace."""

from typing import Any

import pytest
from workspace_samples import CATALOG, ENVIRONMENT, destination, document, source

from headgate.clock import ManualClock
from headgate.workspace.document import as_workspace
from headgate.workspace.errors import InvalidWorkspace, StoreBusy, UnknownVersion
from headgate.workspace.memory_store import MemoryWorkspaceStore
from headgate.workspace.model import Audience, Engage, IdentifierLimit, Workspace
from headgate.workspace.store import DestinationStay, Version
from headgate.workspace.versions import CAPACITY, Versions


class CountingStore(MemoryWorkspaceStore):
    """Counts how often versions are read from it."""

    reads = 0

    def at(self, number: int) -> Version:
        self.reads += 1
        return super().at(number)


def versions(store: MemoryWorkspaceStore, **environment: str) -> Versions:
    return Versions(store, catalog=CATALOG, environment=environment)


def committed(store: MemoryWorkspaceStore, **keys: Any) -> int:
    return store.commit(document(**keys), actor="apply")


def workspace(**keys: Any) -> Workspace:
    return as_workspace(document(**keys), catalog=CATALOG, environment=ENVIRONMENT)


def test_the_current_version_is_expanded_and_complete() -> None:
    """Variables are replaced and every setting of the destination is there."""
    store = MemoryWorkspaceStore(ManualClock())
    committed(
        store, sources=[source()], destinations=[destination(appId="${APP}", nullTraits="$${x}")]
    )
    ready = versions(store, **ENVIRONMENT).current()
    assert (ready.number, ready.destination_ids) == (1, {"heap-production": 1})
    assert ready.workspace.destinations[0].settings == {
        "appId": "1535634150",
        "region": "US",
        "apiBaseUrl": None,
        "scriptHost": None,
        "retryWindow": "4 hours",
        "junkIdentities": ["null", "0"],
        "nullTraits": "${x}",
        "secureCookie": False,
        "limits": {"eventsPerMinute": 15_000},
        "deletionApiKey": None,
    }


def test_the_newest_version_needs_its_variables() -> None:
    """A server that is started without a secret says which and where."""
    store = MemoryWorkspaceStore(ManualClock())
    committed(store, sources=[source()], destinations=[destination(deletionApiKey="${KEY}")])
    with pytest.raises(InvalidWorkspace) as refused:
        versions(store).newest()
    assert str(refused.value) == (
        "expected the environment variable KEY, found it not set,"
        " at destinations[0].settings.deletionApiKey (the workspace);"
        " set it, or write $${ for the characters ${ themselves"
    )


def test_the_current_version_is_the_newest_that_fits() -> None:
    """What cannot be used is passed over, as often as needed, and what fits again is used again."""
    store = MemoryWorkspaceStore(ManualClock())
    fits = committed(store, sources=[source()], destinations=[destination(appId="7")])
    for needs in ({"appId": "${APP}"}, {"appId": "${APP}", "deletionApiKey": "${KEY}"}):
        committed(store, sources=[source()], destinations=[destination(**needs)])
    reader = versions(store)
    assert reader.current().number == fits
    assert reader.current().workspace.destinations[0].settings["appId"] == "7"
    assert versions(store, APP="8").current().number == fits + 1
    again = committed(store, sources=[source()], destinations=[destination(appId="9")])
    assert reader.current().number == again


def test_a_workspace_that_never_fitted_is_empty() -> None:
    """Version 0 needs nothing."""
    store = MemoryWorkspaceStore(ManualClock())
    committed(store, sources=[source()], destinations=[destination(appId="${APP}")])
    ready = versions(store).current()
    assert (ready.number, ready.destination_ids) == (0, {})


def test_looking_back_is_done_once() -> None:
    """Delivery asks again and again, and neither versions nor the environment change."""
    store = CountingStore(ManualClock())
    committed(store, sources=[source()])
    committed(store, sources=[source()], destinations=[destination(appId="${APP}")])
    reader = versions(store)
    reader.current()
    store.reads = 0
    assert reader.current().number == 1
    assert store.reads == 0


def test_the_history_ends_with_the_current_version() -> None:
    """A version that cannot be used has neither removed a destination nor added one."""
    store = MemoryWorkspaceStore(ManualClock())
    committed(store, sources=[source()], destinations=[destination("gone"), destination("kept")])
    committed(store, sources=[source()], destinations=[destination("kept")])
    committed(store, sources=[source()], destinations=[destination("new", appId="${APP}")])
    gone, kept = DestinationStay(1, "gone", 1, 1), DestinationStay(2, "kept", 1, None)
    assert versions(store).destination_history() == [gone, kept]
    fitting = versions(store, **ENVIRONMENT)
    assert fitting.destination_history() == store.destination_history()


def test_a_version_of_the_past_is_never_refused() -> None:
    """A variable that was renamed must not strand the messages accepted before."""
    store = MemoryWorkspaceStore(ManualClock())
    committed(store, sources=[source()], destinations=[destination(appId="${APP}")])
    committed(store, sources=[source()], destinations=[destination(appId="7")])
    reader = versions(store)
    assert reader.at(1).workspace.destinations[0].settings["appId"] == "${APP}"
    assert reader.current().workspace.destinations[0].settings["appId"] == "7"


def test_the_current_version_follows_commits() -> None:
    """A commit is seen by the next call."""
    store = MemoryWorkspaceStore(ManualClock())
    reader = versions(store)
    assert reader.current().workspace == workspace()
    committed(store, sources=[source()])
    assert reader.current().number == 1
    assert reader.current() is reader.at(1)


def test_versions_are_read_once_while_they_are_in_use() -> None:
    """The 64 used last are kept; what was used longest ago goes first."""
    store = CountingStore(ManualClock())
    for number in range(CAPACITY + 1):
        committed(store, sources=[source(name=str(number))])
    reader = versions(store)
    for number in [*range(1, CAPACITY + 1), 1, CAPACITY + 1]:
        reader.at(number)
    assert reader.at(1).workspace.sources[0].name == "0"
    store.reads = 0
    reader.at(1)
    assert store.reads == 0
    reader.at(2)
    assert store.reads > 0


def test_an_unknown_version_is_refused() -> None:
    """Nothing is made up for it."""
    with pytest.raises(UnknownVersion):
        versions(MemoryWorkspaceStore(ManualClock())).at(1)


def test_the_twin_can_be_told_to_fail() -> None:
    """What depends on the store can be tested against its failures."""
    store = MemoryWorkspaceStore(ManualClock())
    store.fails_with = StoreBusy("busy")
    with pytest.raises(StoreBusy):
        committed(store, sources=[source()])
    assert store.current().number == 0


def test_a_source_is_found_by_any_of_its_keys() -> None:
    """Disabled sources too: their messages are discarded with that reason."""
    found = workspace(sources=[source(writeKeys=["one", "two"], enabled=False), source("app")])
    assert found.source_by_write_key("two") == found.sources[0]
    assert found.source_by_write_key("wk_app") == found.sources[1]
    assert found.source_by_write_key("three") is None


def test_destinations_are_found_by_their_source() -> None:
    """In the file's order; a source without any has none."""
    found = workspace(
        sources=[source(), source("app")], destinations=[destination("b"), destination("a")]
    )
    assert [one.slug for one in found.destinations_of("website")] == ["b", "a"]
    assert found.destinations_of("app") == ()


def test_a_workspace_has_defaults_throughout() -> None:
    """Retention and every part of Engage can be read without asking whether they are there."""
    found = workspace(
        sources=[source()],
        destinations=[destination()],
        engage={
            "identity": {"email": {}},
            "audiences": [{"name": "A", "definition": "trait('x') = 1"}],
        },
    )
    assert (found.retention.days, found.retention.max_bytes) == (30, 0)
    assert found.engage == Engage(
        sync_interval=0,
        identity={"email": IdentifierLimit(5)},
        audiences=(
            Audience(
                name="A",
                definition="trait('x') = 1",
                include_history=True,
                include_anonymous=False,
                wait=False,
                destinations=(),
            ),
        ),
        computed_traits=(),
    )
