"""One request as a handler gets it: who asks, for what, and how to answer.

`Visit` reads. `Change`, which only actions get, also writes. `Call` is a program's. See `routes.py`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from headgate.app.parts import Parts
from headgate.delivery.engine import DestinationStatus
from headgate.workspace.access import Account, Role
from headgate.workspace.access_store import SESSION_MS, AccessReader, AccessStore
from headgate.workspace.sqlite_store import SqliteWorkspaceReader, SqliteWorkspaceStore

THEMES = ("system", "light", "dark")
_SAID = "headgate_said"
_THEME = "headgate_theme"
_OWN_HOSTS = ("127.0.0.1", "localhost", "::1")
_YEAR_S = 31_536_000
_SAID_S = 60


class NothingHere(Exception):
    """There is no such page; the text says what was looked for."""


class Forbidden(Exception):
    """The one who asks may not do it; the text says why."""


class SignedOut(Exception):
    """The session ended while a form was being filled in. `form` is what was typed, but for secrets."""

    def __init__(self, path: str, form: Mapping[str, str]) -> None:
        self.path = path
        self.form = {
            name: text for name, text in form.items() if name != "csrf" and "password" not in name
        }


@dataclass(frozen=True, slots=True)
class Visit:
    """A page that somebody asks for. `session` is the secret of theirs, empty without one."""

    parts: Parts
    request: Request
    person: Account | None
    session: str
    standing: list[DestinationStatus]

    @property
    def access(self) -> AccessReader:
        """Who has access."""
        return self.parts.access_reader

    @property
    def workspace(self) -> SqliteWorkspaceReader:
        """The workspace's versions."""
        return self.parts.workspace_reader

    @property
    def actor(self) -> str:
        """Who it is, for the trail."""
        return self.person.name if self.person else ""

    @property
    def path(self) -> Mapping[str, str]:
        """What the address says in the places of the route."""
        return self.request.path_params

    @property
    def query(self) -> Mapping[str, str]:
        """What the address says behind the question mark."""
        return self.request.query_params

    @property
    def csrf(self) -> str:
        """What every form of this session carries."""
        return csrf_of(self.session)

    @property
    def theme(self) -> str:
        """Light, dark, or as the system has it."""
        wanted = self.request.cookies.get(_THEME, "")
        return wanted if wanted in THEMES else THEMES[0]

    @property
    def has_sandbox(self) -> bool:
        """Whether a destination points at a Heap on this very machine, which is never the real one."""
        destinations = self.workspace.current().document["destinations"]
        urls = (one.get("settings", {}).get("apiBaseUrl", "") for one in destinations)
        return any(urlsplit(url).hostname in _OWN_HOSTS for url in urls)

    def may(self, needs: Role | None) -> bool:
        """Whether the person may do what needs this role."""
        return needs is None or (self.person is not None and self.person.role >= needs)

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page; what was said by the action before is shown with it, once."""
        said = self.request.cookies.get(_SAID, "")
        text = self.parts.templates.get_template(template).render(
            visit=self, said=unquote(said), Role=Role, **values
        )
        response = Response(text, status, media_type="text/html")
        if said:
            response.delete_cookie(_SAID, path="/", httponly=True, samesite="lax")
        return response

    @property
    def is_https(self) -> bool:
        """Whether the browser speaks TLS, with us or with a proxy before us."""
        headers = self.request.headers
        return "https" in (self.request.url.scheme, headers.get("x-forwarded-proto"))


@dataclass(frozen=True, slots=True)
class Change(Visit):
    """A form that somebody posted. `form` holds the last value of each field."""

    form: Mapping[str, str]

    @property
    def access_store(self) -> AccessStore:
        """Changes who has access."""
        return self.parts.access

    @property
    def workspace_store(self) -> SqliteWorkspaceStore:
        """Changes the workspace; see `editing.py`."""
        return self.parts.workspace

    def done(self, path: str, said: str = "") -> Response:
        """On to a page, which says what was done."""
        response = RedirectResponse(path, 303)
        if said:
            self._set(response, _SAID, quote(said), _SAID_S)
        return response

    def keep_session(self, response: Response, secret: str) -> None:
        """The browser is signed in with this secret from now on."""
        self._set(response, cookie_name(self.request), secret, SESSION_MS // 1000)

    def drop_session(self, response: Response) -> None:
        """The browser is not signed in any more."""
        self._set(response, cookie_name(self.request), "", 0)

    def set_theme(self, response: Response, theme: str) -> None:
        """The browser remembers the theme."""
        self._set(response, _THEME, theme, _YEAR_S)

    def _set(self, response: Response, name: str, value: str, max_age_s: int) -> None:
        response.set_cookie(
            name, value, max_age_s, path="/", httponly=True, samesite="lax", secure=self.is_https
        )


@dataclass(frozen=True, slots=True)
class Call:
    """What a program asks for. `body` is the JSON it sent, None without any."""

    parts: Parts
    request: Request
    actor: str
    body: Any

    def answer(self, data: Any) -> Response:
        """JSON, as Segment's Public API wraps it."""
        body = msgspec.json.encode({"data": data})
        return Response(body, media_type="application/json")

    def refuse(self, status: int, kind: str, message: str) -> Response:
        """An error, in the same API's form."""
        return refusal(status, kind, message)


def refusal(status: int, kind: str, message: str) -> Response:
    """An error of the API."""
    body = {"errors": [{"type": kind, "message": message}]}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def cookie_name(request: Request) -> str:
    """The session's cookie. Browsers tell hosts apart, not ports, and a demo may run beside the real one."""
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"headgate_{port if port.isascii() and port.isdigit() else 'session'}"


def csrf_of(session: str) -> str:
    """The proof that a form came from a page of this session; tells nothing about its secret."""
    return hashlib.sha256(f"form:{session}".encode()).hexdigest() if session else ""
