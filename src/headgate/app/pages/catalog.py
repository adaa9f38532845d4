"""The catalog: what can be connected, and of a destination what it accepts, how, and with which settings."""

from typing import Any, NamedTuple

from starlette.responses import Response

from headgate.app.destination_form import label
from headgate.app.figures import stored_in
from headgate.app.routes import page
from headgate.app.visit import NothingHere, Visit
from headgate.destinations.catalog import CATALOG
from headgate.spec.names import CALL_TYPES, SOURCE_TYPES
from headgate.spec.settings import Kind, Setting

_ABOUT_SOURCES = {
    "website": ("Website", "Pages, with Segment's analytics.js."),
    "mobile": ("Mobile", "Apps, with Segment's libraries for Kotlin, Swift and React Native."),
    "server": ("Server", "Programs, with Segment's libraries or plain HTTP."),
}


class Tile(NamedTuple):
    """Something that can be connected. `is_destination` tells where messages go from where they come from."""

    name: str
    about: str
    path: str
    is_destination: bool


class Row(NamedTuple):
    """One setting of a destination, for people."""

    label: str
    setting: Setting


def catalog(visit: Visit) -> Response:
    """Everything there is, or what fits the words that are searched for."""
    wanted = visit.query.get("q", "").strip()
    words = wanted.lower().split()
    found = [one for one in _tiles() if all(word in _text(one) for word in words)]
    return visit.render("catalog.html", wanted=wanted, tiles=found)


def entry(visit: Visit) -> Response:
    """One destination."""
    kind = CATALOG.get(visit.path["kind"])
    if kind is None:
        raise NothingHere("The catalog has no such destination.")
    connected = [
        one
        for one in stored_in(visit).current.workspace.destinations
        if one.metadata_id == kind.metadata_id
    ]
    values: dict[str, Any] = {"call_types": CALL_TYPES, "source_types": SOURCE_TYPES}
    return visit.render(
        "catalog_entry.html",
        kind=kind,
        connected=connected,
        settings=_rows(kind.settings),
        **values,
    )


def _tiles() -> list[Tile]:
    destinations = [
        Tile(one.name, one.description, f"/catalog/{one.metadata_id}", True)
        for one in CATALOG.values()
    ]
    sources = [
        Tile(*_ABOUT_SOURCES[type_], f"/sources/new?type={type_}", False) for type_ in SOURCE_TYPES
    ]
    return [*destinations, *sources]


def _text(tile: Tile) -> str:
    kind = "destination" if tile.is_destination else "source"
    return f"{tile.name} {tile.about} {kind}".lower()


def _rows(settings: tuple[Setting, ...]) -> list[Row]:
    return [
        Row(label(f"settings.{row.name}"), row) for row in settings if row.kind is not Kind.GROUP
    ]


ROUTES = (
    page("/catalog", catalog),
    page("/catalog/{kind}", entry),
)
