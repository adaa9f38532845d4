"""The tester: what a destination would be sent for a message, before anything is sent; then, if wanted, Heap's answer.

A message is picked from the log, taken from the samples or pasted. The preview is made by the functions that
deliver (`records/preview.py`). What is sent goes in by the tracking API under an id of its own, so that it is a
message like any other: the page shows it, and what Heap answered.
"""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import msgspec
from starlette.responses import Response

from headgate.app import door
from headgate.app.fared import Fared, fared
from headgate.app.figures import stored_in
from headgate.app.masking import mask, masks
from headgate.app.pages.destinations import destination_of
from headgate.app.pages.mapping import mapping
from headgate.app.routes import action, page
from headgate.app.visit import Change, NothingHere, Visit
from headgate.delivery.routing import DEVICE
from headgate.destinations.catalog import CATALOG
from headgate.destinations.heap.samples import SAMPLES
from headgate.eventlog.block import Entry
from headgate.records.gist import Gist, gist
from headgate.records.preview import Preview, preview
from headgate.records.samples import by_id, newest
from headgate.records.words import text_of
from headgate.spec.message import Envelope
from headgate.spec.names import CLIENT_SIDE_SOURCE_TYPES, engage_source
from headgate.spec.repair import DECODE_ERRORS
from headgate.stores import WORKSPACE
from headgate.workspace.access import Role
from headgate.workspace.model import Destination, Source
from headgate.workspace.sqlite_privacy import SqlitePrivacyReader

_PICKS = 20
_MOST_CHANGES = 100
_MOST_DIGITS = 19  # of a number of the log
_SENDS = "headgate_sends"
_TEST, _REAL = "test", "real"
_OURS = ("receivedAt", "sentAt", "originalTimestamp", "warnings")


class Pick(msgspec.Struct, frozen=True):
    """A message of the log that can be picked."""

    received_at_ms: int
    said: Gist


class Tested(msgspec.Struct, frozen=True):
    """The message in the tester: `text` as its field shows it, and what it would arrive as."""

    text: str
    raw: bytes
    envelope: Envelope
    given_id: str
    message_id: str
    position: int | None = None


def tester(visit: Visit) -> Response:
    """The page, with the message that the address names, or a sample."""
    found = destination_of(visit)
    message_id = visit.query.get("message", "")
    if message_id:
        entry = _entry(visit, found, visit.query)
        if entry is None:
            raise NothingHere(
                f"The log holds no message {message_id} of this destination's source."
            )
        return _page(visit, found, _picked(visit, entry, message_id))
    wanted = visit.query.get("sample", SAMPLES[0].name)
    sample = next((one for one in SAMPLES if one.name == wanted), None)
    if sample is None:
        raise NothingHere("There is no such sample.")
    text = msgspec.json.format(msgspec.json.encode(sample.message), indent=2).decode()
    return _page(visit, found, _pasted(visit, found, text))


def show(change: Change) -> Response:
    """The page again, with the message as it was typed: for browsers without scripts."""
    found = destination_of(change)
    return _page(change, found, _typed(change, found))


def preview_it(change: Change) -> Response:
    """The part of the page that changes while somebody types."""
    found = destination_of(change)
    seen = _seen(change, found, _typed(change, found))
    return change.render("tester_preview.html", destination=found, **seen)


def send(change: Change) -> Response:
    """Sends it, after a question the first time in a session; the page then shows Heap's answer."""
    found = destination_of(change)
    tested = _typed(change, found)
    seen, source = _preview(change, found, tested), _source(change, found)
    if trouble := _why_not(found, source, seen):
        return _page(change, found, tested, trouble, 422)
    if not _has_been_asked(change):
        return change.render(
            "tester_confirm.html", destination=found, preview=seen, kept=_kept(change)
        )
    message = _to_send(seen, change.form.get("as", _TEST), change.form.get("identity", ""))
    trouble = door.post(change.parts.outside.public_url, source.write_keys[0], message)
    if trouble:
        return _page(change, found, tested, trouble, 502)
    response = change.done(f"/destinations/{found.slug}/tester?message={message['messageId']}")
    response.set_cookie(
        _SENDS, _mark(change), path="/", httponly=True, samesite="strict", secure=change.is_https
    )
    return response


# The message


def _entry(visit: Visit, destination: Destination, given: Mapping[str, str]) -> Entry | None:
    """The message of the log that an address or a form names; found at once with its position."""
    message_id, position = given.get("message", ""), given.get("position", "")
    if not message_id:
        return None
    sources = [destination.source_id, engage_source(destination.slug)]
    is_number = position.isascii() and position.isdigit() and len(position) < _MOST_DIGITS
    at = int(position) if is_number else None
    return by_id(stored_in(visit), sources, message_id, at)


def _picked(visit: Visit, entry: Entry, message_id: str) -> Tested:
    text = _shown(visit, entry)
    return Tested(text, entry.raw, entry.envelope, entry.given_id, message_id, entry.seq)


def _pasted(visit: Visit, destination: Destination, text: str) -> Tested:
    """As it would arrive now, alone, with the type it names."""
    source = _source(visit, destination)
    envelope = Envelope(
        destination.source_id,
        visit.parts.outside.clock.now_ms(),
        0,
        client_side=source.type in CLIENT_SIDE_SOURCE_TYPES,
    )
    return Tested(text, text.encode(errors="replace"), envelope, "", "")


def _typed(change: Change, destination: Destination) -> Tested:
    """What stands in the field: the message that was picked to the byte, as long as nobody has changed it."""
    text = change.form.get("text", "").replace("\r\n", "\n")
    entry = _entry(change, destination, change.form)
    if entry is None:
        return _pasted(change, destination, text)
    picked = _picked(change, entry, change.form["message"])
    if text == picked.text:
        return picked
    return msgspec.structs.replace(picked, text=text, raw=text.encode(errors="replace"))


def _shown(visit: Visit, entry: Entry) -> str:
    """With a value a line; personal values are hidden where the browser hides them."""
    try:
        text = msgspec.json.format(entry.raw, indent=2).decode()
    except DECODE_ERRORS:
        text = text_of(entry.raw)
    return mask(text) if masks(visit.request) else text


def _source(visit: Visit, destination: Destination) -> Source:
    sources = stored_in(visit).current.workspace.sources
    return next(one for one in sources if one.slug == destination.source_id)


# What would be sent


def _preview(visit: Visit, destination: Destination, tested: Tested) -> Preview:
    with closing(SqlitePrivacyReader(visit.parts.outside.data_dir / WORKSPACE)) as privacy:
        suppressed = privacy.suppressed()
    return preview(
        tested.raw,
        tested.envelope,
        tested.given_id,
        destination=destination,
        kind=CATALOG[destination.metadata_id],
        workspace=stored_in(visit).current.workspace,
        suppressed=suppressed,
    )


def _seen(visit: Visit, destination: Destination, tested: Tested) -> dict[str, Any]:
    seen = _preview(visit, destination, tested)
    return {
        "preview": seen,
        "changes": seen.changes[:_MOST_CHANGES],
        "more_changes": len(seen.changes[_MOST_CHANGES:]),
        "not_json": _not_json(tested.raw),
    }


def _not_json(raw: bytes) -> str:
    """Where the text stops being JSON; "" when it is some."""
    try:
        msgspec.json.decode(raw)
    except DECODE_ERRORS as error:
        return str(error)
    return ""


# Sending


def _why_not(destination: Destination, source: Source, seen: Preview) -> str:
    """Why it makes no sense to send it; "" when it does."""
    if destination.connection_mode == DEVICE:
        return "In device mode only a page can send this."
    if not destination.enabled:
        return "The destination is disabled, so nothing would be sent. Enable it first."
    if not source.enabled:
        return f"{source.name} is disabled, so what it sends is refused. Enable it first."
    if not source.write_keys:
        return f"{source.name} has no write key to send with. Add one on its page."
    if seen.verdict is not None:
        return f"Nothing would reach Heap. {seen.verdict.sentence}"
    return ""


def _to_send(seen: Preview, as_: str, identity: str) -> dict[str, Any]:
    """The message as it was previewed, under an id of its own and at the same moment."""
    given = {name: value for name, value in (seen.message or {}).items() if name not in _OURS}
    given["messageId"] = door.test_id()
    if as_ != _REAL:
        given["userId"] = identity.strip() or door.test_identity()
    return given


def _has_been_asked(change: Change) -> bool:
    return change.form.get("confirmed") == "yes" or change.request.cookies.get(_SENDS) == _mark(
        change
    )


def _mark(change: Change) -> str:
    """Stands for the session, and tells nothing about it."""
    return change.csrf[-16:]


def _kept(change: Change) -> Mapping[str, str]:
    return {name: text for name, text in change.form.items() if name != "csrf"}


# The page


def _fared(visit: Visit, destination: Destination, tested: Tested) -> Fared | None:
    """What became of the message that was picked; None for one that was typed."""
    if tested.position is None:
        return None
    source, message_id = tested.envelope.source, tested.message_id
    return fared(visit, destination.slug, source, message_id, tested.position)


def _page(
    visit: Visit,
    destination: Destination,
    tested: Tested,
    trouble: str = "",
    status: int = 200,
) -> Response:
    picks = newest(stored_in(visit), destination.source_id, _PICKS)
    form: Mapping[str, str] = visit.form if isinstance(visit, Change) else {}
    return visit.render(
        "tester.html",
        status,
        destination=destination,
        source=_source(visit, destination),
        tested=tested,
        picks=[Pick(one.envelope.received_at_ms, gist(one)) for one in picks],
        samples=SAMPLES,
        fared=_fared(visit, destination, tested),
        is_test=tested.message_id.startswith(door.TEST_ID_PREFIX),
        identity=form.get("identity", "") or door.test_identity(),
        sends_as=form.get("as", _TEST),
        trouble=trouble,
        **_seen(visit, destination, tested),
    )


ROUTES = (
    page("/destinations/{slug}/mapping", mapping),
    page("/destinations/{slug}/tester", tester),
    action("/destinations/{slug}/tester", show, Role.VIEWER),
    action("/destinations/{slug}/tester/preview", preview_it, Role.VIEWER),
    action("/destinations/{slug}/tester/send", send, Role.EDITOR),
)
