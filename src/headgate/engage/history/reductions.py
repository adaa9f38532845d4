"""Reducers as SQL: rows of events into one value each for whom they belong to.

Rows are a query with `owner`, the event's place (`at_ms`, `received_at_ms`, `message_id`, `seq`) and `v`, the
value that is reduced. Sums are exact and rounded once, as everywhere in Engage, so that no difference of the
order of adding can show.
"""

from headgate.engage.computation.kept import MOST_KEPT
from headgate.engage.history.functions import SUMMED_UNIT
from headgate.engage.history.scalars import Kind, Value
from headgate.language.tree import Reduced

_PLACE = "row(at_ms, received_at_ms, message_id, seq)"


def kind_of(tree: Reduced) -> Kind:
    """What kind of value the reducer makes."""
    if tree.reducer == "count" or tree.counted:
        return "integer"
    return "number" if tree.reducer in ("sum", "avg") else "json"


def nothing_of(tree: Reduced) -> Value:
    """What the reducer makes of no events."""
    kind = kind_of(tree)
    if kind == "integer" or tree.reducer == "sum":
        return Value("0", kind)
    return Value("'[]'" if tree.reducer == "unique" else f"NULL::{_TYPES[kind]}", kind)


def reduced(tree: Reduced, rows: str) -> str:
    """A query for `owner` and `v`; who has no events, or no value, may be missing."""
    match tree.reducer:
        case "count":
            return _grouped("count(*)", rows)
        case "sum":
            return _grouped(_SUM, _summands(rows))
        case "avg":
            return _grouped(f"{_SUM} / count(*)", _summands(rows))
        case "min" | "max" if tree.read_as == "string":
            return _grouped(f"to_json({tree.reducer}(kept_text(v)))::VARCHAR", _scalars(rows))
        case "min" | "max":
            return _extreme(tree.reducer, rows)
        case "mode":
            return _mode(rows, tree.minimum, lists=tree.read_as == "array")
        case "first" | "last":
            chosen = "arg_min" if tree.reducer == "first" else "arg_max"
            kept = f"SELECT * REPLACE (kept(v) AS v) FROM ({rows})"
            return _grouped(f"{chosen}(v, {_PLACE})", f"SELECT * FROM ({kept}) WHERE v IS NOT NULL")
        case "unique":
            return _unique(rows, tree.counted)


_TYPES = {"integer": "BIGINT", "number": "DOUBLE", "json": "VARCHAR"}

_SUM = (
    f"rounded_once(coalesce(sum(try_cast(v * {SUMMED_UNIT!r}::DOUBLE AS HUGEINT)) FILTER (is_usual(v)), 0),"
    " list(v) FILTER (NOT is_usual(v)))"
)


def newest_session(rows: str, gap_ms: int, at_ms: int) -> str:
    """Of these rows those of each owner's newest chain without a larger gap, while it goes on."""
    marked = (
        "SELECT *, at_ms - lag(at_ms) OVER (PARTITION BY owner ORDER BY at_ms)"
        f" > {gap_ms} AS begins FROM ({rows})"
    )
    chains = (
        "SELECT owner, coalesce(max(at_ms) FILTER (begins), min(at_ms)) AS begins"
        f" FROM ({marked}) GROUP BY owner HAVING {at_ms} - max(at_ms) < {gap_ms}"
    )
    return (
        f"SELECT r.* FROM ({rows}) r JOIN ({chains}) c ON c.owner = r.owner AND r.at_ms >= c.begins"
    )


def _grouped(aggregate: str, rows: str) -> str:
    return f"SELECT owner, {aggregate} AS v FROM ({rows}) GROUP BY owner"


def _summands(rows: str) -> str:
    numbers = f"SELECT owner, summand(v) AS v FROM ({rows})"
    return f"SELECT * FROM ({numbers}) WHERE v IS NOT NULL"


def _scalars(rows: str) -> str:
    return f"SELECT * FROM ({rows}) WHERE scalar_text(v) IS NOT NULL"


def _extreme(function: str, rows: str) -> str:
    """Whole numbers are compared among themselves: they may be too large for doubles."""
    better = "<" if function == "min" else ">"
    numbers = f"SELECT owner, whole_of(v) AS whole, summand(v) AS double FROM ({rows})"
    best = (
        f"SELECT owner, {function}(whole) AS whole,"
        f" {function}(double) FILTER (whole IS NULL) AS double FROM ({numbers})"
        " WHERE double IS NOT NULL GROUP BY owner"
    )
    return (
        f"SELECT owner, CASE WHEN double IS NULL OR whole::DOUBLE {better} double"
        f" THEN whole::VARCHAR ELSE to_json(double)::VARCHAR END AS v FROM ({best})"
    )


def _mode(rows: str, minimum: int, *, lists: bool) -> str:
    """Values with one text are one value, of the JSON type it has most often."""
    among = "true" if lists else "NOT starts_with(v, '[')"
    texts = (
        "SELECT owner, starts_with(v, '\"') AS is_text, CASE WHEN starts_with(v, '[') THEN kept_json(v)"
        f" ELSE kept_text(v) END AS plain FROM ({rows}) WHERE {among} AND NOT starts_with(v, '{{')"
    )
    counted = (
        "SELECT owner, plain, CASE WHEN is_text THEN to_json(plain)::VARCHAR ELSE plain END AS json,"
        f" count(*) AS n FROM ({texts}) WHERE plain IS NOT NULL GROUP BY ALL"
    )
    variants = (
        "SELECT owner, plain, sum(n) AS n, arg_min(json, row(-n, json)) AS json"
        f" FROM ({counted}) GROUP BY owner, plain"
    )
    often = f"SELECT * FROM ({variants}) WHERE n >= {minimum}"
    return _grouped("arg_min(json, row(-n, plain))", often)


def _unique(rows: str, counted: bool) -> str:
    texts = f"SELECT DISTINCT owner, kept_text(v) AS v FROM ({_scalars(rows)})"
    if counted:
        return _grouped(f"least(count(*), {MOST_KEPT})", texts)
    return _grouped(f"to_json(list(v ORDER BY v)[:{MOST_KEPT}])::VARCHAR", texts)
