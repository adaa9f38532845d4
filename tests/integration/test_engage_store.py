"""Engage's store: a batch goes in whole or not at all, and comes out, after a restart too, by fast plans."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headgate.engage.batch import Batch, Changes, Position, Written, assigned, profiles_of
from headgate.engage.identifies import Identify
from headgate.engage.profile import Identifier, Profile, Sent, Write
from headgate.engage.reader import Computed, EngageReader, OtherStore
from headgate.engage.store import EngageStore, KeyTaken
from headgate.engage.violations import KEPT, Violation, shown
from headgate.queries import load_queries, load_schema

SQL = load_queries("headgate.engage")
HOUR_MS = 3_600_000
ANN, X = Identifier("user_id", "ann"), Identifier("anonymous_id", "x")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EngageStore]:
    """An empty store."""
    with closing(EngageStore(tmp_path / "engage" / "engage.db")) as made:
        yield made


def profile(id_: int = 1, *identifiers: Identifier, **fields: Any) -> Profile:
    """Somebody of whom everything is known."""
    usual: dict[str, Any] = {
        "traits": {"plan": [Write(1, 2, "m", ["pro", None, {"a": 1.5}])]},
        "leaves": {7: [1, [2, "x"]]},
        "values": {1: True, 2: ["a"], 3: None},
        "sent": {"ann": {"1/heap": Sent(True, 1, 5)}},
    }
    return Profile(id_, 1_000, list(identifiers or [ANN, X]), **(usual | fields))


def written(one: Profile, due_at_ms: int | None = None, **fields: Any) -> Written:
    """A new profile's row."""
    usual = {"is_new": True, "is_due_new": due_at_ms is not None}
    return Written(one.id, msgspec.msgpack.encode(one), due_at_ms, **(usual | fields))


def changes(*rows: Written, last: int = 9, **fields: Any) -> Changes:
    """What became of these profiles, with their identifiers."""
    held = [
        (f"{each.type}:{each.value}", row.id)
        for row in rows
        for each in msgspec.msgpack.decode(row.record, type=Profile).identifiers
    ]
    return Changes(list(rows), **({"held": held} | fields), last_profile=last)


def batch(*rows: Written, seq: int = 5, clock_ms: int = 9_000, **fields: Any) -> Batch:
    """A batch in which these profiles were written."""
    return Batch(seq, clock_ms, **({"changes": changes(*rows)} | fields))


def identify(n: int, user_id: str = "ann", destination: str = "heap") -> Identify:
    """A message for the outbox."""
    return Identify(destination, user_id, f"p{n}", b'{"n":%d}' % n)


def test_a_batch_comes_out_as_it_went_in(tmp_path: Path) -> None:
    """After a restart, and for readers beside the writer."""
    path = tmp_path / "engage.db"
    whole = batch(
        written(profile(), 7_000),
        outbox=[identify(1), identify(2)],
        sizes=Counter({1: 1}),
        counters=Counter({"violation/value_blocked": 2}),
        violations=[Violation("value_blocked", 8_000, "m", "user_id", "null")],
        assigned=[assigned(4, [1, 0])],
    )
    with closing(EngageStore(path)) as store:
        store.commit(whole)
    with closing(EngageStore(path)) as store, closing(EngageReader(path)) as reader:
        for opened in (store, reader):
            assert opened.position() == Position(5, 9_000, 9)
            assert opened.holders([ANN, X, Identifier("email", "ann")]) == {ANN: 1, X: 1}
            assert [tuple(kept) for kept in opened.load([1, 2])] == [
                (profile(), 7_000, len(whole.changes.written[0].record))
            ]
            assert [kept.profile for kept in opened.load_holders([X, ANN])] == [profile()]
            assert opened.find(X) == opened.profile(1) == profile()
            assert (list(opened.profiles()), opened.profile_count()) == ([profile()], 1)
            assert [(row.message_id, row.raw) for row in opened.outbox(9)] == [
                ("p1", b'{"n":1}'),
                ("p2", b'{"n":2}'),
            ]
            assert (opened.sizes(), opened.size_history(1)) == ({1: 1}, [(0, 1)])
            assert opened.counters() == {"violation/value_blocked": 2}
            assert opened.violations() == whole.violations
            (packed,) = opened.assigned(0, 9)
            assert (packed.first_seq, profiles_of(packed)) == (4, [1, 0])


def test_an_empty_store_knows_nobody(store: EngageStore) -> None:
    """And is at the beginning."""
    assert store.position() == Position(0, 0, 0)
    assert store.earliest_due() is None
    assert store.find(ANN) is store.profile(1) is None
    assert (store.holders([ANN]), store.load([1]), list(store.profiles())) == ({}, [], [])


def everything(store: EngageStore) -> dict[str, list[Any]]:
    """Every row of every table."""
    names = [
        name for (name,) in store._db.execute("SELECT name FROM sqlite_schema WHERE type='table'")
    ]
    return {
        name: store._db.execute(f"SELECT * FROM {name} ORDER BY 1").fetchall() for name in names
    }


IMPOSSIBLE: list[dict[str, Any]] = [
    {"changes": changes(written(profile(2)), written(profile(2)))},
    {"changes": changes(written(profile(2)), gone=[(1, 2), (1, 2)])},
    {"changes": changes(written(profile(2)), held=[("user_id:eve", "nobody")])},
    {"sizes": Counter({"one": 1})},
    {"counters": Counter({"n": "many"})},
    {"outbox": [identify(1), identify(2, destination=None)]},  # type: ignore[arg-type]
    {"violations": [Violation("value_blocked", 8_000, "m", "user_id", None)]},  # type: ignore[arg-type]
    {"assigned": [assigned(4, [1]), assigned(4, [1])]},
    {"seq": None},
]


@pytest.mark.parametrize("odd", IMPOSSIBLE, ids=[str(n) for n in range(len(IMPOSSIBLE))])
def test_a_batch_goes_in_whole_or_not_at_all(store: EngageStore, odd: dict[str, Any]) -> None:
    """Wherever it fails, nothing of it is left, and the store goes on."""
    store.commit(batch(written(profile())))
    before = everything(store)
    usual: dict[str, Any] = {
        "changes": changes(written(profile(2, Identifier("user_id", "bob")), 1)),
        "outbox": [identify(1)],
        "sizes": Counter({1: 1}),
        "counters": Counter({"n": 1}),
        "violations": [Violation("value_blocked", 8_000, "m", "user_id", "null")],
        "assigned": [assigned(6, [1])],
        "seq": 8,
    }
    with pytest.raises(sqlite3.Error):
        store.commit(batch(**(usual | odd)))
    assert everything(store) == before
    store.commit(batch(**usual))
    assert store.position().seq == 8


def test_what_has_not_landed_nobody_sees(store: EngageStore, tmp_path: Path) -> None:
    """It may land in another thread, while others read what was before."""
    store.commit(batch(written(profile())))
    with closing(EngageReader(tmp_path / "engage" / "engage.db")) as reader:
        store.write(batch(written(profile(2, Identifier("user_id", "bob")))))
        assert [one.id for one in reader.profiles()] == [1]
        landing = threading.Thread(target=store.land)
        landing.start()
        landing.join()
        assert [one.id for one in reader.profiles()] == [1, 2]


def test_a_profile_is_written_over_with_its_time_or_without(store: EngageStore) -> None:
    """An instant that is not new stays as it is."""
    store.commit(batch(written(profile(), 7_000)))
    again = profile(merges=1)
    store.commit(batch(written(again, 1, is_new=False, is_due_new=False)))
    assert (store.find(ANN), store.earliest_due()) == (again, 7_000)
    store.commit(batch(written(again, None, is_new=False, is_due_new=True)))
    assert store.earliest_due() is None
    store.commit(batch(written(again, 3_000, is_new=False, is_due_new=True)))
    assert store.earliest_due() == 3_000


def test_who_is_due_comes_in_order_of_time(store: EngageStore) -> None:
    """The instant itself included; no more than asked for."""
    for id_, due in enumerate([50, None, 30, 40, 60], 1):
        one = profile(id_, Identifier("user_id", str(id_)))
        store.commit(batch(written(one, due)))
    assert store.earliest_due() == 30
    assert store.due(50, 10) == [3, 4, 1]
    assert store.due(50, 2) == [3, 4]
    assert store.due(29, 2) == []


def test_a_merged_profile_is_found_by_its_old_number(store: EngageStore) -> None:
    """However often it was merged on."""
    people = [profile(n, Identifier("user_id", str(n))) for n in (1, 2, 3, 4)]
    store.commit(batch(*map(written, people)))
    store.commit(batch(changes=Changes(gone=[(4, 3)], held=[("user_id:4", 3)], last_profile=9)))
    store.commit(batch(changes=Changes(gone=[(3, 1), (2, 1)], held=[("user_id:3", 1)])))
    assert store.merged() == {4: 1, 3: 1, 2: 1}
    assert [one.id for one in store.profiles()] == [1]
    assert store.profile(4) == store.find(Identifier("user_id", "3")) == people[0]


def test_computations_stay_and_keep_their_keys(store: EngageStore) -> None:
    """What is saved anew is only what is recorded of them."""
    first, second = Computed(1, "vips", "audience", b"a"), Computed(2, "total", "trait", b"b")
    store.save_computations([first, second])
    removed = first._replace(record=b"removed")
    store.save_computations([removed])
    assert store.computations() == [removed, second]
    for odd in (
        Computed(3, "vips", "audience", b"c"),
        second._replace(key="other"),
        second._replace(kind="audience"),
    ):
        with pytest.raises(KeyTaken, match=odd.key):
            store.save_computations([removed._replace(record=b"half"), odd])
    assert store.computations() == [removed, second]


def test_a_leaf_has_one_number_for_good(tmp_path: Path) -> None:
    """Also after a restart."""
    with closing(EngageStore(tmp_path / "engage.db")) as store:
        one, other = store.leaf_number("event('A')"), store.leaf_number("event('B')")
        assert one != other
    with closing(EngageStore(tmp_path / "engage.db")) as store:
        assert store.leaf_number("event('B')") == other
        assert store.leaf_number("event('C')") not in (one, other)


def test_the_outbox_gives_what_was_not_taken_and_no_number_twice(store: EngageStore) -> None:
    """Also when it was empty in between."""
    store.commit(batch(outbox=[identify(1), identify(2, destination="other"), identify(3)]))
    rows = store.outbox(2)
    assert [row.message_id for row in rows] == ["p1", "p2"]
    store.taken([row.number for row in rows if row.destination == "other"])
    assert [row.message_id for row in store.outbox(9)] == ["p1", "p3"]
    last = store.outbox(9)[-1].number
    store.taken([row.number for row in store.outbox(9)])
    assert (store.outbox(9), store.outbox_count()) == ([], 0)
    store.commit(batch(outbox=[identify(4)]))
    assert store.outbox(9)[0].number > last


def test_what_stands_behind_is_given_last(store: EngageStore) -> None:
    """Whenever it came; so many of it as of the others."""
    store.commit(batch(outbox=[identify(1, "ann"), identify(2, "bob"), identify(3)], behind=True))
    store.commit(batch(outbox=[identify(4, "cid"), identify(5, "dee")]))
    assert [(row.message_id, row.behind) for row in store.outbox(2)] == [
        ("p4", False),
        ("p5", False),
        ("p1", True),
        ("p2", True),
    ]


def test_what_is_urgent_takes_along_what_stands_behind_of_its_user(store: EngageStore) -> None:
    """Each user is told in order; what comes behind later stays there."""
    store.commit(batch(outbox=[identify(1, "ann"), identify(2, "bob")], behind=True))
    store.commit(batch(outbox=[identify(3, "bob")]))
    store.commit(batch(outbox=[identify(4, "bob")], behind=True))
    assert [(row.message_id, row.behind) for row in store.outbox(9)] == [
        ("p2", False),
        ("p3", False),
        ("p1", True),
        ("p4", True),
    ]


def test_sizes_are_added_up_and_kept_by_the_hour(store: EngageStore) -> None:
    """At the end of each hour in which they changed."""
    for clock_ms, came in ((1, 3), (HOUR_MS - 1, -1), (2 * HOUR_MS, 4), (3 * HOUR_MS, 0)):
        store.commit(batch(clock_ms=clock_ms, sizes=Counter({1: came, 2: 0})))
    assert store.sizes() == {1: 6}
    assert store.size_history(1) == [(0, 2), (2 * HOUR_MS, 6)]


def test_a_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    """After a restart too, until it is over."""
    path = tmp_path / "engage.db"
    with closing(EngageStore(path)) as store:
        people = [profile(n, Identifier("user_id", str(n))) for n in (1, 3, 4)]
        store.commit(batch(*map(written, people)))
        assert store.sweep() is None
        store.swept_to(0)
        store.swept_to(store.ids_after(0, 2)[-1])
    with closing(EngageStore(path)) as store:
        assert (store.sweep(), store.ids_after(3, 2)) == (3, [4])
        store.swept_to(None)
        assert store.sweep() is None


def test_only_the_last_violations_are_kept(store: EngageStore) -> None:
    """The newest first."""
    all_of_them = [
        Violation("value_blocked", n, f"m{n}", "user_id", "null") for n in range(KEPT + 20)
    ]
    store.commit(batch(violations=all_of_them[: KEPT - 1]))
    store.commit(batch(violations=all_of_them[KEPT - 1 :]))
    assert store.violations() == all_of_them[: -KEPT - 1 : -1]
    assert len(everything(store)["violation"]) == KEPT


def test_assigned_profiles_go_when_history_has_them(store: EngageStore) -> None:
    """Batch by batch."""
    for first in (1, 3, 9):
        store.commit(batch(assigned=[assigned(first, [first, 0])]))
    assert [one.first_seq for one in store.assigned(1, 1)] == [3]
    store.archived(3)
    assert [one.first_seq for one in store.assigned(0, 9)] == [9]


def test_a_deleted_person_is_nowhere_in_the_files(tmp_path: Path) -> None:
    """Nor in what was overwritten before; neighbours stay."""
    bob = profile(2, Identifier("user_id", "bob"), sent={})
    with closing(EngageStore(tmp_path / "engage.db")) as store:
        address = "annabelle@" + "a" * 100
        ann = profile(1, Identifier("user_id", "annabelle"), Identifier("email", address))
        ann.traits = {"fruit": [Write(1, 2, "m", "quince")]}
        ann.sent = {}
        outbox = [identify(1, "annabelle"), identify(2, "bob")]
        wrong = Violation("limit_exceeded", 1, "m", "email", shown(address))
        store.commit(
            batch(
                written(ann), written(bob), outbox=outbox, violations=[wrong], sizes=Counter({1: 2})
            )
        )
        for n in range(3, 30):
            ann.leaves[n] = ["quince"] * n
            store.commit(batch(written(ann, is_new=False)))
        store.commit(batch(changes=Changes(gone=[(7, 1)], last_profile=9)))
        assert store.forget(ann, {1: -1}, 5) == [1, 7]
        store.wipe()
        assert store.find(Identifier("email", address)) is store.profile(7) is None
        assert [row.user_id for row in store.outbox(9)] == ["bob"]
        assert (store.sizes(), store.merged(), store.violations()) == ({1: 1}, {}, [])
        assert list(store.profiles()) == [bob]
    on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"quince" not in on_disk
    assert b"annabelle" not in on_disk


def test_a_store_of_a_newer_headgate_is_left_alone(tmp_path: Path) -> None:
    """By writer and reader, with what to do."""
    path = tmp_path / "engage.db"
    EngageStore(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as newer:
        newer.execute("PRAGMA user_version = 99")
    for opening in (EngageStore, EngageReader):
        with pytest.raises(OtherStore, match=r"a newer Headgate: .* found 99; use that Headgate"):
            opening(path)


def test_the_schema_file_is_the_sum_of_the_migrations(store: EngageStore) -> None:
    """So that reading it is enough."""
    with closing(sqlite3.connect(":memory:")) as told:
        told.executescript(load_schema("headgate.engage"))
        assert _shape(store._db) == _shape(told)


def _shape(db: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every table's columns and every index's columns, by name."""
    shape = {}
    for kind, name in db.execute("SELECT type, name FROM sqlite_schema").fetchall():
        pragma = "table_info" if kind == "table" else "index_xinfo"
        shape[name] = db.execute(f"PRAGMA {pragma}({name})").fetchall()
    return shape


@pytest.mark.parametrize(
    ("query", "asked", "search"),
    [
        ("holders", ('["a"]',), "SEARCH identifier USING PRIMARY KEY (key=?)"),
        ("load_holders", ('["a"]',), "SEARCH identifier USING PRIMARY KEY (key=?)"),
        ("load_holders", ('["a"]',), "SEARCH profile USING INTEGER PRIMARY KEY (rowid=?)"),
        ("load", ("[1]",), "SEARCH profile USING INTEGER PRIMARY KEY (rowid=?)"),
        ("earliest_due", (), "SEARCH profile USING COVERING INDEX profile_by_due"),
        ("due", (5, 9), "SEARCH profile USING COVERING INDEX profile_by_due (due_at_ms<?)"),
        ("profiles", (5, 9), "SEARCH profile USING INTEGER PRIMARY KEY (rowid>?)"),
        ("ids_after", (5, 9), "SEARCH profile USING INTEGER PRIMARY KEY (rowid>?)"),
        ("merge_earlier", (1, 2), "merged_by_into (into_id=?)"),
        ("merged_into", (1,), "merged_by_into (into_id=?)"),
    ],
)
def test_hot_queries_search_by_their_index(
    store: EngageStore, query: str, asked: tuple[Any, ...], search: str
) -> None:
    """None of them reads or sorts a whole table."""
    plan = store._db.execute(f"EXPLAIN QUERY PLAN {SQL[query]}", asked).fetchall()
    steps = [row[3] for row in plan]
    assert any(search in step for step in steps), steps
    assert not any("TEMP B-TREE" in step or "SCAN profile" in step for step in steps), steps


def test_writing_a_record_leaves_the_index_of_instants_alone(store: EngageStore) -> None:
    """Which is why a timer that stands too early is left where it is."""
    code = store._db.execute(f"EXPLAIN {SQL['write_profile']}", (1, b"")).fetchall()
    opened = [row[3] for row in code if row[1] == "OpenWrite"]
    (root,) = store._db.execute(
        "SELECT rootpage FROM sqlite_schema WHERE name = 'profile'"
    ).fetchone()
    assert opened == [root]
