"""Settings, people: who can sign in and what they may do; one's own password and sessions."""

from collections import Counter

from starlette.responses import Response

from headgate.app.forms import Problems
from headgate.app.links import link
from headgate.app.passwords import hash_of, is_password, trouble_with
from headgate.app.routes import action, page
from headgate.app.visit import Change, NothingHere, Visit
from headgate.workspace.access import AccessRefused, Account, Role


def people(visit: Visit) -> Response:
    """Everybody, and where one is signed in."""
    return _people(visit)


def invite(change: Change) -> Response:
    """Makes a one-time link; this answer is the only one that shows it."""
    role = _role(change)
    if role is None:
        return _people(change, problems={"role": "Choose a role."}, status=422)
    code = change.access_store.invite(role, change.actor)
    words = f"Send this link to the new {role.word}. It makes one account, within a week."
    return _people(change, link=link(_base_url(change), code), words=words)


def renew(change: Change) -> Response:
    """Makes a one-time link for a new password."""
    account = _account(change)
    code = change.access_store.renew(account.id, change.actor)
    words = f"Send this link to {account.name}. It sets a new password, within a week."
    return _people(change, link=link(_base_url(change), code), words=words)


def change_role(change: Change) -> Response:
    """Somebody may do more or less from now on."""
    account, role = _account(change), _role(change)
    if role is None:
        return _people(change, problems={"role": "Choose a role."}, status=422)
    try:
        change.access_store.set_role(account.id, role, change.actor)
    except AccessRefused as refused:
        return _people(change, problems={str(account.id): str(refused)}, status=422)
    return change.done("/settings/people", f"{account.name} is {_a(role)} now.")


def confirm_remove(visit: Visit) -> Response:
    """What removing means."""
    return visit.render("person_remove.html", account=_account(visit), problem="")


def remove(change: Change) -> Response:
    """Somebody cannot sign in any more."""
    account = _account(change)
    try:
        change.access_store.remove(account.id, change.actor)
    except AccessRefused as refused:
        return change.render("person_remove.html", 422, account=account, problem=str(refused))
    return change.done("/settings/people", f"{account.name} is removed and signed out.")


def sign_out_everywhere(change: Change) -> Response:
    """Ends every session of an account."""
    account = _account(change)
    change.access_store.sign_out_everywhere(account.id, change.actor)
    return change.done("/settings/people", f"{account.name} is signed out everywhere.")


def sign_me_out_everywhere(change: Change) -> Response:
    """Ends every session of one's own, this one too."""
    assert change.person is not None
    change.access_store.sign_out_everywhere(change.person.id, change.actor)
    response = change.done("/login", "You are signed out everywhere.")
    change.drop_session(response)
    return response


def change_password(change: Change) -> Response:
    """One's own password; other sessions end."""
    assert change.person is not None
    now, then = change.form.get("password", ""), change.form.get("new_password", "")
    pace, name = change.parts.pace, change.person.name.casefold()
    if pace.wait_s(name):
        words = "Too many wrong passwords. Try again in a minute."
        return _people(change, problems={"password": words}, status=429)
    _, kept = change.access.account(change.person.name) or (None, None)
    if not is_password(now, kept):
        pace.failed(name)
        words = "This is not your password."
        return _people(change, problems={"password": words}, status=422)
    if trouble := trouble_with(then):
        return _people(change, problems={"new_password": trouble}, status=422)
    change.access_store.set_password(change.person.id, hash_of(then), change.session)
    return change.done("/settings/people", "Password changed. Your other sessions are signed out.")


def _people(
    visit: Visit,
    *,
    link: str = "",
    words: str = "",
    problems: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    assert visit.person is not None
    sessions = visit.access.sessions()
    values = {"link": link, "words": words, "problems": Problems(problems or {})}
    return visit.render(
        "people.html",
        status,
        people=visit.access.accounts(),
        counts=Counter(one.account for one in sessions),
        mine=[one for one in sessions if one.account == visit.person.id],
        roles=list(Role),
        **values,
    )


def _account(visit: Visit) -> Account:
    given = visit.path["id"]
    found = next((one for one in visit.access.accounts() if str(one.id) == given), None)
    if found is None:
        raise NothingHere("There is no such person. They may have been removed meanwhile.")
    return found


def _role(change: Change) -> Role | None:
    given = change.form.get("role", "").upper()
    return Role[given] if given in Role.__members__ else None


def _a(role: Role) -> str:
    return f"a {role.word}" if role is Role.VIEWER else f"an {role.word}"


def _base_url(change: Change) -> str:
    """This app as the one who asks reaches it."""
    scheme = "https" if change.is_https else "http"
    return f"{scheme}://{change.request.headers.get('host', '')}"


ROUTES = (
    page("/settings/people", people),
    action("/settings/people/invite", invite, Role.OWNER),
    action("/settings/people/me/password", change_password, Role.VIEWER),
    action("/settings/people/me/sign-out", sign_me_out_everywhere, Role.VIEWER),
    action("/settings/people/{id}/role", change_role, Role.OWNER),
    action("/settings/people/{id}/link", renew, Role.OWNER),
    action("/settings/people/{id}/sign-out", sign_out_everywhere, Role.OWNER),
    page("/settings/people/{id}/remove", confirm_remove, Role.OWNER),
    action("/settings/people/{id}/remove", remove, Role.OWNER),
)
