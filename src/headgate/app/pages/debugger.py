"""The debugger of a source: its calls as they land, what became of each, and one of them whole beside the list.

The list comes from the log, so that no traffic pushes out what somebody looks for. While the page is seen, news
come over a line (`debugging.py`); without scripts the page is as of when it was opened.
"""

import asyncio
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from headgate.app.debugging import OUTCOMES, Calls, Frame, Place, Tail
from headgate.app.figures import stored_in
from headgate.app.lines import Line
from headgate.app.live import Watched
from headgate.app.masking import mask, masks
from headgate.app.pages.sources import source_of
from headgate.app.routes import page, stream
from headgate.app.visit import NothingHere, Visit
from headgate.destinations.catalog import CATALOG
from headgate.eventlog.refused import kept_refusals
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.arrivals import Wanted
from headgate.records.gist import gist
from headgate.records.trace import Story, trace
from headgate.spec.names import CALL_TYPES
from headgate.spec.reasons import REASONS
from headgate.workspace.model import Source

LOOK_EVERY_S = 0.25
_FILTERS = ("q", "type", "outcome")


def debugger(visit: Visit) -> Response:
    """The list, with the call that the address names beside it."""
    source = source_of(visit)
    before = Place.read(visit.query.get("before", ""))
    with closing(Calls(stored_in(visit), source.slug, _wanted(visit))) as calls:
        listed = calls.before(before)
    at = visit.query.get("at", "")
    return visit.render(
        "debugger.html",
        listed=listed,
        before=before,
        types=CALL_TYPES,
        outcomes=OUTCOMES,
        at=at,
        call=_call(visit, source, at) if at else None,
        **_of_rows(visit, source),
    )


def one(visit: Visit) -> Response:
    """One call whole, on a page of its own; beside the list it is taken from here."""
    source = source_of(visit)
    call = _call(visit, source, visit.path["place"])
    if call is None:
        raise NothingHere("There is no such call of this source. It may be older than the log.")
    return visit.render("debugger_call.html", call=call, **_of_rows(visit, source))


async def follow(line: Line) -> None:
    """Sends frames of what comes, four a second at most, and the verdict of the bar."""
    verdict = Watched(line)
    clock = line.visit.parts.outside.clock
    after = Place.read(line.visit.query.get("after", ""))
    with closing(await asyncio.to_thread(_calls_of, line.visit)) as calls:
        if after is None:
            after = await asyncio.to_thread(calls.top)
        tail = await asyncio.to_thread(Tail, calls, after, clock.monotonic_s())
        told = await asyncio.to_thread(_Told, line.visit)
        pause_s = 0.0
        while await line.rest(pause_s):
            await verdict.look()
            frame = await asyncio.to_thread(tail.look, clock.monotonic_s())
            if frame is not None:
                await line.say("rows", await asyncio.to_thread(told.of, frame))
            pause_s = LOOK_EVERY_S


# Parts of the above


def _calls_of(visit: Visit) -> Calls:
    return Calls(stored_in(visit), source_of(visit).slug, _wanted(visit))


def _wanted(visit: Visit) -> Wanted:
    asked = {name: visit.query.get(name, "").strip() for name in _FILTERS}
    return Wanted(
        asked["q"],
        asked["type"] if asked["type"] in CALL_TYPES else "",
        asked["outcome"] if asked["outcome"] in OUTCOMES else "",
    )


def _of_rows(visit: Visit, source: Source) -> dict[str, Any]:
    """What a row needs beside itself."""
    destinations = stored_in(visit).current.workspace.destinations
    wanted = _wanted(visit)
    asked = {"q": wanted.words, "type": wanted.type, "outcome": wanted.outcome}
    return {
        "source": source,
        "wanted": wanted,
        "asked": urlencode({name: text for name, text in asked.items() if text}),
        "names": {one.slug: one.name for one in destinations},
        "reasons": REASONS,
        "shown": mask if masks(visit.request) else str,
    }


class _Told:
    """Frames as the page takes them."""

    def __init__(self, visit: Visit) -> None:
        values = {"visit": visit, "at": "", **_of_rows(visit, source_of(visit))}
        template = visit.parts.templates.get_template("_calls.html")
        self._macros: Any = template.make_module(values)

    def of(self, frame: Frame) -> dict[str, Any]:
        """One frame."""
        return {
            "rows": str(self._macros.rows(frame.rows)),
            "fates": {row.place: str(self._macros.fates(row)) for row in frame.settled},
            "rate": frame.rate,
            "fitting": frame.fitting,
            "missed": frame.missed,
        }


def _call(visit: Visit, source: Source, place: str) -> Any:
    """What the pane shows of a call: its story, or what was refused; None when there is none."""
    refused, number = place.startswith("r"), place.removeprefix("r")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    if refused:
        return _refusal(visit, source, int(number))
    return _story(visit, source, int(number))


def _refusal(visit: Visit, source: Source, number: int) -> dict[str, Any] | None:
    kept = kept_refusals(
        stored_in(visit).refused, source.slug, above=number - 1, below=number + 1, limit=1
    )
    return {"place": f"r{number}", "refusal": kept[0].refusal, "story": None} if kept else None


def _story(visit: Visit, source: Source, seq: int) -> dict[str, Any] | None:
    stored = stored_in(visit)
    with closing(sqlite_reader(stored.log)) as log:
        try:
            entry = log.entry(seq)
        except KeyError:
            return None
    if entry.envelope.source != source.slug:
        return None
    found = trace(stored, CATALOG, gist(entry).message_id, source=source.slug).story
    stories = [found, *found.others] if found else []
    story: Story | None = next((one for one in stories if one.arrival.position == seq), None)
    return {"place": str(seq), "refusal": None, "story": story} if story else None


ROUTES = (
    page("/sources/{slug}/debugger", debugger),
    stream("/sources/{slug}/debugger/line", follow),
    page("/sources/{slug}/debugger/{place}", one),
)
