"""What the fifty computations come to, all anew, by DuckDB: the yardstick of computing them message by message.

    python -m bench.programs.recompute PEOPLE MESSAGES

The messages lie in memory as columns, with their types, which is how DuckDB reads fastest; one query groups
them by person. Funnels are left out, and what reads other computations. It prints the seconds that it took.
"""

import sys
import time

import duckdb

from bench.computations import EVENTS, SPANS

_MADE = """
CREATE TABLE message AS
SELECT (random() * {people})::INT AS person, (random() * {events})::UTINYINT AS event,
       (random() * 5184000)::INT AS age_s, (random() * 120)::FLOAT AS amount,
       'sku-' || (random() * 20)::INT AS word
FROM range({messages})
"""
_TRAITS = (
    "count(*) FILTER (event = 9)",
    "sum(amount) FILTER (event = 9)",
    "sum(amount) FILTER (event = 9 AND age_s < 3888000)",
    "max(amount) FILTER (event = 9)",
    "arg_max(word, age_s) FILTER (event = 9)",
    "count(*) FILTER (event = 5)",
    "list(DISTINCT word) FILTER (event = 3)",
    "mode(word) FILTER (event = 3)",
    "arg_min(word, age_s) FILTER (event = 6)",
    "arg_min(word, age_s) FILTER (event = 4)",
    "arg_min(word, age_s) FILTER (event = 8)",
    "arg_min(word, age_s) FILTER (event = 2)",
)


def run(people: int, messages: int) -> float:
    """Seconds of one query over all messages, its results kept where they come to lie."""
    counted = [
        f"count(*) FILTER (event = {number} AND age_s < {days * 86_400}) >= {count}"
        for number in range(len(EVENTS))
        for days, count in SPANS
    ]
    values = ", ".join(f"{one} AS v{at}" for at, one in enumerate([*counted, *_TRAITS]))
    with duckdb.connect() as db:
        db.execute(_MADE.format(people=people, events=len(EVENTS), messages=messages)).fetchall()
        started = time.monotonic()
        db.execute(f"CREATE TABLE found AS SELECT person, {values} FROM message GROUP BY person")
        db.execute("SELECT count(*) FROM found").fetchall()
        return time.monotonic() - started


if __name__ == "__main__":
    print(run(*map(int, sys.argv[1:])))
