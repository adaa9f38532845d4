"""The rules for audiences and computed traits: definitions that can be computed, keys of their own.

Beside `rules.py`. The place of a fault inside a definition is told with the definition's own line and
column, since YAML folds lines as it likes.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from headgate.language.checks import Cycle, order, parts_of
from headgate.language.errors import DefinitionError
from headgate.language.names import NameRefused, check_key, key_of
from headgate.language.parser import parse_audience, parse_trait
from headgate.language.tree import Definition, Events
from headgate.workspace.report import Report, suggestion
from headgate.workspace.tree import Path, path_text

Item = tuple[Path, dict[str, Any]]

MOST_PER_PROFILE = 1_000  # identifiers of one type; the cap of a profile


def check_computations(
    report: Report, audiences: list[Item], traits: list[Item], sources: Collection[str]
) -> None:
    """Reports names that make no key, keys that are not unique, definitions that cannot be computed.

    `sources` are the slugs that definitions can leave out.
    """
    keys = _checked_keys(report, [*audiences, *traits])
    trees = _parsed(report, audiences, parse_audience) | _parsed(report, traits, parse_trait)
    for path, tree in trees.items():
        _refuse_dangling(report, path, tree, sources)
    _refuse_cycles(
        report, {keys[path]: (path, tree) for path, tree in trees.items() if path in keys}
    )


def check_limits(report: Report, identity: Mapping[str, Any]) -> None:
    """Reports limits under which no profile could have an identifier, or more than it can hold."""
    for name, members in identity.items():
        limit = (members or {}).get("limit")
        if limit is not None and not 1 <= limit <= MOST_PER_PROFILE:
            report.add(
                ("engage", "identity", name, "limit"),
                expected=f"a whole number from 1 to {MOST_PER_PROFILE:,}",
                found=str(limit),
            )


def _checked_keys(report: Report, items: list[Item]) -> dict[Path, str]:
    """The key of every computation that has one of its own, by the computation's path."""
    first: dict[str, Path] = {}
    keys: dict[Path, str] = {}
    for path, item in items:
        said = "key" if item.get("key") else "name"
        try:
            key = check_key(item["key"]) if said == "key" else key_of(item.get("name") or "")
        except NameRefused as error:
            report.add((*path, said), expected=error.expected, found=error.found, hint=error.hint)
            continue
        if key in first:
            report.add(
                (*path, said),
                expected="a key of its own",
                found=f"the key {key} of {path_text(first[key])}",
            )
            continue
        first[key] = path
        keys[path] = key
    return keys


def _parsed(
    report: Report, items: list[Item], parse: Callable[[str], Definition]
) -> dict[Path, Definition]:
    """The trees of the definitions that are well-formed, by the computation's path."""
    trees: dict[Path, Definition] = {}
    for path, item in items:
        definition = item.get("definition")
        if not definition:
            continue
        try:
            trees[path] = parse(definition)
        except DefinitionError as error:
            where = f"{error.found} at line {error.line}, column {error.column} of it"
            report.add((*path, "definition"), expected=error.expected, found=where, hint=error.hint)
    return trees


def _refuse_dangling(
    report: Report, path: Path, tree: Definition, sources: Collection[str]
) -> None:
    named = {slug for part in parts_of(tree) if isinstance(part, Events) for slug in part.not_from}
    for slug in sorted(named.difference(sources)):
        report.add(
            (*path, "definition"),
            expected="sources that are there",
            found=f"sources(exclude: ['{slug}'])",
            hint=suggestion(slug, sources),
        )


def _refuse_cycles(report: Report, trees: dict[str, tuple[Path, Definition]]) -> None:
    try:
        order({key: tree for key, (_, tree) in trees.items()})
    except Cycle as cycle:
        path = trees[cycle.keys[0]][0]
        report.add(
            (*path, "definition"),
            expected="no audience or trait that is defined by itself",
            found=f"the circle {cycle}",
        )
