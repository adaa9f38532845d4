"""A source's door: what came, what was refused and why, what was taken in and where it went, and the lines to paste.

    called = refused + taken in → its destinations, each with what became of it there

Each figure leads to what it counts.
"""

import re
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from starlette.responses import Response

from headgate.app.debugging import Calls, Row
from headgate.app.figures import doing_in, facts_of, stored_in
from headgate.app.masking import mask, masks
from headgate.app.pages.sources import source_of
from headgate.app.periods import LAST, span_of
from headgate.app.routes import page
from headgate.app.sending import refused_of, sending
from headgate.app.visit import NothingHere, Visit
from headgate.eventlog.refused import KeptRefusal, kept_refusals
from headgate.records.arrivals import Wanted
from headgate.records.flow import flows
from headgate.records.words import text_of
from headgate.snippets import SNIPPETS, snippet_text
from headgate.spec.reasons import REASONS
from headgate.workspace.model import Source

_PAGE = 100
_NEWEST = 200  # calls that are looked at for their events and libraries
_KINDS = 6
_BEGINNING_BYTES = 160
_URL = re.compile(r"https?://[A-Za-z0-9.:_\[\]-]+(/[A-Za-z0-9._~/-]*)?")


class Kinds(NamedTuple):
    """The newest calls by what they are and by the library that made them, the most frequent first."""

    looked_at: int
    events: list[tuple[str, int]]
    libraries: list[tuple[str, int]]


class Last(NamedTuple):
    """The newest call of a source, taken in or refused, and its library."""

    row: Row
    library: str


def source(visit: Visit) -> Response:
    """The ledger, and the keys."""
    now_ms = visit.parts.outside.clock.now_ms()
    found, stored, span = source_of(visit), stored_in(visit), span_of(visit.query, now_ms, "24h")
    with facts_of(stored) as facts:
        flowing = flows(stored, facts, span.period)
    doing = doing_in(visit, stored, flowing)
    connected = stored.current.workspace.destinations_of(found.slug)
    return visit.render(
        "source.html",
        source=found,
        span=span,
        periods=LAST,
        bounds=urlencode(span.bounds),
        now_ms=now_ms,
        sending=sending(stored, now_ms)[found.slug],
        taken_in=sum(flowing.sources.get(found.slug, {}).values()),
        refused=_most(refused_of(stored.refused, span.period)[found.slug]),
        connected=[doing[one.slug] for one in connected],
        kinds=_kinds(visit, found),
        reasons=REASONS,
    )


def refused(visit: Visit) -> Response:
    """What was refused of a source in a period: by reason, and the newest one by one."""
    now_ms = visit.parts.outside.clock.now_ms()
    found, stored, span = source_of(visit), stored_in(visit), span_of(visit.query, now_ms, "7d")
    reason, before = visit.query.get("reason", ""), visit.query.get("before", "")
    below = int(before[:18]) if before.isascii() and before.isdigit() else None
    kept = kept_refusals(
        stored.refused,
        found.slug,
        reason=reason,
        below=below,
        from_ms=span.period.from_ms,
        to_ms=span.period.to_ms,
        limit=_PAGE + 1,
    )
    return visit.render(
        "source_refused.html",
        source=found,
        span=span,
        periods=LAST,
        counts=_most(refused_of(stored.refused, span.period)[found.slug]),
        reasons=REASONS,
        reason=reason,
        before=below,
        rows=[_shown(one, mask if masks(visit.request) else str) for one in kept[:_PAGE]],
        more=kept[_PAGE - 1].id if len(kept) > _PAGE else None,
    )


def install(visit: Visit) -> Response:
    """What to paste, filled in, and whether a call has come."""
    found = source_of(visit)
    url = visit.query.get("url", "").strip() or visit.parts.outside.public_url
    suited = [one for one in SNIPPETS if one.source_type == found.type]
    others = [one for one in SNIPPETS if one.source_type != found.type]
    wanted = visit.query.get("library", suited[0].name)
    chosen = next((one for one in SNIPPETS if one.name == wanted), None)
    if chosen is None:
        raise NothingHere("There is no snippet for that library.")
    problem = "" if _is_url(url) else "Expected http(s)://host[:port][/path], without /v1."
    text = ""
    if found.write_keys and not problem:
        text = snippet_text(chosen, url, found.write_keys[0])
    values: dict[str, Any] = {"suited": suited, "others": others, "text": text}
    values |= {"last": _last(visit, found), "reasons": REASONS}
    return visit.render(
        "source_install.html", source=found, chosen=chosen, url=url, problem=problem, **values
    )


# Parts of the above


def _most(counts: Counter[str]) -> dict[str, int]:
    return dict(counts.most_common())


def _kinds(visit: Visit, source: Source) -> Kinds:
    with closing(Calls(stored_in(visit), source.slug, Wanted())) as calls:
        arrivals = calls.arrivals
        newest = arrivals.before(arrivals.last_seq() + 1, _NEWEST).calls
        libraries = Counter(arrivals.library_of(one) for one in newest)
    events = Counter(one.event or one.type for one in newest)
    del libraries[""]
    return Kinds(len(newest), events.most_common(_KINDS), libraries.most_common(_KINDS))


def _last(visit: Visit, source: Source) -> Last | None:
    with closing(Calls(stored_in(visit), source.slug, Wanted())) as calls:
        rows = calls.before(None, 1).rows
        return Last(rows[0], calls.library_of(rows[0])) if rows else None


def _shown(kept: KeptRefusal, shown: Callable[[str], str]) -> tuple[KeptRefusal, str]:
    """A refusal with the beginning of its body."""
    text = shown(text_of(kept.refusal.body[:_BEGINNING_BYTES]))
    return kept, text + ("…" if len(kept.refusal.body) > _BEGINNING_BYTES else "")


def _is_url(url: str) -> bool:
    try:
        is_fine = _URL.fullmatch(url) is not None and urlsplit(url).port != 0
    except ValueError:
        return False
    return is_fine and not re.search("/v1/*$", url)


ROUTES = (
    page("/sources/{slug}", source),
    page("/sources/{slug}/refused", refused),
    page("/sources/{slug}/install", install),
)
