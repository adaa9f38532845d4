"""The few fields of a stored message that people look for it by. Read without the cost of `normalize`.

Between the log, or a dead letter, and whoever selects or lists messages.
"""

from typing import Any, NamedTuple

import msgspec

from headgate.eventlog.block import Entry
from headgate.spec.message import id_text
from headgate.spec.repair import DECODE_ERRORS, decode_tolerantly


class Gist(NamedTuple):
    """What a message is, as text; "" where it does not say."""

    type: str
    event: str
    user_id: str
    message_id: str


class _Fields(msgspec.Struct, rename="camel", gc=False):
    type: Any = None
    event: Any = None
    user_id: Any = None
    message_id: Any = None


_decode = msgspec.json.Decoder(_Fields).decode


def gist(entry: Entry) -> Gist:
    """The same values that `normalize` gives; only the id when the bytes cannot be read."""
    try:
        fields = decode_tolerantly(_decode, entry.raw)[0]
    except DECODE_ERRORS:
        return Gist(entry.envelope.call_type, "", "", entry.given_id)
    return Gist(
        entry.envelope.call_type or _text(fields.type),
        _text(fields.event),
        id_text(fields.user_id),
        entry.given_id or id_text(fields.message_id),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
