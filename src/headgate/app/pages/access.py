"""Settings, access: the tokens that programs use. A token is shown once, when it is made."""

from starlette.responses import Response

from headgate.app.forms import Problems
from headgate.app.routes import action, page
from headgate.app.visit import Change, NothingHere, Visit
from headgate.workspace.access import SCOPES, AccessRefused, Role


def tokens(visit: Visit) -> Response:
    """Every token, without its secret."""
    return _tokens(visit)


def make(change: Change) -> Response:
    """Makes a token; this answer is the only one that shows it."""
    scope, name = change.form.get("scope", ""), change.form.get("name", "")
    if scope not in SCOPES:
        return _tokens(
            change, problems={"scope": "Choose what the token may do."}, name=name, status=422
        )
    try:
        secret = change.access_store.make_token(name, scope, change.actor)
    except AccessRefused as refused:
        return _tokens(change, problems={"name": str(refused)}, name=name, status=422)
    return _tokens(change, secret=secret)


def confirm_revoke(visit: Visit) -> Response:
    """What revoking means."""
    found = next((one for one in visit.access.tokens() if str(one.id) == visit.path["id"]), None)
    if found is None:
        raise NothingHere("There is no such token. It may have been revoked meanwhile.")
    return visit.render("token_revoke.html", token=found)


def revoke(change: Change) -> Response:
    """The token opens nothing any more."""
    given = change.path["id"]
    if not (given.isascii() and given.isdigit()):
        raise NothingHere("There is no such token.")
    change.access_store.revoke(int(given[:15]), change.actor)
    return change.done("/settings/access", "Token revoked.")


def _tokens(
    visit: Visit,
    *,
    secret: str = "",
    problems: dict[str, str] | None = None,
    name: str = "",
    status: int = 200,
) -> Response:
    values = {"secret": secret, "problems": Problems(problems or {}), "name": name}
    return visit.render("tokens.html", status, tokens=visit.access.tokens(), **values)


ROUTES = (
    page("/settings/access", tokens),
    action("/settings/access", make, Role.OWNER),
    page("/settings/access/{id}/revoke", confirm_revoke, Role.OWNER),
    action("/settings/access/{id}/revoke", revoke, Role.OWNER),
)
