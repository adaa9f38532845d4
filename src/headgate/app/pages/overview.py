"""Overview: whether anything is failing now, in one sentence, and where every message went.

    verdict → the channel → what needs attention → the last day → recent changes

Before the first message there are three steps instead, which tick themselves off.
"""

from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from headgate.app.attention import items
from headgate.app.changes import changes_since
from headgate.app.figures import Doing, doing_in, facts_of, ids_of, log_figures, stored_in
from headgate.app.masking import mask, masks
from headgate.app.periods import DAY_MS, LAST, MINUTE_MS, span_of
from headgate.app.routes import page
from headgate.app.verdict import verdict_of
from headgate.app.visit import Visit
from headgate.delivery.reader import DeliveryReader
from headgate.eventlog.block import BrokenBlock
from headgate.eventlog.refused import UNKNOWN_SOURCE, kept_refusals, refusal_counts, unknown_keys
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.flow import Flows, Period, flows
from headgate.records.gist import gist
from headgate.records.stored import Stored
from headgate.records.words import text_of
from headgate.spec.names import engage_source
from headgate.spec.reasons import REASONS
from headgate.spec.timestamps import iso_ms
from headgate.stores import REFUSED

_RATE_MINUTES = 5
_BUSIEST = 7
_CHANGES = 5
_REFUSED_ROWS = 50
_BODY_CHARS = 2_000


class Flowing(NamedTuple):
    """Messages of some minutes: how many, the rate that is, and the list of them."""

    messages: int
    per_minute: float
    address: str


class Branch(NamedTuple):
    """What sends, how much, and where it goes. `slug` is "" for Engage, `count` that of its computations."""

    name: str
    slug: str
    type: str
    enabled: bool
    now: Flowing
    messages: int
    to: list[Doing]


class Steps(NamedTuple):
    """What there is of the way to the first message: `first_id` is its messageId."""

    source: str
    is_connected: bool
    is_installed: bool
    first_id: str


def overview(visit: Visit) -> Response:
    """The page."""
    now_ms = visit.parts.outside.clock.now_ms()
    stored, span, log = stored_in(visit), span_of(visit.query, now_ms, "24h"), log_figures(visit)
    with facts_of(stored) as facts:
        found = flows(stored, facts, span.period)
        lately = flows(stored, facts, _lately(now_ms))
        answer = facts.last_answer() if facts else None
        failed = _failed(stored, facts)
    doing = doing_in(visit, stored, found)
    total = found.of(id_ for slug in doing for id_ in ids_of(stored, slug))
    branches = _branches(stored, doing, found, lately, now_ms)
    values: dict[str, Any] = {
        "now_ms": now_ms,
        "span": span,
        "periods": LAST,
        "bounds": urlencode(span.bounds),
        "log": log,
        "verdict": verdict_of(visit, stored, doing, log, now_ms),
        "answer": answer,
        "rate": sum(branch.now.per_minute for branch in branches),
        "branches": branches[: _BUSIEST + 1]
        if len(branches) == _BUSIEST + 1
        else branches[:_BUSIEST],
        "others": 0 if len(branches) <= _BUSIEST + 1 else len(branches) - _BUSIEST,
        "attention": items(
            visit,
            stored.current.workspace,
            {slug: (one, failed[slug]) for slug, one in doing.items()},
            span,
        ),
        "flow": total,
        "is_all": found.is_all,
        "changes": list(islice(changes_since(visit, now_ms - 7 * DAY_MS), _CHANGES)),
        "steps": None if log.messages and doing else _steps(visit, stored, log.messages),
    }
    return visit.render("overview.html", **values)


def _failed(stored: Stored, facts: DeliveryReader | None) -> dict[str, int]:
    """By slug: how many messages are failed and kept, so that they can be sent again."""
    letters = facts.dead_letter_counts() if facts else {}
    ids = stored.current.destination_ids
    return {slug: letters.get(id_, 0) for slug, id_ in ids.items()}


# The channel


def _lately(now_ms: int) -> Period:
    to_ms = now_ms - now_ms % MINUTE_MS + MINUTE_MS
    from_ms = to_ms - (_RATE_MINUTES + 1) * MINUTE_MS
    return Period(from_ms, to_ms, (_RATE_MINUTES + 1) * MINUTE_MS)


def _flowing(slug: str, lately: Flows, now_ms: int) -> Flowing:
    period = _lately(now_ms)
    n = sum(lately.sources.get(slug, {}).values())
    bounds = {"from": iso_ms(period.from_ms), "to": iso_ms(period.to_ms)}
    minutes = (now_ms - period.from_ms) / MINUTE_MS
    return Flowing(n, n / minutes, urlencode({"source": slug, **bounds}))


def _branches(
    stored: Stored, doing: dict[str, Doing], found: Flows, lately: Flows, now_ms: int
) -> list[Branch]:
    """Every source, the busiest first, and Engage for each destination that it has told something."""
    workspace = stored.current.workspace
    branches = [
        Branch(
            one.name,
            one.slug,
            one.type,
            one.enabled,
            _flowing(one.slug, lately, now_ms),
            sum(found.sources.get(one.slug, {}).values()),
            [doing[each.slug] for each in workspace.destinations_of(one.slug)],
        )
        for one in workspace.sources
    ]
    branches.sort(key=lambda one: -one.messages)
    for slug, one in doing.items():
        source = engage_source(slug)
        if n := sum(found.sources.get(source, {}).values()):
            flowing = _flowing(source, lately, now_ms)
            branches.append(Branch("Engage", source, "", True, flowing, n, [one]))
    return branches


# First run


def _steps(visit: Visit, stored: Stored, messages: int) -> Steps:
    workspace = stored.current.workspace
    source = next((one.slug for one in workspace.sources if one.write_keys), "")
    was_called = bool(messages or refusal_counts(visit.parts.outside.data_dir / REFUSED))
    first_id = _first_id(stored) if messages else ""
    return Steps(source, bool(workspace.destinations), was_called, first_id)


def _first_id(stored: Stored) -> str:
    with closing(sqlite_reader(stored.log)) as log:
        try:
            return gist(log.entry(log.first_seq())).message_id
        except (KeyError, BrokenBlock):
            return ""


# Unknown keys


def unknown(visit: Visit) -> Response:
    """Calls whose write key no source has: by key, and the newest one by one."""
    path = visit.parts.outside.data_dir / REFUSED
    given = visit.query.get("before", "")
    below = int(given[:18]) if given.isascii() and given.isdigit() else None
    kept = kept_refusals(path, UNKNOWN_SOURCE, below=below, limit=_REFUSED_ROWS + 1)
    shown = kept[:_REFUSED_ROWS]
    hidden = mask if masks(visit.request) else str
    return visit.render(
        "unknown_keys.html",
        keys=unknown_keys(path, 0),
        rows=[(one, hidden(text_of(one.refusal.body))[:_BODY_CHARS]) for one in shown],
        reasons=REASONS,
        before=shown[-1].id if len(kept) > _REFUSED_ROWS else None,
        now_ms=visit.parts.outside.clock.now_ms(),
    )


ROUTES = (page("/", overview), page("/unknown-keys", unknown))
