"""The dead letter of a message that was given up on. Between intake or ledger and the recorder."""

from headgate.delivery.facts import DeadLetter, Settled
from headgate.delivery.letters import Letter, sealed
from headgate.delivery.shared_log import Logged
from headgate.destinations.interface import Row


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
