"""What a page module says about its addresses. `web.py` serves what is listed here and nothing else.

    ROUTES = (
        page("/sources", listing),
        action("/sources/{slug}/enabled", switch, Role.EDITOR),
    )

There are four kinds, and each brings its own protection, so that no handler can forget it:

- a page is asked for with GET and gets a `Visit`, whose stores are opened read-only: it can change nothing;
- an action is posted, must come from a page of ours (`guard.py`), and gets a `Change`, which can;
- a call comes from a program with a token, whatever cookies say, and speaks JSON;
- a stream is a line that stays open while somebody watches (`lines.py`), and can change nothing either.

Handlers are plain functions that run in a thread: they may read and write files, and may not touch the loop.
Those of streams run on the loop, and read and write files in threads.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

from starlette.responses import Response

from headgate.app.lines import Line
from headgate.app.visit import Call, Change, Visit
from headgate.workspace.access import Role

Kind = Literal["page", "action", "call", "stream"]


class AppRoute(NamedTuple):
    """One address with its method, and who may use it: `needs` is None for everybody, signed in or not."""

    kind: Kind
    method: str
    path: str
    handle: Callable[[Any], Any]
    needs: Role | None


def page(
    path: str, handle: Callable[[Visit], Response], needs: Role | None = Role.VIEWER
) -> AppRoute:
    """What a browser shows."""
    return AppRoute("page", "GET", path, handle, needs)


def action(path: str, handle: Callable[[Change], Response], needs: Role | None) -> AppRoute:
    """What a form does."""
    return AppRoute("action", "POST", path, handle, needs)


def call(method: str, path: str, handle: Callable[[Call], Response], needs: Role) -> AppRoute:
    """What a program asks for with a token."""
    return AppRoute("call", method, path, handle, needs)


def stream(
    path: str, follow: Callable[[Line], Awaitable[None]], needs: Role = Role.VIEWER
) -> AppRoute:
    """What a browser keeps open."""
    return AppRoute("stream", "GET", path, follow, needs)
