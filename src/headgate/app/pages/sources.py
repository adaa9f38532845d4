"""Sources: what sends, with which keys, and how that is changed. What comes in from one is told by `door.py`.

The pattern for other pages that edit the workspace: forms are made from rows of the settings table, checked as
people type, saved with the version they were read at.
"""

import secrets
from typing import Any

import msgspec
from starlette.responses import Response

from headgate.app.editing import Refused, edited, item, place, save
from headgate.app.figures import stored_in
from headgate.app.forms import (
    Overtaken,
    fields,
    posted,
    problems_at,
    refuse_overtaken,
)
from headgate.app.routes import action, page
from headgate.app.sending import sending
from headgate.app.visit import Change, NothingHere, Visit
from headgate.workspace.access import Role
from headgate.workspace.errors import UnknownVersion
from headgate.workspace.model import Document, Source
from headgate.workspace.store import Version
from headgate.workspace.table import SOURCE

_BY_NAME = {row.name: row for row in SOURCE}
_EDITED = (_BY_NAME["name"], _BY_NAME["type"])
_MADE = (_BY_NAME["name"], _BY_NAME["slug"], _BY_NAME["type"])
_LABELS = {"name": "Name", "slug": "Slug", "type": "Type"}


def source_of(visit: Visit) -> Source:
    """The source that the address names."""
    slug = visit.path["slug"]
    sources = stored_in(visit).current.workspace.sources
    found = next((one for one in sources if one.slug == slug), None)
    if found is None:
        raise NothingHere(f"There is no source {slug}. It may have been deleted or renamed.")
    return found


def listing(visit: Visit) -> Response:
    """Every source, with what it sends."""
    stored, now_ms = stored_in(visit), visit.parts.outside.clock.now_ms()
    workspace, sends = stored.current.workspace, sending(stored, now_ms)
    rows = [
        (one, workspace.destinations_of(one.slug), sends[one.slug]) for one in workspace.sources
    ]
    return visit.render("sources.html", rows=rows, now_ms=now_ms)


# Settings


def settings(visit: Visit) -> Response:
    """The form."""
    found, newest = source_of(visit), visit.workspace.current()
    values = _item(newest, found.slug)
    return _settings(visit, found, newest.number, values)


def check_settings(change: Change) -> Response:
    """What is wrong with a form that is still being filled in, by field."""
    slug, newest = change.path["slug"], change.workspace.current()
    _item(newest, slug)
    return _judged(change, newest, slug, _set_to(slug, posted(_EDITED, change.form)))


def change_settings(change: Change) -> Response:
    """Saves the form, unless it is wrong or somebody else has saved another value meanwhile."""
    found, newest = source_of(change), change.workspace.current()
    wanted = posted(_EDITED, change.form)

    def edit(document: Document) -> None:
        refuse_overtaken(
            _EDITED, _as_read(change, found.slug), _found(document, found.slug), wanted
        )
        _set_to(found.slug, wanted)(document)

    try:
        saved = save(change.parts, change.actor, edit)
    except Overtaken as overtaken:
        now, by = change.workspace.current().number, _last_change(change, found.slug)
        return _settings(change, found, now, wanted, saved=overtaken.saved, by=by, status=409)
    except Refused as refused:
        problems = problems_at(place(newest.document, "sources", found.slug), refused.problems)
        version = change.form.get("version", str(newest.number))
        return _settings(change, found, version, wanted, problems=problems, status=422)
    return change.done(f"/sources/{found.slug}", saved.told("Settings saved."))


# A new one


def new(visit: Visit) -> Response:
    """The form for a new source."""
    return _new(visit, {"type": "website"})


def check_new(change: Change) -> Response:
    """What is wrong with the form so far."""
    wanted = posted(_MADE, change.form)
    newest = change.workspace.current()
    return _judged(change, newest, None, _with_source(wanted, []))


def create(change: Change) -> Response:
    """Makes the source, with a write key."""
    wanted = posted(_MADE, change.form)
    try:
        saved = save(change.parts, change.actor, _with_source(wanted, [_new_key()]))
    except Refused as refused:
        count = len(change.workspace.current().document["sources"])
        return _new(change, wanted, problems_at(f"sources[{count}]", refused.problems), 422)
    return change.done(f"/sources/{wanted['slug']}/install", saved.told("Source created."))


# Switches, keys and the end


def confirm_disable(visit: Visit) -> Response:
    """What disabling means."""
    return visit.render("source_disable.html", source=source_of(visit))


def switch(change: Change) -> Response:
    """Enables or disables it."""
    found, wanted = source_of(change), change.form.get("enabled") == "true"
    saved = save(change.parts, change.actor, _set_to(found.slug, {"enabled": wanted}))
    words = f"{found.name} is {'enabled' if wanted else 'disabled'}."
    return change.done(f"/sources/{found.slug}", saved.told(words))


def add_key(change: Change) -> Response:
    """One more write key, so that libraries can move over one by one."""
    found, key = source_of(change), _new_key()

    def edit(document: Document) -> None:
        _found(document, found.slug)["writeKeys"].append(key)

    saved = save(change.parts, change.actor, edit)
    return change.done(f"/sources/{found.slug}", saved.told("Write key added."))


def confirm_retire(visit: Visit) -> Response:
    """What retiring a key means."""
    found, index = source_of(visit), _index(visit)
    return visit.render(
        "source_retire.html", source=found, index=index, key=found.write_keys[index]
    )


def retire_key(change: Change) -> Response:
    """The key opens the door no more."""
    found, index = source_of(change), _index(change)
    written = _item(change.workspace.current(), found.slug)["writeKeys"][index]

    def edit(document: Document) -> None:
        keys = _found(document, found.slug)["writeKeys"]
        if written in keys:
            keys.remove(written)

    saved = save(change.parts, change.actor, edit)
    return change.done(f"/sources/{found.slug}", saved.told("Write key retired."))


def confirm_delete(visit: Visit) -> Response:
    """What deleting means; the slug has to be typed."""
    return _confirm_delete(visit)


def delete(change: Change) -> Response:
    """The source is gone; what it sent stays in the log."""
    found = source_of(change)
    if change.form.get("slug", "").strip() != found.slug:
        return _confirm_delete(change, f"Type {found.slug} to delete it.", 422)

    def edit(document: Document) -> None:
        document["sources"].remove(_found(document, found.slug))

    try:
        saved = save(change.parts, change.actor, edit)
    except Refused as refused:
        return _confirm_delete(change, str(refused), 422)
    return change.done("/sources", saved.told(f"{found.name} is deleted."))


# Parts of the above


def _item(version: Version, slug: str) -> dict[str, Any]:
    return _found(version.document, slug)


def _found(document: Document, slug: str) -> dict[str, Any]:
    found = item(document, "sources", slug)
    if found is None:
        raise NothingHere(f"There is no source {slug} any more: somebody has deleted it meanwhile.")
    return found


def _as_read(change: Change, slug: str) -> dict[str, Any] | None:
    """The source as the form showed it."""
    given = change.form.get("version", "")
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        return None
    try:
        return item(change.workspace.at(int(given)).document, "sources", slug)
    except UnknownVersion:
        return None


def _last_change(visit: Visit, slug: str) -> Version:
    """The version that made the source what it is now."""
    newest = visit.workspace.current()
    for number in range(newest.number - 1, -1, -1):
        before = visit.workspace.at(number)
        if item(before.document, "sources", slug) != item(newest.document, "sources", slug):
            return visit.workspace.at(number + 1)
    return newest


def _set_to(slug: str, values: dict[str, Any]) -> Any:
    def edit(document: Document) -> None:
        found = _found(document, slug)
        found.update(values)

    return edit


def _with_source(wanted: dict[str, Any], keys: list[str]) -> Any:
    def edit(document: Document) -> None:
        document["sources"].append({**wanted, "writeKeys": keys})

    return edit


def _judged(change: Change, newest: Version, slug: str | None, edit: Any) -> Response:
    where = (
        f"sources[{len(newest.document['sources'])}]"
        if slug is None
        else place(newest.document, "sources", slug)
    )
    problems: dict[str, str] = {}
    try:
        edited(change.parts, newest, edit)
    except Refused as refused:
        problems = problems_at(where, refused.problems)
    return Response(msgspec.json.encode(problems), media_type="application/json")


def _settings(
    visit: Visit,
    found: Source,
    version: int | str,
    values: dict[str, Any],
    *,
    problems: dict[str, str] | None = None,
    saved: dict[str, str] | None = None,
    by: Version | None = None,
    status: int = 200,
) -> Response:
    shown = fields(_EDITED, values, _LABELS, problems, saved)
    told = {"version": version, "by": by, "other": (problems or {}).get("", "")}
    return visit.render("source_settings.html", status, source=found, fields=shown, **told)


def _new(
    visit: Visit,
    values: dict[str, Any],
    problems: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    shown = fields(_MADE, values, _LABELS, problems)
    return visit.render("source_new.html", status, fields=shown, other=(problems or {}).get("", ""))


def _confirm_delete(visit: Visit, problem: str = "", status: int = 200) -> Response:
    found = source_of(visit)
    connected = stored_in(visit).current.workspace.destinations_of(found.slug)
    values = {"source": found, "connected": connected, "problem": problem}
    return visit.render("source_delete.html", status, **values)


def _index(visit: Visit) -> int:
    """Which of the source's keys is meant, by its place; the key itself would stand in logs of proxies."""
    given = visit.path["index"]
    keys = source_of(visit).write_keys
    if not (given.isascii() and given.isdigit() and int(given[:6]) < len(keys)):
        raise NothingHere("There is no such write key. It may have been retired meanwhile.")
    return int(given[:6])


def _new_key() -> str:
    return f"wk_{secrets.token_urlsafe(18)}"


ROUTES = (
    page("/sources", listing),
    page("/sources/new", new, Role.EDITOR),
    action("/sources/new", create, Role.EDITOR),
    action("/sources/new/check", check_new, Role.EDITOR),
    page("/sources/{slug}/settings", settings),
    action("/sources/{slug}/settings", change_settings, Role.EDITOR),
    action("/sources/{slug}/settings/check", check_settings, Role.EDITOR),
    page("/sources/{slug}/disable", confirm_disable, Role.EDITOR),
    action("/sources/{slug}/enabled", switch, Role.EDITOR),
    action("/sources/{slug}/keys", add_key, Role.EDITOR),
    page("/sources/{slug}/keys/{index}/retire", confirm_retire, Role.EDITOR),
    action("/sources/{slug}/keys/{index}/retire", retire_key, Role.EDITOR),
    page("/sources/{slug}/delete", confirm_delete, Role.EDITOR),
    action("/sources/{slug}/delete", delete, Role.EDITOR),
)
