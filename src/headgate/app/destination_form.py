"""The form of a destination: the rows of its settings table, nested ones under dotted names.

    rows(catalog, "heap")  name, connectionMode, settings.appId, …, settings.limits.eventsPerMinute, …

`forms.py` works on these rows as on any others; here is what lies between them and an item of a document:
groups, lists that may be empty, values of any kind, secrets, and what people paste for an App ID.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from headgate.app.forms import Field, fields, posted
from headgate.destinations.heap.app_id import app_id_of
from headgate.spec.repair import DECODE_ERRORS
from headgate.spec.settings import Kind, Setting
from headgate.workspace.table import DESTINATION, Catalog

_OWN = ("name", "connectionMode")
_SETTINGS = "settings"
APP_ID = "settings.appId"
IN_THE_PAGE = "In the page, in device mode"

_LABELS = {
    "name": "Name",
    "slug": "Slug",
    "connectionMode": "Connection mode",
    APP_ID: "App ID",
    "settings.region": "Region",
    "settings.apiBaseUrl": "Address instead of Heap's",
    "settings.mapping": "Mapping",
    "settings.limits.eventsPerMinute": "Rows a minute",
    "settings.limits.eventsPerMinutePerUser": "Rows a minute for one user",
    "settings.retryWindow": "Retry window",
    "settings.junkIdentities": "User ids that name nobody",
    "settings.nullTraits": "Instead of null",
    "settings.heapScript": "Heap's script",
    "settings.scriptHost": "Host of Heap's script",
    "settings.secureCookie": "Secure cookies",
    "settings.disableTextCapture": "No text capture",
    "settings.ingestServer": "Address that the script sends to",
    "settings.fallbackToCloud": "Fall back to cloud",
    "settings.deletionApiKey": "API key for deletions",
    "settings.consentCategories": "Consent categories",
}
_GROUPS = (
    ("Destination", ("name", APP_ID, "settings.region", "settings.apiBaseUrl")),
    ("How it sends", ("connectionMode", "settings.limits.", "settings.retryWindow")),
    (
        "What it sends",
        (
            "settings.mapping",
            "settings.junkIdentities",
            "settings.nullTraits",
            "settings.consentCategories",
        ),
    ),
    (
        IN_THE_PAGE,
        (
            "settings.heapScript",
            "settings.scriptHost",
            "settings.ingestServer",
            "settings.secureCookie",
            "settings.disableTextCapture",
            "settings.fallbackToCloud",
        ),
    ),
    ("Deleting users at Heap", ("settings.deletionApiKey",)),
)
_REST = "More"


def rows(catalog: Catalog, metadata_id: str) -> tuple[Setting, ...]:
    """Everything of a destination that a form edits."""
    own = {row.name: row for row in DESTINATION}
    return (*(own[name] for name in _OWN), *_flat_rows(catalog[metadata_id], _SETTINGS))


def with_slug(form: Sequence[Setting]) -> tuple[Setting, ...]:
    """The same for a destination that is to be made."""
    return (next(row for row in DESTINATION if row.name == "slug"), *form)


def values_of(form: Sequence[Setting], item: Mapping[str, Any]) -> dict[str, Any]:
    """What an item of a document says, by row; nothing of secrets."""
    found = {row.name: _at(item, row.name) for row in form if not row.secret}
    return {
        row.name: _any_text(found[row.name]) if row.kind is Kind.ANY else found[row.name]
        for row in form
        if found.get(row.name) is not None
    }


def values_posted(form: Sequence[Setting], given: Mapping[str, str]) -> dict[str, Any]:
    """What a posted form says, by row, as `values_of` does; None for a blank field."""
    values = posted([row for row in form if not row.secret], given)
    for row in form:
        if row.kind is Kind.TEXTS and values[row.name] is None:
            values[row.name] = []
        elif row.kind is Kind.DIGITS and values[row.name] is not None:
            values[row.name] = app_id_of(str(values[row.name]))
    return values


def lay(
    form: Sequence[Setting],
    item: dict[str, Any],
    values: Mapping[str, Any],
    given: Mapping[str, str],
) -> None:
    """Puts the values into an item of a document; a secret stays unless another, or none, is wanted."""
    for row in form:
        if row.secret:
            _lay_secret(row, item, given)
        elif row.name in values:
            value = values[row.name]
            _put(item, row.name, _any_value(value) if row.kind is Kind.ANY else value)


def stored_secrets(form: Sequence[Setting], item: Mapping[str, Any]) -> set[str]:
    """The rows whose secret is there, which is all that pages say of it."""
    return {row.name for row in form if row.secret and _at(item, row.name) is not None}


def grouped(
    form: Sequence[Setting],
    values: Mapping[str, Any],
    problems: Mapping[str, str] | None = None,
    saved: Mapping[str, str] | None = None,
) -> list[tuple[str, list[Field]]]:
    """The fields under their headings; rows that have no heading come last."""
    made = shown(form, values, problems, saved)
    headings: dict[str, list[Field]] = {title: [] for title, _ in _GROUPS}
    for one in made:
        headings.setdefault(_heading(one.row.name), []).append(one)
    return [(title, members) for title, members in headings.items() if members]


def shown(
    form: Sequence[Setting],
    values: Mapping[str, Any],
    problems: Mapping[str, str] | None = None,
    saved: Mapping[str, str] | None = None,
) -> list[Field]:
    """The fields, in the order of the rows."""
    labels = {row.name: label(row.name) for row in form}
    return fields(form, values, labels, problems, saved)


def label(name: str) -> str:
    """What people call a row."""
    return _LABELS.get(name, name.rpartition(".")[2])


def problems_of(form: Sequence[Setting], place: str, problems: Mapping[str, str]) -> dict[str, str]:
    """The problems of one item by row; those of other places come under ""."""
    found: dict[str, str] = {}
    for path, sentence in problems.items():
        inner = path.removeprefix(f"{place}.") if path.startswith(f"{place}.") else ""
        name = next((row.name for row in form if _is_within(inner, row.name)), "")
        found.setdefault(name, sentence if name or not path else f"{path}: {sentence}")
    return found


def _flat_rows(table: Sequence[Setting], prefix: str) -> Iterator[Setting]:
    for row in table:
        name = f"{prefix}.{row.name}"
        if row.kind is Kind.GROUP:
            yield from _flat_rows(row.members, name)
        else:
            yield replace(row, name=name)


def _heading(name: str) -> str:
    for title, names in _GROUPS:
        if any(name == one or (one.endswith(".") and name.startswith(one)) for one in names):
            return title
    return _REST


def _is_within(path: str, name: str) -> bool:
    return path == name or path.startswith((f"{name}.", f"{name}["))


def _at(item: Mapping[str, Any], name: str) -> Any:
    value: Any = item
    for step in name.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _put(item: dict[str, Any], name: str, value: Any) -> None:
    *steps, last = name.split(".")
    for step in steps:
        item = item.setdefault(step, {})
    if value is None:
        item.pop(last, None)
    else:
        item[last] = value


def _lay_secret(row: Setting, item: dict[str, Any], given: Mapping[str, str]) -> None:
    if text := given.get(row.name, "").strip():
        _put(item, row.name, text)
    elif given.get(f"forget.{row.name}") == "true":
        _put(item, row.name, None)


def _any_text(value: Any) -> str:
    """A value of any kind as one types it: JSON, or a text as it is when it cannot be taken for JSON."""
    if isinstance(value, str) and not _is_json(value):
        return value
    return msgspec.json.encode(value).decode()


def _any_value(text: str | None) -> Any:
    return msgspec.json.decode(text) if text is not None and _is_json(text) else text


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except DECODE_ERRORS:
        return False
    return True
