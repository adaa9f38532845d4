"""The identify messages that Engage emits: one user, one computation, one destination, one value.

Between the sync, which decides that a destination has to be told (`sync.py`), and the outbox. The shape is
Segment's own: https://segment.com/docs/engage/using-engage-data/ (`context.personas`, an integrations
object that names one destination). Ids are made from what is told and how often it was told before, so
that telling it again after a crash is the same message.
"""

from hashlib import blake2b
from typing import Any

import msgspec

from headgate.engage.profile import Profile
from headgate.spec.timestamps import iso_ms

_BASE62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHARACTER_OF = bytes(_BASE62[byte % len(_BASE62)] for byte in range(256))
_ID_CHARS = 27  # as many as a KSUID has
_MOST_VALUE_BYTES = 16_384  # Heap keeps 1,023 characters of a property; a message may have 32 KiB

_encode = msgspec.json.Encoder().encode


class Told(msgspec.Struct, frozen=True):
    """What one destination is told of one computation. `destination_name` is its name in integrations objects.

    What it was told before `again_before_ms` it is told again.
    """

    number: int
    key: str
    is_audience: bool
    computation_id: str
    destination: str
    destination_name: str
    again_before_ms: int = 0


class Identify(msgspec.Struct, frozen=True):
    """A message for the outbox."""

    destination: str
    user_id: str
    message_id: str
    raw: bytes


def computation_id(key: str, *, is_audience: bool, created_at_ms: int) -> str:
    """The id of a computation as payloads name it."""
    return ("aud_" if is_audience else "tra_") + _id_of(key, str(created_at_ms))


def message_id_of(computation_id: str, destination: str, user_id: str, nth: int) -> str:
    """The id of the message that tells a destination of a user's value for the nth time."""
    return "personas_" + _id_of(computation_id, destination, user_id, str(nth))


def identify(
    profile: Profile, user_id: str, told: Told, value: Any, *, nth: int, at_ms: int
) -> Identify:
    """The message that tells `value`; `nth` counts what this destination was told of it for this user."""
    message_id = message_id_of(told.computation_id, told.destination, user_id, nth)
    traits = {told.key: _bounded(value)}
    if email := _email_of(profile):
        traits["email"] = email
    moment = iso_ms(at_ms)
    message = {
        "type": "identify",
        "messageId": message_id,
        "userId": user_id,
        "traits": traits,
        "context": {
            "personas": {
                "computation_class": "audience" if told.is_audience else "trait",
                "computation_id": told.computation_id,
                "computation_key": told.key,
                "namespace": _SPACE_ID,
                "space_id": _SPACE_ID,
            },
            "library": {"name": "unknown", "version": "unknown"},
            "integrations": {"personas": False},
        },
        "integrations": {
            "All": False,
            told.destination_name: True,
            "Warehouses": {"all": False},
        },
        "originalTimestamp": moment,
        "timestamp": moment,
        "sentAt": None,
    }
    return Identify(told.destination, user_id, message_id, _encode(message))


def _email_of(profile: Profile) -> str:
    """The email that the profile's trait names, if it is one of its identifiers, else the newest of these."""
    emails = profile.of_type("email")
    writes = profile.traits.get("email")
    if writes and writes[-1].value in emails:
        return str(writes[-1].value)
    return emails[-1] if emails else ""


def _bounded(value: Any) -> Any:
    """The value, or as much of the beginning of a text or list as a message can carry."""
    if isinstance(value, str):
        return value.encode(errors="replace")[:_MOST_VALUE_BYTES].decode(errors="ignore")
    if not isinstance(value, list) or len(_encode(value)) <= _MOST_VALUE_BYTES:
        return value
    kept, room = 0, _MOST_VALUE_BYTES
    while kept < len(value) and (room := room - len(_encode(value[kept])) - 1) >= 0:
        kept += 1
    return value[:kept]


def _id_of(*parts: str) -> str:
    """27 letters and digits that stand for these parts."""
    digest = blake2b("\0".join(parts).encode(), digest_size=_ID_CHARS).digest()
    return digest.translate(_CHARACTER_OF).decode()


_SPACE_ID = "spa_" + _id_of("space")
