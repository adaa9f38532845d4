"""Heap's user deletion API: what to ask it, and how to read what it says. Pure; delivery does the talking.

A token is bought with the App ID and the API key of the main production environment and lives five
minutes; a deletion names up to 10,000 users, is answered 201, and its status is asked for later. It
concerns every environment of the account. The address is the same one for data kept in the US and in
the EU: https://developers.heap.io/reference/user-deletion
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from headgate.destinations.interface import Request, UnreadableAnswer

_URL = "https://heapanalytics.com"
_ROOT = "/api/public/v0"
_COMPLETE = "complete"
_JSON = {"Content-Type": "application/json"}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class HeapUserDeletion:
    """Deletes users from one Heap account, which the App ID stands for."""

    max_users = 10_000

    def scope(self, settings: Mapping[str, Any]) -> str:
        """The App ID at its address: the sandbox is not Heap."""
        return f"{_base_url(settings)} {settings['appId']}"

    def key(self, settings: Mapping[str, Any]) -> str:
        """The setting `deletionApiKey`."""
        return settings["deletionApiKey"] or ""

    def login(self, settings: Mapping[str, Any]) -> Request:
        """Basic authentication, the App ID as the name and the key as the password."""
        pair = f"{settings['appId']}:{self.key(settings)}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        return Request(f"{_base_url(settings)}{_ROOT}/auth_token", headers, b"")

    def token(self, body: bytes) -> str:
        """What stands under `access_token`."""
        token = _text(body, "access_token")
        if not token.isascii() or not token.isprintable():
            raise UnreadableAnswer("expected an access_token that fits into a header")
        return token

    def deletion(self, settings: Mapping[str, Any], token: str, users: Sequence[str]) -> Request:
        """Names each user by identity."""
        return Request(
            f"{_base_url(settings)}{_ROOT}/user_deletion",
            _JSON | _bearer(token),
            _encode({"users": [{"identity": user} for user in users]}),
        )

    def request_id(self, body: bytes) -> str:
        """What stands under `deletion_request_id`."""
        return _text(body, "deletion_request_id")

    def status(self, settings: Mapping[str, Any], token: str, request_id: str) -> Request:
        """Asks by the request's id; where Heap says that the status is to be found plays no part."""
        url = f"{_base_url(settings)}{_ROOT}/deletion_status/{quote(request_id, safe='')}"
        return Request(url, _bearer(token), b"", "GET")

    def is_complete(self, body: bytes) -> bool:
        """Whether `status` is complete; anything else means: not yet."""
        return _text(body, "status") == _COMPLETE


def _base_url(settings: Mapping[str, Any]) -> str:
    given: str | None = settings["apiBaseUrl"]
    return given.rstrip("/") if given else _URL


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _text(body: bytes, name: str) -> str:
    """A field of an answer, as text; ids may come as numbers."""
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, ValueError):
        found = None
    value = found.get(name) if isinstance(found, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise UnreadableAnswer(f"expected a JSON object with {name}")
    return value
