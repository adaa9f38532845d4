"""Destinations: the list, the settings of one, switching it on and off, deleting it.

What it does with messages is `delivery.py` and `failures.py`, how it maps them `mapping.py` and `tester.py`;
a new one comes by way of `connect.py`.
"""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import msgspec
from starlette.responses import Response

from headgate.app.destination_form import (
    IN_THE_PAGE,
    grouped,
    lay,
    problems_of,
    rows,
    stored_secrets,
    values_of,
    values_posted,
)
from headgate.app.editing import Edit, Refused, edited, item, place, save
from headgate.app.figures import destinations_doing, stored_in
from headgate.app.forms import Field, Overtaken, refuse_overtaken, text_of
from headgate.app.routes import action, page
from headgate.app.visit import Change, NothingHere, Visit
from headgate.delivery.facts import DISCARDED
from headgate.delivery.routing import DEVICE
from headgate.records.samples import per_minute
from headgate.spec.settings import Setting
from headgate.workspace.access import Role
from headgate.workspace.errors import UnknownVersion
from headgate.workspace.model import Destination, Document
from headgate.workspace.store import Version

_KIND = "destinations"
_OFF = "destination_disabled"


def listing(visit: Visit) -> Response:
    """Every destination, and how its messages fare."""
    current = stored_in(visit).current
    doing = destinations_doing(visit, current)
    names = {one.slug: one.name for one in current.workspace.sources}
    listed = [
        (one, doing[one.slug], names.get(one.source_id, one.source_id))
        for one in current.workspace.destinations
    ]
    return visit.render("destinations.html", rows=listed)


def destination_of(visit: Visit) -> Destination:
    """The destination that the address names; raises `NothingHere`."""
    slug = visit.path["slug"]
    found = stored_in(visit).current.workspace.destinations
    one = next((one for one in found if one.slug == slug), None)
    if one is None:
        raise NothingHere(f"There is no destination {slug}. It may have been deleted or renamed.")
    return one


# Settings


def settings(visit: Visit) -> Response:
    """The form."""
    found, newest = destination_of(visit), visit.workspace.current()
    form = _rows(visit, found)
    values = values_of(form, _found(newest.document, found.slug))
    return _settings(visit, found, newest.number, values)


def check_settings(change: Change) -> Response:
    """What is wrong with a form that is still being filled in, by field."""
    found, newest = destination_of(change), change.workspace.current()
    form = _rows(change, found)
    values = values_posted(form, change.form)
    problems: dict[str, str] = {}
    try:
        edited(change.parts, newest, _set_to(found.slug, form, values, change.form))
    except Refused as refused:
        where = place(newest.document, _KIND, found.slug)
        problems = problems_of(form, where, refused.problems)
    return Response(msgspec.json.encode(problems), media_type="application/json")


def change_settings(change: Change) -> Response:
    """Saves the form, unless it is wrong or somebody else has saved another value meanwhile."""
    found, newest = destination_of(change), change.workspace.current()
    form = _rows(change, found)
    open_rows = [row for row in form if not row.secret]
    wanted = values_posted(form, change.form)
    read = _as_read(change, form, found.slug)

    def edit(document: Document) -> None:
        now = values_of(form, _found(document, found.slug))
        refuse_overtaken(open_rows, read, now, wanted)
        _set_to(found.slug, form, wanted, change.form)(document)

    try:
        saved = save(change.parts, change.actor, edit)
    except Overtaken as overtaken:
        now, by = change.workspace.current().number, _last_change(change, found.slug)
        return _settings(change, found, now, wanted, saved=overtaken.saved, by=by, status=409)
    except Refused as refused:
        where = place(newest.document, _KIND, found.slug)
        problems = problems_of(form, where, refused.problems)
        version = change.form.get("version", str(newest.number))
        return _settings(change, found, version, wanted, problems=problems, status=422)
    return change.done(f"/destinations/{found.slug}/settings", saved.told("Settings saved."))


# On, off, and the end


def confirm_disable(visit: Visit) -> Response:
    """What disabling means, in numbers."""
    found = destination_of(visit)
    doing = destinations_doing(visit, stored_in(visit).current)[found.slug]
    return visit.render("destination_disable.html", destination=found, doing=doing)


def switch(change: Change) -> Response:
    """Enables or disables it; enabling is asked about when that lets messages go."""
    found, wanted = destination_of(change), change.form.get("enabled") == "true"
    if wanted and "confirmed" not in change.form and (rate := _rate(change, found)):
        return change.render("destination_enable.html", destination=found, rate=round(rate))

    def edit(document: Document) -> None:
        _found(document, found.slug)["enabled"] = wanted

    try:
        saved = save(change.parts, change.actor, edit)
    except Refused as refused:
        problems = {"": str(refused)}
        values = values_of(
            _rows(change, found), _found(change.workspace.current().document, found.slug)
        )
        number = change.workspace.current().number
        return _settings(change, found, number, values, problems=problems, status=422)
    page_of = f"/destinations/{found.slug}"
    missed = _discarded_while_off(change, found.slug) if wanted else 0
    if not missed:
        words = "enabled" if wanted else "disabled"
        return change.done(page_of, saved.told(f"{found.name} is {words}."))
    what = "1 message was" if missed == 1 else f"{missed:,} messages were"
    words = f"{found.name} is enabled. {what} discarded while it was off; replay them here."
    return change.done(f"{page_of}?outcome={DISCARDED}&reason={_OFF}", saved.told(words))


def confirm_delete(visit: Visit) -> Response:
    """What deleting means; the slug has to be typed."""
    return _confirm_delete(visit)


def delete(change: Change) -> Response:
    """The destination is gone; the log keeps what was recorded of it."""
    found = destination_of(change)
    if change.form.get("slug", "").strip() != found.slug:
        return _confirm_delete(change, f"Type {found.slug} to delete it.", 422)

    def edit(document: Document) -> None:
        document[_KIND].remove(_found(document, found.slug))

    try:
        saved = save(change.parts, change.actor, edit)
    except Refused as refused:
        return _confirm_delete(change, str(refused), 422)
    return change.done("/destinations", saved.told(f"{found.name} is deleted."))


# Parts of the above


def _rows(visit: Visit, found: Destination) -> tuple[Setting, ...]:
    return rows(visit.parts.catalog, found.metadata_id)


def _found(document: Document, slug: str) -> dict[str, Any]:
    found = item(document, _KIND, slug)
    if found is None:
        raise NothingHere(f"There is no destination {slug} any more: it was deleted meanwhile.")
    return found


def _set_to(
    slug: str, form: tuple[Setting, ...], values: Mapping[str, Any], given: Mapping[str, str]
) -> Edit:
    def edit(document: Document) -> None:
        lay(form, _found(document, slug), values, given)

    return edit


def _as_read(change: Change, form: tuple[Setting, ...], slug: str) -> dict[str, Any] | None:
    """The destination as the form showed it."""
    given = change.form.get("version", "")
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        return None
    try:
        found = item(change.workspace.at(int(given)).document, _KIND, slug)
    except UnknownVersion:
        return None
    return None if found is None else values_of(form, found)


def _last_change(visit: Visit, slug: str) -> Version:
    """The version that made the destination what it is now."""
    newest = visit.workspace.current()
    for number in range(newest.number - 1, -1, -1):
        before = visit.workspace.at(number)
        if item(before.document, _KIND, slug) != item(newest.document, _KIND, slug):
            return visit.workspace.at(number + 1)
    return newest


def _rate(visit: Visit, found: Destination) -> float:
    """About how many messages a minute its source is sending."""
    now_ms = visit.parts.outside.clock.now_ms()
    return per_minute(stored_in(visit), now_ms).get(found.source_id, 0.0)


def _discarded_while_off(visit: Visit, slug: str) -> int:
    """How many messages stand as discarded because it was off."""
    stored = stored_in(visit)
    number, facts = stored.current.destination_ids[slug], stored.facts()
    if facts is None:
        return 0
    with closing(facts):
        return sum(
            tally.standing
            for tally in facts.tallies()
            if (tally.destination, tally.outcome, tally.reason) == (number, DISCARDED, _OFF)
        )


def _settings(
    visit: Visit,
    found: Destination,
    version: int | str,
    values: Mapping[str, Any],
    *,
    problems: dict[str, str] | None = None,
    saved: dict[str, str] | None = None,
    by: Version | None = None,
    status: int = 200,
) -> Response:
    form = _rows(visit, found)
    stored = _found(visit.workspace.current().document, found.slug)
    return visit.render(
        "destination_settings.html",
        status,
        destination=found,
        groups=_groups(found, grouped(form, values, problems, saved)),
        secrets=stored_secrets(form, stored),
        version=version,
        by=by,
        other=(problems or {}).get("", ""),
    )


def _groups(
    found: Destination, made: list[tuple[str, list[Field]]]
) -> list[tuple[str, list[Field], bool]]:
    """The groups, and which of them are open: device mode's own are of no use in cloud mode."""
    return [
        (
            title,
            members,
            title != IN_THE_PAGE
            or found.connection_mode == DEVICE
            or any(one.problem or one.text != text_of(one.row.default) for one in members),
        )
        for title, members in made
    ]


def _confirm_delete(visit: Visit, problem: str = "", status: int = 200) -> Response:
    found = destination_of(visit)
    doing = destinations_doing(visit, stored_in(visit).current)[found.slug]
    return visit.render(
        "destination_delete.html", status, destination=found, doing=doing, problem=problem
    )


ROUTES = (
    page("/destinations", listing),
    page("/destinations/{slug}/settings", settings),
    action("/destinations/{slug}/settings", change_settings, Role.EDITOR),
    action("/destinations/{slug}/settings/check", check_settings, Role.EDITOR),
    page("/destinations/{slug}/disable", confirm_disable, Role.EDITOR),
    action("/destinations/{slug}/enabled", switch, Role.EDITOR),
    page("/destinations/{slug}/delete", confirm_delete, Role.EDITOR),
    action("/destinations/{slug}/delete", delete, Role.EDITOR),
)
