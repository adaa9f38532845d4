"""The form of an audience or computed trait: what was posted, as the item of a document that it becomes.

    form → values, by row of the settings table → item

Destinations are boxes of their own names, `to.SLUG`; how far back history counts is a choice with a number.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from headgate.app.computations import AUDIENCES, Kind
from headgate.language.names import NameRefused, key_of
from headgate.spec.settings import Setting
from headgate.workspace.model import Document
from headgate.workspace.table import AUDIENCE, COMPUTED_TRAIT

DESTINATION_BOX = "to."
_TEXTS = ("name", "definition")
_FLAGS = ("includeAnonymous", "wait")
_NOT_EDITED = ("key", "enabled")
_ENGAGE = "engage"


class History(NamedTuple):
    """How far back messages count, as the form shows it: all, none or so many days."""

    reach: str
    days: str


def rows(kind: Kind) -> tuple[Setting, ...]:
    """What the form edits."""
    table = AUDIENCE if kind is AUDIENCES else COMPUTED_TRAIT
    return tuple(row for row in table if row.name not in _NOT_EDITED)


def values_posted(kind: Kind, form: Mapping[str, str]) -> dict[str, Any]:
    """What a form says, by row."""
    names = {row.name for row in rows(kind)}
    values: dict[str, Any] = {name: _text(form, name) for name in _TEXTS}
    values["destinations"] = [
        name.removeprefix(DESTINATION_BOX) for name in form if name.startswith(DESTINATION_BOX)
    ]
    values |= {name: form.get(name) == "true" for name in _FLAGS if name in names}
    if "includeHistory" in names:
        values["includeHistory"] = _history_said(form)
    return values


def values_of(kind: Kind, item: Mapping[str, Any]) -> dict[str, Any]:
    """What an item of a document says, by row; what it leaves out is what holds then."""
    return {row.name: item.get(row.name, row.default) for row in rows(kind)}


def history_of(value: Any) -> History:
    """A value of `includeHistory` as the form shows it."""
    if isinstance(value, bool):
        return History("all" if value else "none", "90")
    number, _, unit = str(value).partition(" ")
    return History("some", number if unit in ("day", "days") else str(value))


def lay(item: dict[str, Any], values: Mapping[str, Any], key: str = "") -> None:
    """Puts values into an item, whose key stays what it was whatever its name becomes; a new one has none yet."""
    item.update(values)
    if key and key != proposed_key(str(values["name"] or "")):
        item["key"] = key


def proposed_key(name: str) -> str:
    """The key that a name makes; "" for none."""
    try:
        return key_of(name)
    except NameRefused:
        return ""


def items_in(document: Document, kind: Kind) -> list[dict[str, Any]]:
    """All audiences, or computed traits, of a document; a list that may be added to."""
    listed: list[dict[str, Any]] = document.setdefault(_ENGAGE, {}).setdefault(kind.section, [])
    return listed


def index_of(items: Sequence[Mapping[str, Any]], key: str) -> int | None:
    """Where the one with this key stands."""
    keys = [one.get("key") or proposed_key(one["name"]) for one in items]
    return keys.index(key) if key in keys else None


def place(kind: Kind, index: int) -> str:
    """Where an item stands in the document, as problems name it."""
    return f"{_ENGAGE}.{kind.section}[{index}]"


def _text(form: Mapping[str, str], name: str) -> str | None:
    """Forms end their lines with two characters."""
    return form.get(name, "").replace("\r\n", "\n").strip() or None


def _history_said(form: Mapping[str, str]) -> bool | str:
    reach = form.get("history", "all")
    if reach != "some":
        return reach == "all"
    days = form.get("history_days", "").strip()
    return f"{days} days" if days.isdigit() else days or "nothing"
