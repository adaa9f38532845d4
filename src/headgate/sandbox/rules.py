"""Heap's rules as documented: a request body in, what to write or why it is refused out. Pure.

Sources: https://developers.heap.io/reference/track-1, .../bulk-track, .../add-user-properties,
.../bulk-add-user-properties, .../identify-1, .../add-account-properties. What they leave open is named in
`undocumented`, in the words of `reading`. The partner paths (`/api/integrations/...`) have no public
documentation; they follow what is known of the senders that use them, and every use is flagged as
partner-endpoint.
"""

from collections.abc import Callable
from hashlib import md5
from typing import Any

import msgspec

from headgate.sandbox import reading as fields
from headgate.sandbox.options import Options
from headgate.sandbox.reading import Invalid, Reading, broken
from headgate.sandbox.writes import (
    Migrate,
    SetAccountProperties,
    SetUserProperties,
    TrackEvent,
    Who,
    Write,
)

MAX_ROWS = 1_000
MAX_EVENT_CHARS = 1_024
MAX_IDENTITY_CHARS = 255
MAX_ACCOUNT_ID_CHARS = 1_023  # it is matched with a user property
MIN_PARTNER_KEY_CHARS = 8

_EVENT_FIELDS = frozenset(
    {"identity", "user_id", "event", "timestamp", "properties", "idempotency_key", "session_id"}
)
_USER_FIELDS = frozenset({"identity", "properties"})
_ACCOUNT_FIELDS = frozenset({"account_id", "properties"})
_IDENTIFY_FIELDS = frozenset({"identity", "user_id", "timestamp"})
_PARTNER_EVENT_FIELDS = frozenset(
    {"user_identifier", "event", "custom_properties", "idempotency_key", "timestamp"}
)
_PARTNER_USER_FIELDS = frozenset({"user_identifier", "custom_properties", "properties"})


class Accepted(msgspec.Struct, frozen=True):
    """The request is fine: what to write, in order. `skipped` rows were bad and dropped."""

    app_id: str
    writes: list[Write]
    bulk: bool
    skipped: int
    undocumented: tuple[str, ...]


class Refused(msgspec.Struct, frozen=True):
    """Heap answers 400; `error` names the place, what was expected and what was found."""

    error: str
    undocumented: tuple[str, ...] = ()


_Body = dict[str, Any]


def judge(path: str, body: Any, options: Options) -> Accepted | Refused:
    """What Heap makes of this body at this path, which must be one of `ENDPOINTS`."""
    reading = Reading(options)
    try:
        if type(body) is not dict:
            raise broken("body", "a JSON object in UTF-8", body)
        app_id = _app_id(path, body, reading)
        if options.app_ids and app_id not in options.app_ids:
            raise broken("app_id", "an app of this sandbox", app_id)
        writes, bulk = ENDPOINTS[path](body, reading)
    except Invalid as error:
        return Refused(str(error), tuple(sorted(reading.noticed)))
    noticed = tuple(sorted(reading.noticed))
    return Accepted(app_id, writes, bulk, reading.skipped, noticed)


def app_id_is_known(body: Any, options: Options) -> bool:
    """Whether the body names an app; Heap answers plain "Bad Request" when it does not."""
    found = body.get("app_id") if type(body) is dict else None
    text = str(found) if type(found) is int else found
    if type(text) is not str or not fields.is_digits(text):
        return False
    return not options.app_ids or text in options.app_ids


def hashed_user_id(anonymous_id: str) -> str:
    """The Heap user id that stands for a Segment anonymousId: 53 bits of its MD5.

    The scheme of Heap's own destination at Segment until 2023
    (https://github.com/segmentio/action-destinations, userIdHash.ts).
    """
    digest = md5(anonymous_id.encode(), usedforsecurity=False).digest()
    low = int.from_bytes(digest[:4], "little")
    high = int.from_bytes(digest[8:12], "little") & 0x1FFFFF
    return str(low + (high << 32))


def _app_id(path: str, body: _Body, reading: Reading) -> str:
    found = body.get("app_id")
    if type(found) is int and (reading.lenient or path == "/api/add_account_properties"):
        reading.notice("numeric-app-id", "app_id", "a string of digits", found)
        return str(found)
    if type(found) is not str or not fields.is_digits(found):
        raise broken("app_id", "a string of digits", found)
    return found


def _track(body: _Body, reading: Reading) -> tuple[list[Write], bool]:
    if "events" not in body:
        return [_event(_row_of(body), reading)], False
    if "event" in body:
        raise broken("event", "either event or events", body["event"])
    return _bulk(body, "events", reading, _event), True


def _add_user_properties(body: _Body, reading: Reading) -> tuple[list[Write], bool]:
    if "users" in body:
        return _bulk(body, "users", reading, _user), True
    return [_user(_row_of(body), reading)], False


def _add_account_properties(body: _Body, reading: Reading) -> tuple[list[Write], bool]:
    if "accounts" not in body:
        return [_account(_row_of(body), reading)], False
    if "account_id" in body:
        raise broken("account_id", "either account_id or accounts", body["account_id"])
    return _bulk(body, "accounts", reading, _account), True


def _identify(body: _Body, reading: Reading) -> tuple[list[Write], bool]:
    row = _row_of(body)
    fields.check_fields(row, _IDENTIFY_FIELDS, reading)
    user_id = fields.user_id(row.get("user_id"), reading)
    identity = fields.text(row.get("identity"), "identity", MAX_IDENTITY_CHARS, reading)
    fields.timestamp(row.get("timestamp"), reading)
    return [Migrate(user_id, identity)], False


def _partner_track(body: _Body, reading: Reading) -> tuple[list[Write], bool]:
    reading.noticed.add("partner-endpoint")
    if body.get("library") != "server":
        raise broken("library", "'server'", body.get("library"))
    return _bulk(body, "events", reading, _partner_event), True


def _partner_users(body: _Body, reading: Reading) -> tuple[list[Write], bool]:
    reading.noticed.add("partner-endpoint")
    return _bulk(body, "users", reading, _partner_user), True


ENDPOINTS: dict[str, Callable[[_Body, Reading], tuple[list[Write], bool]]] = {
    "/api/track": _track,
    "/api/add_user_properties": _add_user_properties,
    "/api/v1/identify": _identify,
    "/api/add_account_properties": _add_account_properties,
    "/api/integrations/track": _partner_track,
    "/api/integrations/add_user_properties": _partner_users,
}


def _row_of(body: _Body) -> _Body:
    return {name: value for name, value in body.items() if name != "app_id"}


def _bulk(
    body: _Body, field: str, reading: Reading, parse: Callable[[_Body, Reading], Write]
) -> list[Write]:
    fields.check_fields(body, _BULK_FIELDS[parse], reading)
    found = body.get(field)
    if type(found) is not list or not 1 <= len(found) <= MAX_ROWS:
        size = f"an array of {len(found)}" if type(found) is list else found
        raise broken(field, f"an array of 1 to {MAX_ROWS} objects", size)
    writes: list[Write] = []
    for index, row in enumerate(found):
        try:
            if type(row) is not dict:
                raise broken("row", "an object", row)
            writes.append(parse(row, reading))
        except Invalid as error:
            if reading.atomic:
                raise Invalid(f"{field}[{index}].{error}") from None
            reading.skipped += 1
    return writes


def _event(row: _Body, reading: Reading) -> TrackEvent:
    fields.check_fields(row, _EVENT_FIELDS, reading)
    return TrackEvent(
        _who(row, reading),
        fields.text(row.get("event"), "event", MAX_EVENT_CHARS, reading),
        fields.timestamp(row.get("timestamp"), reading),
        fields.properties(row.get("properties"), "properties", reading, of_user=False),
        fields.optional_text(row, "idempotency_key", reading),
        fields.optional_text(row, "session_id", reading),
    )


def _user(row: _Body, reading: Reading) -> SetUserProperties:
    fields.check_fields(row, _USER_FIELDS, reading)
    identity = fields.text(row.get("identity"), "identity", MAX_IDENTITY_CHARS, reading)
    properties = fields.properties(row.get("properties"), "properties", reading, of_user=True)
    return SetUserProperties(Who(identity, None), properties)


def _account(row: _Body, reading: Reading) -> SetAccountProperties:
    fields.check_fields(row, _ACCOUNT_FIELDS, reading)
    account_id = fields.text(row.get("account_id"), "account_id", MAX_ACCOUNT_ID_CHARS, reading)
    properties = fields.properties(row.get("properties"), "properties", reading, of_user=True)
    return SetAccountProperties(account_id, properties)


def _partner_event(row: _Body, reading: Reading) -> TrackEvent:
    fields.check_fields(row, _PARTNER_EVENT_FIELDS, reading)
    properties = row.get("custom_properties", {})
    if type(properties) is not dict or not all(type(v) is str for v in properties.values()):
        raise broken("custom_properties", "an object of strings", properties)
    key = row.get("idempotency_key")
    if type(key) is not str or len(key) < MIN_PARTNER_KEY_CHARS:
        raise broken("idempotency_key", f"{MIN_PARTNER_KEY_CHARS} characters or more", key)
    return TrackEvent(
        _partner_who(row.get("user_identifier"), reading),
        fields.text(row.get("event"), "event", MAX_EVENT_CHARS, reading),
        fields.timestamp(row.get("timestamp"), reading),
        fields.properties(properties, "custom_properties", reading, of_user=False),
        key,
        None,
    )


def _partner_user(row: _Body, reading: Reading) -> SetUserProperties:
    fields.check_fields(row, _PARTNER_USER_FIELDS, reading)
    field = "custom_properties" if "custom_properties" in row else "properties"
    who = _partner_who(row.get("user_identifier"), reading)
    return SetUserProperties(who, fields.properties(row.get(field), field, reading, of_user=True))


def _partner_who(found: object, reading: Reading) -> Who:
    """The user by the first identifier present; an e-mail address stands for an identity."""
    if isinstance(found, dict):
        for name in ("identity", "email"):
            if name in found:
                return Who(fields.text(found[name], name, MAX_IDENTITY_CHARS, reading), None)
        if "user_id" in found:
            return Who(None, fields.user_id(found["user_id"], reading))
        if "anonymous_id" in found:
            anonymous_id = fields.text(
                found["anonymous_id"], "anonymous_id", fields.TOO_LONG_CHARS, reading
            )
            return Who(None, hashed_user_id(anonymous_id))
    raise broken("user_identifier", "an identity, anonymous_id, user_id or email", found)


def _who(row: _Body, reading: Reading) -> Who:
    if "user_id" not in row:
        return Who(fields.text(row.get("identity"), "identity", MAX_IDENTITY_CHARS, reading), None)
    if "identity" in row:
        raise broken("user_id", "either identity or user_id", row["user_id"])
    return Who(None, fields.user_id(row["user_id"], reading))


_BULK_FIELDS: dict[Callable[[_Body, Reading], Write], frozenset[str]] = {
    _event: frozenset({"app_id", "events"}),
    _user: frozenset({"app_id", "users"}),
    _account: frozenset({"app_id", "accounts"}),
    _partner_event: frozenset({"app_id", "library", "events"}),
    _partner_user: frozenset({"app_id", "library", "users"}),
}
