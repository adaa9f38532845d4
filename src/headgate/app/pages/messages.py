"""Messages of the log: found by what people know of them, and exported.

The address holds what is asked for. A filter of a name in `_FILTERS` may come several times, then one of its values
is enough. `from` and `to` are of receivedAt, half-open, in ISO 8601 or in Unix milliseconds; `before` is where a page
begins.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response, StreamingResponse

from headgate.app.bodies import shortened
from headgate.app.figures import log_figures, stored_in
from headgate.app.masking import mask, masks, set_masked
from headgate.app.pages.message import ROUTES as ROUTES_OF_ONE
from headgate.app.routes import action, page
from headgate.app.visit import Change, Visit
from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.browse import Count, Page, Seen, browse, count, every
from headgate.records.criteria import Criteria, Unknown
from headgate.records.outcomes import PENDING
from headgate.records.stored import Stored
from headgate.records.stretches import Range, received_at
from headgate.records.words import text_of
from headgate.spec.names import CALL_TYPES
from headgate.spec.reasons import DOOR_ONLY_REASONS, REASONS
from headgate.spec.repair import DECODE_ERRORS
from headgate.spec.timestamps import parse_ms
from headgate.workspace.access import Role

PAGE_ROWS = 100
_FILTERS = ("source", "type", "event", "user", "outcome", "reason", "destination")
_PERIOD = ("from", "to")
_OUTCOMES = (DELIVERED, DISCARDED, FAILED, PENDING)
_ENOUGH_S, _ENOUGH_OF_ALL_S = 0.2, 20.0
_COUNTED = 10_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets compute
_OURS = re.compile(r"/(?![/\\])")  # an address of the app's, not of another host
_COLUMNS = (
    *("receivedAt", "messageId", "source", "type", "event", "userId", "outcomes"),
    "message",
)


class Asked(NamedTuple):
    """What the address asks for. `problems` by the name of the field; with any, nothing is looked up."""

    criteria: Criteria
    values: dict[str, list[str]]
    problems: dict[str, str]

    @property
    def address(self) -> str:
        """The same as a query, without the place of a page."""
        return urlencode(self.values, doseq=True)


class Held(NamedTuple):
    """How far back the log goes: to when its oldest message was received, None without any; was there an older one?"""

    since: str | None
    was_longer: bool


def listing(visit: Visit) -> Response:
    """A page of messages."""
    stored, asked = stored_in(visit), _asked(visit)
    found, counted = Page([], None, False, None, 0), Count(0, True)
    if not asked.problems:
        try:
            found = browse(stored, asked.criteria, _before(visit), PAGE_ROWS, _enough(visit))
            counted = _counted(visit, stored, asked, found)
        except Unknown as unknown:
            asked.problems[unknown.option.removeprefix("--")] = f"{_sentence(unknown)}"
    values: dict[str, Any] = {"asked": asked, "found": found, "counted": counted}
    return visit.render(
        "messages.html",
        422 if asked.problems else 200,
        **values,
        sources=_sources(stored),
        configured=[one.slug for one in stored.current.workspace.sources],
        destinations=list(dict.fromkeys(stay.slug for stay in stored.history)),
        types=CALL_TYPES,
        outcomes=_OUTCOMES,
        reasons=[one for one in REASONS.values() if one.code not in DOOR_ONLY_REASONS],
        held=_held(stored),
        days=stored.current.workspace.retention.days,
        is_first=_before(visit) is None,
        most=_COUNTED,
        shown=_shown(masked=masks(visit.request)),
    )


def export_csv(visit: Visit) -> Response:
    """All that fit, as a table for spreadsheets, which compute nothing of what stands in there."""
    return _export(visit, "text/csv; charset=utf-8", "csv", _csv_lines)


def export_lines(visit: Visit) -> Response:
    """All that fit, a JSON object a line."""
    return _export(visit, "application/x-ndjson", "jsonl", _json_lines)


def switch_mask(change: Change) -> Response:
    """Hides personal values in this browser, or shows them."""
    following = change.form.get("next", "")
    response = change.done(following if _OURS.match(following) else "/messages")
    set_masked(response, change.form.get("mask") == "yes")
    return response


# What is asked for


def _asked(visit: Visit) -> Asked:
    given = visit.request.query_params
    values = {
        name: kept
        for name in (*_FILTERS, *_PERIOD)
        if (kept := [one for one in given.getlist(name) if one])
    }
    problems: dict[str, str] = {}
    moments = {name: _moment(values.get(name, [""])[-1]) for name in _PERIOD}
    for name in _PERIOD:
        if name in values and moments[name] is None:
            problems[name] = "Expected a moment such as 2026-11-24T14:02:31Z."
    for one in values.get("outcome", []):
        if one not in _OUTCOMES:
            problems["outcome"] = f"Expected one of {', '.join(_OUTCOMES)}."
    several = {f"{name}s": tuple(values.get(name, ())) for name in _FILTERS}
    criteria = Criteria(received=Range(moments["from"], moments["to"]), **several)
    return Asked(criteria, values, problems)


def _moment(text: str) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text[:15])
    return parse_ms(text) if text else None


def _before(visit: Visit) -> int | None:
    given = visit.query.get("before", "")
    return int(given[:18]) if given.isascii() and given.isdigit() else None


def _sentence(unknown: Unknown) -> str:
    words = str(unknown)
    return f"{words[:1].upper()}{words[1:]}."


def _enough(visit: Visit, seconds: float = _ENOUGH_S) -> Callable[[], bool]:
    clock = visit.parts.outside.clock
    until_s = clock.monotonic_s() + seconds
    return lambda: clock.monotonic_s() >= until_s


# What is shown with it


def _counted(visit: Visit, stored: Stored, asked: Asked, found: Page) -> Count:
    """How many there are: all when that is asked for or simple, else up to some thousands."""
    if asked.criteria.asks_for_nothing:
        return Count(log_figures(visit).messages - found.lost, True)
    if visit.query.get("count") == "all":
        return count(stored, asked.criteria, None, _enough(visit, _ENOUGH_OF_ALL_S))
    if _before(visit) is None and not found.is_full:
        return Count(len(found.messages), found.before is None)
    return count(stored, asked.criteria, _COUNTED, _enough(visit))


def _sources(stored: Stored) -> list[str]:
    """Those that are configured, then those that were; hidden ones come by links."""
    configured = [one.slug for one in stored.current.workspace.sources]
    former = {one for one in stored.sources if "/" not in one} - set(configured)
    return [*configured, *sorted(former)]


def _shown(*, masked: bool) -> Callable[[str], str]:
    return (lambda text: shortened(mask(text))) if masked else shortened


def _held(stored: Stored) -> Held:
    with closing(sqlite_reader(stored.log)) as log:
        first, last = log.first_seq(), log.last_seq()
    return Held(received_at(stored.log, first) if first <= last else None, first > 1)


# Exports


def _export(
    visit: Visit, media_type: str, ending: str, lines: Callable[[Iterator[Seen], bool], Any]
) -> Response:
    stored, asked = stored_in(visit), _asked(visit)
    try:
        asked.criteria.check(stored)
    except Unknown as unknown:
        asked.problems[unknown.option] = _sentence(unknown)
    if asked.problems:
        return Response("\n".join(asked.problems.values()) + "\n", 422, media_type="text/plain")
    headers = {"content-disposition": f'attachment; filename="messages.{ending}"'}
    content = lines(every(stored, asked.criteria), masks(visit.request))
    return StreamingResponse(content, 200, headers, media_type)


def _csv_lines(messages: Iterator[Seen], masked: bool) -> Iterator[str]:
    yield _csv_line(_COLUMNS)
    for one in messages:
        outcomes = "; ".join(
            f"{at.destination}: {at.outcome}{f' ({at.reason})' if at.reason else ''}"
            for at in one.outcomes
        )
        texts = (one.message_id, one.source, one.type, one.event, one.user_id, outcomes)
        yield _csv_line((one.received_at, *texts, text_of(one.raw)), masked)


def _csv_line(cells: tuple[str, ...], masked: bool = False) -> str:
    line = io.StringIO()
    shown = [mask(one) if masked else one for one in cells]
    csv.writer(line).writerow([f"'{one}" if one.startswith(_FORMULA) else one for one in shown])
    return line.getvalue()


def _json_lines(messages: Iterator[Seen], masked: bool) -> Iterator[bytes]:
    for one in messages:
        told = msgspec.to_builtins(one, builtin_types=(bytes,))
        raw = one.raw
        del told["raw"]
        told["outcomes"] = [each._asdict() for each in one.outcomes]
        told["message"] = _on_one_line(raw)
        line = msgspec.json.encode(told)
        yield (mask(line.decode()).encode() if masked else line) + b"\n"


def _on_one_line(raw: bytes) -> Any:
    """The message to the digit; as text when it is not quite JSON."""
    try:
        msgspec.json.decode(raw)
    except DECODE_ERRORS:
        return text_of(raw)
    return msgspec.Raw(raw.replace(b"\n", b" ").replace(b"\r", b" "))


ROUTES = (
    page("/messages", listing),
    page("/messages.csv", export_csv),
    page("/messages.jsonl", export_lines),
    action("/mask", switch_mask, Role.VIEWER),
    *ROUTES_OF_ONE,
)
