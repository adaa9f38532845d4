"""Stored bytes and codes as people read them. For everything in this room that tells."""

from typing import Any

import msgspec

from headgate.spec.reasons import REASONS
from headgate.spec.repair import DECODE_ERRORS


def in_words(reason: str) -> tuple[str, str]:
    """A reason's sentence and what to do about it; "" when it is unknown here."""
    known = REASONS.get(reason)
    return (known.sentence, known.remedy) if known else ("", "")


def text_of(raw: bytes) -> str:
    """The bytes as text; what is not UTF-8 is escaped."""
    return raw.decode("utf-8", "backslashreplace")


def json_of(raw: bytes) -> Any:
    """The bytes as JSON, None when there are none; as text when they cannot be decoded."""
    try:
        return msgspec.json.decode(raw) if raw else None
    except DECODE_ERRORS:
        return text_of(raw)
