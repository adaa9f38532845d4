"""How a page changes the workspace: the checks of `headgate apply`, one new version, in use when it says so.

    saved = save(change.parts, change.actor, edit)

`edit` changes the newest document in place; it may refuse by raising, as `forms.refuse_overtaken` does when two
people edit one thing. `Refused` has a problem for each place that is wrong; nothing is changed then.
"""

import re
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

from headgate.app.parts import Parts
from headgate.control import check_workspace, use_workspace
from headgate.workspace.document import checked
from headgate.workspace.errors import Conflict, InvalidWorkspace, Problem
from headgate.workspace.model import Document
from headgate.workspace.store import Version

_MISSING = re.compile(r"(\w+) \(")

Edit = Callable[[Document], None]


class Saved(NamedTuple):
    """The version that was made; `trouble` says why the running server does not use it, when it does not."""

    version: int
    trouble: str

    def told(self, words: str) -> str:
        """What was done, and that it has no effect yet when it has none."""
        if not self.trouble:
            return words
        return f"{words} It is stored, but the running server does not use it: {self.trouble}"


class Refused(Exception):
    """The workspace would not be valid; nothing was changed. `problems` by their place in the document."""

    def __init__(self, problems: dict[str, str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems.values()))


def save(parts: Parts, actor: str, edit: Edit) -> Saved:
    """Edits the newest version, whoever else writes; `edit` may be called again, with a newer one."""
    while True:
        newest = parts.workspace.current()
        document = edited(parts, newest, edit)
        data_dir = parts.outside.data_dir
        if misfit := check_workspace(data_dir, document):
            raise Refused({"": misfit})
        try:
            number = parts.workspace.commit(document, actor=actor, expected_version=newest.number)
        except Conflict:
            continue
        return Saved(number, use_workspace(data_dir, number) or "")


def edited(parts: Parts, version: Version, edit: Edit) -> Document:
    """The canonical document that an edit makes; raises `Refused`."""
    document = deepcopy(version.document)
    edit(document)
    try:
        found = checked(document, catalog=parts.catalog, environment=parts.outside.environment)
        parts.workspace_reader.refuse_used_keys(found)
        return found
    except InvalidWorkspace as error:
        raise Refused({_place_of(one): _sentence(one) for one in error.problems}) from None


def item(document: Document, kind: str, slug: str) -> dict[str, Any] | None:
    """The source or destination of a slug; None when there is none."""
    return next((one for one in document[kind] if one["slug"] == slug), None)


def place(document: Document, kind: str, slug: str) -> str:
    """Where it stands, as problems name it."""
    slugs = [one["slug"] for one in document[kind]]
    return f"{kind}[{slugs.index(slug)}]"


def _place_of(problem: Problem) -> str:
    """Where a form shows it. What is missing is told at the mapping that lacks it, by the name of the setting."""
    missing = _MISSING.match(problem.expected) if problem.found == "nothing" else None
    return f"{problem.path}.{missing[1]}" if missing else problem.path


def _sentence(problem: Problem) -> str:
    sentence = f"Expected {problem.expected}, found {problem.found}"
    return f"{sentence}; {problem.hint}." if problem.hint else f"{sentence}."
