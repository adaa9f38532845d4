"""The OpenAPI document of the management API, made of its operations and of the types that their bodies are.

https://spec.openapis.org/oas/v3.1.1
"""

import inspect
import re
from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec

from headgate import __version__
from headgate.app.operations import READING, Operation, Troubles

_REFERENCE = "#/components/schemas/{name}"
_PLACE = re.compile(r"\{(\w+)\}")
_SCHEME = "token"
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of what was read: nothing is changed when it is another one now.",
    "schema": {"type": "string", "pattern": r'^("[0-9]{1,15}"|\*)$'},
}
_WHY_NOT = {
    "400": "The body is not JSON, or not of this form.",
    "401": "The token is missing, wrong or revoked.",
    "403": "The token's scope does not allow it.",
    "404": "There is no such thing.",
    "412": "It was changed since it was read.",
    "422": "The workspace would not be valid; nothing was changed.",
    "503": "The workspace cannot be used now.",
}
_OF_READING = ("401", "403", "503")
_OF_WRITING = ("400", "401", "403", "412", "422", "503")


def described(operations: Iterable[Operation]) -> dict[str, Any]:
    """The document."""
    operations = tuple(operations)
    types = [one for operation in operations for one in (operation.takes, operation.tells) if one]
    _, schemas = msgspec.json.schema_components([*types, Troubles], ref_template=_REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _described(one)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Headgate", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {_SCHEME: {"type": "http", "scheme": "bearer"}},
        },
        "security": [{_SCHEME: []}],
    }


def _described(one: Operation) -> dict[str, Any]:
    places = _PLACE.findall(one.path)
    changes_one = one.method != READING and bool(places)
    what: dict[str, Any] = {
        "operationId": _name(one),
        "summary": _summary(one),
        "parameters": [_place(name) for name in places] + ([_IF_MATCH] if changes_one else []),
        "responses": {"200": _answer("Done.", _data(one.tells))} | _refusals(one, bool(places)),
    }
    if one.takes is not None:
        what["requestBody"] = {"required": True, "content": _json(_of(one.takes))}
    return what


def _refusals(one: Operation, has_places: bool) -> dict[str, Any]:
    statuses = {*(_OF_READING if one.method == READING else _OF_WRITING)}
    if has_places:
        statuses.add("404")
    return {status: _answer(_WHY_NOT[status], _of(Troubles)) for status in sorted(statuses)}


def _place(name: str) -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _name(one: Operation) -> str:
    """Unique: a method and the words of the address."""
    words = re.findall(r"\w+", one.path.removeprefix("/api/"))
    return one.method.lower() + "".join(word[0].upper() + word[1:] for word in words)


def _summary(one: Operation) -> str:
    handle = one.handle.func if isinstance(one.handle, partial) else one.handle
    return inspect.getdoc(handle) or ""


def _answer(words: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": words, "content": _json(schema)}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _data(told: type) -> dict[str, Any]:
    return {"type": "object", "required": ["data"], "properties": {"data": _of(told)}}


def _of(named: type) -> dict[str, Any]:
    return {"$ref": _REFERENCE.format(name=named.__name__)}
