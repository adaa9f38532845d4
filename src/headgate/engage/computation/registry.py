"""The leaves that a set of computations needs, each once."""

from collections.abc import Callable
from typing import TypeVar

from headgate.engage.computation.leaves.leaf import Leaf

SomeLeaf = TypeVar("SomeLeaf", bound=Leaf)


class Leaves:
    """Leaves by their text. `number_of` gives a leaf's number, the same one for a text for ever."""

    def __init__(self, number_of: Callable[[str], int]) -> None:
        self._number_of = number_of
        self._by_text: dict[str, Leaf] = {}

    def leaf(self, text: str, make: Callable[[int, str], SomeLeaf]) -> SomeLeaf:
        """The leaf of that text; `make` is given its number and text when there is none yet."""
        if text not in self._by_text:
            self._by_text[text] = make(self._number_of(text), text)
        return self._by_text[text]  # type: ignore[return-value]

    def by_number(self) -> dict[int, Leaf]:
        """All of them."""
        return {leaf.number: leaf for leaf in self._by_text.values()}
