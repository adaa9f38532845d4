"""Overview: whether anything is failing now, in one sentence, and where every message went."""

from typing import NamedTuple

from starlette.responses import Response

from headgate.app.routes import page
from headgate.app.visit import Visit
from headgate.destinations.catalog import CATALOG
from headgate.records.status import DestinationStatus, Status, status
from headgate.records.stored import Stored
from headgate.spec.reasons import REASONS
from headgate.workspace.model import Workspace

TROUBLED = ("failing", "refusing")


class Branch(NamedTuple):
    """A source and where its messages go."""

    slug: str
    name: str
    type: str
    enabled: bool
    to: list[tuple[str, str, DestinationStatus]]  # name, mode


class Refusal(NamedTuple):
    """What was refused at the doors for one reason."""

    messages: int
    sentence: str
    remedy: str


def overview(visit: Visit) -> Response:
    """The page."""
    now_ms = visit.parts.outside.clock.now_ms()
    stored = stored_in(visit)
    found = status(stored, CATALOG)
    workspace = stored.current.workspace
    return visit.render(
        "overview.html",
        found=found,
        workspace=workspace,
        now_ms=now_ms,
        branches=_branches(workspace, found),
        refusals=_refusals(found),
        names={one.slug: one.name for one in workspace.destinations},
        troubled=[one for one in found.destinations if one.state in TROUBLED],
    )


def stored_in(visit: Visit) -> Stored:
    """The data directory as the records read it."""
    outside = visit.parts.outside
    return Stored(
        outside.data_dir,
        visit.workspace,
        catalog=visit.parts.catalog,
        environment=outside.environment,
    )


def _branches(workspace: Workspace, found: Status) -> list[Branch]:
    by_slug = {one.slug: one for one in found.destinations}
    return [
        Branch(
            source.slug,
            source.name,
            source.type,
            source.enabled,
            [
                (one.name, one.connection_mode, by_slug[one.slug])
                for one in workspace.destinations_of(source.slug)
                if one.slug in by_slug
            ],
        )
        for source in workspace.sources
    ]


def _refusals(found: Status) -> list[Refusal]:
    return [
        Refusal(count, REASONS[code].sentence, REASONS[code].remedy)
        for code, count in sorted(found.refused.items(), key=lambda one: -one[1])
        if code in REASONS
    ]


ROUTES = (page("/", overview),)
