"""Who is in an audience, or has a value of a trait: the list, one person's why, everybody as CSV."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

from starlette.responses import Response, StreamingResponse

from headgate.app.computations import Computation, House, Kind, house_of
from headgate.app.values import in_json
from headgate.app.visit import NothingHere, Visit
from headgate.destinations.catalog import CATALOG
from headgate.engage.profile import Profile
from headgate.engage.registry import Record
from headgate.records.engage.behind import Behind, behind_each
from headgate.records.engage.explaining import Why, explain
from headgate.records.engage.members import (
    Among,
    Order,
    Page,
    is_among,
    page_of,
    sorted_page,
)
from headgate.records.engage.people import find_person, identifiers_by_type, numbered
from headgate.records.engage.rows import Row, rows_of
from headgate.records.engage.standing import last_told
from headgate.records.engage.stored import engaged
from headgate.spec.timestamps import iso_ms

_Choice = TypeVar("_Choice", Among, Order)

_MARKED = re.compile(r"([0-9]{1,18})-([0-9a-f]{1,8})")
_MOST_MARKED = 200
_MESSAGES = 10  # that are named for each condition
_COLUMNS = ("user_id", "email", "anonymous_id")
_LINES_AT_ONCE = 500
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")


class _Evidence(NamedTuple):
    """What the list asks `evidence` for: people with their rows' marks, and a mark of all of them."""

    people: str
    mark: str


def members(kind: Kind, visit: Visit) -> Response:
    """A page of them, as the address asks."""
    among = _one_of(Among, visit.query.get("among"), Among.IN)
    order = _one_of(Order, visit.query.get("order"), Order.SEEN)
    after = visit.query.get("after", "")
    with house_of(visit) as house:
        one = house.one(kind, visit.path["key"])
        counted = house.counted(one)
        found = _page(house, one, among, order, after)
        rows = _rows(house, one, found)
        return visit.render(
            "members.html",
            one=one,
            house=house,
            tally=counted.tally if counted else None,
            among=among,
            order=order,
            rows=rows,
            evidence=_evidence(rows),
            page=found,
            is_first=not after,
        )


def evidence(kind: Kind, visit: Visit) -> Response:
    """The messages behind some rows of the list, which puts them into its rows."""
    marked = _MARKED.findall(visit.query.get("people", ""))[:_MOST_MARKED]
    with house_of(visit) as house:
        one = house.one(kind, visit.path["key"])
        found: dict[int, list[Behind]] = {}
        if house.store is not None and one.record is not None:
            people = [int(number) for number, _ in marked]
            found = behind_each(house.stored, house.store, one.record, people, house.now_ms)
        rows = [(number, mark, found.get(int(number), [])) for number, mark in marked]
        return visit.render("evidence.html", one=one, rows=rows)


def check(kind: Kind, visit: Visit) -> Response:
    """Why somebody is in it or not, whoever that is."""
    named = visit.query.get("person", "").strip()
    with house_of(visit) as house:
        one = house.one(kind, visit.path["key"])
        profile, problem = _person(house, one, named)
        why = _why(house, one, profile) if profile else None
        return visit.render(
            "check.html",
            status=404 if problem else 200,
            one=one,
            house=house,
            named=named,
            why=why,
            problem=problem,
        )


def export(kind: Kind, visit: Visit) -> Response:
    """Everybody whom the list would show, streamed as it is read."""
    among = _one_of(Among, visit.query.get("among"), Among.IN)
    with house_of(visit) as house:
        one = house.one(kind, visit.path["key"])
        now_ms = house.now_ms
    if one.record is None:
        raise NothingHere("Engage has computed nothing of it yet.")
    lines = _lines(visit, one.record, among, now_ms)
    headers = {"content-disposition": f'attachment; filename="{one.key}.csv"'}
    return StreamingResponse(lines, 200, headers, media_type="text/csv; charset=utf-8")


def _page(house: House, one: Computation, among: Among, order: Order, after: str) -> Page:
    if house.store is None or one.record is None:
        return Page([], "")
    if order is Order.SEEN or not house.is_countable:
        return page_of(house.store, one.record, among, house.now_ms, after=after)
    return sorted_page(house.store, one.record, among, order, house.now_ms, after=after)


def _rows(house: House, one: Computation, found: Page) -> list[Row]:
    if house.store is None or one.record is None:
        return []
    return rows_of(house.stored, house.store, one.record, found.people, house.now_ms)


def _evidence(rows: Sequence[Row]) -> _Evidence | None:
    members = [f"{one.profile}-{one.mark}" for one in rows if one.is_member]
    if not members:
        return None
    people = ",".join(members)
    return _Evidence(people, f"{crc32(people.encode()):x}")


def _person(house: House, one: Computation, named: str) -> tuple[Profile | None, str]:
    """Whom a person means, and what to say when nobody is found."""
    if not named:
        return None, ""
    if house.store is None or one.record is None:
        return None, "Engage has computed nothing of it yet."
    profile = numbered(house.store, named) or find_person(house.store, named)
    if profile is None:
        return None, (
            f"{named} is not known: no message with this userId was read. Other identifiers are"
            " written with their type, as in email:ann@example.com."
        )
    return profile, ""


def _why(house: House, one: Computation, profile: Profile) -> Why:
    assert house.store is not None
    assert one.record is not None
    return explain(
        house.stored, house.store, CATALOG, one.record, profile, now_ms=house.now_ms, most=_MESSAGES
    )


def _one_of(choices: type[_Choice], said: str | None, usual: _Choice) -> _Choice:
    return next((one for one in choices if one.value == said), usual)


# CSV


def _lines(visit: Visit, record: Record, among: Among, now_ms: int) -> Iterator[str]:
    """RFC 4180, some rows at a time, in constant memory."""
    with engaged(visit.parts.outside.data_dir) as store:
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\r\n")
        rows.writerow(("profile", "value", *_COLUMNS, "told", "told_at", "identifiers"))
        listed = (one for one in store.profiles() if is_among(one, record, among, now_ms))
        for n, one in enumerate(listed, 1):
            rows.writerow(_cells(one, record))
            if n % _LINES_AT_ONCE == 0:
                yield text.getvalue()
                text.seek(0)
                text.truncate()
        yield text.getvalue()


def _cells(profile: Profile, record: Record) -> list[str]:
    """Several identifiers of a type, and several tellings, stand below each other in their cell."""
    identifiers = identifiers_by_type(profile.identifiers)
    told = [one.sent for one in last_told(profile, record)]
    cells = [
        _text(profile.value(record.number, is_audience=record.is_audience)),
        *(_inert("\n".join(identifiers.get(name, ()))) for name in _COLUMNS),
        "\n".join(_text(one.value) for one in told),
        "\n".join(iso_ms(one.at_ms) for one in told),
    ]
    return [str(profile.id), *cells, in_json(identifiers)]


def _text(value: Any) -> str:
    return _inert(value) if isinstance(value, str) else in_json(value)


def _inert(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_FORMULAS) else text
