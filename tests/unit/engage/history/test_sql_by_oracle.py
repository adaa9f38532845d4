"""Definitions as SQL against the oracle: at the edges of random histories, and one millisecond before."""

from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from typing import Any

import duckdb
import msgspec
import pytest
from hypothesis import given

from depth import search
from engage_oracle.breakpoints import around, breakpoints
from engage_oracle.comparing import same
from engage_oracle.definitions import definitions
from engage_oracle.histories import Arrival, histories, log_of
from engage_oracle.oracle import Asked, evaluate
from engage_oracle.people import Rules, people
from headgate.engage.computation.model import Computation
from headgate.engage.history.computing import compute
from headgate.engage.history.duck import connect, fetch, load
from headgate.engage.history.functions import install
from headgate.engage.history.rows import columns_of, row_of

Values = list[dict[str, Any]]  # of everybody, in the order in which people appeared


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with history's functions, and nothing in it between two examples."""
    with closing(connect()) as connection:
        install(connection)
        yield connection


def _computed(
    database: duckdb.DuckDBPyConnection,
    arrivals: list[Arrival],
    asked: dict[str, Asked],
    at_ms: int,
) -> Values:
    """Everybody's values by SQL."""
    persons = people(log_of(arrivals), at_ms, Rules())
    rows = [
        row_of(number, message)
        for number, person in enumerate(persons)
        for message in person.messages
    ]
    load(database, "event", columns_of(rows))
    fetch(database, "CREATE TABLE profile AS SELECT DISTINCT profile FROM event")
    tables = compute(database, _computations(asked), at_ms)
    found: Values = [{} for _ in persons]
    for key, table in tables.items():
        for number, value in fetch(database, f"SELECT profile, value FROM {table}"):
            found[number][key] = None if value is None else msgspec.json.decode(value)
    for table in ("event", "profile", *tables.values()):
        fetch(database, f"DROP TABLE {table}")
    return found


def _computations(asked: dict[str, Asked]) -> list[Computation]:
    return [
        Computation(
            number=number,
            key=key,
            kind=one.kind,
            tree=one.tree,
            created_at_ms=one.created_at_ms,
            history=one.history,
            wait=one.wait,
        )
        for number, (key, one) in enumerate(asked.items(), 1)
    ]


@search(60)
@given(histories(), definitions())
def test_sql_says_what_the_oracle_says_at_every_edge(
    database: duckdb.DuckDBPyConnection, arrivals: list[Arrival], asked: dict[str, Asked]
) -> None:
    """Values of everybody, with whatever had arrived at each instant."""
    log = log_of(arrivals)
    instants = around(breakpoints(log, asked))
    told = {at_ms: [values for _, values in evaluate(log, asked, at_ms)] for at_ms in instants}
    for at_ms in _telling(told):
        found = _computed(database, arrivals, asked, at_ms)
        assert len(found) == len(told[at_ms])
        for one, other in zip(found, told[at_ms], strict=True):
            wrong = {key: (one[key], other[key]) for key in asked if not same(one[key], other[key])}
            assert not wrong, at_ms


def _telling(told: dict[int, Values]) -> list[int]:
    """The instants at which something changes, those before them, and the last one; some of many."""
    edges = {at for pair in pairwise(told) if told[pair[0]] != told[pair[1]] for at in pair}
    chosen = sorted(edges | set(list(told)[-1:]))
    return chosen[:: 1 + len(chosen) // 40]
