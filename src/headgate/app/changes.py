"""What was changed in the workspace in some time, in words: for charts, for failures that a change explains."""

from collections.abc import Iterator
from typing import NamedTuple

from headgate.app.visit import Visit
from headgate.workspace.diff import changes

_MOST_VERSIONS = 200


class Changed(NamedTuple):
    """One version of the workspace. `lines` say what it changed; secrets and write keys are not in them."""

    at_ms: int
    actor: str
    version: int
    lines: tuple[str, ...]


def changes_since(visit: Visit, from_ms: int, slug: str = "") -> Iterator[Changed]:
    """The changes from a moment on, newest first: all, or those of one destination."""
    newest = visit.workspace.current().number
    for number in range(newest, max(0, newest - _MOST_VERSIONS), -1):
        one, before = visit.workspace.at(number), visit.workspace.at(number - 1)
        if one.at_ms < from_ms:
            return
        lines = changes(before.document, one.document, visit.parts.catalog, hide_write_keys=True)
        about = tuple(line for line in lines if not slug or _is_about(line, slug))
        if about:
            yield Changed(one.at_ms, one.actor, number, about)


def _is_about(line: str, slug: str) -> bool:
    subject = f"destination {slug}"
    return line[2:] == subject or line[2:].startswith(f"{subject}: ")
