"""Heap's user deletion API: a token, a request, its status.

https://developers.heap.io/reference/user-deletion: a token is bought with Basic `app_id:api_key` and
lives five minutes; a request names up to 10,000 users and is answered 201. Here the users are gone at
once, while the request says `pending` the first time it is asked about and `complete` afterwards.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

import msgspec

from headgate.clock import Clock
from headgate.sandbox.exchange import Outcome, Request
from headgate.sandbox.state import Store
from headgate.sandbox.writes import Who

TOKEN_LIFE_S = 300
MAX_USERS = 10_000
ROOT = "/api/public/v0/"
STATUS_PATH = f"{ROOT}deletion_status/"


class Deletions:
    """Tokens handed out and requests taken."""

    def __init__(self, store: Store, clock: Clock, api_key: str) -> None:
        self._store = store
        self._clock = clock
        self._api_key = api_key
        self.clear()

    def clear(self) -> None:
        """Forget tokens and requests."""
        self._tokens: dict[str, tuple[str, float]] = {}
        self._asked: dict[str, bool] = {}

    def handle(self, request: Request, body: Any) -> Outcome:
        """Answer a request under `/api/public/v0/`."""
        posts: dict[str, Callable[[Request, Any], Outcome]] = {
            f"{ROOT}auth_token": self._token,
            f"{ROOT}user_deletion": self._delete,
        }
        is_status = request.path.startswith(STATUS_PATH)
        if not is_status and request.path not in posts:
            return Outcome.refused(404, f"no such path: {request.path}")
        if request.method != ("GET" if is_status else "POST"):
            return Outcome.refused(405, f"{request.method} is not allowed here")
        if is_status:
            return self._status(request)
        return posts[request.path](request, body)

    def _token(self, request: Request, body: Any) -> Outcome:
        app_id, api_key = _basic(request.header("authorization"))
        if not app_id.isdigit() or not api_key or self._api_key not in ("", api_key):
            return _unauthorized("expected Basic app_id:api_key of the main environment")
        token = f"sandbox-token-{len(self._tokens) + 1}"
        self._tokens[token] = (app_id, self._clock.monotonic_s() + TOKEN_LIFE_S)
        return _served(200, app_id, {"access_token": token})

    def _delete(self, request: Request, body: Any) -> Outcome:
        app_id = self._app_of(request)
        if not app_id:
            return _unauthorized("expected Bearer and a token not older than five minutes")
        users = _users(body)
        if not users:
            expected = f"users: expected 1 to {MAX_USERS} objects with identity or user_id"
            return Outcome.refused(400, expected)
        self._store.delete(app_id, users)
        number = str(len(self._asked) + 1)
        self._asked[number] = False
        answer = {
            "deletion_request_id": number,
            "deletion_request_location": f"{STATUS_PATH}{number}",
            "status": "pending",
        }
        outcome = _served(201, app_id, answer)
        outcome.rows = outcome.stored = len(users)
        return outcome

    def _status(self, request: Request) -> Outcome:
        app_id = self._app_of(request)
        if not app_id:
            return _unauthorized("expected Bearer and a token not older than five minutes")
        number = request.path.removeprefix(STATUS_PATH)
        if number not in self._asked:
            return Outcome.refused(404, f"no deletion request {number}")
        status = "complete" if self._asked[number] else "pending"
        self._asked[number] = True
        return _served(200, app_id, {"deletion_request_id": number, "status": status})

    def _app_of(self, request: Request) -> str:
        """The app whose living token the request bears, "" when there is none."""
        token = request.header("authorization").removeprefix("Bearer ")
        app_id, dies_s = self._tokens.get(token, ("", 0.0))
        return app_id if self._clock.monotonic_s() < dies_s else ""


def _basic(header: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(header.removeprefix("Basic "), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    app_id, _, api_key = text.partition(":")
    return app_id, api_key


def _users(body: Any) -> list[Who]:
    """Whom a deletion names; empty when anything about it is wrong."""
    found = body.get("users") if isinstance(body, dict) else None
    if not isinstance(found, list) or len(found) > MAX_USERS:
        return []
    users = [_who(item) for item in found]
    return [who for who in users if who is not None] if None not in users else []


def _who(item: object) -> Who | None:
    if not isinstance(item, dict) or len(item) != 1:
        return None
    [(name, value)] = item.items()
    if name not in ("identity", "user_id") or not isinstance(value, str) or not value:
        return None
    return Who(value, None) if name == "identity" else Who(None, value)


def _served(status: int, app_id: str, answer: dict[str, str]) -> Outcome:
    return Outcome(status, "served", msgspec.json.encode(answer), app_id=app_id)


def _unauthorized(error: str) -> Outcome:
    return Outcome.refused(401, error)
