"""What definitions have to do with each other: which traits one reads, and the order they are computed in."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

import msgspec

from headgate.language.paths import steps_of
from headgate.language.tree import Definition, Node, Trait


class Cycle(ValueError):
    """Audiences or computed traits that are each defined by another; `keys` in the order of reading."""

    def __init__(self, keys: tuple[str, ...]) -> None:
        super().__init__(" → ".join((*keys, keys[0])))
        self.keys = keys


def traits_of(tree: Definition) -> set[str]:
    """The traits that a definition reads, by name: the first steps of their paths."""
    return {steps_of(part.path)[0] for part in parts_of(tree) if isinstance(part, Trait)}


def parts_of(tree: Node) -> Iterator[Node]:
    """The tree and everything in it."""
    yield tree
    for value in msgspec.structs.asdict(tree).values():
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, Node):
                yield from parts_of(part)


def order(definitions: Mapping[str, Definition]) -> list[str]:
    """The keys, each after those its definition reads as traits. Raises Cycle when there is no such order."""
    reads = {key: sorted(traits_of(tree) & definitions.keys()) for key, tree in definitions.items()}
    try:
        return list(TopologicalSorter(reads).static_order())
    except CycleError as fault:
        _, round_trip = (
            fault.args
        )  # each is read by the one after it, the first stands at both ends
        raise Cycle(tuple(reversed(round_trip[1:]))) from None
