"""A document as headgate.yaml: what `headgate export` prints. Reading it back gives the same document."""

from typing import Any

import yaml

from headgate.spec.settings import Kind, Setting
from headgate.workspace import table
from headgate.workspace.model import Document
from headgate.workspace.table import Catalog

_NO_FOLDING = 1 << 30  # columns: a long definition stays on one line


def export(document: Document, catalog: Catalog) -> str:
    """The text of a canonical document: keys in the order of the tables, variables as written."""
    ordered = _ordered(table.WORKSPACE, document)
    ordered["destinations"] = [
        _ordered(table.destination_table(item["metadataId"], catalog), item)
        for item in document["destinations"]
    ]
    return yaml.dump(
        ordered,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=_NO_FOLDING,
    )


def _ordered(rows: tuple[Setting, ...], values: dict[str, Any]) -> dict[str, Any]:
    return {row.name: _ordered_value(row, values[row.name]) for row in rows if row.name in values}


def _ordered_value(row: Setting, value: Any) -> Any:
    if row.kind is Kind.GROUP:
        return _ordered(row.members, value)
    if row.kind is Kind.GROUPS:
        return [_ordered(row.members, item) for item in value]
    return value


class _Dumper(yaml.SafeDumper):
    """Lists of scalars on one line, lists of mappings indented below their key, no anchors."""

    def represent_list_readably(self, values: list[Any]) -> yaml.Node:
        is_flat = not any(isinstance(value, dict | list) for value in values)
        return self.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=is_flat)

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)  # PyYAML would put dashes below their key's column

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(list, _Dumper.represent_list_readably)
