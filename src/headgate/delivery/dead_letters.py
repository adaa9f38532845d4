"""What is left of a message that was given up on. Between intake or ledger and the recorder."""

from headgate.delivery.facts import FAILED, DeadLetter, Outcome, Settled
from headgate.delivery.letters import Letter, sealed
from headgate.delivery.shared_log import Logged
from headgate.destinations.interface import Row
from headgate.spec.names import engage_destination


def dead_letter(settled: Settled, found: Logged, message_id: str, row: Row) -> DeadLetter:
    """The letter of one of the settled messages; without the message when its bytes are damaged by now."""
    letter = found.envelope and Letter(found.envelope, found.raw, found.given_id)
    return DeadLetter(
        destination=settled.destination,
        seq=found.seq,
        message_id=message_id,
        user_id=row.identity,
        reason=settled.reason,
        at_ms=settled.at_ms,
        attempt_id=settled.attempt_id,
        row=row.encoded,
        message=sealed(letter) if letter else b"",
    )


def is_untold(found: Logged, outcome: Outcome, reason: str) -> bool:
    """Whether Engage said it, and has to hear that it was in vain. What is discarded for its content is not."""
    if found.envelope is None or not engage_destination(found.envelope.source):
        return False
    return outcome == FAILED or reason == "destination_disabled"
