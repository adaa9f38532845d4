"""The tracking paths: which path takes what. The first thing a request meets.

Source: https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ and, for the
short forms, what analytics.js and the mobile libraries send.
"""

from enum import Enum
from typing import NamedTuple

from headgate.spec.names import CALL_TYPES, SHORT_PATHS


class Door(Enum):
    """What is behind a path."""

    SINGLE = "one message"
    BATCH = "a batch of messages"
    METRICS = "a library's own metrics, taken and dropped"
    PIXEL = "a message in the query, answered by a picture"
    HEALTH = "whether messages can be accepted"


class Route(NamedTuple):
    """A path's door, its methods and, for doors of one message, the call type that the path decides."""

    door: Door
    methods: tuple[str, ...]
    call_type: str = ""


_POST = ("POST",)
_GET = ("GET", "HEAD")

ROUTES: dict[str, Route] = {
    **{f"/v1/{name}": Route(Door.SINGLE, _POST, name) for name in CALL_TYPES},
    **{f"/v1/{letter}": Route(Door.SINGLE, _POST, name) for letter, name in SHORT_PATHS.items()},
    **{f"/v1/{path}": Route(Door.BATCH, _POST) for path in ("batch", "b", "import")},
    # What analytics.js posts to when it was loaded from the paths that name nothing.
    **{f"/a/{letter}": Route(Door.SINGLE, _POST, name) for letter, name in SHORT_PATHS.items()},
    "/a/b": Route(Door.BATCH, _POST),
    "/a/m": Route(Door.METRICS, _POST),
    "/v1/m": Route(Door.METRICS, _POST),
    **{f"/v1/pixel/{name}": Route(Door.PIXEL, _GET, name) for name in CALL_TYPES},
    "/health": Route(Door.HEALTH, _GET),
}


def find_route(path: str) -> Route | None:
    """The route of a path; doubled and trailing slashes are forgiven, since base addresses often have one."""
    route = ROUTES.get(path)
    if route is None and (path.endswith("/") or "//" in path):
        route = ROUTES.get("/" + "/".join(filter(None, path.split("/"))))
    return route
