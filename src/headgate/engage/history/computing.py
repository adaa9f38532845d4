"""Computes definitions over history, each into a table of its own."""

from collections.abc import Collection, Mapping

import duckdb

from headgate.engage.computation.model import Computation
from headgate.engage.history.duck import fetch
from headgate.engage.history.sql import Query
from headgate.language.checks import order, traits_of


def compute(
    connection: duckdb.DuckDBPyConnection, computations: Collection[Computation], at_ms: int
) -> Mapping[str, str]:
    """The table of each computation's results, by key: `profile` and `value`, which is JSON text.

    Reads the tables `event` and `profile`, and `known` where an audience wants nobody anonymous. Raises
    Cycle when computations read each other in a circle.
    """
    by_key = {one.key: one for one in computations}
    tables: dict[str, str] = {}
    for key in order({key: one.tree for key, one in by_key.items()}):
        one = by_key[key]
        read = {name: tables[name] for name in traits_of(one.tree) & tables.keys()}
        table = f"computed{one.number}"
        fetch(connection, f"CREATE TABLE {table} AS {Query(one, at_ms, read).sql}")
        tables[key] = table
    return tables
