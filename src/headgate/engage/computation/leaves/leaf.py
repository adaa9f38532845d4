"""What every leaf is and does. Above the kinds; the compiler makes leaves, `Program` feeds them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from headgate.engage.observed import Observed

Accepts = Callable[[Observed], bool]
States = dict[int, Any]  # of one profile, by the leaves' numbers


class Leaf(ABC):
    """The events of one name that a message alone can tell to be of interest, as far as needed.

    `text` says what is kept, and of which events: leaves with the same text are the same leaf.
    """

    def __init__(self, number: int, text: str, name: str, accepts: Accepts | None) -> None:
        self.number = number
        self.text = text
        self.name = name
        self.accepts = accepts

    @abstractmethod
    def take(self, states: States, observed: Observed) -> bool:
        """Adds a message of this leaf's event to the states of its profile; whether anything changed.

        What happened before the message arrived is in the past for good: nobody evaluates at an instant
        before the arrival of a message taken.
        """

    @abstractmethod
    def merge(self, state: Any, other: Any) -> Any:
        """The state of both profiles' events; the ones given may be used up."""

    @abstractmethod
    def trim(self, state: Any, at_ms: int) -> Any | None:
        """The state without what cannot be seen any more from `at_ms` on; None when nothing is left."""

    def dropped(self, state: Any) -> int:
        """How often something was left out of the state because there was too much."""
        return int(state[-1])
