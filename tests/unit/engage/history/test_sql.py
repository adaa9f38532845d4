"""Definitions as SQL at their edges: one person's events, an instant, and what the rules say."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import duckdb
import msgspec
import pytest

from headgate.engage.computation.model import Computation
from headgate.engage.history.computing import compute
from headgate.engage.history.duck import connect, fetch, load
from headgate.engage.history.functions import install
from headgate.engage.history.rows import columns_of, row_of
from headgate.engage.observed import Observed
from headgate.language.parser import parse
from headgate.language.tree import Scalar

MINUTE = 60_000
HOUR = 60 * MINUTE
T0 = 1_767_225_600_000

EDGES: list[tuple[str, list[tuple[str, int]], int, Any]] = [
    ("event('A').within(1 hour).count()", [("A", 0)], HOUR - 1, 1),
    ("event('A').within(1 hour).count()", [("A", 0)], HOUR, 0),
    ("event('A').within(1 hour).count()", [("A", 5)], 4, 0),
    ("event('A').within(1 hour).count()", [("A", 5)], 5, 1),
    ("event('A').between(1 hour, 2 hours).count()", [("A", 0)], HOUR - 1, 0),
    ("event('A').between(1 hour, 2 hours).count()", [("A", 0)], HOUR, 1),
    ("event('A').between(1 hour, 2 hours).count()", [("A", 0)], 2 * HOUR - 1, 1),
    ("event('A').between(1 hour, 2 hours).count()", [("A", 0)], 2 * HOUR, 0),
    ("event('A').expires_after(1 hour).count()", [("A", 0), ("A", HOUR)], HOUR, 2),
    ("event('A').expires_after(1 hour).count()", [("A", 0), ("A", HOUR + 1)], HOUR + 1, 1),
    ("event('A').expires_after(1 hour).count()", [("A", 0)], HOUR - 1, 1),
    ("event('A').expires_after(1 hour).count()", [("A", 0)], HOUR, 0),
]

FOLLOWED = "event('A').where(event('B').{}.count() >= 1).count()"
FOLLOWING: list[
    tuple[str, int, int]
] = [  # the window of B, how long after A it came, how many A count
    ("within(parent: 1 hour)", 0, 0),
    ("within(parent: 1 hour)", 1, 1),
    ("within(parent: 1 hour)", HOUR, 1),
    ("within(parent: 1 hour)", HOUR + 1, 0),
    ("between(parent: 1 hour, 2 hours)", HOUR - 1, 0),
    ("between(parent: 1 hour, 2 hours)", HOUR, 1),
    ("between(parent: 1 hour, 2 hours)", 2 * HOUR - 1, 1),
    ("between(parent: 1 hour, 2 hours)", 2 * HOUR, 0),
]


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with history's functions."""
    with closing(connect()) as connection:
        install(connection)
        yield connection


def _computed(
    database: duckdb.DuckDBPyConnection,
    definition: str,
    events: list[tuple[str, int]],
    at_ms: int,
    **fields: Any,
) -> Any:
    """The value for one person, whose events arrived at T0, at an instant after it."""
    rows = [
        row_of(1, Observed(seq, f"m{seq}", "website", T0 + after_ms, T0, name))
        for seq, (name, after_ms) in enumerate(events, 1)
    ]
    tree = parse(definition)
    kind: Any = "trait" if isinstance(tree, Scalar) else "audience"
    asked = Computation(**({"number": 1, "key": "d", "kind": kind, "tree": tree} | fields))
    load(database, "event", columns_of(rows))
    fetch(database, "CREATE TABLE profile AS SELECT DISTINCT profile FROM event")
    fetch(database, "CREATE TABLE known (profile BIGINT)")
    table = compute(database, [asked], T0 + at_ms)["d"]
    ((value,),) = fetch(database, f"SELECT value FROM {table}")
    for made in ("event", "profile", "known", table):
        fetch(database, f"DROP TABLE {made}")
    return msgspec.json.decode(value)


@pytest.mark.parametrize(("definition", "events", "at_ms", "expected"), EDGES)
def test_windows_end_where_they_should(
    database: duckdb.DuckDBPyConnection,
    definition: str,
    events: list[tuple[str, int]],
    at_ms: int,
    expected: Any,
) -> None:
    """Half-open, by the messages' own time."""
    assert _computed(database, definition, events, at_ms, created_at_ms=0) == expected


@pytest.mark.parametrize(("window", "after_ms", "expected"), FOLLOWING)
def test_what_follows_is_later_and_soon_enough(
    database: duckdb.DuckDBPyConnection, window: str, after_ms: int, expected: int
) -> None:
    """Never at the same instant."""
    events = [("A", 0), ("B", after_ms)]
    definition = FOLLOWED.format(window)
    assert _computed(database, definition, events, 9 * HOUR, created_at_ms=0) == expected


@pytest.mark.parametrize(("created_ms", "expected"), [(-1, 1), (0, 1), (1, 0)])
def test_without_history_what_arrived_since_the_creation_counts(
    database: duckdb.DuckDBPyConnection, created_ms: int, expected: int
) -> None:
    """At the very instant, too."""
    fields = {"created_at_ms": T0 + created_ms, "history": False}
    assert _computed(database, "event('A').count()", [("A", 0)], HOUR, **fields) == expected


@pytest.mark.parametrize(("at_ms", "expected"), [(HOUR - 1, 1), (HOUR, 0)])
def test_a_look_back_slides(database: duckdb.DuckDBPyConnection, at_ms: int, expected: int) -> None:
    """What is that old counts no longer."""
    fields = {"created_at_ms": 0, "history": HOUR}
    assert _computed(database, "event('A').count()", [("A", 0)], at_ms, **fields) == expected


@pytest.mark.parametrize(
    ("wait", "at_ms", "expected"),
    [(False, 0, True), (True, HOUR - 1, False), (True, HOUR, True)],
)
def test_a_funnel_waits_until_nothing_can_follow_any_more(
    database: duckdb.DuckDBPyConnection, wait: bool, at_ms: int, expected: bool
) -> None:
    """Only where it is told to."""
    left = "event('A').where(not event('B').within(parent: 1 hour).count() >= 1).count() >= 1"
    found = _computed(database, left, [("A", 0)], at_ms, created_at_ms=0, wait=wait)
    assert found is expected


def test_whom_nothing_but_a_device_is_known_of_can_be_left_out(
    database: duckdb.DuckDBPyConnection,
) -> None:
    """Of audiences; a trait is everybody's."""
    fields = {"created_at_ms": 0, "include_anonymous": False}
    assert not _computed(database, "event('A').count() >= 1", [("A", 0)], HOUR, **fields)
    assert _computed(database, "event('A').count()", [("A", 0)], HOUR, **fields) == 1
