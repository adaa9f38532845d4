"""What users may ask for, for one of them: nothing more is taken in, or everything is forgotten, here and at Heap.

The same as `headgate suppress`, `unsuppress` and `delete`.
"""

from contextlib import closing
from typing import NamedTuple

from starlette.responses import Response

from headgate.app.figures import stored_in
from headgate.app.routes import AppRoute, action, page
from headgate.app.visit import Change, NothingHere, Visit
from headgate.control import tell_privacy_changed
from headgate.records.users import held_of
from headgate.stores import WORKSPACE
from headgate.workspace.access import Role
from headgate.workspace.sqlite_privacy import SqlitePrivacyReader, SqlitePrivacyStore

_DELETE = "/profiles/-/delete"
_SUPPRESS = "/profiles/-/suppress"
_MOST_CHARACTERS = 1_000


class Asked(NamedTuple):
    """A destination, and whether it can be asked to delete a user: a key for that is configured."""

    name: str
    has_key: bool


def confirm_delete(visit: Visit) -> Response:
    """What is deleted here, and what must be asked of Heap."""
    return _confirm_delete(visit, _user(visit.query.get("user", "")))


def delete(change: Change) -> Response:
    """The user is forgotten."""
    user = _user(change.form.get("user", ""))
    if change.form.get("typed", "") != user:
        return _confirm_delete(change, user, "Type the userId to the letter.", 422)
    is_suppressed = change.form.get("suppress") == "on"
    with _store(change) as store:
        store.delete(user, actor=change.actor, suppress=is_suppressed)
    return change.done("/profiles", _told(change, f"{user} is being forgotten."))


def confirm_suppress(visit: Visit) -> Response:
    """What suppressing means."""
    return visit.render("profile_suppress.html", user=_user(visit.query.get("user", "")))


def suppress(change: Change) -> Response:
    """Nothing more is taken in from the user, or messages are taken in again."""
    user = _user(change.form.get("user", ""))
    with _store(change) as store:
        if change.form.get("suppressed") == "true":
            store.suppress(user, actor=change.actor)
            words = f"Nothing more is taken in from {user}."
        else:
            store.unsuppress(user, actor=change.actor)
            words = f"Messages of {user} are taken in again."
    return change.done("/profiles", _told(change, words))


def _confirm_delete(visit: Visit, user: str, problem: str = "", status: int = 200) -> Response:
    stored = stored_in(visit)
    with closing(SqlitePrivacyReader(visit.parts.outside.data_dir / WORKSPACE)) as privacy:
        earlier = [one for one in privacy.deletions() if one.user_id == user]
    asked = [
        Asked(one.name, bool(one.settings.get("deletionApiKey")))
        for one in stored.current.workspace.destinations
    ]
    return visit.render(
        "profile_delete.html",
        status,
        user=user,
        held=held_of(stored, user),
        asked=asked,
        earlier=earlier,
        problem=problem,
    )


def _user(named: str) -> str:
    if not named or len(named) > _MOST_CHARACTERS:
        raise NothingHere("No userId is named.")
    return named


def _store(change: Change) -> "closing[SqlitePrivacyStore]":
    outside = change.parts.outside
    return closing(SqlitePrivacyStore(outside.data_dir / WORKSPACE, outside.clock))


def _told(change: Change, words: str) -> str:
    """What was recorded, and whether the running server goes along."""
    trouble = tell_privacy_changed(change.parts.outside.data_dir)
    if not trouble:
        return words
    return f"{words} It is recorded, but the running server does not use it: {trouble}"


ROUTES: tuple[AppRoute, ...] = (
    page(_DELETE, confirm_delete),
    action(_DELETE, delete, Role.EDITOR),
    page(_SUPPRESS, confirm_suppress),
    action(_SUPPRESS, suppress, Role.EDITOR),
)
