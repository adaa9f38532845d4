"""Overview: whether anything is failing now, in one sentence, and where every message went."""

from collections import Counter
from typing import NamedTuple

from starlette.responses import Response

from headgate.app.figures import Doing, destinations_doing, log_figures, stored_in
from headgate.app.routes import page
from headgate.app.visit import Visit
from headgate.eventlog.refused import refusal_counts
from headgate.spec.reasons import REASONS
from headgate.stores import REFUSED
from headgate.workspace.model import Source, Workspace


class Branch(NamedTuple):
    """A source and where its messages go."""

    source: Source
    to: list[Doing]


class Refusal(NamedTuple):
    """What was refused at the doors for one reason."""

    messages: int
    sentence: str
    remedy: str


def overview(visit: Visit) -> Response:
    """The page."""
    now_ms = visit.parts.outside.clock.now_ms()
    stored = stored_in(visit)
    doing = destinations_doing(visit, stored.current)
    workspace = stored.current.workspace
    return visit.render(
        "overview.html",
        now_ms=now_ms,
        version=stored.newest,
        log=log_figures(visit),
        branches=_branches(workspace, doing),
        refusals=_refusals(visit),
        failing=[one for one in doing.values() if one.trouble],
        waiting=sum(one.pending for one in doing.values()),
    )


def _branches(workspace: Workspace, doing: dict[str, Doing]) -> list[Branch]:
    return [
        Branch(source, [doing[one.slug] for one in workspace.destinations_of(source.slug)])
        for source in workspace.sources
    ]


def _refusals(visit: Visit) -> list[Refusal]:
    counts: Counter[str] = Counter()
    for _, reason, _, count in refusal_counts(visit.parts.outside.data_dir / REFUSED):
        counts[reason] += count
    return [
        Refusal(count, REASONS[code].sentence, REASONS[code].remedy)
        for code, count in counts.most_common()
        if code in REASONS
    ]


ROUTES = (page("/", overview),)
