"""The rules that span several values: unique names, links that lead somewhere, modes that fit.

Runs on the values that `check.py` let through, so a value refused there is not refused twice.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from headgate.workspace import variables
from headgate.workspace.computations import check_computations, check_limits
from headgate.workspace.report import Report, listing, suggestion
from headgate.workspace.table import DEFAULT_METADATA_ID, Catalog
from headgate.workspace.tree import Path, path_text

Item = tuple[Path, dict[str, Any]]


def check_rules(
    document: Mapping[str, Any],
    *,
    report: Report,
    catalog: Catalog,
    environment: Mapping[str, str],
) -> None:
    """Report everything that is wrong between the values of a checked document."""
    document = variables.expand_all(document, environment)
    engage = document.get("engage") or {}
    sources = list(_items(document, ("sources",)))
    destinations = list(_items(document, ("destinations",)))
    audiences = list(_items(engage, ("engage", "audiences")))
    traits = list(_items(engage, ("engage", "computedTraits")))
    for items, name in (
        (sources, "slug"),
        (destinations, "slug"),
    ):
        _refuse_repeated(report, f"a {name} of its own", _values(items, name))
    _refuse_repeated(report, "a write key of its own", _write_keys(sources))
    _check_catalog_entries(report, destinations, catalog)
    _check_links_to_sources(report, destinations, sources)
    _check_modes(report, destinations, sources)
    _refuse_two_in_a_page(report, destinations)
    _refuse_american_script(report, destinations)
    _check_links_to_destinations(report, [*audiences, *traits], destinations)
    check_computations(report, audiences, traits, [slug for _, slug in _values(sources, "slug")])
    check_limits(report, engage.get("identity") or {})


def _items(parent: Mapping[str, Any], path: Path) -> Iterator[Item]:
    for index, item in enumerate(parent.get(str(path[-1])) or ()):
        yield (*path, index), item


def _values(items: list[Item], name: str) -> Iterator[tuple[Path, str]]:
    for path, item in items:
        if item.get(name):
            yield (*path, name), item[name]


def _write_keys(sources: list[Item]) -> Iterator[tuple[Path, str]]:
    for path, source in sources:
        for index, key in enumerate(source.get("writeKeys") or ()):
            if key:
                yield (*path, "writeKeys", index), key


def _refuse_repeated(report: Report, expected: str, values: Iterator[tuple[Path, str]]) -> None:
    first: dict[str, Path] = {}
    for path, value in values:
        if value in first:
            found = f"the same as at {path_text(first[value])}"
            report.add(path, expected=expected, found=found)
        first.setdefault(value, path)


def _check_catalog_entries(report: Report, destinations: list[Item], catalog: Catalog) -> None:
    for path, destination in destinations:
        metadata_id = destination.get("metadataId", DEFAULT_METADATA_ID)
        if metadata_id is not None and metadata_id not in catalog:
            where = (*path, "metadataId")
            _refuse_link(report, where, "an entry of the catalog", metadata_id, catalog)


def _check_links_to_sources(report: Report, destinations: list[Item], sources: list[Item]) -> None:
    slugs = {slug: None for _, slug in _values(sources, "slug")}
    for path, slug in _values(destinations, "sourceId"):
        if slug not in slugs:
            _refuse_link(report, path, "a source's slug", slug, slugs)


def _check_modes(report: Report, destinations: list[Item], sources: list[Item]) -> None:
    """Device mode needs a page for the destination's script to run in."""
    types = {source.get("slug"): source.get("type", "server") for _, source in sources}
    for path, destination in destinations:
        source_type = types.get(destination.get("sourceId"))
        if destination.get("connectionMode") == "device" and source_type in ("mobile", "server"):
            report.add(
                (*path, "connectionMode"),
                expected="cloud",
                found=f"device on a source of type {source_type}",
                hint="device mode works on website sources only",
            )


def _refuse_two_in_a_page(report: Report, destinations: list[Item]) -> None:
    """A page has room for one script of a kind, so the messages for a second one would go nowhere.

    Refused rather than warned of, since nobody would notice. One that is disabled may wait there.
    """
    first: dict[tuple[Any, Any], Path] = {}
    for path, destination in destinations:
        if destination.get("connectionMode") != "device" or destination.get("enabled") is False:
            continue
        kind = destination.get("metadataId", DEFAULT_METADATA_ID)
        page = (destination.get("sourceId"), kind)
        if page in first:
            report.add(
                (*path, "connectionMode"),
                expected="cloud, or enabled: false",
                found=f"device, as at {path_text(first[page])} for the same source",
                hint=f"a page runs one {kind} at a time",
            )
        first.setdefault(page, path)


def _refuse_american_script(report: Report, destinations: list[Item]) -> None:
    """Heap serves its classic script from the US alone, and it sends there.

    https://developers.heap.io/docs/web names an EU host for the current one only.
    """
    for path, destination in destinations:
        settings = destination.get("settings") or {}
        is_european = settings.get("region") == "EU"
        if (
            is_european
            and settings.get("heapScript") == "classic"
            and not settings.get("scriptHost")
        ):
            report.add(
                (*path, "settings", "heapScript"),
                expected="current, or a scriptHost beside it",
                found="classic in region EU",
                hint="Heap's own host of the classic script is in the US, and the data would go there",
            )


def _check_links_to_destinations(
    report: Report, computations: list[Item], destinations: list[Item]
) -> None:
    slugs = {slug: None for _, slug in _values(destinations, "slug")}
    for path, computation in computations:
        named = computation.get("destinations") or ()
        for index, slug in enumerate(named):
            where = (*path, "destinations", index)
            if slug is not None and slug not in slugs:
                _refuse_link(report, where, "a destination's slug", slug, slugs)
            elif slug is not None and slug in named[:index]:
                report.add(where, expected="each destination once", found=f"{slug} again")


def _refuse_link(
    report: Report, path: Path, expected: str, found: str, targets: Mapping[str, Any]
) -> None:
    known = listing(sorted(targets)[:20]) if targets else "there is none"
    hint = suggestion(found, targets)
    report.add(path, expected=f"{expected} ({known})", found=f"text '{found}'", hint=hint)
