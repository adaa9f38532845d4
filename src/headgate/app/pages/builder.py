"""Making and editing an audience or computed trait: conditions beside their text, and what they come to now.

The text is what is saved, and what works without scripts. With them, `/builder` keeps both forms in step, and
`/builder/preview` counts. Saving says what it sends first, on a page of its own unless the browser has said so.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from starlette.responses import Response

from headgate.app.building import Builder, NoDrawing, Told, consequence, trials_of
from headgate.app.computations import AUDIENCES, TRAITS, House, Kind, house_of
from headgate.app.definition_form import (
    history_of,
    index_of,
    items_in,
    lay,
    place,
    proposed_key,
    rows,
    values_of,
    values_posted,
)
from headgate.app.editing import Edit, Refused, edited, save
from headgate.app.forms import Overtaken, Problems, fields, problems_at, refuse_overtaken
from headgate.app.routes import action, page
from headgate.app.visit import Change, Forbidden, NothingHere, Visit
from headgate.language.drawing import Measure
from headgate.language.names import NameRefused, key_of
from headgate.records.engage.stored import Engaged
from headgate.records.trials import Question, TakenBack, Trials, Tried, Untold
from headgate.workspace.access import Role
from headgate.workspace.errors import UnknownVersion
from headgate.workspace.model import Document

KINDS = {kind.name: kind for kind in (AUDIENCES, TRAITS)}
MEASURES: tuple[tuple[Measure, str, str], ...] = (
    ("count", "Count", "Ordered on Monday and on Friday: 2."),
    ("sum", "Sum", "Orders of 10 and 25: 35."),
    ("avg", "Average", "Orders of 10 and 25: 17.5."),
    ("min", "Smallest", "Orders of 10 and 25: 10."),
    ("max", "Greatest", "Orders of 10 and 25: 25."),
    ("mode", "Most frequent", "Viewed shoes, hats, shoes: shoes."),
    ("first", "First", "Came by search, then by mail: search."),
    ("last", "Last", "Came by search, then by mail: mail."),
    ("unique", "List of different values", "Viewed shoes, hats, shoes: hats, shoes."),
    ("unique_count", "Number of different values", "Viewed shoes, hats, shoes: 2."),
)
_MOST_SUGGESTED = 100
_EXAMPLES = {
    AUDIENCES.name: "event('Order Completed').within(30 days).count() >= 1",
    TRAITS.name: "event('Order Completed').within(90 days).sum(property('total'))",
}


class Editing(NamedTuple):
    """What the form is about: a new one when `key` is empty."""

    kind: Kind
    key: str

    @property
    def path(self) -> str:
        """Where the form is."""
        base = self.kind.base
        return f"{base}/{quote(self.key, safe='')}/edit" if self.key else f"{base}/new"


# Pages


def new(kind: Kind, visit: Visit) -> Response:
    """The form for a new one."""
    values = values_of(kind, {"definition": visit.query.get("definition", "")})
    values["destinations"] = _usual_destinations(visit)
    return _form(visit, Editing(kind, ""), values, str(visit.workspace.current().number))


def edit(kind: Kind, visit: Visit) -> Response:
    """The form for one that there is."""
    editing, newest = Editing(kind, visit.path["key"]), visit.workspace.current()
    values = values_of(kind, _item(newest.document, editing))
    return _form(visit, editing, values, str(newest.number))


def create(kind: Kind, change: Change) -> Response:
    """Makes it, once it is said what that sends."""
    editing, values = Editing(kind, ""), values_posted(kind, change.form)
    is_draft = change.form.get("draft") == "true"
    problems = _problems(change, editing, values)
    if problems:
        return _refused(change, editing, values, problems)
    if not is_draft and not change.form.get("sure"):
        return _confirm(change, editing, values)

    def add(document: Document) -> None:
        item: dict[str, Any] = {"enabled": not is_draft}
        lay(item, values)
        items_in(document, kind).append(item)

    key = proposed_key(values["name"])
    done = "saved as a draft: nothing is computed until it is enabled" if is_draft else "created"
    return _saved(change, Editing(kind, ""), values, add, f"{kind.base}/{key}", done)


def change_it(kind: Kind, change: Change) -> Response:
    """Saves the form, unless it is wrong or somebody else has saved another value meanwhile."""
    editing, values = Editing(kind, change.path["key"]), values_posted(kind, change.form)
    before = _item(change.workspace.current().document, editing)
    problems = _problems(change, editing, values)
    if problems:
        return _refused(change, editing, values, problems)
    if not change.form.get("sure") and _computes_otherwise(kind, before, values):
        return _confirm(change, editing, values)

    def lay_down(document: Document) -> None:
        found = _item(document, editing)
        refuse_overtaken(rows(kind), _as_read(change, editing), values_of(kind, found), values)
        lay(found, values, editing.key)

    path = f"{kind.base}/{quote(editing.key, safe='')}"
    return _saved(change, editing, values, lay_down, path, "saved")


# What scripts ask for


def read(change: Change) -> Response:
    """Both forms of a definition, from one of them, and what is wrong with the rest of the form."""
    editing = _editing_said(change)
    with house_of(change) as house:
        builder = _builder(change, house, editing.kind)
    drawing = change.form.get("drawing", "")
    try:
        told = (
            builder.of_drawing(drawing)
            if drawing
            else builder.of_text(change.form.get("definition", "").replace("\r\n", "\n"))
        )
    except NoDrawing as error:
        raise Forbidden(f"This is no drawing of a definition: {error}.") from None
    values = values_posted(editing.kind, change.form) | {"definition": told.text}
    problems = _problems(change, editing, values)
    problems.pop("definition", None)
    key = editing.key or proposed_key(values["name"] or "")
    return _json({"told": told, "key": key, "problems": problems})


def preview(change: Change) -> Response:
    """What the definition comes to now."""
    editing = _editing_said(change)
    values = values_posted(editing.kind, change.form)
    try:
        found = _tried(change, editing, values)
    except TakenBack:
        return _json({"takenBack": True})
    if isinstance(found, Untold):
        return _json({"untold": found.why})
    with house_of(change) as house:
        says = consequence(house, found, values["destinations"], _told_so_far(change, editing))
    return _json({"tried": found, "says": says})


def names(visit: Visit) -> Response:
    """The events and traits that were seen, and what can be asked by key; of one event its properties."""
    found = _trials(visit).seen()
    if isinstance(found, Untold):
        return _json({"untold": found.why})
    event = visit.query.get("event")
    if event is not None:
        properties = next((one.properties for one in found.events if one.name == event), [])
        return _json({"properties": properties[:_MOST_SUGGESTED]})
    with house_of(visit) as house:
        audiences, computed = _keys(house, AUDIENCES), _keys(house, TRAITS)
    events = [(one.name, one.messages) for one in found.events]
    traits = [(one.path, one.messages) for one in found.traits[:_MOST_SUGGESTED]]
    return _json({"events": events, "traits": traits, "audiences": audiences, "computed": computed})


# Parts of the above


def _form(
    visit: Visit,
    editing: Editing,
    values: Mapping[str, Any],
    version: str,
    *,
    problems: Mapping[str, str] | None = None,
    saved: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    with house_of(visit) as house:
        told = _builder(visit, house, editing.kind).of_text(str(values["definition"] or ""))
        destinations = house.workspace.destinations
    (name,) = fields(rows(editing.kind)[:1], values, {"name": "Name"}, problems, saved)
    return visit.render(
        "builder.html",
        status,
        kind=editing.kind,
        editing=editing,
        name=name,
        values=values,
        history=history_of(values.get("includeHistory", True)),
        version=version,
        problems=Problems(problems or {}),
        saved=saved or {},
        told=told,
        destinations=destinations,
        key=editing.key or proposed_key(values["name"] or ""),
        measures=MEASURES,
        example=_EXAMPLES[editing.kind.name],
    )


def _refused(
    change: Change, editing: Editing, values: Mapping[str, Any], problems: Mapping[str, str]
) -> Response:
    version = change.form.get("version", "")
    return _form(change, editing, values, version, problems=problems, status=422)


def _confirm(change: Change, editing: Editing, values: Mapping[str, Any]) -> Response:
    """Says what saving comes to, before it is done."""
    found: Tried | Untold
    try:
        found = _tried(change, editing, values)
    except TakenBack:
        found = Untold("something newer was asked meanwhile")
    _trials(change).seen()
    tried = found if isinstance(found, Tried) else None
    with house_of(change) as house:
        told = _builder(change, house, editing.kind).of_text(values["definition"])
        so_far = _told_so_far(change, editing)
        says = consequence(house, tried, values["destinations"], so_far) if tried else ""
    return _asked(change, editing, told, found, says)


def _asked(
    change: Change, editing: Editing, told: Told, found: Tried | Untold, says: str
) -> Response:
    """The page between the form and the change."""
    kept = {name: text for name, text in change.form.items() if name not in ("csrf", "sure")}
    return change.render(
        "builder_confirm.html",
        kind=editing.kind,
        editing=editing,
        kept=kept,
        told=told,
        tried=found if isinstance(found, Tried) else None,
        untold=found.why if isinstance(found, Untold) else "",
        says=says,
    )


def _saved(
    change: Change,
    editing: Editing,
    values: Mapping[str, Any],
    edit: Edit,
    path: str,
    done: str,
) -> Response:
    try:
        saved = save(change.parts, change.actor, edit)
    except Overtaken as overtaken:
        now = str(change.workspace.current().number)
        return _form(change, editing, values, now, saved=overtaken.saved, status=409)
    except Refused as refused:
        problems = _sorted_out(change, editing, refused.problems)
        return _refused(change, editing, values, problems)
    return change.done(path, saved.told(f"{values['name']} is {done}."))


def _problems(change: Change, editing: Editing, values: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the form, by row."""

    def edit(document: Document) -> None:
        items = items_in(document, editing.kind)
        item = _item(document, editing) if editing.key else {}
        lay(item, values, editing.key)
        if not editing.key:
            items.append(item)

    problems: dict[str, str] = {}
    try:
        edited(change.parts, change.workspace.current(), edit)
    except Refused as refused:
        problems = _sorted_out(change, editing, refused.problems)
    if not editing.key and "name" not in problems:
        problems |= _key_problem(change, values["name"])
    return problems


def _sorted_out(change: Change, editing: Editing, found: Mapping[str, str]) -> dict[str, str]:
    items = items_in({**change.workspace.current().document}, editing.kind)
    index = index_of(items, editing.key) if editing.key else len(items)
    return problems_at(place(editing.kind, index or 0), found)


def _key_problem(change: Change, name: str | None) -> dict[str, str]:
    """A key that belonged to something else before cannot be used, or none can be made."""
    try:
        key = key_of(name or "")
    except NameRefused as refused:
        return {"name": f"{refused}."}
    with house_of(change) as house:
        was = house.store and _was_used(house.store, key)
    if not was:
        return {}
    return {
        "name": f"Expected a name with a key of its own, found {key}, which belonged to another one before; it is"
        " never used again, because destinations would take its members for the new one's."
    }


def _was_used(store: Engaged, key: str) -> bool:
    return store.record(key) is not None or store.removed(key) is not None


def _item(document: Document, editing: Editing) -> dict[str, Any]:
    items = items_in(document, editing.kind)
    index = index_of(items, editing.key)
    if index is None:
        raise NothingHere(f"There is no {editing.kind.one} with the key {editing.key}.")
    return items[index]


def _as_read(change: Change, editing: Editing) -> dict[str, Any] | None:
    """What the form showed."""
    given = change.form.get("version", "")
    if not (given.isascii() and given.isdigit() and len(given) < 16):
        return None
    try:
        document = change.workspace.at(int(given)).document
        return values_of(editing.kind, _item(document, editing))
    except (UnknownVersion, NothingHere):
        return None


def _computes_otherwise(kind: Kind, before: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether anything but the name is another."""
    then = values_of(kind, before)
    return any(_alike(then[name]) != _alike(values[name]) for name in then if name != "name")


def _alike(value: Any) -> Any:
    """Destinations in any order are the same."""
    return sorted(value) if isinstance(value, list | tuple) else value


def _told_so_far(visit: Visit, editing: Editing) -> list[str] | None:
    """The destinations that it goes to already; None of something new."""
    if not editing.key:
        return None
    item = _item(visit.workspace.current().document, editing)
    return list(item.get("destinations", ()))


def _tried(change: Change, editing: Editing, values: Mapping[str, Any]) -> Tried | Untold:
    question = Question(
        kind=editing.kind.name,
        definition=values["definition"] or "",
        include_history=values.get("includeHistory", True),
        include_anonymous=values.get("includeAnonymous", False),
        wait=values.get("wait", False),
        against=editing.key,
    )
    return _trials(change).tried(change.session, question)


def _builder(visit: Visit, house: House, kind: Kind) -> Builder:
    names = dict(_keys(house, AUDIENCES))
    computed = [*names, *(key for key, _ in _keys(house, TRAITS))]
    return Builder(kind, names, computed, _trials(visit).seen_before())


def _keys(house: House, kind: Kind) -> list[tuple[str, str]]:
    """Key and name of each."""
    return [(one.key, one.asked.name) for one in house.all_of(kind)]


def _usual_destinations(visit: Visit) -> list[str]:
    """The one destination there is; of several, somebody has to choose."""
    slugs = [one["slug"] for one in visit.workspace.current().document["destinations"]]
    return slugs if len(slugs) == 1 else []


def _editing_said(change: Change) -> Editing:
    kind = KINDS.get(change.form.get("kind", ""))
    if kind is None:
        raise NothingHere("There are audiences and computed traits, and nothing else to build.")
    editing = Editing(kind, change.form.get("key", ""))
    if editing.key:
        _item(change.workspace.current().document, editing)
    return editing


def _trials(visit: Visit) -> Trials:
    outside = visit.parts.outside
    return trials_of(outside.data_dir, outside.clock)


def _json(answer: Any) -> Response:
    return Response(msgspec.json.encode(answer), media_type="application/json")


ROUTES = (
    *(page(f"{kind.base}/new", partial(new, kind), Role.EDITOR) for kind in KINDS.values()),
    *(action(f"{kind.base}/new", partial(create, kind), Role.EDITOR) for kind in KINDS.values()),
    *(
        page(f"{kind.base}/{{key}}/edit", partial(edit, kind), Role.EDITOR)
        for kind in KINDS.values()
    ),
    *(
        action(f"{kind.base}/{{key}}/edit", partial(change_it, kind), Role.EDITOR)
        for kind in KINDS.values()
    ),
    action("/builder", read, Role.EDITOR),
    action("/builder/preview", preview, Role.EDITOR),
    page("/builder/names", names, Role.EDITOR),
)
