"""What the management API says about its operations: the address, what it takes, what it tells.

    OPERATIONS = (
        Operation("GET", "/api/sources", sources, Sources),
        Operation("POST", "/api/sources", add_source, OneSource, NewSource),
    )

Routes are made from these, and so is the OpenAPI document (`openapi.py`); bodies are checked against the same
types that the document describes. A handler gets a `Call` whose body is of the type that it takes, and
returns what it tells; how it refuses is below.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from headgate.app.routes import AppRoute, call
from headgate.app.visit import Call, NothingHere
from headgate.workspace.access import Role
from headgate.workspace.errors import WorkspaceError

READING = "GET"


class Trouble(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reason why nothing was done. `field` is the place in the body, when one is to blame."""

    type: str
    message: str
    field: str = ""


class Troubles(msgspec.Struct, frozen=True):
    """What a call is answered when nothing was done."""

    errors: list[Trouble]


class Unprocessable(Exception):
    """The workspace would not be valid; nothing was changed. `problems` by their place in the body."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = problems


class Overtaken(Exception):
    """What was to be changed is not what the caller had read."""


class Operation(NamedTuple):
    """One operation. Whatever is not read changes something, and needs an editor's scope."""

    method: str
    path: str
    handle: Callable[[Call], Any]
    tells: type
    takes: type | None = None

    @property
    def needs(self) -> Role:
        """Who may."""
        return Role.VIEWER if self.method == READING else Role.EDITOR

    @property
    def route(self) -> AppRoute:
        """What `web.py` serves."""
        return call(self.method, self.path, self._answer, self.needs)

    def _answer(self, asked: Call) -> Response:
        try:
            version = asked.parts.workspace_reader.current().number
            response = asked.answer(self.handle(self._checked(asked)))
        except msgspec.ValidationError as error:
            return _refusal(400, [_unfit(error)])
        except NothingHere as error:
            return _refusal(404, [Trouble("not_found", str(error))])
        except Overtaken as error:
            return _refusal(412, [Trouble("precondition_failed", str(error))])
        except Unprocessable as refused:
            return _refusal(
                422, [Trouble("unprocessable", text, at) for at, text in refused.problems.items()]
            )
        except WorkspaceError as error:
            return _refusal(503, [Trouble("unavailable", str(error))])
        if self.method == READING:
            response.headers["etag"] = f'"{version}"'
        return response

    def _checked(self, asked: Call) -> Call:
        if self.takes is None:
            return asked
        return replace(asked, body=msgspec.convert(asked.body, self.takes))


def given(body: msgspec.Struct) -> dict[str, Any]:
    """The values that a body holds, under the names that a document has them."""
    values = {
        field.encode_name: getattr(body, field.name) for field in msgspec.structs.fields(body)
    }
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}


def _unfit(error: msgspec.ValidationError) -> Trouble:
    """msgspec says `Expected … - at `$.name``."""
    message, _, place = str(error).partition(" - at `$")
    return Trouble("bad_request", f"{message}.", place.rstrip("`").removeprefix("."))


def _refusal(status: int, troubles: list[Trouble]) -> Response:
    return Response(msgspec.json.encode(Troubles(troubles)), status, media_type="application/json")
