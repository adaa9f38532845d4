"""How one message fared at one destination, for pages that have just sent it and wait for the answer."""

import msgspec

from headgate.app.figures import stored_in
from headgate.app.visit import Visit
from headgate.destinations.catalog import CATALOG
from headgate.records.trace import PENDING, Arrival, Attempt, Outcome, trace
from headgate.spec.timestamps import parse_ms


class Fared(msgspec.Struct, frozen=True):
    """`attempt` is the last request that held it, None before the first; `outcome` where it stands now."""

    arrival: Arrival
    attempt: Attempt | None
    outcome: Outcome | None

    @property
    def at_ms(self) -> int:
        """When it arrived."""
        return parse_ms(self.arrival.received_at) or 0

    @property
    def is_open(self) -> bool:
        """Whether there is more to come."""
        return self.kind == PENDING

    @property
    def kind(self) -> str:
        """The outcome in a word."""
        return self.outcome.outcome if self.outcome else PENDING


def fared(
    visit: Visit, destination: str, source: str, message_id: str, position: int | None = None
) -> Fared | None:
    """The newest that is known; None when no message of this source has the id.

    It is found at once by its `position` in the log, where that is known.
    """
    found = trace(stored_in(visit), CATALOG, message_id, source=source, position=position)
    story = found.story
    if story is None:
        return None
    attempts = [one for one in story.attempts if one.destination == destination]
    outcomes = [one for one in story.outcomes if one.destination == destination]
    last_attempt, last_outcome = attempts[-1:], outcomes[-1:]
    return Fared(
        story.arrival,
        last_attempt[0] if last_attempt else None,
        last_outcome[0] if last_outcome else None,
    )
