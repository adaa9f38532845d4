"""The management API's destinations and their catalog: https://docs.segmentapis.com/tag/Destinations

Secrets among the settings can be set and taken out here, and are never told.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from headgate.app.listed import Item, Listed, merged
from headgate.app.operations import Operation, given
from headgate.app.pages.api_sources import Done
from headgate.app.visit import Call, NothingHere
from headgate.destinations.catalog import CATALOG
from headgate.destinations.interface import Destination
from headgate.spec.settings import Kind, Setting
from headgate.workspace.model import ConnectionMode
from headgate.workspace.table import DEFAULT_METADATA_ID

DESTINATIONS = Listed(
    "destination",
    "destinations",
    lambda document: document["destinations"],
    lambda one: one["slug"],
)


class Option(msgspec.Struct, frozen=True, rename="camel"):
    """One setting of a kind of destination; those of a group stand under dotted names."""

    name: str
    type: str
    description: str
    required: bool
    secret: bool
    default_value: Any
    choices: list[str]


class Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """A kind of destination."""

    id: str
    name: str
    slug: str
    description: str
    supported_methods: dict[str, bool]
    options: list[Option]


class DestinationsCatalog(msgspec.Struct, frozen=True, rename="camel"):
    """Every kind of destination."""

    destinations_catalog: list[Metadata]


class OneMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """One kind of destination."""

    destination_metadata: Metadata


class DestinationTold(msgspec.Struct, frozen=True, rename="camel"):
    """A destination as it is written, without secrets; a setting that is left out is at its default."""

    id: str
    slug: str
    name: str
    metadata_id: str
    source_id: str
    enabled: bool
    connection_mode: ConnectionMode
    settings: dict[str, Any]


class Destinations(msgspec.Struct, frozen=True):
    """Every destination."""

    destinations: list[DestinationTold]


class OneDestination(msgspec.Struct, frozen=True):
    """One destination."""

    destination: DestinationTold


class NewDestination(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A destination to be."""

    slug: str
    source_id: str
    name: str | UnsetType = UNSET
    metadata_id: str = DEFAULT_METADATA_ID
    enabled: bool | UnsetType = UNSET
    connection_mode: ConnectionMode | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET


class DestinationChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What becomes of a destination; what is left out stays, a setting that is null goes back to its default."""

    name: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    connection_mode: ConnectionMode | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET


def catalog(asked: Call) -> DestinationsCatalog:
    """List every kind of destination there is."""
    return DestinationsCatalog([_metadata(one) for one in CATALOG.values()])


def catalog_entry(asked: Call) -> OneMetadata:
    """Show one kind of destination."""
    name = asked.request.path_params["destinationMetadataId"]
    if name not in CATALOG:
        raise NothingHere(f"There is no destination {name} in the catalog.")
    return OneMetadata(_metadata(CATALOG[name]))


def destinations(asked: Call) -> Destinations:
    """List every destination."""
    return Destinations([_told(one) for one in DESTINATIONS.all(asked)])


def destination(asked: Call) -> OneDestination:
    """Show one destination."""
    return OneDestination(_told(DESTINATIONS.get(asked, _id(asked))))


def add(asked: Call) -> OneDestination:
    """Make a destination, which gets the messages of one source from then on."""
    return OneDestination(_told(DESTINATIONS.add(asked, given(asked.body))))


def change(asked: Call) -> OneDestination:
    """Change a destination."""

    def lay(found: Item) -> None:
        merged(found, given(asked.body))

    return OneDestination(_told(DESTINATIONS.change(asked, _id(asked), lay)))


def remove(asked: Call) -> Done:
    """Delete a destination; the log keeps what was recorded of it."""
    DESTINATIONS.remove(asked, _id(asked))
    return Done()


def _id(asked: Call) -> str:
    return str(asked.request.path_params["destinationId"])


def _told(found: Mapping[str, Any]) -> DestinationTold:
    rows = CATALOG[found["metadataId"]].settings
    settings = _without_secrets(rows, found["settings"])
    return msgspec.convert({"id": found["slug"], **found, "settings": settings}, DestinationTold)


def _without_secrets(rows: Sequence[Setting], settings: Mapping[str, Any]) -> dict[str, Any]:
    by_name = {row.name: row for row in rows}
    return {
        name: _without_secrets(by_name[name].members, value)
        if by_name[name].kind is Kind.GROUP
        else value
        for name, value in settings.items()
        if not by_name[name].secret
    }


def _metadata(one: Destination) -> Metadata:
    methods = {name: name in one.call_types for name in sorted(one.call_types)}
    options = _options(one.settings)
    return Metadata(one.metadata_id, one.name, one.metadata_id, one.description, methods, options)


def _options(rows: Sequence[Setting], prefix: str = "") -> list[Option]:
    options: list[Option] = []
    for row in rows:
        if row.kind is Kind.GROUP:
            options += _options(row.members, f"{prefix}{row.name}.")
        else:
            options.append(_option(row, prefix))
    return options


def _option(row: Setting, prefix: str) -> Option:
    return Option(
        name=f"{prefix}{row.name}",
        type=row.kind.name.lower(),
        description=row.description,
        required=row.required,
        secret=row.secret,
        default_value=row.default,
        choices=list(row.choices),
    )


_KINDS = "/api/catalog/destinations"
_ONE = "/api/destinations/{destinationId}"
OPERATIONS = (
    Operation("GET", _KINDS, catalog, DestinationsCatalog),
    Operation("GET", f"{_KINDS}/{{destinationMetadataId}}", catalog_entry, OneMetadata),
    Operation("GET", "/api/destinations", destinations, Destinations),
    Operation("POST", "/api/destinations", add, OneDestination, NewDestination),
    Operation("GET", _ONE, destination, OneDestination),
    Operation("PATCH", _ONE, change, OneDestination, DestinationChange),
    Operation("DELETE", _ONE, remove, Done),
)
