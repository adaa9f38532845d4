"""Where a part of a definition stands, which decides what `property` and `context` mean there."""

from typing import Any, NamedTuple, Protocol

from headgate.engage.computation.events import reader
from headgate.engage.computation.folds import Read
from headgate.engage.computation.moment import FOREVER, Evaluate, Finding, Moment
from headgate.language.printer import text_of
from headgate.language.tree import Context, Property


class Scope(Protocol):
    """A place in a definition."""

    def value_of(self, node: Property | Context) -> Evaluate:
        """How a property or a field of the context is found."""


class OfProfile(NamedTuple):
    """Outside of any `where`: there is no event, so it has no properties."""

    def value_of(self, node: Property | Context) -> Evaluate:
        raise ValueError(f"{text_of(node)} stands outside of where")


class OfRow:
    """In a condition on kept events. What it asks for becomes a slot of the rows, behind their fold's values.

    `reach_ms`: how old an event may be and still count.
    """

    def __init__(self, first_slot: int, reach_ms: int, parent: "OfRow | None") -> None:
        self.reach_ms = reach_ms
        self._parent = parent
        self._first_slot = first_slot
        self._nodes: list[Property | Context] = []

    def value_of(self, node: Property | Context) -> Evaluate:
        if isinstance(node, Property) and node.of_parent:
            if self._parent is None:
                raise ValueError(f"{text_of(node)} stands in no event's where")
            slot_of_parent = self._parent.slot(Property(node.path))
            return lambda _now, _event, parent: (parent[slot_of_parent], FOREVER)
        slot = self.slot(node)

        def value(_now: Moment, event: Any, _parent: Any) -> Finding:
            return event[slot], FOREVER

        return value

    def slot(self, node: Property | Context) -> int:
        """Where a row holds the value."""
        if node not in self._nodes:
            self._nodes.append(node)
        return self._first_slot + self._nodes.index(node)

    def reads(self) -> tuple[Read, ...]:
        """How the slots of a row are filled from a message."""
        return tuple(map(reader, self._nodes))

    def text(self) -> str:
        """The slots, in order."""
        return ", ".join(map(text_of, self._nodes))
