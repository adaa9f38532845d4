"""Which events, properties and traits the text of a definition names, each with its place.

For whoever wants to say that a name was never seen; what it means for people is in `building.py`.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from lark import Token, Tree

from headgate.language.syntax import Node, end_of, place_of, syntax_of
from headgate.language.texts import text_in


class Mention(NamedTuple):
    """A name in a text, from `begin` to `end`, quotes included. `event` is the one whose property it is."""

    kind: Literal["event", "property", "trait"]
    name: str
    event: str
    begin: int
    end: int


def mentions_of(text: str) -> list[Mention]:
    """Every mention in a definition that can be read, in the order of the text. Raises DefinitionError."""
    found = _mentions(syntax_of(text), ())
    return sorted(found, key=lambda one: one.begin)


def _mentions(node: Node, events: tuple[str, ...]) -> Iterator[Mention]:
    """`events` are those whose `where`s are around, the outermost first."""
    if isinstance(node, Token):
        return
    if node.data == "function":
        yield from _of_function(node, events)
        return
    inside = events
    for part in node.children:
        yield from _mentions(part, inside)
        if node.data == "chain" and (name := _event_of(part)):
            inside = (*events, name)


def _of_function(node: Tree[Token], events: tuple[str, ...]) -> Iterator[Mention]:
    function, (said, of_parent) = str(node.children[0]), _text_given(node)
    if said is None:
        return
    place = place_of(said), end_of(said)
    if function == "event":
        yield Mention("event", text_in(said), "", *place)
    elif function == "trait":
        yield Mention("trait", text_in(said), "", *place)
    elif function == "property":
        event = events[-2:-1] if of_parent else events[-1:]
        yield from (Mention("property", text_in(said), name, *place) for name in event)


def _event_of(node: Node) -> str:
    """The event that a chain begins with; "" when it begins with something else."""
    if isinstance(node, Token) or node.data != "function" or node.children[0] != "event":
        return ""
    said, _ = _text_given(node)
    return "" if said is None else text_in(said)


def _text_given(node: Tree[Token]) -> tuple[Token | None, bool]:
    """The text in a function's brackets, and whether `parent:` stands before it."""
    given = node.children[1]
    first = given.children[0] if isinstance(given, Tree) and given.children else None
    of_parent = isinstance(first, Tree) and first.data == "named"
    if isinstance(first, Tree) and of_parent:
        first = first.children[1]
    is_text = isinstance(first, Token) and first.type == "TEXT"
    return (first if isinstance(first, Token) and is_text else None), of_parent
