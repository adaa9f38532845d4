"""How a destination maps: the rules in plain language, both mappings side by side, and what switching would rename.

Addresses of this page are listed by `tester.py`.
"""

from typing import Any

import msgspec
from starlette.responses import Response

from headgate.app.figures import stored_in
from headgate.app.pages.destinations import destination_of
from headgate.app.visit import Visit
from headgate.destinations.catalog import CATALOG
from headgate.destinations.heap.samples import SAMPLES
from headgate.destinations.heap.settings import MAPPING_CLASSIC, MAPPING_HEAP
from headgate.destinations.interface import Row
from headgate.records.samples import newest
from headgate.spec.message import Envelope, normalize
from headgate.spec.repair import DECODE_ERRORS
from headgate.workspace.model import Destination

_LOOKS_AT = 500  # messages
_MOST_NAMES = 100
_MAPPINGS = (MAPPING_HEAP, MAPPING_CLASSIC)

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Compared(msgspec.Struct, frozen=True):
    """One call, and its properties by either mapping, as JSON a property a line."""

    title: str
    call: str
    by_mapping: dict[str, list[tuple[str, str, bool]]]


class Renamed(msgspec.Struct, frozen=True):
    """What switching the mapping changes at Heap, by the newest messages of the source."""

    looked_at: int
    gone: list[str]
    new: list[str]


def mapping(visit: Visit) -> Response:
    """The page."""
    found = destination_of(visit)
    now_ms = visit.parts.outside.clock.now_ms()
    return visit.render(
        "mapping.html",
        destination=found,
        mappings=_MAPPINGS,
        other=_other(found),
        compared=[_compared(found, one.title, one.message, now_ms) for one in SAMPLES],
        renamed=_renamed(visit, found),
    )


def _other(destination: Destination) -> str:
    return next(one for one in _MAPPINGS if one != destination.settings["mapping"])


def _compared(
    destination: Destination, title: str, message: dict[str, Any], now_ms: int
) -> Compared:
    raw = msgspec.json.encode(message)
    told = normalize(raw, Envelope(destination.source_id, now_ms, 0), "sample")
    sent = {one: _properties(destination, told, one) for one in _MAPPINGS}
    return Compared(
        title,
        msgspec.json.format(raw, indent=2).decode(),
        {one: _lines(sent[one], sent[_MAPPINGS[one == MAPPING_HEAP]]) for one in _MAPPINGS},
    )


def _lines(mine: dict[str, Any], others: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Name, value, and whether the other mapping says something else."""
    return [
        (name, _text(value), name not in others or _text(others[name]) != _text(value))
        for name, value in mine.items()
    ]


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _properties(destination: Destination, message: dict[str, Any], mapping: str) -> dict[str, Any]:
    """What Heap would be sent by a mapping; nothing of what it is not sent at all."""
    settings = {**destination.settings, "mapping": mapping}
    row = CATALOG[destination.metadata_id].map_row(message, settings)
    properties: dict[str, Any] = _decode(row.encoded)["properties"] if isinstance(row, Row) else {}
    return properties


def _renamed(visit: Visit, destination: Destination) -> Renamed:
    entries = newest(stored_in(visit), destination.source_id, _LOOKS_AT)
    names: dict[str, set[str]] = {one: set() for one in _MAPPINGS}
    for entry in entries:
        try:
            message = normalize(entry.raw, entry.envelope, entry.given_id)
        except DECODE_ERRORS:
            continue
        for one in _MAPPINGS:
            names[one] |= _properties(destination, message, one).keys()
    now, then = names[destination.settings["mapping"]], names[_other(destination)]
    gone, new = sorted(now - then), sorted(then - now)
    return Renamed(len(entries), gone[:_MOST_NAMES], new[:_MOST_NAMES])
