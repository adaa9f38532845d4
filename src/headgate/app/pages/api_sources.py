"""The management API's sources and their write keys: https://docs.segmentapis.com/tag/Sources"""

from collections.abc import Mapping
from secrets import token_urlsafe
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from headgate.app.listed import Item, Listed
from headgate.app.operations import Operation, given
from headgate.app.visit import Call, NothingHere
from headgate.workspace.model import SourceType

SOURCES = Listed("source", "sources", lambda document: document["sources"], lambda one: one["slug"])


class SourceTold(msgspec.Struct, frozen=True, rename="camel"):
    """A source as it is written: variables stand in it, not their values."""

    id: str
    slug: str
    name: str
    type: SourceType
    enabled: bool
    write_keys: list[str]


class Sources(msgspec.Struct, frozen=True):
    """Every source."""

    sources: list[SourceTold]


class OneSource(msgspec.Struct, frozen=True):
    """One source."""

    source: SourceTold


class NewSource(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A source to be; without `writeKeys` it gets one of its own."""

    slug: str
    name: str | UnsetType = UNSET
    type: SourceType | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    write_keys: list[str] | UnsetType = UNSET


class SourceChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of a source; what is left out stays."""

    name: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class WriteKey(msgspec.Struct, frozen=True, rename="camel"):
    """A write key that was made."""

    write_key: str


class Done(msgspec.Struct, frozen=True):
    """It was done, and there is nothing to show for it."""

    status: Literal["SUCCESS"] = "SUCCESS"


def sources(asked: Call) -> Sources:
    """List every source."""
    return Sources([_told(one) for one in SOURCES.all(asked)])


def source(asked: Call) -> OneSource:
    """Show one source."""
    return OneSource(_told(SOURCES.get(asked, _id(asked))))


def add(asked: Call) -> OneSource:
    """Make a source."""
    return OneSource(_told(SOURCES.add(asked, {"writeKeys": [_new_key()], **given(asked.body)})))


def change(asked: Call) -> OneSource:
    """Change a source."""
    return OneSource(_told(_changed(asked, lambda found: found.update(given(asked.body)))))


def remove(asked: Call) -> Done:
    """Delete a source; what it has sent stays in the log."""
    SOURCES.remove(asked, _id(asked))
    return Done()


def add_key(asked: Call) -> WriteKey:
    """Make one more write key for a source."""
    key = _new_key()
    _changed(asked, lambda found: found["writeKeys"].append(key))
    return WriteKey(key)


def remove_key(asked: Call) -> Done:
    """Retire a write key: it opens nothing any more."""
    key = asked.request.path_params["writeKey"]

    def retire(found: Item) -> None:
        if key not in found["writeKeys"]:
            raise NothingHere("There is no such write key.")
        found["writeKeys"].remove(key)

    _changed(asked, retire)
    return Done()


def _changed(asked: Call, change: Any) -> Item:
    return SOURCES.change(asked, _id(asked), change)


def _id(asked: Call) -> str:
    return str(asked.request.path_params["sourceId"])


def _told(found: Mapping[str, Any]) -> SourceTold:
    return msgspec.convert({"id": found["slug"], **found}, SourceTold)


def _new_key() -> str:
    return f"wk_{token_urlsafe(18)}"


OPERATIONS = (
    Operation("GET", "/api/sources", sources, Sources),
    Operation("POST", "/api/sources", add, OneSource, NewSource),
    Operation("GET", "/api/sources/{sourceId}", source, OneSource),
    Operation("PATCH", "/api/sources/{sourceId}", change, OneSource, SourceChange),
    Operation("DELETE", "/api/sources/{sourceId}", remove, Done),
    Operation("POST", "/api/sources/{sourceId}/writekey", add_key, WriteKey),
    Operation("DELETE", "/api/sources/{sourceId}/writekey/{writeKey}", remove_key, Done),
)
