"""Heap as a destination: what delivery needs to know and to build, as data and bytes.

Everything goes through the bulk form of Heap's documented endpoints, also a single message:
identify calls as users to `/api/add_user_properties`, track calls as events to `/api/track`. The
App ID in the body is all the authentication there is.
https://developers.heap.io/reference/bulk-add-user-properties
https://developers.heap.io/reference/bulk-track
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from headgate.destinations.heap.deletion import HeapUserDeletion
from headgate.destinations.heap.mapping import Event, UserProperties, map_message
from headgate.destinations.heap.settings import SETTINGS
from headgate.destinations.interface import (
    Budget,
    Discard,
    Endpoint,
    Request,
    Row,
    UserDeletion,
)
from headgate.spec.names import IDENTIFY, TRACK
from headgate.spec.settings import Setting

ADD_USER_PROPERTIES = "add_user_properties"
TRACK_EVENTS = "track"

# https://developers.heap.io/reference/track-1 (US) and its note on data kept in the EU
_REGION_URLS = {"US": "https://heapanalytics.com", "EU": "https://c.eu.heap-api.com"}

_MAX_ROWS = 1_000
# Heap names no limit of bytes; its own mobile SDK fills a request up to this one.
# https://github.com/heap/heap-swift-core-sdk
_MAX_BODY_BYTES = 1_000_000

_HEADERS = {"Content-Type": "application/json"}
_ROWS_FIELD = {ADD_USER_PROPERTIES: b"users", TRACK_EVENTS: b"events"}

_ERASED_ROW = b'{"identity":"erased"}'

_encode = msgspec.json.Encoder().encode
_decode_body = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _UserRow(msgspec.Struct, gc=False):
    identity: str
    properties: dict[str, Any]


class _AnyRow(msgspec.Struct, gc=False):
    identity: str


_decode_row = msgspec.json.Decoder(_AnyRow).decode


class _EventRow(msgspec.Struct, gc=False, omit_defaults=True):
    identity: str
    event: str
    properties: dict[str, Any]
    timestamp: str | None = None
    idempotency_key: str | None = None


class Heap:
    """The Heap destination. Pure: requests come out as values, and delivery sends them."""

    metadata_id = "heap"
    name = "Heap"
    description = (
        "Heap records what people do on a site or in an app; it receives identify calls as user "
        "properties and track calls as events."
    )
    settings: tuple[Setting, ...] = SETTINGS
    call_types = frozenset({IDENTIFY, TRACK})
    endpoints: Mapping[str, Endpoint] = {
        ADD_USER_PROPERTIES: Endpoint(
            ADD_USER_PROPERTIES, _MAX_ROWS, _MAX_BODY_BYTES, writes_profile=True
        ),
        TRACK_EVENTS: Endpoint(TRACK_EVENTS, _MAX_ROWS, _MAX_BODY_BYTES, writes_profile=False),
    }
    user_deletion: UserDeletion | None = HeapUserDeletion()

    def map_row(self, message: dict[str, Any], settings: Mapping[str, Any]) -> Row | Discard:
        """The message as one element of a bulk request, encoded, or why it is not meant to go."""
        unit = map_message(message, settings)
        if isinstance(unit, Discard):
            return unit
        endpoint = TRACK_EVENTS if isinstance(unit, Event) else ADD_USER_PROPERTIES
        return Row(endpoint, unit.identity, _encode(_row(unit)), unit.notes)

    def request(self, endpoint: str, rows: Sequence[Row], settings: Mapping[str, Any]) -> Request:
        """The rows in one body, joined as they are; `settings` say whose and where."""
        head = b'{"app_id":%b,"%b":[' % (_encode(settings["appId"]), _ROWS_FIELD[endpoint])
        body = b"%b%b]}" % (head, b",".join(row.encoded for row in rows))
        return Request(f"{_base_url(settings)}/api/{endpoint}", _HEADERS.copy(), body)

    def budget(self, settings: Mapping[str, Any]) -> Budget:
        """Heap's limits per App ID and per user. The sandbox and Heap itself share no budget."""
        limits = settings["limits"]
        return Budget(
            scope=f"{_base_url(settings)} {settings['appId']}",
            rows_per_min=limits["eventsPerMinute"],
            rows_per_min_per_user=limits["eventsPerMinutePerUser"],
        )

    def without_users(self, body: bytes, identities: Collection[str]) -> bytes:
        """The body with a row that names nobody for each of theirs; empty when it cannot be read."""
        try:
            fields = _decode_body(body)
            for name in (name.decode() for name in _ROWS_FIELD.values()):
                rows = _decode_rows(fields.get(name, b"[]"))
                theirs = [_decode_row(row).identity in identities for row in rows]
                if any(theirs):
                    fields[name] = msgspec.Raw(_without(rows, theirs))
                    body = _encode(fields)
        except (msgspec.MsgspecError, ValueError):
            return b""
        return body


HEAP = Heap()


def _without(rows: list[msgspec.Raw], erased: list[bool]) -> bytes:
    kept = (_ERASED_ROW if gone else bytes(row) for row, gone in zip(rows, erased, strict=True))
    return b"[%b]" % b",".join(kept)


def _row(unit: UserProperties | Event) -> _UserRow | _EventRow:
    """The unit without what is for the trace only."""
    if isinstance(unit, UserProperties):
        return _UserRow(unit.identity, unit.properties)
    return _EventRow(
        unit.identity, unit.event, unit.properties, unit.timestamp, unit.idempotency_key
    )


def _base_url(settings: Mapping[str, Any]) -> str:
    given: str | None = settings["apiBaseUrl"]
    return given.rstrip("/") if given else _REGION_URLS[settings["region"]]
