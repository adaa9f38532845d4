"""What a destination would be sent for a message, byte for byte, without sending anything. For the tester.

    bytes → the door's questions → routing → mapping → request

Each step is the one that gateway and delivery take, so that the preview cannot disagree with what follows.
A destination that is switched off is previewed as if it were on: its pages say that it is off.
"""

from collections.abc import Collection
from typing import Any

import msgspec

from headgate.delivery.routing import DEVICE, Router
from headgate.destinations.heap.changes import Change, changes
from headgate.destinations.heap.in_page import Call, calls_in_page
from headgate.destinations.interface import Destination as Kind
from headgate.destinations.interface import Discard, Request
from headgate.gateway.post import Post
from headgate.gateway.sift import sift
from headgate.records.words import in_words
from headgate.spec.message import Envelope, normalize
from headgate.spec.repair import DECODE_ERRORS
from headgate.workspace.model import Destination, Workspace


class Verdict(msgspec.Struct, frozen=True):
    """Why nothing would be sent, in the words of a trace. `at_the_door`: it would not even be kept."""

    reason: str
    sentence: str
    remedy: str
    detail: str = ""
    at_the_door: bool = False


class Preview(msgspec.Struct, frozen=True):
    """What would become of a message: either a `request`, or `calls` of a page, or a `verdict` that says why not.

    `message` is what every stage behind the door reads, None for what none of them would see.
    """

    message: dict[str, Any] | None = None
    verdict: Verdict | None = None
    request: Request | None = None
    identity: str = ""
    changes: list[Change] = []
    calls: list[Call] = []


def preview(
    raw: bytes,
    envelope: Envelope,
    given_id: str,
    *,
    destination: Destination,
    kind: Kind,
    workspace: Workspace,
    suppressed: Collection[str] = (),
) -> Preview:
    """What the destination would be sent of a message that arrives like this."""
    arrival, refusals = sift(Post("", [raw]), envelope, suppressed)
    if refusals:
        return Preview(verdict=_verdict(Discard(refusals[0].reason), at_the_door=True))
    message = _normalized(arrival.raws[0], envelope, given_id or arrival.ids[0])
    if message is None:
        return Preview(verdict=_verdict(Discard("unreadable_message")))
    if destination.connection_mode == DEVICE:
        return _in_page(message, destination)
    wanted = msgspec.structs.replace(destination, enabled=True)
    row = Router(wanted, kind, workspace).row(message, envelope.source)
    if isinstance(row, Discard):
        return Preview(message, _verdict(row))
    return Preview(
        message,
        request=kind.request(row.endpoint, [row], destination.settings),
        identity=row.identity,
        changes=changes(message, row.encoded),
    )


def _in_page(message: dict[str, Any], destination: Destination) -> Preview:
    calls = calls_in_page(message, destination.settings)
    if isinstance(calls, Discard):
        return Preview(message, _verdict(calls))
    return Preview(message, calls=calls)


def _normalized(raw: bytes, envelope: Envelope, given_id: str) -> dict[str, Any] | None:
    try:
        return normalize(raw, envelope, given_id)
    except DECODE_ERRORS:
        return None


def _verdict(discard: Discard, *, at_the_door: bool = False) -> Verdict:
    sentence, remedy = in_words(discard.reason)
    return Verdict(discard.reason, sentence, remedy, discard.detail, at_the_door)
