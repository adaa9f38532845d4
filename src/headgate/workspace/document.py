"""The workspace as written: its canonical form, and the way from there to one ready for use.

Stands between the file or the app, which write documents, and everyone who reads a `Workspace`.
The canonical form is sparse: sources and destinations say all their own keys, everything else only
what differs from its default, so a better default reaches those who never chose. Variables stay
`${VAR}`; that is how secrets are never stored.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from headgate.spec.settings import Kind, Setting, with_defaults
from headgate.workspace import table
from headgate.workspace.check import Checker
from headgate.workspace.model import Destination, Document, Engage, Retention, Source, Workspace
from headgate.workspace.report import Report
from headgate.workspace.rules import check_rules
from headgate.workspace.table import Catalog
from headgate.workspace.tree import Node, from_plain
from headgate.workspace.variables import expand_all


def empty() -> Document:
    """The document of a workspace in which nothing is configured."""
    return {"sources": [], "destinations": []}


def encoded(document: Document) -> bytes:
    """The document as JSON, the same bytes for the same content."""
    return msgspec.json.encode(document, order="deterministic")


def checked(
    document: Mapping[str, Any],
    *,
    catalog: Catalog,
    environment: Mapping[str, str],
    origin: str = "the workspace",
) -> Document:
    """A document in canonical form; raises `InvalidWorkspace` with every problem."""
    root = from_plain(document, origin)
    report = Report(root, origin)
    return checked_tree(root, report=report, catalog=catalog, environment=environment)


def checked_tree(
    root: Node, *, report: Report, catalog: Catalog, environment: Mapping[str, str]
) -> Document:
    """The canonical document of a tree; raises what the report holds when it holds anything."""
    if root.value is None:
        root = Node({}, root.line)
    values = Checker(report, catalog, environment).mapping(table.WORKSPACE, root, ())
    check_rules(values, report=report, catalog=catalog, environment=environment)
    report.refuse_if_any()
    return _canonical(values, catalog)


def as_workspace(
    document: Document, *, catalog: Catalog, environment: Mapping[str, str]
) -> Workspace:
    """The workspace to work with: variables expanded, defaults filled in. Nothing is refused.

    The document is one that was checked when it was stored; a variable that is not set stays as
    written, so check it again (`checked`) before relying on the environment of today.
    """
    values = filled(expand_all(document, environment), catalog)
    return Workspace(
        sources=msgspec.convert(values["sources"], tuple[Source, ...]),
        destinations=msgspec.convert(values["destinations"], tuple[Destination, ...]),
        retention=msgspec.convert(values["retention"], Retention),
        engage=msgspec.convert(values["engage"], Engage),
    )


def filled(document: Document, catalog: Catalog) -> dict[str, Any]:
    """A canonical document with every default in place, settings of destinations included."""
    values = with_defaults(table.WORKSPACE, document)
    values["destinations"] = [
        with_defaults(table.destination_table(item["metadataId"], catalog), item)
        for item in document["destinations"]
    ]
    return values


def _canonical(values: Mapping[str, Any], catalog: Catalog) -> Document:
    document = _sparse(table.WORKSPACE, values)
    document["sources"] = [_source(item) for item in values.get("sources") or ()]
    document["destinations"] = [
        _destination(item, catalog) for item in values.get("destinations") or ()
    ]
    return document


def _source(item: Mapping[str, Any]) -> dict[str, Any]:
    return with_defaults(table.SOURCE, {"name": item["slug"], **item})


def _destination(item: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    destination = with_defaults(table.DESTINATION, {"name": item["slug"], **item})
    rows = catalog[destination["metadataId"]]
    destination["settings"] = _sparse(rows, item.get("settings") or {})
    return destination


def _sparse(rows: tuple[Setting, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that differ from what holds when they are left out."""
    sparse: dict[str, Any] = {}
    for row in rows:
        if row.name not in values:
            continue
        value = _sparse_value(row, values[row.name])
        if value != _left_out(row):
            sparse[row.name] = value
    return sparse


def _sparse_value(row: Setting, value: Any) -> Any:
    if row.kind is Kind.GROUP:
        return _sparse(row.members, value)
    if row.kind is Kind.GROUPS:
        return [_sparse(row.members, item) for item in value]
    if row.kind is Kind.NAMED_GROUPS:
        return {name: _sparse(row.members, item) for name, item in value.items()}
    return value


def _left_out(row: Setting) -> Any:
    """What stands in the canonical form for a row at its default."""
    if row.kind in (Kind.GROUP, Kind.NAMED_GROUPS):
        return {}
    if row.kind is Kind.GROUPS:
        return []
    return list(row.default) if isinstance(row.default, tuple) else row.default
