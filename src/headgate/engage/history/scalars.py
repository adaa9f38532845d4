"""Scalars of a definition as SQL, and how conditions compare them.

A scalar is an expression, NULL where there is no value, of one of a few kinds; every comparison of it is an
expression that is true or false and never NULL, so that NOT turns it round.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from headgate.engage.history.duck import quoted
from headgate.language import values
from headgate.language.tree import Comparison, DateTest, Json, NearNow, TextTest

Kind = Literal["json", "number", "integer", "truth", "constant"]

_EXACT = 1 << 53  # doubles tell all whole numbers below apart


class Value(NamedTuple):
    """An expression: JSON text, a double, an integer, true or false; or a constant, with its value."""

    sql: str
    kind: Kind
    constant: Json = None

    def text(self) -> str:
        """The scalar's text, NULL for lists and objects."""
        if self.kind == "constant":
            return _text(self.constant)
        if self.kind in ("json", "number"):
            return f"scalar_text({self.json()})"
        return f"({self.sql})::VARCHAR"

    def searched(self) -> str:
        """What text tests look at."""
        return f"searched_text({self.sql})" if self.kind == "json" else self.text()

    def json(self) -> str:
        """The value as JSON text."""
        if self.kind in ("json", "constant"):
            return self.sql
        return f"to_json({self.sql})::VARCHAR"

    def double(self) -> str:
        """The value as a double, if it is a number."""
        if self.kind == "constant":
            number = self.number()
            return "NULL" if number is None else f"{float(number)!r}::DOUBLE"
        if self.kind == "json":
            return f"number_of({self.sql})"
        return "NULL" if self.kind == "truth" else f"({self.sql})::DOUBLE"

    def number(self) -> int | float | None:
        """The constant, if it is a number."""
        value: Any = self.constant
        return value if values.is_number(value) else None

    def is_there(self) -> str:
        """Whether there is a value."""
        return f"(({self.sql}) IS NOT NULL)"


def constant(value: Json) -> Value:
    """A value written in the definition."""
    if value is None:
        return Value("NULL::VARCHAR", "constant")
    return Value(quoted(msgspec.json.encode(value).decode()), "constant", value)


def at_path(column: str, steps: Sequence[str]) -> str:
    """What stands in a column of JSON objects at the end of a path, through objects only."""
    return f"nullif({json_at_path(column, steps)}, 'null')"


def json_at_path(column: str, steps: Sequence[str]) -> str:
    """The same, with a null that is written there as `null`."""
    found, pointer = column, ""
    for step in steps:
        if (
            step.isdecimal() or step == "-"
        ):  # as a pointer it would find the elements of a list, too
            found = f"""json_extract({_pointed(found, pointer)}, '$."{step}"')"""
            pointer = ""
        else:
            pointer += "/" + step.replace("~", "~0").replace("/", "~1")
    return f"{_pointed(found, pointer)}::VARCHAR"


# Conditions


def compared(left: Value, comparison: Comparison, right: Value) -> str:
    """Equality by text, order by number."""
    if comparison == "=":
        return _sure(f"{left.text()} = {right.text()}")
    if comparison == "!=":
        differ = f"coalesce({left.text()} <> {right.text()}, true)"
        return f"({left.is_there()} AND {right.is_there()} AND {differ})"
    if _is_exact(left, right):
        return _sure(f"{left.double()} {comparison} {right.double()}")
    return f"compared({left.json()}, {quoted(comparison)}, {right.json()})"


def text_tested(left: Value, test: TextTest, texts: Sequence[str]) -> str:
    """A text against parts of texts, one of which is enough."""
    function = {"starts_with": "starts_with", "ends_with": "suffix"}.get(test, "contains")
    found = " OR ".join(f"{function}({left.searched()}, {quoted(text)})" for text in texts)
    return f"(NOT {_sure(found)})" if test == "omits" else _sure(found)


def one_of(left: Value, among: Sequence[Json], negated: bool) -> str:
    """Equality with one of some values."""
    texts = [text for value in among if (text := values.scalar_text(value)) is not None]
    listed = ", ".join(map(quoted, texts))
    found = _sure(f"{left.text()} IN ({listed})") if texts else "false"
    return f"(NOT {found})" if negated else found


def date_tested(left: Value, test: DateTest, instant: str) -> str:
    """An instant before or after another."""
    order = "<" if test == "before_date" else ">"
    return _sure(f"date_ms({left.json()}) {order} {values.date_ms(instant)}")


def near_now(left: Value, test: NearNow, span_ms: int, at_ms: int) -> str:
    """An instant against now, ends included."""
    date = f"date_ms({left.json()})"
    match test:
        case "within_last":
            return _sure(f"{date} BETWEEN {at_ms - span_ms} AND {at_ms}")
        case "within_next":
            return _sure(f"{date} BETWEEN {at_ms} AND {at_ms + span_ms}")
        case "before_last":
            return _sure(f"{date} <= {at_ms - span_ms}")
        case "after_next":
            return _sure(f"{date} >= {at_ms + span_ms}")


def _is_exact(left: Value, right: Value) -> bool:
    """Whether doubles order the two as the language does: no JSON number against a large or unknown one."""
    if right.kind == "constant":
        number = right.number()
        return number is None or abs(number) < _EXACT
    return left.kind != "json" and right.kind != "json"


def _text(value: Any) -> str:
    text = values.scalar_text(value)
    return "NULL::VARCHAR" if text is None else quoted(text)


def _sure(sql: str) -> str:
    return f"coalesce({sql}, false)"


def _pointed(found: str, pointer: str) -> str:
    return f"json_extract({found}, {quoted(pointer)})" if pointer else found
