"""Audiences and computed traits: how large each is, who is in it and why, what destinations were told.

Both have the same pages, made twice by `_pages`. Definitions are written in the builder (`builder.py`).
"""

import secrets
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.responses import Response

from headgate.app.computations import (
    AUDIENCES,
    TRAITS,
    Computation,
    House,
    Kind,
    house_of,
)
from headgate.app.counting import Counted
from headgate.app.drawing import bars_drawn, chart, line
from headgate.app.editing import Refused, save
from headgate.app.pages.members import check, evidence, export, members
from headgate.app.routes import AppRoute, action, page
from headgate.app.values import seconds_in_words
from headgate.app.visit import Change, NothingHere, Visit
from headgate.control import tell_engage
from headgate.engage.registry import State
from headgate.engage.requests import Requests
from headgate.language.names import key_of
from headgate.workspace.access import Role
from headgate.workspace.model import Document

_LINE_DAYS = 7
_CHART_DAYS = 90

# Nobody fulfils it, whoever sets such a trait; it reads no event, so that no history has to be read for it.
NOBODY = "trait('nobody') = true AND NOT (trait('nobody') = true)"


def listing(kind: Kind, visit: Visit) -> Response:
    """Every audience, or every computed trait."""
    with house_of(visit) as house:
        found = house.all_of(kind)
        counted = house.counted_each(found)
        rows = [
            {
                "one": one,
                "line": line(house.steps(one, _LINE_DAYS), house.now_ms),
                "going": house.going(one, counted.get(one.key)),
                "coming": coming.get(_number(one)),
            }
            for coming in [house.coming(found)]
            for one in found
        ]
        return visit.render("computations.html", kind=kind, rows=rows, house=house)


def overview(kind: Kind, visit: Visit) -> Response:
    """One: its size over time, where it goes, what it is."""
    with house_of(visit) as house:
        one = house.one(kind, visit.path["key"])
        counted, trouble = _counted(visit, house, one)
        values = counted.tally.values if counted else None
        return visit.render(
            "computation.html",
            one=one,
            house=house,
            counted=counted,
            trouble=trouble,
            going=house.going(one, counted),
            coming=house.coming([one]).get(_number(one)),
            chart=chart(house.steps(one, _CHART_DAYS), house.now_ms),
            bars=bars_drawn(values) if values else [],
            readers=house.readers_of(one),
            is_emptied=one.asked.definition == NOBODY,
        )


# Switches


def confirm_disable(kind: Kind, visit: Visit) -> Response:
    """What disabling means."""
    with house_of(visit) as house:
        return visit.render("computation_disable.html", one=house.one(kind, visit.path["key"]))


def switch(kind: Kind, change: Change) -> Response:
    """Enables or disables it."""
    wanted = change.form.get("enabled") == "true"
    one = _one(kind, change)

    def edit(document: Document) -> None:
        _item(document, one)["enabled"] = wanted

    saved = save(change.parts, change.actor, edit)
    words = f"{one.asked.name} is {'enabled' if wanted else 'disabled'}."
    return change.done(one.path, saved.told(words))


def confirm_resync(kind: Kind, visit: Visit) -> Response:
    """How much is told again."""
    with house_of(visit) as house:
        one = house.one(kind, visit.path["key"])
        told = one.size - one.undeliverable
        costs = [(slug, _cost(house, slug, told)) for slug in one.asked.destinations]
        return visit.render("computation_resync.html", one=one, told=told, costs=costs)


def resync(kind: Kind, change: Change) -> Response:
    """Has destinations told again, as `headgate engage resync` does."""
    one = _one(kind, change)
    if one.record is None or one.record.state is not State.LIVE:
        return change.done(one.path, "Nothing was told: it is not computed now.")
    data_dir = change.parts.outside.data_dir
    Requests(data_dir).ask(secrets.token_hex(8), one.key)
    why_not = tell_engage(data_dir)
    people = one.size - one.undeliverable
    words = f"{people:,} people are told of again."
    if why_not:
        words = f"The request is stored, but the running server has not taken it up: {why_not}"
    return change.done(one.path, words)


# The end


def confirm_delete(kind: Kind, visit: Visit) -> Response:
    """What stays behind, and whether Heap is to be told false first."""
    return _confirm_delete(kind, visit)


def delete(kind: Kind, change: Change) -> Response:
    """Removes it; or, to have Heap told false first, has nobody fulfil it, to be deleted after that."""
    one = _one(kind, change)
    if change.form.get("key", "").strip() != one.key:
        return _confirm_delete(kind, change, f"Type {one.key} to delete it.", 422)
    is_first_told = change.form.get("tell") == "on" and kind is AUDIENCES
    edit = _emptied(one) if is_first_told else _removed(one)
    try:
        saved = save(change.parts, change.actor, edit)
    except Refused as refused:
        return _confirm_delete(kind, change, str(refused), 422)
    if is_first_told:
        words = saved.told("Its members are told false before it is deleted.")
        return change.done(f"{one.path}?deleting=1", words)
    return _gone_on(change, kind.base, saved.told(f"{one.asked.name} is deleted."))


def _gone_on(change: Change, path: str, said: str) -> Response:
    """On to a page, as a whole one also when a pane of the page before has asked."""
    response = change.done(path, said)
    if "hx-request" in change.request.headers:
        response.status_code = 200
        response.headers["hx-redirect"] = response.headers["location"]
        del response.headers["location"]
    return response


def _confirm_delete(kind: Kind, visit: Visit, problem: str = "", status: int = 200) -> Response:
    with house_of(visit) as house:
        one = house.one(kind, visit.path["key"])
        counted = house.counted(one)
        going = house.going(one, counted)
        costs = [
            (each, _cost(house, each.slug, _holding(one, counted, each.slug))) for each in going
        ]
        values: dict[str, Any] = {
            "one": one,
            "costs": [(each, _holding(one, counted, each.slug), cost) for each, cost in costs],
            "is_counted": counted is not None,
            "can_tell": kind is AUDIENCES
            and one.standing == "live"
            and one.asked.definition != NOBODY,
            "readers": house.readers_of(one),
            "problem": problem,
        }
        return visit.render("computation_delete.html", status, **values)


# Parts of the above


def _one(kind: Kind, visit: Visit) -> Computation:
    with house_of(visit) as house:
        return house.one(kind, visit.path["key"])


def _item(document: Document, one: Computation) -> dict[str, Any]:
    """It, in a document that is about to be edited."""
    listed = document.get("engage", {}).get(one.kind.section, [])
    for item in listed:
        if (item.get("key") or key_of(item["name"])) == one.key:
            found: dict[str, Any] = item
            return found
    raise NothingHere(
        f"There is no {one.kind.one} {one.key} any more: somebody deleted it meanwhile."
    )


def _removed(one: Computation) -> Callable[[Document], None]:
    def edit(document: Document) -> None:
        document["engage"][one.kind.section].remove(_item(document, one))

    return edit


def _emptied(one: Computation) -> Callable[[Document], None]:
    def edit(document: Document) -> None:
        _item(document, one)["definition"] = NOBODY

    return edit


def _counted(visit: Visit, house: House, one: Computation) -> tuple[Counted | None, str]:
    """What was told, counted now if the address asks for it, and why that was not possible."""
    try:
        return house.counted(one, again="counted" in visit.query), ""
    except OSError as error:
        return None, str(error)


def _holding(one: Computation, counted: Counted | None, slug: str) -> int:
    """How many were told that they are members; about as many, when nobody has counted."""
    if counted is None:
        return one.size - one.undeliverable
    return counted.tally.told[slug].holding if slug in counted.tally.told else 0


def _cost(house: House, slug: str, messages: int) -> str:
    """How long telling takes, in words; "" without limits."""
    seconds = house.drain_s(slug, messages)
    return "" if seconds is None else seconds_in_words(seconds)


def _number(one: Computation) -> int:
    return one.record.number if one.record else 0


def _pages(kind: Kind) -> tuple[AppRoute, ...]:
    base = f"{kind.base}/{{key}}"
    return (
        page(kind.base, partial(listing, kind)),
        page(base, partial(overview, kind)),
        page(f"{base}/members", partial(members, kind)),
        page(f"{base}/members.csv", partial(export, kind)),
        page(f"{base}/evidence", partial(evidence, kind)),
        page(f"{base}/check", partial(check, kind)),
        page(f"{base}/disable", partial(confirm_disable, kind)),
        action(f"{base}/enabled", partial(switch, kind), Role.EDITOR),
        page(f"{base}/resync", partial(confirm_resync, kind)),
        action(f"{base}/resync", partial(resync, kind), Role.EDITOR),
        page(f"{base}/delete", partial(confirm_delete, kind)),
        action(f"{base}/delete", partial(delete, kind), Role.EDITOR),
    )


ROUTES: tuple[AppRoute, ...] = (*_pages(AUDIENCES), *_pages(TRAITS))
