"""Forms made from rows of a settings table: what stands in a field, what was posted, what is wrong with it.

The same rows check a headgate.yaml, so a form refuses what the file would be refused for, in the same words.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from headgate.spec.settings import Kind, Setting


class Field(NamedTuple):
    """One row as the form shows it. `saved` is what somebody else has saved meanwhile, None when nobody has."""

    row: Setting
    label: str
    text: str
    problem: str = ""
    saved: str | None = None


class Problems(dict[str, str]):
    """What is wrong with each field; nothing with those that it does not name."""

    def __missing__(self, name: str) -> str:
        return ""


class Overtaken(Exception):
    """Somebody else saved another value meanwhile; `saved` holds them by the name of the row."""

    def __init__(self, saved: dict[str, str]) -> None:
        self.saved = saved


def posted(rows: Sequence[Setting], form: Mapping[str, str]) -> dict[str, Any]:
    """The values of a posted form, as a document has them; None for a blank field."""
    texts = {row.name: form.get(row.name, "").strip() for row in rows}
    return {row.name: _value(row, texts[row.name]) if texts[row.name] else None for row in rows}


def fields(
    rows: Sequence[Setting],
    values: Mapping[str, Any],
    labels: Mapping[str, str],
    problems: Mapping[str, str] | None = None,
    saved: Mapping[str, str] | None = None,
) -> list[Field]:
    """The fields of a form that holds these values; `problems` and `saved` by the name of the row."""
    return [
        Field(
            row,
            labels[row.name],
            text_of(values.get(row.name, row.default)),
            (problems or {}).get(row.name, ""),
            (saved or {}).get(row.name),
        )
        for row in rows
    ]


def refuse_overtaken(
    rows: Sequence[Setting],
    read: Mapping[str, Any] | None,
    newest: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> None:
    """Raises `Overtaken` when a row was `read` as one value, is another now, and would become a third."""
    saved: dict[str, str] = {}
    for row in rows:
        before, now, then = (
            text_of((one or {}).get(row.name, row.default)) for one in (read, newest, wanted)
        )
        if before != now and then != now:
            saved[row.name] = now
    if saved:
        raise Overtaken(saved)


def problems_at(place: str, problems: Mapping[str, str]) -> dict[str, str]:
    """The problems of one item by the name of the row; those of other places come under ""."""
    sorted_out: dict[str, str] = {}
    for path, sentence in problems.items():
        here = path.startswith(f"{place}.")
        name = path.removeprefix(f"{place}.").split(".")[0].split("[")[0] if here else ""
        sorted_out.setdefault(name, sentence if here or not path else f"{path}: {sentence}")
    return sorted_out


def text_of(value: Any) -> str:
    """A value as a field shows it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "\n".join(map(str, value))
    return "" if value is None else str(value)


def _value(row: Setting, text: str) -> Any:
    if row.kind is Kind.FLAG and text in ("true", "false"):
        return text == "true"
    if row.kind is Kind.COUNT and text.isascii() and text.isdigit():
        return int(text)
    if row.kind in (Kind.TEXTS, Kind.WRITE_KEYS):
        return [line.strip() for line in text.splitlines() if line.strip()]
    return text
