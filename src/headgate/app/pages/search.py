"""The one search box: whatever somebody has in the clipboard, from a messageId to the name of a setting.

What is meant exactly, and by nothing else, is opened at once; several meanings are listed, and so is what only
resembles. Messages are looked for by id and by user in all of the log, by event as far back as time allows.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from headgate.app.computations import AUDIENCES, TRAITS, House, house_of
from headgate.app.pages.profiles import path_of
from headgate.app.routes import page
from headgate.app.values import in_address
from headgate.app.visit import Visit
from headgate.engage.profile import Identifier
from headgate.engage.rules import USER_ID
from headgate.eventlog.refused import refusals_of
from headgate.records.browse import browse
from headgate.records.criteria import Criteria
from headgate.records.stored import Stored

_IDENTIFIERS = {USER_ID: "userId", "anonymous_id": "anonymousId", "email": "email"}
_ENOUGH_S = 0.15
_SEVERAL = 20
_NOT_LETTERS = re.compile(r"[\W_]+")
_PAGES = {
    "people": "People",
    "access": "Access tokens",
    "audit": "Audit trail",
    "retention": "Retention",
    "backup": "Backup",
    "file": "File headgate.yaml",
    "system": "System",
}


class Hit(NamedTuple):
    """Something that may be meant; `group` says what it is. What is not `exact` only resembles."""

    group: str
    name: str
    path: str
    exact: bool = True


def search(visit: Visit) -> Response:
    """On to what is meant, or a list of what may be."""
    asked = visit.query.get("q", "")
    wanted = asked.strip()
    if not wanted:
        return _listed(visit, asked, [], is_engaged=True)
    with house_of(visit) as house:
        hits = [*_messages(visit, house.stored, asked), *_people(visit, house, wanted)]
        hits += [*_configured(house, wanted), *_settings(visit, house, wanted)]
        is_engaged = house.store is not None
    hits += _events(visit, house.stored, asked) if not any(one.exact for one in hits) else []
    exact = list({one.path: one for one in hits if one.exact})
    if len(exact) == 1:
        return RedirectResponse(exact[0], 303)
    return _listed(visit, asked, hits, is_engaged=is_engaged)


def _listed(visit: Visit, asked: str, hits: list[Hit], *, is_engaged: bool) -> Response:
    groups: dict[str, list[Hit]] = {}
    for one in sorted(hits, key=lambda hit: not hit.exact):
        groups.setdefault(one.group, []).append(one)
    certain = any(one.exact for one in hits)
    values: dict[str, Any] = {
        "asked": asked,
        "groups": groups,
        "certain": certain,
        "is_engaged": is_engaged,
    }
    return visit.render("search.html", **values)


def _messages(visit: Visit, stored: Stored, asked: str) -> Iterator[Hit]:
    """Under the id as it was pasted, or without the spaces around it."""
    for id_ in dict.fromkeys((asked, asked.strip())):
        found = browse(stored, Criteria(ids=(id_,)), None, _SEVERAL, lambda: False).messages
        path = f"/messages/{in_address(id_)}"
        if len(found) == 1:
            yield Hit("Messages", id_, f"{path}?position={found[0].position}")
        elif found or any(refusals_of(stored.refused, id_)):
            yield Hit("Messages", id_, path)


def _people(visit: Visit, house: House, wanted: str) -> Iterator[Hit]:
    """By the identifiers that profiles have; a user whom no profile knows by their messages."""
    known = set()
    for type_, name in _IDENTIFIERS.items() if house.store else ():
        assert house.store is not None
        profile = house.store.find(Identifier(type_, wanted))
        if profile is not None:
            known.add(type_)
            yield Hit("Profiles", f"{name} {wanted}", path_of(profile))
    criteria = Criteria(users=(wanted,))
    if browse(house.stored, criteria, None, 1, _enough(visit)).messages:
        path = f"/messages?{urlencode({'user': wanted})}"
        yield Hit("Messages of a user", wanted, path, exact=not known)


def _events(visit: Visit, stored: Stored, asked: str) -> Iterator[Hit]:
    for event in dict.fromkeys((asked, asked.strip())):
        if browse(stored, Criteria(events=(event,)), None, 1, _enough(visit)).messages:
            yield Hit("Messages of an event", event, f"/messages?{urlencode({'event': event})}")


def _configured(house: House, wanted: str) -> Iterator[Hit]:
    workspace = house.workspace
    for source in workspace.sources:
        path = f"/sources/{in_address(source.slug)}"
        if wanted in source.write_keys:
            yield Hit("Sources", f"{source.name}, by its write key", path)
        yield from _named("Sources", wanted, source.name, path, source.slug)
    for one in workspace.destinations:
        path = f"/destinations/{in_address(one.slug)}"
        yield from _named("Destinations", wanted, one.name, path, one.slug)
    for kind in (AUDIENCES, TRAITS):
        for computed in house.all_of(kind):
            path = f"{kind.base}/{in_address(computed.key)}"
            yield from _named(kind.title, wanted, computed.asked.name, path, computed.key)


def _settings(visit: Visit, house: House, wanted: str) -> Iterator[Hit]:
    """Of destinations, by the name of the setting in headgate.yaml; and the pages of the settings."""
    for one in house.workspace.destinations:
        for row in visit.parts.catalog.get(one.metadata_id, ()):
            path = f"/destinations/{in_address(one.slug)}/settings#field-settings.{row.name}"
            yield from _named("Settings", wanted, f"{row.name} of {one.name}", path, row.name)
    served: Any = visit.parts.templates.globals["served"]
    for name, title in _PAGES.items():
        if f"/settings/{name}" in served:
            yield from _named("Settings", wanted, title, f"/settings/{name}", name)


def _named(group: str, wanted: str, name: str, path: str, key: str) -> Iterator[Hit]:
    """A hit when the key or the name is what is wanted, however it is written, or has it in it."""
    asked, names = _letters(wanted), [_letters(name), _letters(key)]
    if asked and any(asked in one for one in names):
        yield Hit(group, name, path, exact=asked in names)


def _letters(text: str) -> str:
    return _NOT_LETTERS.sub("", text.casefold())


def _enough(visit: Visit) -> Callable[[], bool]:
    clock = visit.parts.outside.clock
    until_s = clock.monotonic_s() + _ENOUGH_S
    return lambda: clock.monotonic_s() >= until_s


ROUTES = (page("/search", search),)
