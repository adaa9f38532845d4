"""What `apply` prints: the difference between two documents, one line for each thing that changed.

Values are compared as they hold, defaults included; secrets are masked, variables stay as written.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from headgate.spec.settings import Kind, Setting
from headgate.workspace import table
from headgate.workspace.document import filled
from headgate.workspace.model import Document
from headgate.workspace.table import Catalog

NOTHING_CHANGED = "nothing changed"
_SHOWN_CHARS = 80
_GONE_FOR_GOOD = ", for good: its key is never used again (enabled: false would pause it)"

_ENGAGE_SECRETS = frozenset(row.name for row in table.ENGAGE if row.secret)

Values = dict[str, Any]


def changes(
    before: Document, after: Document, catalog: Catalog, *, hide_write_keys: bool = False
) -> tuple[str, ...]:
    """One line per difference, in the order of the file; empty when there is none."""
    old, new = filled(before, catalog), filled(after, catalog)
    secrets = _secrets(old, catalog) | _secrets(new, catalog)
    keys = frozenset({"writeKeys"} if hide_write_keys else ())
    lines = [
        *_list_changes("source", old["sources"], new["sources"], "slug", keys),
        *_list_changes("destination", old["destinations"], new["destinations"], "slug", secrets),
        *_value_changes("retention", old["retention"], new["retention"]),
        *_value_changes("engage", _engage_itself(old), _engage_itself(new), _ENGAGE_SECRETS),
    ]
    for word, key in (("audience", "audiences"), ("computed trait", "computedTraits")):
        lines += _list_changes(
            word, old["engage"][key], new["engage"][key], "name", gone=_GONE_FOR_GOOD
        )
    return tuple(lines)


def as_text(lines: tuple[str, ...]) -> str:
    """The lines as `apply` prints them; a sentence when there are none."""
    return "\n".join(lines) or NOTHING_CHANGED


def _engage_itself(values: Values) -> Values:
    lists = ("audiences", "computedTraits")
    return {key: value for key, value in values["engage"].items() if key not in lists}


def _list_changes(
    word: str,
    before: list[Values],
    after: list[Values],
    key: str,
    secrets: frozenset[str] = frozenset(),
    gone: str = "",
) -> Iterator[str]:
    old, new = ({item[key]: item for item in items} for items in (before, after))
    for name in old:
        if name not in new:
            yield f"- {word} {_shown(name)}{gone}"
    for name, item in new.items():
        if name not in old:
            yield f"+ {word} {_shown(name)}"
        else:
            yield from _value_changes(f"{word} {_shown(name)}", old[name], item, secrets)
    kept = [[name for name in names if name in old and name in new] for names in (old, new)]
    if kept[0] != kept[1]:
        yield f"~ {word}s: another order"


def _value_changes(
    subject: str, before: Values, after: Values, secrets: frozenset[str] = frozenset()
) -> Iterator[str]:
    old, new = dict(_flat(before)), dict(_flat(after))
    for path in [*new, *(path for path in old if path not in new)]:
        was, now = old.get(path), new.get(path)
        if _same(was, now) or _is_parent(path, old, new):
            continue
        if path in secrets:
            yield f"~ {subject}: {path} {_masked(was, now)}"
        else:
            yield f"~ {subject}: {path} {_shown(was)} → {_shown(now)}"


def _same(was: Any, now: Any) -> bool:
    """Equal as JSON: 1 and true differ."""
    return msgspec.json.encode(was, order="deterministic") == msgspec.json.encode(
        now, order="deterministic"
    )


def _is_parent(path: str, old: Values, new: Values) -> bool:
    """Whether an empty mapping on one side has members on the other, which have lines of their own."""
    return any(one.startswith(f"{path}.") for one in (*old, *new))


def _flat(values: Values, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested mappings by their dotted path."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _secrets(values: Values, catalog: Catalog) -> frozenset[str]:
    """The paths below a destination whose values are secret."""
    entries = {item["metadataId"] for item in values["destinations"]}
    rows = (row for entry in entries for row in table.destination_table(entry, catalog))
    return frozenset(path for row in rows for path in _secret_paths(row, row.name))


def _secret_paths(row: Setting, path: str) -> Iterator[str]:
    if row.secret:
        yield path
    if row.kind is Kind.GROUP:
        for member in row.members:
            yield from _secret_paths(member, f"{path}.{member.name}")


def _masked(was: Any, now: Any) -> str:
    if not was:
        return "not set → a secret"
    return "a secret → another" if now else "a secret → not set"


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    is_plain = isinstance(value, str) and value.isprintable() and value
    text = value if is_plain else msgspec.json.encode(value).decode()
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"
