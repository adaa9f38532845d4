"""Compiles a definition: its tree into functions, and into the leaves that these read.

Done once, when a program is made. Everything that can be decided from the tree alone is decided here.
"""

from collections.abc import Mapping
from typing import Any, cast

from msgspec.structs import replace

from headgate.engage.computation import conditions
from headgate.engage.computation.comparing import compared_with, near_now, settled_from, test_of
from headgate.engage.computation.events import accepting, reader, split
from headgate.engage.computation.folds import Fold, fold_of
from headgate.engage.computation.kept import MOST_KEPT
from headgate.engage.computation.leaves.leaf import Leaf
from headgate.engage.computation.leaves.rows import MOST_TRIED, Rows
from headgate.engage.computation.leaves.sessions import Sessions
from headgate.engage.computation.leaves.stamps import Stamps
from headgate.engage.computation.leaves.totals import Total
from headgate.engage.computation.model import Computation
from headgate.engage.computation.moment import FOREVER, Evaluate, Part
from headgate.engage.computation.registry import Leaves, SomeLeaf
from headgate.engage.computation.scopes import OfProfile, OfRow, Scope
from headgate.engage.computation.spans import Span, behind_of, span_of
from headgate.engage.computation.traits import custom_trait
from headgate.language.paths import steps_of
from headgate.language.printer import text_of
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
)

_PROFILE = OfProfile()


class Compiler:
    """Of one computation. `computed`: how the traits that are computations are found, by key.

    After `compile`, `leaves` are those that the definition reads itself.
    """

    def __init__(
        self, computation: Computation, leaves: Leaves, computed: Mapping[str, Evaluate]
    ) -> None:
        history = computation.history
        self.leaves: set[Leaf] = set()
        self._tree = computation.tree
        self._wait = computation.wait
        self._registry = leaves
        self._computed = computed
        self._since_ms = computation.created_at_ms if history is False else None
        self._look_back_ms = FOREVER if isinstance(history, bool) else history

    def compile(self) -> Part:
        """The whole definition."""
        return self._part(self._tree)

    def _part(self, tree: Definition) -> Part:
        """A part that stands outside of `where`, with its own parts, so that it can be explained."""
        match tree:
            case And(trees) | Or(trees):
                parts = tuple(map(self._part, trees))
                junction = conditions.all_of if isinstance(tree, And) else conditions.any_of
                return Part(text_of(tree), junction([part.evaluate for part in parts]), parts)
            case Not(inner):
                part = self._part(inner)
                return Part(text_of(tree), conditions.opposite(part.evaluate), (part,))
            case Literal_() | Property() | Context() | Trait() | Reduced():
                return Part(text_of(tree), self._scalar(tree, _PROFILE))
            case Compared(Reduced() as reduced, comparison, Literal_(literal)) if _is_counted_alone(
                reduced
            ):
                return self._counted(tree, comparison, literal)
            case _:
                left = self._scalar(tree.left, _PROFILE)
                return Part(text_of(tree), self._judged(tree, left, _PROFILE), (), left)

    # Conditions inside of `where`

    def _condition(self, tree: Condition, scope: Scope, negated: bool = False) -> Evaluate:
        match tree:
            case And(parts):
                return conditions.all_of([self._condition(part, scope, negated) for part in parts])
            case Or(parts):
                return conditions.any_of([self._condition(part, scope, negated) for part in parts])
            case Not(part):
                return conditions.opposite(self._condition(part, scope, not negated))
            case _:
                return self._comparison(tree, scope, awaited=not negated)

    def _comparison(self, tree: Any, scope: Scope, *, awaited: bool) -> Evaluate:
        actual = self._judged(tree, self._scalar(tree.left, scope), scope)
        if not (self._wait and isinstance(scope, OfRow) and isinstance(tree.left, Reduced)):
            return actual
        passed_ms = behind_of(tree.left.events.window).passed
        if passed_ms == FOREVER:
            return actual
        nothing = conditions.constant(self._of_nothing(tree.left))
        return conditions.waiting(actual, self._judged(tree, nothing, scope), passed_ms, awaited)

    def _judged(self, tree: Any, left: Evaluate, scope: Scope) -> Evaluate:
        """What a comparison, or a test, says of what `left` comes to."""
        match tree:
            case Compared(_, comparison, Literal_(literal)):
                return conditions.tested(left, compared_with(comparison, literal))
            case Compared(_, comparison, right):
                return conditions.compared(left, comparison, self._scalar(right, scope))
            case NearNowTested(_, test, span_ms):
                return conditions.dated(left, lambda date_ms: near_now(test, span_ms, date_ms))
            case TextTested() | OneOf() | Exists() | DateTested():
                return conditions.tested(left, test_of(tree))
        raise TypeError(f"not a condition: {tree}")

    # Scalars

    def _scalar(self, tree: Scalar, scope: Scope) -> Evaluate:
        match tree:
            case Literal_(value):
                return conditions.constant(value)
            case Property() | Context():
                return scope.value_of(tree)
            case Trait(path):
                return self._trait(path)
            case Reduced():
                return self._following(tree, scope) if isinstance(scope, OfRow) else self._of(tree)

    def _trait(self, path: str) -> Evaluate:
        key, *deeper = steps_of(path)
        if key not in self._computed:
            return custom_trait(path)
        return conditions.constant(None) if deeper else self._computed[key]

    # Events of the profile

    def _of(self, reduced: Reduced) -> Evaluate:
        """Events reduced within their window, by the leaf that keeps least."""
        events, window = reduced.events, reduced.events.window
        span = span_of(window, self._look_back_ms)
        is_endless = span == Span()
        if split(events.where)[1] is not None or (isinstance(window, Session) and not is_endless):
            return self._tried(reduced, span)
        if isinstance(window, Session):
            return self._sessions(reduced, window.gap_ms).ongoing()
        if is_endless:
            return self._total(reduced).total()
        if reduced.reducer == "last" and span.near == 0:
            return self._total(reduced).newest(span.far)
        if reduced.reducer == "count":
            return self._stamps(reduced, FOREVER, span.far).counted(span)
        return self._tried(reduced, span)

    def _counted(self, tree: Compared, comparison: Comparison, literal: Json) -> Part:
        """A number of events compared with a constant: of the newest, no more than that are needed."""
        reduced = cast(Reduced, tree.left)
        span = span_of(reduced.events.window, self._look_back_ms)
        holds = compared_with(comparison, literal)
        if span == Span():
            total = self._total(reduced).total()
            return Part(text_of(tree), conditions.tested(total, holds), (), total)
        most, reach_ms = settled_from(comparison, literal), FOREVER
        if span.near or most > MOST_KEPT:
            most, reach_ms = FOREVER, span.far
        stamps = self._stamps(reduced, most, reach_ms)
        return Part(text_of(tree), stamps.compared(span, holds), (), stamps.counted(span))

    def _tried(self, reduced: Reduced, span: Span) -> Evaluate:
        """Events kept one by one, with a condition that has to be tried anew each time."""
        scope = OfRow(1 + self._fold(reduced).width, span.far, parent=None)
        passes = self._changing(reduced, scope)
        rows = self._rows(reduced, scope, is_tried=passes is not None)
        if isinstance(reduced.events.window, Session):
            return rows.session(reduced.events.window.gap_ms, span, passes)
        return rows.within(span, passes)

    def _following(self, reduced: Reduced, parent: OfRow) -> Evaluate:
        """Events that follow the event in whose `where` they stand."""
        scope = OfRow(1 + self._fold(reduced).width, parent.reach_ms, parent)
        passes = self._changing(reduced, scope)
        rows = self._rows(reduced, scope, is_tried=True)
        return rows.behind(behind_of(reduced.events.window), passes)

    def _changing(self, reduced: Reduced, scope: OfRow) -> Evaluate | None:
        """The condition that is tried on rows. Compiled before their leaf, which has to hold its values."""
        _, changing = split(reduced.events.where)
        return None if changing is None else self._condition(changing, scope)

    def _of_nothing(self, reduced: Reduced) -> Any:
        return self._fold(reduced).over(())

    def _fold(self, reduced: Reduced) -> Fold:
        return fold_of(reduced, reader(reduced.of))

    # Leaves

    def _total(self, reduced: Reduced) -> Total:
        return self._leaf(reduced, "", Total, fold=self._fold(reduced))

    def _stamps(self, reduced: Reduced, most: int, reach_ms: int) -> Stamps:
        kept = f" of the newest {most}" if most < FOREVER else _kept_for(reach_ms)
        return self._leaf(reduced, kept, Stamps, most=most, reach_ms=reach_ms)

    def _sessions(self, reduced: Reduced, gap_ms: int) -> Sessions:
        kept = f" in sessions with gaps of at most {gap_ms} ms"
        return self._leaf(reduced, kept, Sessions, fold=self._fold(reduced), gap_ms=gap_ms)

    def _rows(self, reduced: Reduced, scope: OfRow, *, is_tried: bool) -> Rows:
        """The leaf of single events, with the values that the conditions on them ask for."""
        slots = scope.text()
        most = MOST_TRIED if is_tried else MOST_KEPT
        is_session = isinstance(reduced.events.window, Session)
        kept = f"{_kept_for(scope.reach_ms)}, newest {most}" + (f" with {slots}" if slots else "")
        return self._leaf(
            reduced,
            kept + (", empty ones too" if is_session else ""),
            Rows,
            fold=self._fold(reduced),
            reads=scope.reads(),
            reach_ms=scope.reach_ms,
            most=most,
            keeps_empty=is_session,
        )

    def _leaf(self, reduced: Reduced, kept: str, kind: type[SomeLeaf], **details: Any) -> SomeLeaf:
        """The leaf for the events that a message alone can tell to be meant."""
        events = reduced.events
        lasting, _ = split(events.where)
        alone = Events(events.name, lasting, None, events.not_from)
        text = text_of(replace(reduced, events=alone)) + kept
        if self._since_ms is not None:
            text += f", arrived from {self._since_ms} ms on"
        accepts = accepting(lasting, events.not_from, self._since_ms)
        leaf = self._registry.leaf(
            text, lambda number, text: kind(number, text, events.name, accepts, **details)
        )
        self.leaves.add(leaf)
        return leaf


def _is_counted_alone(reduced: Reduced) -> bool:
    """Whether it is a number of events in a sliding window, or of all, that messages alone are tested for."""
    return (
        reduced.reducer == "count"
        and not isinstance(reduced.events.window, Session)
        and split(reduced.events.where)[1] is None
    )


def _kept_for(reach_ms: int) -> str:
    return "" if reach_ms == FOREVER else f" kept for {reach_ms} ms"
