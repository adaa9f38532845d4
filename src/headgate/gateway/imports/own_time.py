"""When a message of an archive happened: the time that it carries itself, never corrected by a clock.

The doors correct a `timestamp` by how long ago the message was sent, which `sentAt` tells. For a message
that is years old that would be nonsense, and an archive has been corrected already: so `sentAt` goes, and
what is left as `timestamp` is what every later stage reads. A message whose `timestamp` counts as it is
stays as it came, byte for byte.
https://segment.com/docs/connections/spec/common/#timestamps
"""

from typing import Any

import msgspec

from headgate.spec.repair import DECODE_ERRORS, repair
from headgate.spec.timestamps import parse_ms

NOW = "now"
WITHOUT_SENT_AT = "imported: sentAt is left out, so that the timestamp counts as it is written"


class _Times(msgspec.Struct, rename="camel", gc=False):
    timestamp: Any = None
    original_timestamp: Any = None
    sent_at: Any = None
    received_at: Any = None


_decode_times = msgspec.json.Decoder(_Times).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def at_its_own_time(raw: bytes) -> tuple[bytes, str]:
    """The message so that its own time counts, and the field which that is; `NOW` when it has none."""
    try:
        times = _decode_times(raw)
        found = _place(times)
        if times.sent_at is None and found in ("timestamp", NOW):
            return raw, found
        fields = _decode_fields(raw)
    except DECODE_ERRORS:
        return _mended(raw)
    if found != NOW:
        fields["timestamp"] = fields[found]
    fields.pop("sentAt", None)
    return _encode(fields), found


def own_time_ms(raw: bytes) -> int | None:
    """The time of a message that was put `at_its_own_time`, in Unix milliseconds; None when it has none."""
    try:
        return parse_ms(_decode_times(raw).timestamp)
    except DECODE_ERRORS:
        return None


def _mended(raw: bytes) -> tuple[bytes, str]:
    """The same for one with odd values; what cannot be read even so stays for its readers to tell of."""
    mended, repairs = repair(raw)
    return at_its_own_time(mended) if repairs else (raw, NOW)


def _place(times: _Times) -> str:
    if parse_ms(times.timestamp) is not None:
        return "timestamp"
    if parse_ms(times.original_timestamp) is not None:
        return "originalTimestamp"
    if parse_ms(times.sent_at) is not None:
        return "sentAt"
    return "receivedAt" if parse_ms(times.received_at) is not None else NOW
