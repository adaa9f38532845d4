"""The management API, under the names of Segment's Public API: https://docs.segmentapis.com/

A token is sent as `Authorization: Bearer TOKEN`. What is changed here goes the way of the app's own forms.
"""

from typing import Any

from starlette.responses import Response

from headgate.app.editing import Refused, item, save
from headgate.app.routes import call
from headgate.app.visit import Call
from headgate.workspace.access import Role
from headgate.workspace.model import Document

_CHANGEABLE = ("name", "enabled")


def sources(asked: Call) -> Response:
    """Every source."""
    document = asked.parts.workspace_reader.current().document
    return asked.answer({"sources": [_told(one) for one in document["sources"]]})


def source(asked: Call) -> Response:
    """One source."""
    document = asked.parts.workspace_reader.current().document
    found = item(document, "sources", asked.request.path_params["sourceId"])
    return asked.answer({"source": _told(found)}) if found else _not_found(asked)


def update_source(asked: Call) -> Response:
    """Changes name or enabled."""
    slug = asked.request.path_params["sourceId"]
    body = asked.body
    if not isinstance(body, dict) or not body or not set(body) <= set(_CHANGEABLE):
        words = f"Expected an object with {' or '.join(_CHANGEABLE)}."
        return asked.refuse(400, "bad_request", words)
    given: dict[str, Any] = body

    def edit(document: Document) -> None:
        found = item(document, "sources", slug)
        if found is not None:
            found.update(given)

    try:
        saved = save(asked.parts, asked.actor, edit)
    except Refused as refused:
        return asked.refuse(422, "unprocessable", str(refused))
    found = item(asked.parts.workspace_reader.at(saved.version).document, "sources", slug)
    return asked.answer({"source": _told(found)}) if found else _not_found(asked)


def _told(found: dict[str, Any]) -> dict[str, Any]:
    return {"id": found["slug"], **found}


def _not_found(asked: Call) -> Response:
    return asked.refuse(404, "not_found", "There is no such source.")


ROUTES = (
    call("GET", "/api/sources", sources, Role.VIEWER),
    call("GET", "/api/sources/{sourceId}", source, Role.VIEWER),
    call("PATCH", "/api/sources/{sourceId}", update_source, Role.EDITOR),
)
