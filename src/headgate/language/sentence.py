"""A definition in a sentence, for people who do not read the language: whom it means, or what it computes.

What is easily overlooked is said: that a comparison leaves out users without the trait, that `NOT` takes them
in. Groups inside groups stand in brackets, so that nothing can be read in two ways.
"""

from collections.abc import Mapping

from headgate.language.durations import duration_text
from headgate.language.printer import literal_text
from headgate.language.tree import (
    And,
    Between,
    Compared,
    Condition,
    Context,
    DateTested,
    Definition,
    Events,
    Exists,
    Json,
    Literal_,
    NearNowTested,
    Not,
    OneOf,
    Or,
    Property,
    Reduced,
    Scalar,
    Session,
    TextTested,
    Trait,
    Window,
    Within,
)

_COMPARED = {
    "=": "is",
    "!=": "is there and not",
    ">": "is more than",
    ">=": "is at least",
    "<": "is less than",
    "<=": "is at most",
}
_TIMES = {">": "more than", ">=": "at least", "<": "fewer than", "<=": "at most", "=": "exactly"}
_TEXTS = {
    "contains": "contains",
    "omits": "does not contain",
    "starts_with": "starts with",
    "ends_with": "ends with",
}
_DATES = {"before_date": "is before", "after_date": "is after"}
_NEAR = {
    "within_last": "is in the last {}",
    "within_next": "is in the next {}",
    "before_last": "is {} ago or longer",
    "after_next": "is {} ahead or later",
}
_MEASURES = {
    "sum": "the sum of {}",
    "avg": "the average {}",
    "min": "the smallest {}",
    "max": "the greatest {}",
    "mode": "the most frequent {}",
    "first": "the first {}",
    "last": "the last {}",
    "unique": "all different values of {}",
}


def sentence_of(tree: Definition, names: Mapping[str, str]) -> str:
    """Whom an audience's definition means, or what another one computes; `names` of audiences by their keys."""
    told = _Told(names)
    return told.value(tree) if isinstance(tree, Scalar) else f"people {told.condition(tree)}"


class _Told:
    """Clauses that follow `people`, or inside a `where` an event."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def condition(self, tree: Condition, *, is_outside: bool = True, where: bool = False) -> str:
        """A clause; a group that is not the outermost one stands in brackets."""
        match tree:
            case And(parts) | Or(parts):
                word = ", and " if isinstance(tree, And) else ", or "
                inner = [self.condition(one, is_outside=False, where=where) for one in parts]
                return word.join(inner) if is_outside else f"({word.join(inner)})"
            case Not(part):
                return self._negated(part, where=where)
            case _:
                return self._checked(tree, where=where, negated=False)

    def value(self, scalar: Scalar) -> str:
        """A value, as a noun."""
        match scalar:
            case Literal_(value):
                return _literal(value)
            case Trait(path):
                return f"the trait {path}"
            case Context(path):
                return path
            case Property(path, of_parent):
                return f"the earlier event's {path}" if of_parent else path
            case Reduced():
                return self._reduced(scalar)

    def _negated(self, part: Condition, *, where: bool) -> str:
        if isinstance(part, And | Or | Not):
            inside = self.condition(part, is_outside=True, where=where)
            return f"{'of which' if where else 'for whom'} this is not so: ({inside})"
        return self._checked(part, where=where, negated=True)

    def _checked(self, tree: Condition, *, where: bool, negated: bool) -> str:
        assert not isinstance(tree, And | Or | Not)
        if isinstance(tree, Compared) and (clause := self._performed(tree, where, negated)):
            return clause
        if isinstance(tree, Compared) and (clause := self._member(tree, negated)):
            return clause
        of = self.value(tree.left)
        begin = "" if where else "for whom "
        if isinstance(tree.left, Trait) and not where:
            begin, of = "whose ", tree.left.path
        if negated and isinstance(tree, Compared) and tree.comparison == "=":
            return f"{begin}{of} is missing or not {self.value(tree.right)}"
        if negated:
            begin = "it is not so that " if where else "for whom it is not so that "
            return f"{begin}{of} {self._tested(tree)}"
        return f"{begin}{of} {self._tested(tree)}"

    def _performed(self, tree: Compared, where: bool, negated: bool) -> str:
        """What was done so and so often; "" when that is not what is asked."""
        match tree:
            case Compared(Reduced(events, "count"), sign, Literal_(int() as times)) if (
                sign in _TIMES and not isinstance(times, bool)
            ):
                pass
            case _:
                return ""
        did, did_not, never = (
            ("followed by", "not followed by", "not followed by")
            if where
            else ("who performed", "who did not perform", "who never performed")
        )
        event, window = self._named(events), _window_after(events.window)
        if (negated, sign, times) in ((True, ">=", 1), (False, "=", 0)):
            return f"{never} {event}{window}"
        often = f"{_TIMES[sign]} {'once' if times == 1 else f'{times} times'}"
        return f"{did_not if negated else did} {event} {often}{window}"

    def _member(self, tree: Compared, negated: bool) -> str:
        match tree:
            case Compared(Trait(key), "=", Literal_(bool() as is_in)) if key in self._names:
                verb = "are in" if is_in is not negated else "are not in"
                return f"who {verb} {self._names[key]}"
            case _:
                return ""

    def _tested(self, tree: Condition) -> str:
        match tree:
            case Compared(_, comparison, right):
                return f"{_COMPARED[comparison]} {self.value(right)}"
            case TextTested(_, test, texts):
                return f"{_TEXTS[test]} {_listed(texts)}"
            case OneOf(_, values, negated):
                return f"is none of {_listed(values)}" if negated else f"is {_listed(values)}"
            case Exists(_, negated):
                return "is missing" if negated else "is there"
            case DateTested(_, test, instant):
                return f"{_DATES[test]} {instant}"
            case NearNowTested(_, test, span_ms):
                return _NEAR[test].format(_span(span_ms))
            case _:
                raise AssertionError(tree)

    def _reduced(self, reduced: Reduced) -> str:
        if reduced.reducer == "count":
            return f"how often {self._events(reduced.events)} was performed"
        of = self.value(reduced.of) if reduced.of is not None else ""
        what = f"the number of different values of {of}"
        if not reduced.counted:
            what = _MEASURES[reduced.reducer].format(of)
        if reduced.reducer == "mode":
            what += f" (seen at least {reduced.minimum} times)"
        return f"{what} in {self._events(reduced.events)}"

    def _events(self, events: Events) -> str:
        return self._named(events) + _window_after(events.window)

    def _named(self, events: Events) -> str:
        """Which events, of whatever age."""
        said = events.name
        if events.where is not None:
            said += f" ({self.condition(events.where, where=True)})"
        if events.not_from:
            said += f", not from {' or '.join(events.not_from)},"
        return said


def _window_after(window: Window | None) -> str:
    return "" if window is None else f" {_window(window)}"


def _window(window: Window) -> str:
    match window:
        case Within(span_ms, of_parent):
            return f"within {_span(span_ms)}" if of_parent else f"in the last {_span(span_ms)}"
        case Between(from_ms, to_ms, of_parent):
            return f"{_span(from_ms)} to {_span(to_ms)} {'later' if of_parent else 'ago'}"
        case Session(gap_ms):
            return f"in the session that is going on (no gap over {_span(gap_ms)})"


def _span(span_ms: int) -> str:
    """`30 days`."""
    return duration_text(span_ms)


def _listed(values: tuple[Json, ...]) -> str:
    return " or ".join(map(_literal, values))


def _literal(value: Json) -> str:
    return f"“{value}”" if isinstance(value, str) else literal_text(value)
