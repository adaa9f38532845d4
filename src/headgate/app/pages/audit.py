"""Settings, audit trail: every change of the workspace and of access, who made it, what held before and after.

Changes of the workspace are its versions, whoever made them: the app, `headgate apply`, a start with another
file. So nothing is recorded twice, and nothing can be missing.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from starlette.responses import Response

from headgate.app.routes import page
from headgate.app.visit import Visit
from headgate.workspace.access import AccessChange
from headgate.workspace.diff import changes

_ROWS = 50
_NEWEST = 2**62


class Entry(NamedTuple):
    """One change. `lines` say what is different now."""

    at_ms: int
    actor: str
    what: str
    lines: tuple[str, ...]
    version: int | None


def trail(visit: Visit) -> Response:
    """The trail, the newest change first. The address says where the page begins."""
    version = _number(visit.query.get("version"), visit.workspace.current().number)
    change = _number(visit.query.get("change"), _NEWEST)
    entries = list(islice(_merged(visit, version, change), _ROWS + 1))
    shown, rest = entries[:_ROWS], entries[_ROWS:]
    following = ""
    if rest:
        passed = sum(one.version is not None for one, _ in shown)
        ids = [number for one, number in shown if one.version is None]
        following = (
            f"/settings/audit?version={version - passed}&change={ids[-1] - 1 if ids else change}"
        )
    return visit.render("audit.html", entries=[one for one, _ in shown], following=following)


def _merged(visit: Visit, version: int, change: int) -> Iterator[tuple[Entry, int]]:
    """Entries with their numbers, by time; those of one kind keep their order whatever the clock did."""
    versions = _versions(visit, version)
    accesses = iter(visit.access.changes(_ROWS + 1, change))
    left, right = next(versions, None), next(accesses, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left.at_ms >= right.at_ms):
            assert left is not None
            yield left, left.version or 0
            left = next(versions, None)
        else:
            yield _of_access(right), right.id
            right = next(accesses, None)


def _versions(visit: Visit, newest: int) -> Iterator[Entry]:
    for number in range(newest, 0, -1):
        one, before = visit.workspace.at(number), visit.workspace.at(number - 1)
        lines = changes(before.document, one.document, visit.parts.catalog, hide_write_keys=True)
        yield Entry(one.at_ms, one.actor, "changed the workspace", lines, number)


def _of_access(change: AccessChange) -> Entry:
    lines: tuple[str, ...] = ()
    if change.before or change.after:
        lines = (f"{change.before or 'nothing'} → {change.after or 'nothing'}",)
    what = (
        f"{change.what}: {change.subject}"
        if change.subject not in ("", change.actor)
        else change.what
    )
    return Entry(change.at_ms, change.actor, what, lines, None)


def _number(given: str | None, otherwise: int) -> int:
    if given is None or not (given.isascii() and given.isdigit() and len(given) < 19):
        return otherwise
    return min(int(given), otherwise)


ROUTES = (page("/settings/audit", trail),)
