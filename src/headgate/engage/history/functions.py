"""What SQL lacks to follow the rules of the query language, as macros and functions of DuckDB.

Values are JSON texts here, NULL where there is none or null. Macros answer the usual cases; for the others
they ask a function of Python, which asks `headgate.language.values`, as does everything else that compares.
"""

from collections.abc import Callable
from math import fsum
from typing import Any

import duckdb
import msgspec
from duckdb.func import FunctionNullHandling

from headgate.engage.computation.kept import LONGEST_TEXT, kept
from headgate.language import values

SUMMED_UNIT = 2.0**60  # sums of usual numbers are whole in this unit, and so are exact
_USUAL = (2.0**-7, 2.0**30)  # from, below: multiples of 2^-59, 65,536 of them stay below 2^46

_decode = msgspec.json.decode
_encode = msgspec.json.encode

_MACROS = f"""
-- A scalar as its text; NULL for lists and objects.
CREATE MACRO scalar_text(x) AS CASE
    WHEN starts_with(x, '"') THEN json_extract_string(x, '$')
    WHEN starts_with(x, '{{') OR starts_with(x, '[') THEN NULL
    WHEN regexp_full_match(x, 'true|false|0|-?[1-9][0-9]{{0,14}}') THEN x
    ELSE number_text(x) END;

-- What text tests look at.
CREATE MACRO searched_text(x) AS CASE
    WHEN starts_with(x, '{{') OR starts_with(x, '[') THEN nested_text(x) ELSE scalar_text(x) END;

-- A number as a double.
CREATE MACRO number_of(x) AS CASE WHEN x >= '-' AND x < ':' THEN try_cast(x AS DOUBLE) END;

-- A number that can be added up.
CREATE MACRO summand(x) AS CASE WHEN x >= '-' AND x < ':' THEN
    CASE WHEN regexp_full_match(x, '-?[0-9]+') THEN try_cast(x AS BIGINT)::DOUBLE
    WHEN abs(try_cast(x AS DOUBLE)) < 1e300 THEN try_cast(x AS DOUBLE) END END;

-- A number that can be added up, as an integer if it is whole and has room.
CREATE MACRO whole_of(x) AS CASE WHEN x >= '-' AND x < ':' THEN
    CASE WHEN regexp_full_match(x, '-?[0-9]+') THEN try_cast(x AS BIGINT)
    WHEN trunc(try_cast(x AS DOUBLE)) = try_cast(x AS DOUBLE) THEN try_cast(try_cast(x AS DOUBLE) AS BIGINT)
    END END;

-- An instant as Unix milliseconds.
CREATE MACRO date_ms(x) AS CASE WHEN starts_with(x, '"') AND substr(x, 6, 1) = '-' THEN coalesce(
    CASE WHEN regexp_full_match(
        x, '"[12][0-9]{{3}}-[0-9]{{2}}-[0-9]{{2}}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{{3}})?Z"')
    THEN epoch_ms(try_cast(rtrim(substr(x, 2), 'Z"') AS TIMESTAMP)) END, other_date_ms(x)) END;

-- A value as it is kept of an event.
CREATE MACRO kept(x) AS CASE
    WHEN length(x) > 1000 OR (length(x) > 18 AND NOT starts_with(x, '"')) THEN kept_json(x) ELSE x END;

-- A value's text, as it is kept.
CREATE MACRO kept_text(x) AS left(scalar_text(x), {LONGEST_TEXT});

-- Whether a number is added up as a whole multiple of the unit.
CREATE MACRO is_usual(d) AS d = 0 OR (abs(d) >= {_USUAL[0]!r} AND abs(d) < {_USUAL[1]!r});

-- The sum of a whole number of units, and of the numbers that are none; rounded once.
CREATE MACRO rounded_once(units, others) AS CASE
    WHEN others IS NULL AND abs(units) < 81129638414606681695789005144064::HUGEINT THEN
        sign(units) * (((abs(units) >> 53)::DOUBLE * 9007199254740992.0::DOUBLE)
        + (abs(units) & 9007199254740991::HUGEINT)::DOUBLE) / {SUMMED_UNIT!r}::DOUBLE
    ELSE rounded_sum(units, others) END;
"""


def install(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the macros and functions known."""
    functions: list[tuple[str, Callable[..., Any], list[Any], str]] = [
        ("number_text", _number_text, ["VARCHAR"], "VARCHAR"),
        ("nested_text", _nested_text, ["VARCHAR"], "VARCHAR"),
        ("other_date_ms", _date_ms, ["VARCHAR"], "BIGINT"),
        ("kept_json", _kept_json, ["VARCHAR"], "VARCHAR"),
        ("compared", _compared, ["VARCHAR", "VARCHAR", "VARCHAR"], "BOOLEAN"),
        ("rounded_sum", _rounded_sum, ["HUGEINT", "DOUBLE[]"], "DOUBLE"),
    ]
    for name, function, parameters, returned in functions:
        connection.create_function(
            name, function, parameters, returned, null_handling=FunctionNullHandling.SPECIAL
        )
    connection.execute(_MACROS).fetchall()


def _number_text(json: str | None) -> str | None:
    return None if json is None else values.scalar_text(_decode(json))


def _nested_text(json: str | None) -> str | None:
    return None if json is None else values.searched_text(_decode(json))


def _date_ms(json: str | None) -> int | None:
    return None if json is None else values.date_ms(_decode(json))


def _kept_json(json: str | None) -> str | None:
    value = None if json is None else kept(_decode(json))
    return None if value is None else _encode(value).decode()


def _compared(left: str | None, comparison: Any, right: str | None) -> bool:
    if left is None or right is None:
        return False
    return values.compare(_decode(left), comparison, _decode(right))


def _rounded_sum(units: int | None, others: list[float] | None) -> float | None:
    if units is None:
        return None
    try:
        return fsum([*_doubles(units), *(others or ())])
    except OverflowError:
        return None


def _doubles(units: int) -> list[float]:
    """A whole number of units as doubles that are exact."""
    sign, rest, doubles, scale = (-1.0 if units < 0 else 1.0), abs(units), [], 1.0 / SUMMED_UNIT
    while rest:
        doubles.append(sign * float(rest & (1 << 53) - 1) * scale)
        rest, scale = rest >> 53, scale * 2.0**53
    return doubles
