"""Connect Heap to sources on one page: which source, which App ID, how it sends, and a test event that proves it.

Every field stands in the address too, so that a question in between loses nothing. A test event goes in by
the tracking API, and the page that follows tells what Heap answered. What is made of the form: `connecting.py`.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from headgate.app import door, sandboxes
from headgate.app.connecting import (
    FORM,
    FROM,
    KIND,
    TYPES,
    Asked,
    asked_of,
    by_field,
    edit_of,
    made,
    preview_of,
    problems,
    test_event,
)
from headgate.app.destination_form import APP_ID, shown
from headgate.app.editing import Refused, save
from headgate.app.fared import Fared, fared
from headgate.app.figures import stored_in
from headgate.app.forms import Problems
from headgate.app.routes import action, page
from headgate.app.visit import Change, NothingHere, Visit
from headgate.delivery.routing import DEVICE
from headgate.records.samples import per_minute
from headgate.workspace.access import Role
from headgate.workspace.model import Destination, Source, Workspace


class Candidate(msgspec.Struct, frozen=True):
    """A source as the first step shows it; `already` are the destinations of this kind that it has."""

    source: Source
    is_ticked: bool
    per_minute: float
    already: list[Destination]


class Tried(msgspec.Struct, frozen=True):
    """A test event; `fared` is None as long as it is not kept."""

    destination: Destination
    source: Source
    message_id: str
    fared: Fared | None


# The form


def connect(visit: Visit) -> Response:
    """The four steps, as the address fills them in."""
    if visit.query.get("destination", KIND.metadata_id) != KIND.metadata_id:
        raise NothingHere("The catalog has no such destination.")
    return _form(visit, _first_ticked(_workspace(visit), visit.query))


def check(change: Change) -> Response:
    """What is wrong with the form so far, by field."""
    found = problems(change.parts, asked_of(_workspace(change), change.form))
    return Response(msgspec.json.encode(found), media_type="application/json")


def preview(change: Change) -> Response:
    """What changes while somebody types: what Heap would receive."""
    asked = asked_of(_workspace(change), change.form)
    return change.render("connect_preview.html", **_seen(change, asked))


def make(change: Change) -> Response:
    """Makes the destinations, after a question when that lets messages go; then tries them out."""
    asked = asked_of(_workspace(change), change.form)
    if found := problems(change.parts, asked):
        return _form(change, change.form, found, 422)
    is_sure = not asked.is_enabled or "confirmed" in change.form
    if not is_sure and (flowing := _flowing(change, asked)):
        return _question(change, asked, flowing)
    try:
        saved = save(change.parts, change.actor, edit_of(asked))
    except Refused as refused:
        return _form(change, change.form, by_field(refused.problems), 422)
    name = asked.values["name"]
    if asked.is_tried:
        return _try_out(change, asked, saved.told(f"{name} is connected."))
    slugs = [one["slug"] for one in made(asked)]
    where = f"/destinations/{slugs[0]}" if len(slugs) == 1 else "/destinations"
    what = "is connected" if asked.is_enabled else "is saved, disabled"
    return change.done(where, saved.told(f"{name} {what}."))


# The test event


def _try_out(change: Change, asked: Asked, said: str) -> Response:
    sources = {one.slug: one for one in _workspace(change).sources}
    ids: dict[str, str] = {}
    words = [said]
    for one in made(asked):
        source = sources[one["sourceId"]]
        message = test_event(asked.identity, source.name)
        ids[one["slug"]] = message["messageId"]
        words += [] if asked.by_device else filter(None, [_post(change, source, message)])
    return change.done(f"/connect/result?{urlencode(ids)}", " ".join(words))


def _post(change: Change, source: Source, message: dict[str, Any]) -> str:
    if not source.write_keys:
        return f"{source.name} has no write key, so no test event was sent."
    return door.post(change.parts.outside.public_url, source.write_keys[0], message)


def result(visit: Visit) -> Response:
    """How the test events fared; the address names them by destination."""
    workspace = _workspace(visit)
    sources = {one.slug: one for one in workspace.sources}
    tried = [
        _tried(visit, one, sources[one.source_id])
        for one in workspace.destinations
        if one.slug in visit.query
    ]
    if not tried:
        raise NothingHere("There is no test event of this name.")
    is_open = any(one.fared is not None and one.fared.is_open for one in tried)
    return visit.render("connect_result.html", tried=tried, is_open=is_open)


def _tried(visit: Visit, destination: Destination, source: Source) -> Tried:
    message_id = visit.query[destination.slug]
    by_device = destination.connection_mode == DEVICE
    found = None if by_device else fared(visit, destination.slug, source.slug, message_id)
    return Tried(destination, source, message_id, found)


# Parts of the above


def _workspace(visit: Visit) -> Workspace:
    return stored_in(visit).current.workspace


def _rates(visit: Visit) -> dict[str, float]:
    return per_minute(stored_in(visit), visit.parts.outside.clock.now_ms())


def _flowing(visit: Visit, asked: Asked) -> list[tuple[Source, float]]:
    """The sources that are sending now, and how fast."""
    rates = _rates(visit)
    return [(one, rates[one.slug]) for one in asked.sources if one.enabled and one.slug in rates]


def _first_ticked(workspace: Workspace, given: Mapping[str, str]) -> Mapping[str, str]:
    """The source that the address names, or the only one there is; a new one when there is none."""
    if given.get("new") or any(name.startswith(FROM) for name in given):
        return given
    slugs = [one.slug for one in workspace.sources]
    if not slugs:
        return {**given, "new": "on", "new.name": "Website"}
    wanted = given.get("source") if len(slugs) > 1 else slugs[0]
    return {**given, f"{FROM}{wanted}": "on"} if wanted in slugs else given


def _form(
    visit: Visit,
    given: Mapping[str, str],
    found: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    workspace = _workspace(visit)
    asked = asked_of(workspace, given)
    typed = asked.values | {APP_ID: given.get(APP_ID)}
    values: dict[str, Any] = {
        "fields": {one.row.name: one for one in shown(FORM, typed, found)},
        "candidates": _candidates(visit, workspace, asked),
        "new": asked.new,
        "new_type": given.get("new.type", TYPES[0]),
        "types": TYPES,
        "identity": asked.identity,
        "sandbox": sandboxes.reachable(workspace),
        "problems": Problems(found or {}),
    }
    return visit.render("connect.html", status, **values, **_seen(visit, asked))


def _candidates(visit: Visit, workspace: Workspace, asked: Asked) -> list[Candidate]:
    rates, ticked = _rates(visit), asked.source_names
    return [
        Candidate(
            one,
            one.slug in ticked,
            rates.get(one.slug, 0.0),
            [
                other
                for other in workspace.destinations_of(one.slug)
                if other.metadata_id == KIND.metadata_id
            ],
        )
        for one in workspace.sources
    ]


def _seen(visit: Visit, asked: Asked) -> dict[str, Any]:
    """What Heap would receive, and whether the App ID looks like one."""
    app_id = str(asked.values.get(APP_ID) or "")
    now_ms = visit.parts.outside.clock.now_ms()
    return {
        "preview": preview_of(asked, _workspace(visit), now_ms),
        "seems_right": app_id.isascii() and app_id.isdigit(),
    }


def _question(change: Change, asked: Asked, flowing: list[tuple[Source, float]]) -> Response:
    kept = {name: text for name, text in change.form.items() if name != "csrf"}
    kept["identity"] = asked.identity
    back = {name: text for name, text in kept.items() if name != "do"}
    return change.render(
        "connect_confirm.html",
        flowing=flowing,
        rate=round(sum(rate for _, rate in flowing)),
        kept=kept,
        back=f"/connect?{urlencode(back)}",
        app_id=asked.values[APP_ID],
    )


ROUTES = (
    page("/connect", connect),
    action("/connect", make, Role.EDITOR),
    action("/connect/check", check, Role.VIEWER),
    action("/connect/preview", preview, Role.VIEWER),
    page("/connect/result", result),
)
