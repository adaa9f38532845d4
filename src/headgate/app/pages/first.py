"""Signing in and out, and the pages that make an account: the first one and those that were invited."""

from math import ceil
from urllib.parse import urlsplit

import msgspec
from starlette.responses import RedirectResponse, Response

from headgate.app.forms import Problems
from headgate.app.passwords import hash_of, is_password, trouble_with
from headgate.app.routes import action, page
from headgate.app.visit import THEMES, Change, Visit, csrf_of
from headgate.workspace.access import AccessRefused, Account, Link, Role, folded

_WRONG = "The name or the password is wrong."


def login(visit: Visit) -> Response:
    """The form to sign in with."""
    if visit.person is not None:
        return RedirectResponse("/", 303)
    return _login(visit, visit.query.get("next", ""))


def sign_in(change: Change) -> Response:
    """Checks name and password; both wrong answers are the same."""
    form, pace = change.form, change.parts.pace
    name = folded(form.get("name", ""))
    if wait_s := pace.wait_s(name):
        words = f"Too many wrong passwords. Try again in {_duration(wait_s)}."
        return _refused(change, words, 429)
    account, kept = change.access.account(name) or (None, None)
    if not is_password(form.get("password", ""), kept) or account is None:
        pace.failed(name)
        return _refused(change, _WRONG, 401)
    pace.succeeded(name)
    if form.get("resume"):
        return _resumed(change, account)
    return _signed_in(change, account, _local(form.get("next", "")))


def sign_in_again(visit: Visit, path: str, form: dict[str, str]) -> Response:
    """The session ended while somebody filled in a form: what was typed waits behind the sign-in."""
    kept = msgspec.json.encode(form).decode()
    words = "You were signed out meanwhile. Sign in: what you typed is kept."
    return _login(visit, "", words, 401, resume=path, kept=kept)


def sign_out(change: Change) -> Response:
    """Ends this session."""
    change.access_store.sign_out(change.session)
    response = change.done("/login", "You are signed out.")
    change.drop_session(response)
    return response


def setup(visit: Visit) -> Response:
    """What a one-time link leads to."""
    return _setup(visit, visit.query.get("code", ""))


def make_account(change: Change) -> Response:
    """Makes the account, or gives an existing one its new password, and signs in."""
    code, name = change.form.get("code", ""), change.form.get("name", "")
    password = change.form.get("password", "")
    if _link(change, code) is None:
        return _setup(change, code, status=410)
    if trouble := trouble_with(password):
        return _setup(change, code, name=name, problems={"password": trouble}, status=422)
    try:
        account = change.access_store.redeem(code, name, hash_of(password))
    except AccessRefused as refused:
        return _setup(change, code, name=name, problems={"name": str(refused)}, status=422)
    return _signed_in(change, account, "/")


def set_theme(change: Change) -> Response:
    """Light, dark, or as the system has it."""
    theme = change.form.get("theme", "")
    response = change.done(_local(change.form.get("next", "")))
    if theme in THEMES:
        change.set_theme(response, theme)
    return response


def _refused(change: Change, problem: str, status: int) -> Response:
    following, resume, kept = (change.form.get(one, "") for one in ("next", "resume", "kept"))
    return _login(change, following, problem, status, resume=resume, kept=kept)


def _login(
    visit: Visit,
    following: str,
    problem: str = "",
    status: int = 200,
    *,
    resume: str = "",
    kept: str = "",
) -> Response:
    name = visit.form.get("name", "") if isinstance(visit, Change) else ""
    values = {"following": following, "problem": problem, "name": name, "resume": resume}
    is_first = not visit.access.accounts()
    return visit.render("login.html", status, is_first=is_first, kept=kept, **values)


def _resumed(change: Change, account: Account) -> Response:
    """Signed in again: the form as it was, to be sent once more."""
    try:
        kept = msgspec.json.decode(change.form.get("kept", ""), type=dict[str, str])
    except msgspec.DecodeError:
        kept = {}
    secret = change.access_store.sign_in(account, change.request.headers.get("user-agent", ""))
    path, csrf = _local(change.form["resume"]), csrf_of(secret)
    response = change.render("resumed.html", path=path, kept=kept, csrf=csrf)
    change.keep_session(response, secret)
    return response


def _setup(
    visit: Visit,
    code: str,
    *,
    name: str = "",
    problems: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    link = _link(visit, code)
    if link is None:
        return visit.render("setup_gone.html", 410)
    return visit.render(
        "setup.html",
        status,
        code=code,
        link=link,
        name=name,
        problems=Problems(problems or {}),
        is_first=not visit.access.accounts(),
    )


def _link(visit: Visit, code: str) -> Link | None:
    return visit.access.link(code, visit.parts.outside.clock.now_ms())


def _signed_in(change: Change, account: Account, following: str) -> Response:
    agent = change.request.headers.get("user-agent", "")
    secret = change.access_store.sign_in(account, agent)
    response = change.done(following)
    change.keep_session(response, secret)
    return response


def _local(path: str) -> str:
    """A path of this app; / for anything that could lead elsewhere."""
    parts = urlsplit(path)
    is_ours = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if is_ours and not parts.netloc and path.isprintable() else "/"


def _duration(seconds: float) -> str:
    whole = ceil(seconds)
    return f"{whole} second{'s' if whole != 1 else ''}"


ROUTES = (
    page("/login", login, needs=None),
    action("/login", sign_in, needs=None),
    action("/logout", sign_out, Role.VIEWER),
    page("/setup", setup, needs=None),
    action("/setup", make_account, needs=None),
    action("/theme", set_theme, needs=None),
)
