"""Settings, file: the workspace as the headgate.yaml that would make it."""

from starlette.responses import Response

from headgate.app.routes import page
from headgate.app.visit import Visit
from headgate.workspace.export import export


def show(visit: Visit) -> Response:
    """The text, on a page."""
    newest = visit.workspace.current()
    text = export(newest.document, visit.parts.catalog)
    return visit.render("file.html", text=text, version=newest)


def download(visit: Visit) -> Response:
    """The text alone, what `headgate export` prints."""
    text = export(visit.workspace.current().document, visit.parts.catalog)
    headers = {"Content-Disposition": 'attachment; filename="headgate.yaml"'}
    return Response(text, 200, headers, media_type="application/yaml")


ROUTES = (page("/settings/file", show), page("/settings/file/headgate.yaml", download))
