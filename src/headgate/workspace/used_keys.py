"""Keys of computations over time: each belongs to one computation for ever, also after it was removed.

Checked where a version is committed, because only the versions before tell. A destination knows members by the
key alone: under a used one, it would take those of the removed computation for members of the new one.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from headgate.language.checks import traits_of
from headgate.language.errors import DefinitionError
from headgate.language.names import NameRefused, key_of
from headgate.language.parser import parse_audience, parse_trait
from headgate.workspace.errors import InvalidWorkspace, Problem
from headgate.workspace.model import Document

ORIGIN = "the workspace"

_KINDS = {"audiences": "an audience", "computedTraits": "a computed trait"}


class _Computation(NamedTuple):
    """One of a document; `path` is its place there."""

    key: str
    kind: str
    path: str
    item: dict[str, Any]


def refuse_used_keys(document: Document, past: Iterable[Document]) -> None:
    """Raises InvalidWorkspace when a document that is to follow gives a used key to another computation.

    Also when it removes a computation that another definition still reads. `past` are all versions there
    were, the newest first; older ones are looked at only when a computation is added.
    """
    versions = iter(past)
    newest = list(_computations(next(versions, {})))
    there = list(_computations(document))
    before = {(one.key, one.kind) for one in newest}
    added = [one for one in there if (one.key, one.kind) not in before]
    problems = [
        *_reused(added, newest, versions),
        *_left_without(there, {key for key, _ in before} - {one.key for one in there}),
    ]
    if problems:
        raise InvalidWorkspace(problems)


def _reused(
    added: list[_Computation], newest: list[_Computation], older: Iterator[Document]
) -> Iterator[Problem]:
    if not added:
        return
    used = {one.key: one.kind for one in newest}
    for document in older:
        for one in _computations(document):
            used.setdefault(one.key, one.kind)
    for one in added:
        if one.key in used:
            yield Problem(
                expected="a key that was never used",
                found=f"{one.key}, the key of {_KINDS[used[one.key]]} there was before",
                path=f"{one.path}.{'key' if one.item.get('key') else 'name'}",
                origin=ORIGIN,
                hint="destinations would mix up the members of both: choose another name",
            )


def _left_without(there: list[_Computation], removed: set[str]) -> Iterator[Problem]:
    for one in there if removed else ():
        for key in sorted(removed & _read_by(one)):
            yield Problem(
                expected="a definition that reads what is there",
                found=f"trait('{key}'), which this removes",
                path=f"{one.path}.definition",
                origin=ORIGIN,
                hint=f"keep {key}, or edit this definition first",
            )


def _read_by(one: _Computation) -> set[str]:
    parse = parse_audience if one.kind == "audiences" else parse_trait
    try:
        return traits_of(parse(one.item.get("definition") or ""))
    except DefinitionError:
        return set()


def _computations(document: Document) -> Iterator[_Computation]:
    engage = document.get("engage") or {}
    for kind in _KINDS:
        for index, item in enumerate(engage.get(kind) or ()):
            try:
                key = item.get("key") or key_of(item.get("name") or "")
            except NameRefused:
                continue
            yield _Computation(key, kind, f"engage.{kind}[{index}]", item)
