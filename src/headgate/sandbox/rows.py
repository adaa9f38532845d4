"""What a request carries, read without judging it: for faults, the journal's filters and the console.

Rules judge the same body afterwards; here a wrong shape is simply absent.
"""

from typing import Any

import msgspec

# The order in which a partner row names its user; a documented row has the first two only.
IDENTIFIERS = ("identity", "user_id", "anonymous_id", "email")


class Row(msgspec.Struct, frozen=True):
    """One event, user or account of a request. `user` is the identity or user_id, "" when absent."""

    kind: str  # "track", "user" or "account"
    user: str
    event: str
    key: str  # idempotency_key, "" when absent
    properties: dict[str, Any]


def decode(body: bytes) -> Any:
    """The body as JSON, or None when it is not. NaN, Infinity and lone surrogates are not JSON here."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def rows(body: Any) -> list[Row]:
    """Every row of a request body, single or bulk, in order."""
    if not isinstance(body, dict):
        return []
    for field in ("events", "users", "accounts"):
        if isinstance(body.get(field), list):
            return [_row(item) for item in body[field] if isinstance(item, dict)]
    return [_row(body)]


def app_id(body: Any) -> str:
    """The request's app id as text, "" when it names none."""
    found = body.get("app_id") if isinstance(body, dict) else None
    return str(found) if isinstance(found, str | int) else ""


def _row(item: dict[str, Any]) -> Row:
    properties = item.get("properties", item.get("custom_properties"))
    return Row(
        kind="track" if "event" in item else "account" if "account_id" in item else "user",
        user=_user(item),
        event=_text(item.get("event")),
        key=_text(item.get("idempotency_key")),
        properties=properties if isinstance(properties, dict) else {},
    )


def _user(item: dict[str, Any]) -> str:
    named = item.get("user_identifier")
    named = named if isinstance(named, dict) else item
    return next((text for name in IDENTIFIERS if (text := _text(named.get(name)))), "")


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""
