"""What a courier works with: its destination as configured now, and the tools all couriers share."""

import random
from collections.abc import Callable

import msgspec

from headgate.clock import Clock
from headgate.delivery.budget import Spending
from headgate.delivery.facts import Outcome
from headgate.delivery.recorder import Recorder
from headgate.delivery.routing import Removed, Router
from headgate.delivery.shared_log import Logged, SharedLog
from headgate.delivery.transport import Transport
from headgate.destinations.interface import Destination as Kind
from headgate.workspace.model import Destination


class Connection(msgspec.Struct):
    """A destination as configured now. `spending` is its budget, shared by all of the same scope."""

    id: int
    destination: Destination
    kind: Kind
    router: Router | Removed
    retry_window_s: float
    spending: Spending

    @property
    def is_removed(self) -> bool:
        """Whether the destination is gone, and only its last messages are left to settle."""
        return isinstance(self.router, Removed)


class Tools(msgspec.Struct):
    """What all couriers share.

    `letter` gives the message that a dead letter of a destination kept, by its number, and `outcome_before`
    what had become of a message that is replayed. `withheld` says why a user's message with this number
    must not go; "" when it may.
    """

    log: SharedLog
    recorder: Recorder
    transport: Transport
    clock: Clock
    chance: random.Random
    letter: Callable[[int, int], Logged | None]
    outcome_before: Callable[[int, int], tuple[Outcome, str, str] | None]
    withheld: Callable[[str, int], str]
