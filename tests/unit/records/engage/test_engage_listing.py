"""The list of computations: states, members, what waits, what was left out."""

from contextlib import closing
from pathlib import Path

import pytest

from data_dirs import NOW_MS, destination
from engage_dirs import EngageDir, audience
from headgate.destinations.catalog import CATALOG
from headgate.engage.store import EngageStore
from headgate.records.engage.listing import Listing, listing
from headgate.records.engage.members import members
from headgate.records.engage.stored import NothingComputed, engaged
from headgate.spec.timestamps import iso_ms

_BOUGHT = audience("A", "event('E').count() >= 1", "heap")


@pytest.fixture
def directory(tmp_path: Path) -> EngageDir:
    """A data directory of the test's own."""
    return EngageDir(tmp_path)


def listed(directory: EngageDir, *, thorough: bool = False) -> Listing:
    """The list."""
    with directory.opened() as stored, engaged(directory.path) as store:
        return listing(stored, store, CATALOG, thorough=thorough)


def test_members_and_those_without_a_user_id_are_counted(directory: EngageDir) -> None:
    """With where it goes, and when it was told last."""
    directory.configure(
        _BOUGHT | {"includeAnonymous": True},
        traits=[{"name": "T", "definition": "event('E').count()"}],
    )
    directory.track("E", "m-1")
    directory.track("E", "m-2", userId=None, anonymousId="anon")
    directory.compute()
    one, trait = listed(directory).computations
    assert (one.key, one.kind, one.state, one.members, one.undeliverable) == (
        *("a", "audience", "live", 2, 1),
    )
    assert (one.destinations, one.told_at) == (("heap",), iso_ms(NOW_MS))
    assert one.size_changed_at == iso_ms(NOW_MS - NOW_MS % 3_600_000)
    assert (trait.key, trait.kind, trait.members, trait.told_at) == ("t", "trait", 2, None)
    assert (listed(directory).people, listed(directory).behind) == (2, 1)


@pytest.mark.parametrize(("is_in_log", "waiting", "pending"), [(True, 0, 4), (False, 4, 0)])
def test_what_waits_has_a_time_under_the_destinations_limits(
    directory: EngageDir, is_in_log: bool, waiting: int, pending: int
) -> None:
    """Messages that are in the log and not sent, or still on the way there, at the rate that is allowed."""
    settings = {"appId": "1535634150", "limits": {"eventsPerMinute": 2}}
    directory.configure(_BOUGHT, destinations=[destination(settings=settings)])
    for n in range(4):
        directory.track("E", f"m-{n}", userId=f"u-{n}")
    directory.pass_by(4)
    directory.compute(hand_over=is_in_log)
    (one,) = listed(directory).destinations
    assert (one.destination, one.enabled) == ("heap", True)
    assert (one.waiting, one.pending) == (waiting, pending)
    assert one.drain_seconds == 120


def test_a_computation_that_is_prepared_says_how_far_it_is(directory: EngageDir) -> None:
    """Of the file that history wrote for it, once that is there."""
    directory.configure(_BOUGHT)
    directory.track("E", "m-1")
    directory.compute()
    directory.configure(_BOUGHT, audience("Later", "event('F').count() >= 1"))
    directory.compute()
    before, later = listed(directory).computations
    assert (before.state, before.ready_percent) == ("live", None)
    assert (later.state, later.ready_percent) == ("preparing", 0)
    with closing(EngageStore(directory.path / "engage" / "engage.db")) as store:
        (job,) = store.backfills()
        (directory.path / "engage" / f"backfill-{job.job}.jsonl").write_bytes(b"x" * 200)
        store._db.execute("UPDATE backfill SET read_to = 50")
    assert listed(directory).computations[1].ready_percent == 25


def test_a_removed_computation_is_not_listed(directory: EngageDir) -> None:
    """Its record only keeps the key from being used again."""
    directory.configure(_BOUGHT)
    directory.track("E", "m-1")
    directory.compute()
    directory.configure(_BOUGHT | {"name": "B"})
    directory.compute()
    assert [one.key for one in listed(directory).computations] == ["b"]


def test_identifiers_that_were_not_used_are_counted_and_shown(directory: EngageDir) -> None:
    """By kind, and the last ones in full."""
    directory.configure(_BOUGHT)
    directory.track("E", "m-1", anonymousId="0000")
    directory.compute()
    found = listed(directory)
    assert found.violations == {"value_blocked": 1}
    assert [(one.kind, one.type, one.value, one.message_id) for one in found.last_violations] == [
        ("value_blocked", "anonymous_id", "0000", "m-1")
    ]


def test_what_had_no_room_is_counted_when_everybody_is_looked_at(directory: EngageDir) -> None:
    """A unique list has its cap, and says so."""
    directory.configure(
        traits=[
            {"name": "T", "definition": "event('E').where(trait('x') = 1).within(1 day).count()"}
        ]
    )
    for n in range(501):
        directory.track("E", f"m-{n}")
    directory.compute()
    assert [one.left_out for one in listed(directory).computations] == [None]
    assert [one.left_out for one in listed(directory, thorough=True).computations] == [1]


def test_members_are_those_who_have_a_value(directory: EngageDir) -> None:
    """In the order in which they were seen, with all that identifies them; somebody with 0 is none."""
    directory.configure(traits=[{"name": "T", "definition": "event('E').count()"}])
    directory.identify("i-1", traits={"email": "ann@example.com"})
    directory.track("E", "m-1", userId="bob", anonymousId="anon")
    directory.track("E", "m-2", userId="cem")
    directory.compute()
    with engaged(directory.path) as store:
        record = store.record("t")
        assert record is not None
        found = [(one.value, one.identifiers) for one in members(store, record)]
    assert found == [
        (1, {"user_id": ["bob"], "anonymous_id": ["anon"]}),
        (1, {"user_id": ["cem"]}),
    ]


def test_a_directory_without_engage_says_so(directory: EngageDir) -> None:
    """And what to do."""
    directory.configure()
    with pytest.raises(NothingComputed, match="Engage has stored nothing"), engaged(directory.path):
        pass
