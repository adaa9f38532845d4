"""Checks a document against the settings table: keys, types and the form of each value.

Between the tree (`tree.py`) and the rules that span several values (`rules.py`). Values are checked
as they will be used, with variables expanded, but kept as they were written. What is refused
becomes None in the result, so positions in lists stay as they are in the document.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from headgate.spec.settings import Kind, Setting
from headgate.workspace import variables, wording
from headgate.workspace.forms import MAX_WRITE_KEY_CHARS, fits, is_write_key
from headgate.workspace.report import Report, listing, suggestion
from headgate.workspace.table import DEFAULT_METADATA_ID, DESTINATION, Catalog, destination_table
from headgate.workspace.tree import Node, OddNumber, Path

_WRITE_KEY = Setting(
    "writeKey", Kind.TEXT, "One of a source's write keys, 1 to 128 printable characters."
)
_WRITE_KEY_ALLOWED = (
    f"a write key (1 to {MAX_WRITE_KEY_CHARS} printable characters without space or colon,"
    " and not . or ..)"
)


class Checker:
    """Checks nodes against rows; problems go to the report, good values come back as written."""

    def __init__(self, report: Report, catalog: Catalog, environment: Mapping[str, str]) -> None:
        self._report = report
        self._catalog = catalog
        self._environment = environment
        self._by_kind: dict[Kind, Callable[[Setting, Node, Path], Any]] = {
            Kind.FLAG: self._flag,
            Kind.COUNT: self._count,
            Kind.DIGITS: self._digits,
            Kind.HISTORY: self._history,
            Kind.TEXTS: self._texts,
            Kind.WRITE_KEYS: self._write_keys,
            Kind.ANY: self._any,
            Kind.GROUP: self._group,
            Kind.GROUPS: self._groups,
            Kind.NAMED_GROUPS: self._named_groups,
        }

    def mapping(self, table: tuple[Setting, ...], node: Node, path: Path) -> dict[str, Any]:
        """The values of a mapping whose keys are the rows of a table; absent and null ones left out."""
        if not isinstance(node.value, dict):
            self._refuse_shape("a mapping", node, path)
            return {}
        self._refuse_unknown_keys(table, node.value, path)
        checked: dict[str, Any] = {}
        for setting in table:
            child = node.value.get(setting.name)
            if child is not None and (child.value is not None or setting.kind is Kind.ANY):
                checked[setting.name] = self._value(setting, child, (*path, setting.name))
            elif setting.required:
                expected = f"{setting.name} ({setting.allowed})"
                self._report.add(path, expected=expected, found="nothing", at=(*path, setting.name))
            elif setting.kind is Kind.GROUP:
                self._group(
                    setting, Node({}), (*path, setting.name)
                )  # it may have required members
        return checked

    def _value(self, setting: Setting, node: Node, path: Path) -> Any:
        return self._by_kind.get(setting.kind, self._text)(setting, node, path)

    # Scalars

    def _flag(self, setting: Setting, node: Node, path: Path) -> bool | None:
        if isinstance(node.value, bool):
            return node.value
        self._refuse(setting, node, path)
        return None

    def _count(self, setting: Setting, node: Node, path: Path) -> int | None:
        if isinstance(node.value, int) and not isinstance(node.value, bool) and node.value >= 0:
            return node.value
        self._refuse(setting, node, path)
        return None

    def _digits(self, setting: Setting, node: Node, path: Path) -> str | None:
        """Digits; a plainly written number counts as its text, since App IDs invite that slip."""
        return self._text(setting, _number_as_text(node), path)

    def _history(self, setting: Setting, node: Node, path: Path) -> bool | str | None:
        if isinstance(node.value, bool):
            return node.value
        return self._text(setting, node, path)

    def _text(self, setting: Setting, node: Node, path: Path) -> str | None:
        """A text whose form fits the row's kind once its variables are expanded."""
        written = node.value
        if not isinstance(written, str):
            self._refuse(setting, node, path)
            return None
        expanded = written if setting.literal else self._expanded(written, path)
        if expanded is None:
            return None
        if not fits(setting, expanded):
            self._refuse(setting, node, path, expanded=expanded)
            return None
        return written

    def _expanded(self, written: str, path: Path) -> str | None:
        """The text with its variables replaced; `None`, and a problem, when one is missing or wrong."""
        if variables.malformed(written):
            hint = "write $${ for the characters ${ themselves"
            self._report.add(path, expected="a variable such as ${NAME}", found="${", hint=hint)
            return None
        missing = [name for name in variables.names(written) if name not in self._environment]
        for name in missing:
            hint = "set it, or write $${ for the characters ${ themselves"
            expected = f"the environment variable {name}"
            self._report.add(path, expected=expected, found="it not set", hint=hint)
        return None if missing else variables.expand(written, self._environment)

    # Lists

    def _texts(self, setting: Setting, node: Node, path: Path) -> list[str | None] | None:
        """Texts; a plainly written number counts as its text."""
        if not isinstance(node.value, list):
            self._refuse_shape(setting.allowed, node, path)
            return None
        item_row = replace(setting, kind=Kind.TEXT)
        return [
            self._text(item_row, _number_as_text(item), (*path, index))
            for index, item in enumerate(node.value)
        ]

    def _write_keys(self, setting: Setting, node: Node, path: Path) -> list[str | None] | None:
        if not isinstance(node.value, list):
            self._refuse_shape(setting.allowed, node, path)
            return None
        return [self._write_key(item, (*path, index)) for index, item in enumerate(node.value)]

    def _write_key(self, node: Node, path: Path) -> str | None:
        written = self._text(_WRITE_KEY, node, path)
        if written is None:
            return None
        expanded = variables.expand(written, self._environment)
        if is_write_key(expanded):
            return written
        found = wording.shown(_WRITE_KEY, node, expanded)
        self._report.add(path, expected=_WRITE_KEY_ALLOWED, found=found)
        return None

    def _groups(self, setting: Setting, node: Node, path: Path) -> list[dict[str, Any]] | None:
        if not isinstance(node.value, list):
            self._refuse_shape(setting.allowed, node, path)
            return None
        return [
            self.mapping(self._members(setting, item), item, (*path, index))
            for index, item in enumerate(node.value)
        ]

    def _members(self, setting: Setting, item: Node) -> tuple[Setting, ...]:
        """The rows of one item; a destination's depend on its catalog entry."""
        if setting.members is not DESTINATION:
            return setting.members
        entries = item.value if isinstance(item.value, dict) else {}
        metadata_id = entries.get("metadataId", Node(None)).value or DEFAULT_METADATA_ID
        if isinstance(metadata_id, str) and metadata_id in self._catalog:
            return destination_table(metadata_id, self._catalog)
        # The entry is refused by the rules; its settings cannot be judged.
        return tuple(
            replace(row, kind=Kind.ANY) if row.name == "settings" else row for row in DESTINATION
        )

    # Mappings and free values

    def _group(self, setting: Setting, node: Node, path: Path) -> dict[str, Any]:
        return self.mapping(setting.members, node, path)

    def _named_groups(self, setting: Setting, node: Node, path: Path) -> dict[str, Any] | None:
        if not isinstance(node.value, dict):
            self._refuse_shape(setting.allowed, node, path)
            return None
        return {
            name: self.mapping(setting.members, item, (*path, name))
            for name, item in node.value.items()
        }

    def _any(self, setting: Setting, node: Node, path: Path) -> Any:
        if isinstance(node.value, dict):
            return {key: self._any(setting, item, (*path, key)) for key, item in node.value.items()}
        if isinstance(node.value, list):
            return [
                self._any(setting, item, (*path, index)) for index, item in enumerate(node.value)
            ]
        if isinstance(node.value, OddNumber):
            self._refuse(setting, node, path)
            return None
        if isinstance(node.value, str):
            return self._text(setting, node, path)
        return node.value

    # Refusals

    def _refuse(
        self, setting: Setting, node: Node, path: Path, expanded: str | None = None
    ) -> None:
        found = wording.shown(setting, node, expanded)
        hint = "" if setting.secret else wording.hint(setting, node)
        self._report.add(path, expected=setting.allowed, found=found, hint=hint)

    def _refuse_shape(self, expected: str, node: Node, path: Path) -> None:
        self._report.add(
            path,
            expected=expected,
            found=wording.type_of(node),
            hint=wording.shape_hint(expected, node),
        )

    def _refuse_unknown_keys(
        self, table: tuple[Setting, ...], entries: Mapping[str, Node], path: Path
    ) -> None:
        names = [setting.name for setting in table]
        for key in entries:
            if key in names:
                continue
            self._report.add(
                path,
                expected=listing(names) if names else "no keys",
                found=f"the unknown key {wording.cut(key)}",
                hint=suggestion(key, names),
                at=(*path, key),
            )


def _number_as_text(node: Node) -> Node:
    if isinstance(node.value, int) and not isinstance(node.value, bool):
        return Node(str(node.value), node.line)
    return node
