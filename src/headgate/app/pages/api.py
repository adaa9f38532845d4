"""The management API, under the names of Segment's Public API: https://docs.segmentapis.com/

A token is sent as `Authorization: Bearer TOKEN`. What is changed here goes the way of the app's own forms. The
resources are in modules of their own; `/api/openapi.json` describes them all.
"""

import msgspec
from starlette.responses import Response

from headgate.app.openapi import described
from headgate.app.pages import api_computations, api_destinations, api_regulations, api_sources
from headgate.app.routes import call
from headgate.app.visit import Call
from headgate.workspace.access import Role

OPERATIONS = (
    *api_sources.OPERATIONS,
    *api_destinations.OPERATIONS,
    *api_computations.OPERATIONS,
    *api_regulations.OPERATIONS,
)


def document(asked: Call) -> Response:
    """The description of every operation."""
    return Response(msgspec.json.encode(described(OPERATIONS)), media_type="application/json")


ROUTES = (
    call("GET", "/api/openapi.json", document, Role.VIEWER),
    *(one.route for one in OPERATIONS),
)
