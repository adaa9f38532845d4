"""What a definition means: its form made into the tree, every call checked in its place.

The rules of https://segment.com/docs/api/public-api/query-language/ on what follows what: events are
filtered, then reduced to a value, values are compared, comparisons joined. And of what stands where:

- `property` and `context` only in the `where` of an event or in what reduces events;
- an event inside a `where` is one that came after the event filtered there, its parent. Its window
  counts from the parent and says so (`within(parent: 7 days)`), as does `property(parent: 'x')`;
- `expires_after` (sessions) only in computed traits.
"""

from typing import NamedTuple

import msgspec
from lark import Token, Tree

from headgate.language import functions
from headgate.language.arguments import Arguments, fault_at, value_of
from headgate.language.errors import DefinitionError
from headgate.language.syntax import Node
from headgate.language.tree import (
    And,
    Compared,
    Comparison,
    Condition,
    Context,
    DateTested,
    Definition,
    Events,
    Exists,
    Literal_,
    NearNowTested,
    Not,
    OneOf,
    Or,
    Property,
    ReadAs,
    Reduced,
    Reducer,
    Scalar,
    Session,
    TextTested,
    Trait,
)
from headgate.language.values import date_ms
from headgate.language.windows import window_of

MOST_COMPARISONS = 50
DEEPEST = 64  # conditions inside each other

Meaning = Condition | Scalar | Events

_READ_AS: dict[Reducer, tuple[ReadAs, ...]] = {
    "min": ("number", "string"),
    "max": ("number", "string"),
    "mode": ("string", "number", "array"),
}
_CONDITIONS = ("comparison", "either", "both", "negation")
_MOST_OFTEN = 1_000_000  # what `mode` may ask for


class Scope(NamedTuple):
    """Where a part stands: in how many `where`s, and in how many conditions."""

    level: int = 0
    depth: int = 0


class Builder:
    """One definition's text and what was counted in it on the way."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._comparisons = 0
        self._session: Node | None = None

    def definition(self, node: Node) -> Definition:
        """The whole. Raises DefinitionError."""
        built = self._meaning(node, Scope())
        if isinstance(built, Events):
            raise self._fault(node, "a condition or a value", _how_to_compare(built))
        if self._session is not None and not isinstance(built, Reduced):
            raise self._fault(self._session, "a window such as `within(7 days)`", _SESSIONS)
        return built

    def _fault(self, node: Node, expected: str, hint: str = "") -> DefinitionError:
        return fault_at(self._text, node, expected, hint)

    # Conditions

    def _condition(self, node: Node, scope: Scope) -> Condition:
        if scope.depth >= DEEPEST:
            raise self._fault(node, f"at most {DEEPEST} conditions inside each other")
        inside = scope._replace(depth=scope.depth + 1)
        if isinstance(node, Tree) and node.data in ("either", "both"):
            parts = tuple(self._condition(part, inside) for part in node.children)
            return Or(parts) if node.data == "either" else And(parts)
        if isinstance(node, Tree) and node.data == "negation":
            return Not(self._condition(node.children[1], inside))
        built = self._meaning(node, inside)
        if not isinstance(built, Condition):
            raise self._fault(node, "a condition", _how_to_compare(built))
        return built

    def _compared(self, node: Tree[Token], scope: Scope) -> Condition:
        left, sign, right = node.children
        assert isinstance(sign, Token)
        if sign not in functions.SIGNS:
            hint = functions.hint_for_sign(sign)
            raise self._fault(sign, "`=`, `!=`, `>`, `>=`, `<` or `<=`", hint)
        comparison = functions.SIGNS[sign]
        return self._comparison(self._compared_scalar(left, scope), comparison, right, scope)

    def _comparison(
        self, left: Scalar, comparison: Comparison, right: Node, scope: Scope
    ) -> Condition:
        if isinstance(right, Token) and right.type == "NULL":
            instead = "exists" if comparison == "!=" else "absent"
            raise self._fault(
                right, "a value", f"write `.{instead}()` instead of `{comparison} null`"
            )
        other = self._scalar(right, scope)
        if isinstance(other, Reduced | Context):
            raise self._fault(right, "a value, a trait or a property")
        if isinstance(left, Reduced) and isinstance(other, Property):
            raise self._fault(
                right, "a value or a trait", "what events come to is no property of one"
            )
        return Compared(left, comparison, other)

    # Values

    def _scalar(self, node: Node, scope: Scope) -> Scalar:
        if isinstance(node, Tree) and node.data in _CONDITIONS:
            raise self._fault(node, "a value")
        built = self._meaning(node, scope)
        if not isinstance(built, Scalar):
            raise self._fault(node, "a value", _how_to_compare(built))
        return built

    def _compared_scalar(self, node: Node, scope: Scope) -> Scalar:
        """What may stand on the left of a comparison."""
        scalar = self._scalar(node, scope)
        if isinstance(scalar, Literal_):
            hint = "turn the comparison round"
            raise self._fault(node, "an event, a trait or a property on the left", hint)
        if isinstance(scalar, Reduced) and scalar.reducer == "unique" and not scalar.counted:
            raise self._fault(node, "a single value", "a list can only be counted: `.count()`")
        return self._counting_comparisons(node, scalar)

    def _counting_comparisons(self, node: Node, scalar: Scalar) -> Scalar:
        self._comparisons += 1
        if self._comparisons > MOST_COMPARISONS:
            raise self._fault(node, f"at most {MOST_COMPARISONS} comparisons in a definition")
        return scalar

    def _meaning(self, node: Node, scope: Scope) -> Meaning:
        if isinstance(node, Token):
            return Literal_(value_of(self._text, node, "a value"))
        match node.data:
            case "comparison":
                return self._compared(node, scope)
            case "chain":
                return self._chain(node, scope)
            case "function":
                return self._extracted(node, scope)
            case "duration":
                raise self._fault(node, "a value", "durations stand in windows: within(7 days)")
            case "listed" | "braced":
                raise self._fault(
                    node, "a value", "lists stand in `one_of`, `contains` and `sources`"
                )
            case "either" | "both" | "negation":
                return self._condition(node, scope)
            case _:  # `parent: …` or `… as string` where neither is known
                raise self._fault(node, "a value")

    def _extracted(self, node: Tree[Token], scope: Scope) -> Scalar | Events:
        """What a chain begins with."""
        given = Arguments(self._text, node)
        match given.name:
            case "event":
                return Events(given.text("an event's name, such as event('Order Completed')"))
            case "trait":
                return Trait(given.path("a trait's name, such as trait('plan')"))
            case "property":
                self._check_in_where(node, scope)
                return self._property(node, given, scope)
            case "context":
                self._check_in_where(node, scope)
                return Context(given.path("a field of the context, such as context('page.url')"))
            case "literal":
                (value,) = given.all(1, 1, "a value, such as literal(5)")
                return Literal_(value_of(self._text, value, "a value, such as literal(5)"))
            case name:
                hint = functions.hint_for_name(name)
                if name in functions.METHODS:
                    hint = f"`.{name}(…)` follows a value or an event"
                expected = "`event`, `trait`, `property`, `context` or `literal`"
                raise self._fault(node.children[0], expected, hint)

    def _check_in_where(self, node: Tree[Token], scope: Scope) -> None:
        if not scope.level:
            raise self._fault(
                node, "`event` or `trait`", "only events have it; it stands in `where`"
            )

    def _property(self, node: Tree[Token], given: Arguments, scope: Scope) -> Property:
        of_parent = given.is_named("parent")
        if of_parent and scope.level < 2:
            hint = "`parent:` stands in the `where` of an event that itself stands in a `where`"
            raise self._fault(node, "a property of the event itself", hint)
        return Property(given.path("a property's name, such as property('price')"), of_parent)

    # Chains: what follows a dot

    def _chain(self, node: Tree[Token], scope: Scope) -> Meaning:
        first, *methods = node.children
        built = self._meaning(first, scope)
        for method in methods:
            assert isinstance(method, Tree)
            built = self._applied(first, built, method, scope)
        return built

    def _applied(self, first: Node, built: Meaning, method: Tree[Token], scope: Scope) -> Meaning:
        name = str(method.children[0])
        if isinstance(built, Events):
            return self._of_events(built, method, scope)
        if isinstance(built, Reduced) and built.reducer == "unique" and not built.counted:
            return self._counted(built, method)
        if isinstance(built, Condition):
            hint = "a comparison ends here; join the next with `AND` or `OR`"
            raise self._fault(method.children[0], "the end of this comparison", hint)
        if name not in functions.SCALAR_FUNCTIONS:
            known = functions.SCALAR_FUNCTIONS
            raise self._unknown(method, "a comparison, such as `.equals(…)`", known)
        if isinstance(built, Literal_):
            raise self._fault(first, "an event, a trait or a property")
        self._counting_comparisons(first, built)
        return self._tested(built, method, scope)

    def _unknown(
        self, method: Tree[Token], expected: str, known: tuple[str, ...]
    ) -> DefinitionError:
        name = method.children[0]
        hint = functions.hint_for_name(str(name), known)
        if name in functions.REDUCERS or name in functions.FILTERS:
            hint = f"`.{name}(…)` follows an event"
        elif name in functions.METHODS:
            hint = f"`.{name}(…)` follows a value; reduce the events first, such as `.count()`"
        return self._fault(name, expected, hint)

    def _counted(self, unique: Reduced, method: Tree[Token]) -> Reduced:
        name = method.children[0]
        if name != "count":
            raise self._fault(name, "`.count()` or nothing", "a list can only be counted")
        Arguments(self._text, method).none()
        return msgspec.structs.replace(unique, counted=True)

    def _of_events(self, events: Events, method: Tree[Token], scope: Scope) -> Events | Reduced:
        name = str(method.children[0])
        given = Arguments(self._text, method)
        if name in functions.REDUCERS:
            return self._reduced(events, method, given, scope)
        match name:
            case "where":
                self._check_only(method, "`where`", events.where, "join the conditions with `AND`")
                (condition,) = given.all(
                    1, 1, "a condition, such as where(property('price') > 100)"
                )
                deeper = scope._replace(level=scope.level + 1)
                where = self._condition(condition, deeper)
                return msgspec.structs.replace(events, where=where)
            case "sources":
                self._check_only(method, "`sources`", events.not_from, "list them all in one")
                return msgspec.structs.replace(events, not_from=given.slugs())
            case "within" | "between" | "expires_after":
                self._check_only(method, "window", events.window, "events have one")
                window = window_of(self._text, method, given, nested=scope.level > 0)
                if isinstance(window, Session):
                    self._session = method.children[0]
                return msgspec.structs.replace(events, window=window)
            case _:
                known = (*functions.FILTERS, *functions.REDUCERS)
                raise self._unknown(method, "a filter or a reducer of events", known)

    def _check_only(self, method: Tree[Token], what: str, before: object, hint: str) -> None:
        if before:
            raise self._fault(method.children[0], f"no second {what}", hint)

    def _reduced(
        self, events: Events, method: Tree[Token], given: Arguments, scope: Scope
    ) -> Reduced:
        if given.name == "count":
            given.none()
            return Reduced(events, "count")
        reducer = next(one for one in functions.REDUCERS if one == given.name)
        what = f"a property, such as {reducer}(property('price'))"
        of, *rest = given.all(1, 2 if reducer == "mode" else 1, what)
        of, read_as = self._read_as(of, reducer)
        inside = self._scalar(of, Scope(level=1, depth=scope.depth))
        if not isinstance(inside, Property | Context):
            raise self._fault(of, what)
        minimum = self._minimum(rest[0]) if rest else 2
        return Reduced(events, reducer, inside, read_as, minimum)

    def _read_as(self, node: Node, reducer: Reducer) -> tuple[Node, ReadAs]:
        if not isinstance(node, Tree) or node.data != "read_as":
            return node, ""
        of, name = node.children
        allowed = _READ_AS.get(reducer, ())
        for one in allowed:
            if name == one:
                return of, one
        expected = " or ".join(f"`as {one}`" for one in allowed) or f"no `as` in `{reducer}`"
        raise self._fault(name, expected)

    def _minimum(self, node: Node) -> int:
        number = value_of(self._text, node, "a whole number")
        if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= _MOST_OFTEN:
            raise self._fault(node, f"a whole number from 1 to {_MOST_OFTEN:,}")
        return number

    # Comparisons that are written as functions

    def _tested(self, left: Scalar, method: Tree[Token], scope: Scope) -> Condition:
        given = Arguments(self._text, method)
        name = given.name
        if name in functions.COMPARISONS:
            (right,) = given.all(1, 1, f"a value, such as {name}(5)")
            return self._comparison(left, functions.COMPARISONS[name], right, scope)
        if name in ("one_of", "none_of"):
            return OneOf(left, given.values(), name == "none_of")
        if name in ("exists", "absent"):
            given.none()
            return Exists(left, name == "absent")
        return self._text_or_date_tested(left, given, method)

    def _text_or_date_tested(
        self, left: Scalar, given: Arguments, method: Tree[Token]
    ) -> Condition:
        for text_test in functions.TEXT_TESTS:
            if given.name == text_test:
                return TextTested(left, text_test, given.texts())
        for near_now in functions.NEAR_NOW:
            if given.name == near_now:
                return NearNowTested(left, near_now, given.span_ms())
        date_test = next(one for one in functions.DATE_TESTS if one == given.name)
        what = f"an instant, such as {date_test}('2026-11-23T18:50:00Z')"
        instant = given.text(what)
        if date_ms(instant) is None:
            raise self._fault(method.children[1], what, "ISO 8601, in UTC where no zone is given")
        return DateTested(left, date_test, instant)


_SESSIONS = "sessions (`expires_after`) are for computed traits"


def _how_to_compare(built: Meaning) -> str:
    """What is missing before it can be compared, or to make it a condition."""
    if isinstance(built, Events):
        return "say how often, such as `.count() >= 1`"
    if isinstance(built, Trait):
        return "compare it, such as `= true` for a member of an audience, or `.exists()`"
    return "compare it, such as `>= 1` or `.exists()`"
