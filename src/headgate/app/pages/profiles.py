"""People: looked up by any identifier, with what is known of them, what was computed, what Heap was told.

The messages of a person may lie in the archive, whose reading takes a moment: that part of the page is asked for
by itself.
"""

from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from starlette.responses import RedirectResponse, Response

from headgate.app.computations import House, house_of
from headgate.app.held import held_of
from headgate.app.masking import mask, masks
from headgate.app.pages.forgetting import ROUTES as FORGETTING
from headgate.app.routes import AppRoute, page
from headgate.app.values import in_address, in_json
from headgate.app.visit import NothingHere, Visit
from headgate.engage.profile import Profile
from headgate.engage.rules import USER_ID
from headgate.records.engage.people import (
    beginning_with,
    find_person,
    identifiers_by_type,
    numbered,
)
from headgate.records.engage.timeline import Life, What, life_of
from headgate.records.engage.traits import TraitSet, traits_computed, traits_set
from headgate.stores import WORKSPACE
from headgate.workspace.sqlite_privacy import SqlitePrivacyReader

_FOUND = 50
_NEWEST = 25
_PAGE = 100
_MOST_TRAITS = 200
_WIDEST = 300


class Listed(NamedTuple):
    """Somebody in a list; `matched` is the identifier that was looked for."""

    path: str
    profile: Profile
    identifiers: dict[str, list[str]]
    matched: str


def search(visit: Visit) -> Response:
    """People whose identifier begins like this; the one who has exactly this is opened."""
    asked = visit.query.get("q", "")
    with house_of(visit) as house:
        if house.store is not None and asked.strip():
            exact = numbered(house.store, asked) or find_person(house.store, asked)
            if exact is not None:
                return RedirectResponse(path_of(exact), 303)
        return visit.render(
            "profiles.html", asked=asked, rows=_listed(house, asked.strip()), house=house
        )


def profile(visit: Visit) -> Response:
    """One person. With `history` in the address also what their messages tell."""
    named = visit.path["person"]
    with house_of(visit) as house:
        found, moved = _person(house, named)
        if moved:
            asked = urlencode({"merged": named})
            return RedirectResponse(f"{path_of(found)}?{asked}", 303)
        assert house.store is not None
        set_, user_ids = traits_set(found, house.now_ms), found.of_type(USER_ID)
        return visit.render(
            "profile.html",
            profile=found,
            path=path_of(found),
            name=_name(found),
            identifiers=found.identifiers,
            user_ids=user_ids,
            merged=visit.query.get("merged", ""),
            traits=[(one, _trait(visit, one)) for one in set_[:_MOST_TRAITS]],
            more_traits=max(0, len(set_) - _MOST_TRAITS),
            computed=traits_computed(house.stored, house.store, found),
            suppressed=_suppressed(visit, user_ids),
            held=held_of(house.workspace, user_ids[0]) if user_ids else None,
            **_history(visit, house, found),
        )


def path_of(profile: Profile) -> str:
    """Where a person's page is."""
    return f"/profiles/{in_address(_name(profile))}"


def _name(profile: Profile) -> str:
    """A person's first identifier with its type, the userId if there is one."""
    type_, values = next(iter(identifiers_by_type(profile.identifiers).items()))
    return f"{type_}:{values[0]}"


def _listed(house: House, asked: str) -> list[Listed]:
    if house.store is None:
        return []
    if not asked:
        return [_row(one, "") for one in house.store.newest(_NEWEST)]
    matched = beginning_with(house.store, asked, _FOUND)
    people = {kept.profile.id: kept.profile for kept in house.store.load(matched)}
    return [
        _row(people[number], f"{one.type}:{one.value}")
        for number, one in matched.items()
        if number in people
    ]


def _row(profile: Profile, matched: str) -> Listed:
    return Listed(path_of(profile), profile, identifiers_by_type(profile.identifiers), matched)


def _person(house: House, named: str) -> tuple[Profile, bool]:
    """Whom an address names, and whether by a number, whose page is under an identifier."""
    if house.store is not None:
        if found := numbered(house.store, named):
            return found, True
        if found := find_person(house.store, named):
            return found, False
    raise NothingHere(
        f"Nobody is known as {named}. Values such as 0000, null and anonymous identify nobody, and"
        " people who were deleted are gone."
    )


def _suppressed(visit: Visit, user_ids: list[str]) -> list[str]:
    with closing(SqlitePrivacyReader(visit.parts.outside.data_dir / WORKSPACE)) as privacy:
        suppressed = privacy.suppressed()
    return [one for one in user_ids if one in suppressed]


# What the messages tell


def _history(visit: Visit, house: House, profile: Profile) -> dict[str, Any]:
    """What the page shows of a person's messages, if it was asked for."""
    if "history" not in visit.query:
        return {"life": None, "trouble": ""}
    assert house.store is not None
    try:
        life = life_of(house.stored, house.store, profile)
    except OSError as error:
        return {"life": None, "trouble": str(error)}
    only = next((one for one in What if one.value == visit.query.get("only")), None)
    begin = _number(visit.query.get("from", ""))
    rows = [one for one in life.happened if only is None or one.what is only]
    return {
        "life": life,
        "trouble": "",
        "only": only,
        "kinds": list(What),
        "rows": [(one, _shown(visit, one.said)) for one in rows[begin : begin + _PAGE]],
        "following": begin + _PAGE if begin + _PAGE < len(rows) else 0,
        "turns": _turns(house, life),
    }


def _turns(house: House, life: Life) -> set[str]:
    """The ids of tellings by which somebody came into an audience or left it."""
    assert house.store is not None
    audiences = {one.key for one in house.store.records if one.is_audience}
    return {one.message_id for one in life.happened if one.name in audiences}


def _shown(visit: Visit, said: Any) -> str:
    """Properties or traits in a line, the personal ones hidden when the visitor wants them so."""
    return _cut(_masked(visit, in_json(said))) if said else ""


def _trait(visit: Visit, one: TraitSet) -> str:
    """A trait's value, which is hidden by the trait's name."""
    named = msgspec.json.decode(_masked(visit, in_json({one.name: one.value})))
    return _cut(in_json(next(iter(named.values()))))


def _masked(visit: Visit, text: str) -> str:
    return mask(text) if masks(visit.request) else text


def _cut(line: str) -> str:
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]}…"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


ROUTES: tuple[AppRoute, ...] = (
    page("/profiles", search),
    *FORGETTING,
    page("/profiles/{person:path}", profile),
)
