"""What history's SQL makes of single values, against the language's own rules and Python's exact sums."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from math import fsum
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.engage.computation.kept import kept, number
from headgate.engage.history.duck import connect, fetch, quoted
from headgate.engage.history.functions import install
from headgate.engage.history.reductions import reduced
from headgate.engage.history.scalars import Value, at_path, compared, constant
from headgate.language import values
from headgate.language.paths import steps_of, value_at
from headgate.language.tree import Comparison, Events, Property, Reduced

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**25), 10**25),
    st.integers(-(2**64), 2**64),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [5.0, -0.0, 1e21, 1e-7, 1e300, 2.0**53, 2.0**62, 2.0**63, 123456789012345680000.0]
    ),
    st.text(),
    st.sampled_from(["5", "true", "null", '"', "[1]", "x" * 1_500, "ü\0"]),
)
_keys = st.sampled_from(["a", "0", "-", "", "a.b", "a/b", "~1", '"', "*", "é", "it's", "\\", "#"])
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner) | st.dictionaries(_keys, inner), max_leaves=6
)
_dates = st.one_of(
    st.datetimes().map(lambda at: at.isoformat(timespec="milliseconds") + "Z"),
    st.datetimes().map(str),
    st.dates().map(str),
    st.from_regex(
        r"[12][0-9]{3}-[0-3][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{3})?Z"
    ),
    st.sampled_from(["2026-01-01T24:00:00Z", "2026-02-30T00:00:00Z", "2026-01-01T00:00:60.000Z"]),
)
_amounts = st.one_of(
    st.integers(-(10**10), 10**10).map(lambda cents: cents / 100),
    st.floats(-0.1, 0.1),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e299, max_value=1e299),
    st.integers(-(2**63), 2**63 - 1),
)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with history's functions."""
    with closing(connect()) as connection:
        install(connection)
        yield connection


def _each(database: duckdb.DuckDBPyConnection, sql: str, given_: Sequence[Any]) -> list[Any]:
    """What an expression over `x`, a value as JSON, comes to for each of these."""
    listed = ", ".join(f"({n}, {_json(value)})" for n, value in enumerate(given_))
    table = f"(SELECT n, nullif(x, 'null') AS x FROM (VALUES {listed}) given(n, x))"
    return [found for _, found in sorted(fetch(database, f"SELECT n, {sql} FROM {table}"))]


def _json(value: Any) -> str:
    return quoted(json.dumps(value, ensure_ascii=False))


@given(st.lists(_values, min_size=1, max_size=20))
def test_texts_are_the_languages(database: duckdb.DuckDBPyConnection, given_: list[Any]) -> None:
    """Of scalars for equality, of everything for searching."""
    assert _each(database, "scalar_text(x)", given_) == [values.scalar_text(one) for one in given_]
    found = _each(database, "searched_text(x)", given_)
    assert found == [values.searched_text(one) for one in given_]


@given(st.lists(_values | _dates, min_size=1, max_size=20))
def test_dates_are_the_languages(database: duckdb.DuckDBPyConnection, given_: list[Any]) -> None:
    """The usual form, read by DuckDB, and all others."""
    assert _each(database, "date_ms(x)", given_) == [values.date_ms(one) for one in given_]


@given(
    st.lists(_values, min_size=1, max_size=10),
    _scalars.filter(lambda one: one is not None),
    st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
)
def test_comparisons_are_the_languages(
    database: duckdb.DuckDBPyConnection, given_: list[Any], other: Any, comparison: Comparison
) -> None:
    """With constants of every kind, and with another value."""
    left = Value("x", "json")
    expected = [values.compare(one, comparison, other) for one in given_]
    assert _each(database, compared(left, comparison, constant(other)), given_) == expected
    right = Value(_json(other), "json")
    assert _each(database, compared(left, comparison, right), given_) == expected


@given(st.lists(_values, min_size=1, max_size=20))
def test_what_is_kept_is_what_profiles_keep(
    database: duckdb.DuckDBPyConnection, given_: list[Any]
) -> None:
    """Long texts are cut, large integers become floats; numbers to add up are the same ones."""
    found = [one and json.loads(one) for one in _each(database, "kept(x)", given_)]
    assert found == [kept(one) for one in given_]
    expected = [None if number(one) is None else float(number(one)) for one in given_]
    assert _each(database, "summand(x)", given_) == expected


@given(_values.filter(lambda one: isinstance(one, dict)), st.lists(_keys, min_size=1, max_size=3))
def test_paths_lead_through_objects_only(
    database: duckdb.DuckDBPyConnection, holder: dict[str, Any], steps: list[str]
) -> None:
    """Whatever the names are made of; never into a list."""
    path = ".".join(step.replace("\\", "\\\\").replace(".", "\\.") for step in steps)
    assert list(steps_of(path)) == steps
    (found,) = _each(database, at_path("x", steps), [holder])
    assert (found and json.loads(found)) == value_at(holder, path)


def _reduced(database: duckdb.DuckDBPyConnection, tree: Reduced, given_: Sequence[Any]) -> Any:
    listed = ", ".join(f"(1, {n}, 0, '', {n}, {_json(value)})" for n, value in enumerate(given_))
    columns = "owner, at_ms, received_at_ms, message_id, seq, v"
    rows = f"SELECT * REPLACE (nullif(v, 'null') AS v) FROM (VALUES {listed}) given({columns})"
    found = fetch(database, reduced(tree, rows))
    return found[0][1] if found else None


@given(
    st.lists(_amounts, min_size=1, max_size=30)
    | st.lists(st.floats(-0.007, 0.007), min_size=1, max_size=30)
)
def test_sums_are_exact_and_rounded_once(
    database: duckdb.DuckDBPyConnection, amounts: list[Any]
) -> None:
    """As `math.fsum` has them, of prices and of what no integer arithmetic can add up."""
    events = Events("x")
    total = Reduced(events, "sum", Property("x"))
    assert _reduced(database, total, amounts) == fsum(amounts)
    average = Reduced(events, "avg", Property("x"))
    assert _reduced(database, average, amounts) == fsum(amounts) / len(amounts)


@given(st.lists(_values | _amounts, min_size=1, max_size=20))
def test_the_least_and_the_greatest_number_are_exact(
    database: duckdb.DuckDBPyConnection, given_: list[Any]
) -> None:
    """Integers that no double can tell apart included."""
    numbers = [found for one in given_ if (found := number(one)) is not None]
    for reducer, best in (("min", min), ("max", max)):
        tree = Reduced(Events("x"), reducer, Property("x"))  # type: ignore[arg-type]
        found = _reduced(database, tree, given_)
        assert (found and json.loads(found)) == (best(numbers) if numbers else None)
