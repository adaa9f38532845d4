"""What stands in a function's brackets, read as what the function wants: a text, a duration, a list.

Between the form of a definition (`syntax.py`) and its tree (`building.py`).
"""

import math
from collections.abc import Sequence
from typing import TypeGuard

from lark import Token, Tree

from headgate.language.durations import LONGEST_MS, UNITS_MS, duration_text, unit_ms
from headgate.language.errors import DefinitionError, close_to, quoted
from headgate.language.paths import steps_of
from headgate.language.syntax import Node, end_of, place_of
from headgate.language.texts import BadEscape, text_in
from headgate.language.tree import Json

_UNITS = ("days", "hours", "minutes", "seconds")
_LONGER_UNITS = {"week": "7 days", "month": "30 days", "quarter": "90 days", "year": "365 days"}


class Arguments:
    """The arguments of one call, each with its place; every reader raises DefinitionError."""

    def __init__(self, text: str, call: Tree[Token]) -> None:
        name, given = call.children
        assert isinstance(name, Token)
        assert isinstance(given, Tree)
        self.name = str(name)
        self._text = text
        self._place = place_of(given)
        self._given: list[Node] = list(given.children)
        if len(self._given) == 1 and _is(
            self._given[0], "braced"
        ):  # Segment's pages write f({…}) too
            self._given = list(self._given[0].children)

    def fault(self, node: Node | None, expected: str, hint: str = "") -> DefinitionError:
        """What is wrong with one argument; `None`: with there being none."""
        if node is None:
            return DefinitionError(
                self._text, self._place, expected=expected, found="nothing", hint=hint
            )
        return fault_at(self._text, node, expected, hint)

    def none(self) -> None:
        """Nothing between the brackets."""
        if self._given:
            raise self.fault(self._given[0], f"nothing in the brackets of `{self.name}`")

    def all(self, at_least: int, at_most: int, what: str) -> Sequence[Node]:
        """As many as the function takes; `what` says what they are."""
        if len(self._given) > at_most:
            raise self.fault(self._given[at_most], f"{what} and no more")
        if len(self._given) < at_least:
            raise self.fault(None if not self._given else self._given[-1], what)
        return self._given

    def is_named(self, word: str) -> bool:
        """Whether the first one is written `word: …`; reading goes on behind the colon."""
        if not self._given or not _is(self._given[0], "named"):
            return False
        name, value = self._given[0].children
        if name != word:
            raise self.fault(name, f"`{word}:`")
        self._given[0] = value
        return True

    def text(self, what: str) -> str:
        """One text with something in it."""
        (node,) = self.all(1, 1, what)
        return self._text_of(node, what)

    def path(self, what: str) -> str:
        """One text that is a path: names with dots between them."""
        (node,) = self.all(1, 1, what)
        path = self._text_of(node, what)
        steps = steps_of(path)
        if "" in steps:
            raise self.fault(node, "a name before and after each dot")
        if "$" in steps:
            raise self.fault(node, "a path without `$`", "an array is compared as a whole, as JSON")
        return path

    def texts(self) -> tuple[str, ...]:
        """At least one text, with commas between them or as a list in square brackets."""
        what = f"texts, such as {self.name}('one', 'another')"
        return tuple(self._text_of(node, what) for node in self._items(what))

    def values(self) -> tuple[Json, ...]:
        """At least one value, with commas between them or as a list in square brackets."""
        what = f"values, such as {self.name}('one', 2, true)"
        return tuple(value_of(self._text, node, what) for node in self._items(what))

    def slugs(self) -> tuple[str, ...]:
        """Sources to leave out: `exclude: ['one', 'another']`."""
        what = "`exclude:` and the slugs of sources, such as sources(exclude: ['website'])"
        if not self.is_named("exclude"):
            raise self.fault(self._given[0] if self._given else None, what)
        return tuple(self._text_of(node, what) for node in self._items(what))

    def span_ms(self) -> int:
        """One duration."""
        (node,) = self.all(1, 1, f"a duration, such as {self.name}(7 days)")
        return self._span_of(node)

    def span_ends_ms(self) -> tuple[int, int]:
        """Two durations, the shorter one first."""
        what = f"two durations, such as {self.name}(7 days, 10 days)"
        first, second = self.all(2, 2, what)
        ends = self._span_of(first), self._span_of(second)
        if ends[0] >= ends[1]:
            raise self.fault(
                second, f"a duration over {duration_text(ends[0])}", "shorter one first"
            )
        return ends

    def _items(self, what: str) -> list[Node]:
        given = self._given
        if len(given) == 1 and _is(given[0], "listed"):
            given = list(given[0].children)
        if not given:
            raise self.fault(self._given[0] if self._given else None, what)
        return given

    def _text_of(self, node: Node, what: str) -> str:
        if isinstance(node, Token) and node.type in ("NUMBER", "TRUE", "FALSE"):
            raise self.fault(node, what, f"a text stands in quotes: '{node}'")
        if not isinstance(node, Token) or node.type != "TEXT":
            raise self.fault(node, what)
        text = said(self._text, node)
        if not text:
            raise self.fault(node, "a text with something in it")
        return text

    def _span_of(self, node: Node) -> int:
        what = f"a duration, such as {self.name}(7 days)"
        if not isinstance(node, Tree) or node.data != "duration":
            hint = "say the unit, and no quotes" if isinstance(node, Token) else ""
            raise self.fault(node, what, hint)
        number, unit = node.children
        assert isinstance(number, Token)
        ms = unit_ms(str(unit))
        if not ms:
            raise self.fault(unit, "days, hours, minutes or seconds", _unit_hint(str(unit)))
        if not number.isdigit() or len(number) > 15 or not 0 < int(number) * ms <= LONGEST_MS:
            limit = f"a whole number of {unit}, at most {duration_text(LONGEST_MS)}"
            raise self.fault(number, f"{limit} and more than none")
        return int(number) * ms


def fault_at(text: str, node: Node, expected: str, hint: str = "") -> DefinitionError:
    """What was expected in the place of one part of the text."""
    found = quoted(" ".join(text[place_of(node) : end_of(node)].split()))
    return DefinitionError(text, place_of(node), expected=expected, found=found, hint=hint)


def value_of(text: str, node: Node, what: str) -> Json:
    """A text, a number, true or false."""
    if not isinstance(node, Token):
        raise fault_at(text, node, what)
    if node.type == "TEXT":
        return said(text, node)
    if node.type == "NUMBER":
        return _number(text, node)
    if node.type == "NULL":
        raise fault_at(text, node, what, "null is told with `.absent()` and `.exists()`")
    return node.type == "TRUE"


def said(text: str, token: Token) -> str:
    """What a text in quotes says."""
    try:
        return text_in(token)
    except BadEscape as fault:
        raise DefinitionError(
            text,
            place_of(token) + fault.offset,
            expected="an escape such as \\' or \\n",
            found=quoted(fault.escape),
            hint="a backslash is written \\\\",
        ) from None


def _number(text: str, token: Token) -> int | float:
    digits = token.removeprefix("-")
    if digits[0] == "0" and digits[1:2].isdigit():
        hint = f"a text stands in quotes: '{token}'"
        raise fault_at(text, token, "a number that does not begin with 0", hint)
    number = float(token)
    if not math.isfinite(number):
        raise fault_at(text, token, "a number below 1.8e308")
    return int(token) if digits.isdigit() else number


def _unit_hint(unit: str) -> str:
    singular = unit.lower().removesuffix("s")
    if singular in _LONGER_UNITS:
        return f"1 {singular} is {_LONGER_UNITS[singular]}"
    meant = close_to(unit, (*_UNITS, *UNITS_MS))
    return f"did you mean `{meant}`?" if meant else ""


def _is(node: Node, kind: str) -> TypeGuard[Tree[Token]]:
    return isinstance(node, Tree) and node.data == kind
