"""What became of a destination's messages, from the figures of a period to each of them.

    received = delivered + discarded + failed + pending → a reason → its messages → the trace of one

The address holds the period, and what was chosen: `outcome` and `reason` fill the lower pane.
"""

from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from headgate.app.changes import changes_since
from headgate.app.figures import facts_of, ids_of, stored_in
from headgate.app.masking import mask, masks
from headgate.app.pages.destinations import destination_of
from headgate.app.periods import LAST, Span, span_of
from headgate.app.routes import page
from headgate.app.visit import Visit
from headgate.delivery.budget import WINDOW_S
from headgate.delivery.facts import FAILED
from headgate.delivery.reader import DeliveryReader
from headgate.destinations.catalog import CATALOG
from headgate.records.browse import Page, browse, every
from headgate.records.criteria import Criteria
from headgate.records.flow import OUTCOMES, Flow, flows
from headgate.records.latency import latency
from headgate.records.outcomes import PENDING
from headgate.records.stored import Stored
from headgate.records.stretches import Range, received_at
from headgate.spec.names import engage_destination
from headgate.spec.reasons import REASONS, Reason
from headgate.workspace.model import Destination

_ROWS = 25
_EVENTS_OF = 500  # messages
_EVENTS = 8
_PANE_S = 0.3


class Share(NamedTuple):
    """Messages that have the same outcome, or the same reason too. `of` is all of the period."""

    outcome: str
    reason: str
    messages: int
    of: int
    text: Reason | None = None


class Limits(NamedTuple):
    """What goes out of a budget that Heap sets: rows of the last minute, and how many are allowed; 0: any."""

    rows: int
    allowed: int
    throttled: int


class Chosen(NamedTuple):
    """What the lower pane shows: the newest of some messages, and which events they are."""

    share: Share
    address: str
    page: Page
    events: list[tuple[str, int]]
    events_of: int


def delivery(visit: Visit) -> Response:
    """The page."""
    now_ms = visit.parts.outside.clock.now_ms()
    found, stored, span = destination_of(visit), stored_in(visit), span_of(visit.query, now_ms)
    current = stored.current.destination_ids[found.slug]
    with facts_of(stored) as facts:
        all_flows = flows(stored, facts, span.period)
        flow = all_flows.of(ids_of(stored, found.slug))
        limits = _limits(facts, found, now_ms)
        took = latency(stored, facts, current, span.period) if facts else None
    shares = _shares(flow)
    values: dict[str, Any] = {
        "destination": found,
        "span": span,
        "periods": LAST,
        "flow": flow,
        "is_all": all_flows.is_all,
        "sources": _sources(stored, flow),
        "shares": shares,
        "reasons": _reasons(flow),
        "limits": limits,
        "latency": took,
        "oldest": _oldest(visit, stored, found, flow),
        "changes": [
            one
            for one in changes_since(visit, span.period.from_ms, found.slug)
            if one.at_ms < span.period.to_ms
        ],
        "chosen": _chosen(visit, stored, found, span, flow),
        "messages": _address(found, span),
        "now_ms": now_ms,
        "hidden": mask if masks(visit.request) else str,
    }
    return visit.render("delivery.html", **values)


# Figures


def _shares(flow: Flow) -> dict[str, Share]:
    of = flow.received
    return {one: Share(one, "", flow.outcomes[one], of) for one in OUTCOMES}


def _reasons(flow: Flow) -> dict[str, list[Share]]:
    """What was discarded and what failed by reason: harmless discards apart from those worth a look."""
    found: dict[str, list[Share]] = {"look": [], "harmless": [], FAILED: []}
    for (outcome, reason), n in flow.reasons.most_common():
        if n:
            text = REASONS.get(reason)
            is_harmless = text is not None and text.is_harmless
            name = FAILED if outcome == FAILED else "harmless" if is_harmless else "look"
            found[name].append(Share(outcome, reason, n, flow.received, text))
    return found


def _sources(stored: Stored, flow: Flow) -> list[tuple[str, str, int]]:
    """What came from which source: its name for people, its slug, how many messages."""
    names = {one.slug: one.name for one in stored.current.workspace.sources}
    return [
        (names.get(slug, "Engage" if engage_destination(slug) else slug), slug, n)
        for slug, n in flow.sources.most_common()
    ]


def _limits(facts: DeliveryReader | None, found: Destination, now_ms: int) -> Limits | None:
    """How much of the budget is used; None when it has no limit."""
    kind = CATALOG.get(found.metadata_id)
    if kind is None:
        return None
    budget = kind.budget(found.settings)
    if not budget.rows_per_min and not budget.rows_per_min_per_user:
        return None
    users: Counter[str] = Counter()
    for spent in facts.spending_since(now_ms - round(WINDOW_S * 1000)) if facts else ():
        if spent.scope == budget.scope:
            users.update(spent.rows)
    most = budget.rows_per_min_per_user
    throttled = sum(n >= most for n in users.values()) if most else 0
    return Limits(users.total(), budget.rows_per_min, throttled)


def _oldest(visit: Visit, stored: Stored, found: Destination, flow: Flow) -> str | None:
    """When the oldest message was received that is pending, as far as delivery has read."""
    if not flow.outcomes[PENDING]:
        return None
    known = next((one for one in visit.standing if one.slug == found.slug), None)
    return received_at(stored.log, known.cursor + 1) if known else None


# The lower pane


def _chosen(
    visit: Visit, stored: Stored, found: Destination, span: Span, flow: Flow
) -> Chosen | None:
    outcome, reason = visit.query.get("outcome", ""), visit.query.get("reason", "")
    if outcome not in OUTCOMES:
        return None
    n = flow.reasons[outcome, reason] if reason else flow.outcomes[outcome]
    share = Share(outcome, reason, n, flow.received, REASONS.get(reason))
    criteria = Criteria(
        received=Range(span.period.from_ms, span.period.to_ms),
        destinations=(found.slug,),
        outcomes=(outcome,),
        reasons=(reason,) if reason and n else (),
    )
    shown = browse(stored, criteria, None, _ROWS, _enough(visit))
    events: Counter[str] = Counter()
    enough = _enough(visit)
    for one in islice(every(stored, criteria), _EVENTS_OF) if n else ():
        events[one.event or one.type] += 1
        if enough():
            break
    address = f"{_address(found, span)}&{urlencode(_named(outcome, reason))}"
    return Chosen(share, address, shown, events.most_common(_EVENTS), events.total())


def _enough(visit: Visit) -> Callable[[], bool]:
    """Whether half of the pane's time is over."""
    clock = visit.parts.outside.clock
    until_s = clock.monotonic_s() + _PANE_S / 2
    return lambda: clock.monotonic_s() >= until_s


def _address(found: Destination, span: Span) -> str:
    """Every message of the destination and the period, in the list of messages."""
    return urlencode({"destination": found.slug, **span.bounds})


def _named(outcome: str, reason: str) -> dict[str, str]:
    return {"outcome": outcome, "reason": reason} if reason else {"outcome": outcome}


ROUTES = (page("/destinations/{slug}", delivery),)
