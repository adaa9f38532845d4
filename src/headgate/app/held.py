"""What a sandbox holds of a user, asked of it: pages of people show it beside what Headgate believes.

Real Heap cannot be asked. A sandbox is a Heap on this very machine that a destination points at.
"""

from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from headgate.workspace.model import Destination, Workspace

_LOCAL = ("127.0.0.1", "::1", "localhost")
_ANSWERS_WITHIN_S = 0.3


class Held(NamedTuple):
    """A destination that is a sandbox, and the properties that it holds of the user by name."""

    destination: str
    properties: dict[str, Any]


def held_of(workspace: Workspace, user_id: str) -> Held | None:
    """What the first sandbox that answers holds of a user; None when there is none."""
    for one in workspace.destinations:
        properties = _asked(one, user_id)
        if properties is not None:
            return Held(one.slug, properties)
    return None


def _asked(destination: Destination, user_id: str) -> dict[str, Any] | None:
    address = urlsplit(str(destination.settings.get("apiBaseUrl") or ""))
    if address.scheme != "http" or address.hostname not in _LOCAL:
        return None
    asked = urlencode({"app_id": destination.settings["appId"]})
    line = HTTPConnection(address.hostname, address.port or 80, timeout=_ANSWERS_WITHIN_S)
    try:
        line.request("GET", f"/users/{quote(user_id, safe='')}?{asked}")
        answer = line.getresponse()
        body = answer.read()
        if answer.status == 404:
            return {}
        found = msgspec.json.decode(body)["properties"] if answer.status == 200 else None
    except (OSError, HTTPException, msgspec.DecodeError, KeyError, TypeError):
        return None
    finally:
        line.close()
    return found if isinstance(found, dict) else None
