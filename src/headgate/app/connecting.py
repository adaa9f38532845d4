"""What the connect page asks for, and what is made of it: destinations, maybe a source, a test event.

    form → Asked → problems, by field
                 → an edit of the workspace
                 → the test event, and what Heap would receive of it

Between `pages/connect.py`, which shows and posts, and the workspace.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from headgate.app import door, sandboxes
from headgate.app.destination_form import (
    APP_ID,
    lay,
    problems_of,
    rows,
    values_posted,
    with_slug,
)
from headgate.app.editing import Edit, Refused, edited
from headgate.app.parts import SETTINGS, Parts
from headgate.delivery.routing import DEVICE
from headgate.destinations.catalog import CATALOG
from headgate.records.preview import Preview, preview
from headgate.spec.message import Envelope
from headgate.spec.names import TRACK
from headgate.spec.settings import with_defaults
from headgate.workspace.model import Destination, Document, Source, Workspace
from headgate.workspace.table import SOURCE

KIND = CATALOG["heap"]
_ASKED = ("slug", "name", "connectionMode", APP_ID, "settings.region", "settings.apiBaseUrl")
FORM = tuple(row for row in with_slug(rows(SETTINGS, KIND.metadata_id)) if row.name in _ASKED)
FROM = "from."  # before the slug of a source, in the names of the boxes
TYPES = next(row.choices for row in SOURCE if row.name == "type")

_TRY, _SAVE, _SANDBOX = "try", "save", "sandbox"
_ANY_APP_ID = "1535634150"
_EVENT = "Headgate Test"
_NOT_IN_SLUGS = re.compile(r"[^a-z0-9]+")
_MOST_SLUG_CHARS = 80


@dataclass(frozen=True)
class Asked:
    """What the form asks for: `values` by row of the destination, `new` a source that is to be made as well."""

    sources: list[Source]
    new: dict[str, Any] | None
    values: dict[str, Any]
    identity: str
    do: str

    @property
    def is_enabled(self) -> bool:
        """Whether messages are to go from now on."""
        return self.do != _SAVE

    @property
    def is_tried(self) -> bool:
        """Whether a test event is to be sent."""
        return self.do in (_TRY, _SANDBOX)

    @property
    def by_device(self) -> bool:
        """Whether pages send by themselves."""
        return bool(self.values["connectionMode"] == DEVICE)

    @property
    def source_names(self) -> dict[str, str]:
        """Every source by slug; the new one comes last."""
        names = {one.slug: one.name for one in self.sources}
        return names | ({self.new["slug"]: self.new["name"]} if self.new else {})


def asked_of(workspace: Workspace, given: Mapping[str, str]) -> Asked:
    """What a form, or an address that fills one in, asks for; blanks are filled with proposals."""
    do = given.get("do", _TRY)
    stated = values_posted(FORM, given)
    values = _proposed(workspace) | {name: one for name, one in stated.items() if one is not None}
    if do == _SANDBOX:
        values["settings.apiBaseUrl"] = sandboxes.reachable(workspace) or sandboxes.USUAL_URL
        values[APP_ID] = values.get(APP_ID) or _ANY_APP_ID
    return Asked(
        [one for one in workspace.sources if given.get(f"{FROM}{one.slug}")],
        _new_source(workspace, given) if given.get("new") else None,
        values,
        given.get("identity", "").strip() or door.test_identity(),
        do,
    )


def _proposed(workspace: Workspace) -> dict[str, Any]:
    """A name and a slug that nobody has yet."""
    slug = _free(KIND.metadata_id, {one.slug for one in workspace.destinations})
    number = slug.removeprefix(KIND.metadata_id).replace("-", " ")
    return {"slug": slug, "name": f"{KIND.name}{number}", "connectionMode": "cloud"}


def _new_source(workspace: Workspace, given: Mapping[str, str]) -> dict[str, Any]:
    name = given.get("new.name", "").strip()
    slug = _NOT_IN_SLUGS.sub("-", name.lower()).strip("-")[:_MOST_SLUG_CHARS] or "source"
    return {
        "slug": _free(slug, {one.slug for one in workspace.sources}),
        "name": name or None,
        "type": given.get("new.type", TYPES[0]),
    }


def _free(wanted: str, taken: set[str]) -> str:
    slug, number = wanted, 2
    while slug in taken:
        slug, number = f"{wanted}-{number}", number + 1
    return slug


# What is made


def made(asked: Asked) -> list[dict[str, Any]]:
    """The destinations, one for each source; of several, each is named after its own."""
    several = len(asked.source_names) > 1
    return [_made(asked, slug, several=several) for slug in asked.source_names]


def _made(asked: Asked, source: str, *, several: bool) -> dict[str, Any]:
    one: dict[str, Any] = {
        "metadataId": KIND.metadata_id,
        "sourceId": source,
        "enabled": asked.is_enabled,
        "settings": {},
    }
    values = asked.values
    if several:
        name = f"{values['name']} ({asked.source_names[source] or source})"
        values = values | {"slug": f"{values['slug']}-{source}", "name": name}
    lay(FORM, one, values, {})
    if asked.do == _SANDBOX and asked.by_device:
        one["settings"]["scriptHost"] = urlsplit(values["settings.apiBaseUrl"]).netloc
    return one


def edit_of(asked: Asked) -> Edit:
    """Puts everything into a document; the new source gets a write key."""
    key = f"wk_{secrets.token_urlsafe(18)}"

    def edit(document: Document) -> None:
        if asked.new:
            document["sources"].append({**asked.new, "writeKeys": [key]})
        document["destinations"] += made(asked)

    return edit


# What is wrong


def problems(parts: Parts, asked: Asked) -> dict[str, str]:
    """Everything that is wrong, by field; nothing is changed."""
    found: dict[str, str] = {}
    if not asked.source_names:
        found["source"] = "Tick the source that Heap is to hear of, or New source."
    if asked.new and not asked.new["name"]:
        found["new.name"] = "Give the new source a name."
    try:
        edited(parts, parts.workspace_reader.current(), edit_of(_with_some_source(asked)))
    except Refused as refused:
        found = by_field(refused.problems) | found
    return found


def _with_some_source(asked: Asked) -> Asked:
    """Fields are judged before a source is ticked, too: with one that nobody has."""
    if asked.source_names:
        return asked
    trial = {"slug": secrets.token_hex(8), "name": None, "type": TYPES[0]}
    return Asked([], trial, asked.values, asked.identity, asked.do)


def by_field(refused: Mapping[str, str]) -> dict[str, str]:
    """The problems of the destinations that would be made, each once; the new source's at its name."""
    found: dict[str, str] = {}
    for path, sentence in refused.items():
        item = path.partition(".")[0]
        here = (
            {"new.name": sentence}
            if item.startswith("sources[")
            else problems_of(FORM, item, {path: sentence})
        )
        found = here | found
    return found


# The test event


def test_event(identity: str, source_name: str) -> dict[str, Any]:
    """For Heap alone; its id and its properties say that it is a test."""
    return {
        "type": TRACK,
        "messageId": door.test_id(),
        "userId": identity,
        "event": _EVENT,
        "properties": {"test": True, "source": source_name},
        "integrations": {"All": False, KIND.name: True},
        "context": {"library": {"name": "headgate"}},
    }


def preview_of(asked: Asked, workspace: Workspace, now_ms: int) -> Preview:
    """What Heap would receive of the test event, with the settings as they are asked for."""
    slug, name = next(iter(asked.source_names.items()), ("website", "Website"))
    values = _possible(asked.values)
    settings = {
        key.removeprefix("settings."): value
        for key, value in values.items()
        if key.startswith("settings.")
    }
    destination = Destination(
        slug="",
        name="",
        metadata_id=KIND.metadata_id,
        source_id=slug,
        enabled=True,
        connection_mode=values.get("connectionMode", "cloud"),
        settings=with_defaults(KIND.settings, {"appId": "", **settings}),
    )
    return preview(
        msgspec.json.encode(test_event(asked.identity, name or "")),
        Envelope(slug, now_ms, 0),
        "",
        destination=destination,
        kind=KIND,
        workspace=workspace,
    )


def _possible(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without those that are none of their row's choices: a form may say anything."""
    choices = {row.name: row.choices for row in FORM if row.choices}
    return {
        name: value
        for name, value in values.items()
        if name not in choices or value in choices[name]
    }
