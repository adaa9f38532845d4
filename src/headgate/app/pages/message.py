"""One message's whole story, reachable from everywhere its id is shown: what arrived, what was sent, what was answered.

`?position=` names one of several messages under an id, 0 what was refused; `?attempt=` the request whose bodies are
shown, the last one without it; `?whole=1` shows all of the request, not this message's part alone.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from starlette.responses import Response

from headgate.app.bodies import shortened, size_of
from headgate.app.figures import stored_in
from headgate.app.masking import mask, masks
from headgate.app.routes import page
from headgate.app.values import in_address
from headgate.app.visit import Visit
from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED, REPLAYED
from headgate.destinations.catalog import CATALOG
from headgate.records.following import Said, said_after
from headgate.records.stored import AT_THE_DOOR
from headgate.records.trace import PENDING, Attempt, Decision, Event, Outcome, Story, Trace, trace
from headgate.records.words import text_of
from headgate.spec.names import CALL_TYPES, configured_source, engage_destination, is_imported
from headgate.spec.settings import duration_s
from headgate.spec.timestamps import parse_ms
from headgate.stores import ENGAGE
from headgate.workspace.model import Destination, Workspace

_BY_PAGE = ("device_mode", "sent_by_page")
_ANSWER_CHARS = 120
_SETTLED: dict[str, str] = {
    DELIVERED: "Delivered",
    DISCARDED: "Discarded",
    FAILED: "Given up",
    REPLAYED: "Replayed",
}


class Pane(NamedTuple):
    """A body under its name; without a `text` the reason why there is none."""

    name: str
    text: str | None
    why: str = ""


class Step(NamedTuple):
    """A line of the story. `kind` is of an icon, "" for none; `at_ms` is None for what has no time."""

    at_ms: int | None
    what: str
    text: str
    kind: str = ""
    attempt: int | None = None
    answer: str = ""


class Branch(NamedTuple):
    """The story at one destination. `said` is the outcome in a sentence.

    `shown` is the attempt whose bodies are shown, `is_part`: its request holds more than this message. What
    waits after an attempt is given up on at `until_ms`.
    """

    slug: str
    name: str
    destination: Destination | None
    outcome: Outcome
    said: str
    decision: Decision
    steps: list[Step]
    sent: Pane
    answered: Pane
    shown: int | None
    is_part: bool
    until_ms: int | None


def message(visit: Visit) -> Response:
    """The story; which one, when there are several under the id; or where it was looked for."""
    id_, position = visit.path["id"], _number(visit, "position")
    source = visit.query.get("source") or None
    found = trace(stored_in(visit), CATALOG, id_, source=source, position=position)
    if found.story is None:
        return _missing(visit, id_, found)
    stories = [found.story, *found.story.others]
    kept = [one for one in stories if one.arrival.position is not None]
    refused = stories[len(kept) :]
    if len(kept) > 1 or (not kept and len({one.source for one in refused}) > 1):
        return _chooser(visit, id_, stories)
    return _told(visit, kept[0] if kept else refused[-1], refused)


def _number(visit: Visit, name: str) -> int | None:
    given = visit.query.get(name, "")
    return int(given[:18]) if given.isascii() and given.isdigit() else None


def _missing(visit: Visit, id_: str, found: Trace) -> Response:
    days = stored_in(visit).current.workspace.retention.days
    return visit.render("message_missing.html", 404, id=id_, found=found, days=days)


def _chooser(visit: Visit, id_: str, stories: Sequence[Story]) -> Response:
    last_of_source = {one.source: one for one in stories if one.arrival.position is None}
    kept = [one for one in stories if one.arrival.position is not None]
    return visit.render(
        "message_chooser.html", id=id_, stories=[*kept, *last_of_source.values()], ms=parse_ms
    )


def _told(visit: Visit, story: Story, refused: Sequence[Story]) -> Response:
    workspace = stored_in(visit).current.workspace
    branches = [_branch(visit, workspace, story, decision) for decision in story.decisions]
    source = next(
        (one for one in workspace.sources if one.slug == configured_source(story.source)), None
    )
    words = story.arrival.message or {}
    masked = masks(visit.request)
    return visit.render(
        "message.html",
        story=story,
        words=words,
        source=source,
        engage=engage_destination(story.source),
        branches=branches,
        following=_said_after(visit, story, words),
        has_profiles=(visit.parts.outside.data_dir / ENGAGE).exists(),
        arrived=_arrived(story),
        library=_library(words),
        size=size_of(story.arrival.raw),
        refused=len(refused) if story.arrival.position is not None else max(0, len(refused) - 1),
        curl=_curl(visit, story, source.write_keys[0] if source and source.write_keys else ""),
        here=f"/messages/{in_address(story.message_id)}?position={story.arrival.position or 0}",
        whole=_wants_whole(visit),
        masked=masked,
        hidden=mask if masked else str,
        short=shortened,
        title=shortened(_title(masked, story, words)),
        ms=parse_ms,
    )


# What arrived


def _arrived(story: Story) -> Pane:
    name = "What arrived"
    arrival = story.arrival
    if arrival.raw:
        return Pane(name, arrival.raw)
    if arrival.erased:
        return Pane(name, None, "The content was erased when the user was deleted.")
    return Pane(name, None, "The body of this message is not kept.")


def _library(words: dict[str, Any]) -> str:
    context = words.get("context")
    library = context.get("library") if isinstance(context, dict) else None
    if not isinstance(library, dict):
        return ""
    return " ".join(str(library[one]) for one in ("name", "version") if library.get(one))


def _title(masked: bool, story: Story, words: dict[str, Any]) -> str:
    title = str(words.get("event") or story.arrival.type or "Message")
    return mask(title) if masked else title


def _said_after(visit: Visit, story: Story, words: dict[str, Any]) -> list[Said]:
    """What Engage said of the user right after it; nothing of its own messages, and of those the log has let go."""
    arrival, received_ms = story.arrival, parse_ms(story.arrival.received_at)
    user_id = words.get("userId")
    if not arrival.position or not arrival.in_log or received_ms is None or not user_id:
        return []
    if engage_destination(story.source) or is_imported(story.source):
        return []
    return said_after(stored_in(visit), arrival.position, received_ms, user_id)


def _curl(visit: Visit, story: Story, key: str) -> str:
    """The call as somebody would send it by hand; "" when there is nothing to send."""
    arrival = story.arrival
    if not arrival.raw or arrival.type not in CALL_TYPES:
        return ""
    raw = mask(arrival.raw) if masks(visit.request) else arrival.raw
    body = raw.replace("'", "'\\''")
    url = f"{visit.parts.outside.public_url}/v1/{arrival.type}"
    return f"curl {url} -u '{key or 'WRITE_KEY'}:' -H 'Content-Type: application/json' -d '{body}'"


# A destination


def _branch(visit: Visit, workspace: Workspace, story: Story, decision: Decision) -> Branch:
    slug = decision.destination
    configured = next((one for one in workspace.destinations if one.slug == slug), None)
    name = "The door" if slug == AT_THE_DOOR else configured.name if configured else slug
    outcome = next(one for one in story.outcomes if one.destination == slug)
    attempts = [one for one in story.attempts if one.destination == slug]
    shown = _shown_attempt(visit, attempts)
    return Branch(
        slug=slug,
        name=name,
        destination=configured,
        outcome=outcome,
        said=_sentence(story, outcome, name),
        decision=decision,
        steps=_steps(story, slug, attempts),
        sent=_sent(name, outcome, decision, shown, _wants_whole(visit)),
        answered=_answered(name, story, outcome, shown),
        shown=shown.id if shown else None,
        is_part=bool(shown and shown.row and shown.row != shown.request),
        until_ms=_given_up_at_ms(configured, outcome, attempts),
    )


def _given_up_at_ms(
    configured: Destination | None, outcome: Outcome, attempts: Sequence[Attempt]
) -> int | None:
    since_ms = parse_ms(attempts[0].at) if attempts else None
    if configured is None or outcome.outcome != PENDING or since_ms is None:
        return None
    return since_ms + round(1000 * duration_s(configured.settings["retryWindow"]))


def _wants_whole(visit: Visit) -> bool:
    return visit.query.get("whole") == "1"


def _shown_attempt(visit: Visit, attempts: Sequence[Attempt]) -> Attempt | None:
    wanted = _number(visit, "attempt")
    named = next((one for one in attempts if one.id == wanted), None)
    return named or (attempts[-1] if attempts else None)


def _sentence(story: Story, outcome: Outcome, name: str) -> str:
    tries = _tries(outcome.attempts)
    if outcome.destination == AT_THE_DOOR:
        return f"Refused: {outcome.sentence}"
    if outcome.outcome == DELIVERED:
        took = _took(story.arrival.received_at, outcome.at)
        return f"Delivered to {name}{took}{f' after {tries}' if tries else ''}"
    if outcome.outcome == DISCARDED and outcome.reason in _BY_PAGE:
        return f"{name}: the page sends it itself, so the answer cannot be seen here"
    if outcome.outcome == PENDING:
        return f"Pending for {name}{f' after {tries}' if tries else ''}"
    known: dict[str, str] = {DISCARDED: "Discarded", FAILED: "Failed"}
    words = known.get(outcome.outcome, "Not settled")
    return f"{words} for {name}{f' after {tries}' if tries else ''}"


def _tries(attempts: int) -> str:
    return f"{attempts} attempt{'s' if attempts > 1 else ''}" if attempts else ""


def _took(received_at: str, at: str | None) -> str:
    since_ms, until_ms = parse_ms(received_at), parse_ms(at)
    if since_ms is None or until_ms is None or until_ms < since_ms:
        return ""
    seconds = (until_ms - since_ms) / 1000
    return f" in {seconds:.1f} s" if seconds < 3600 else f" {seconds / 3600:,.0f} h later"


def _steps(story: Story, slug: str, attempts: Sequence[Attempt]) -> list[Step]:
    """What happened, in order, the attempts among it."""
    rest = iter(attempts)
    return [
        _attempt_step(next(rest)) if one.what == "attempted" else _event_step(one)
        for one in story.timeline
        if one.destination == slug
    ]


def _attempt_step(one: Attempt) -> Step:
    kind = DELIVERED if 200 <= one.status < 300 else FAILED
    text = f"{one.status or 'No answer'}"
    what = f"Attempt {one.number}"
    answer = one.answer[:_ANSWER_CHARS] if one.status else one.error
    return Step(parse_ms(one.at), what, f"{text} in {one.duration_ms:,} ms", kind, one.id, answer)


def _event_step(event: Event) -> Step:
    at_ms = parse_ms(event.at)
    if event.what == PENDING:
        return Step(at_ms, "Next attempt" if event.at else "Waiting", event.text, PENDING)
    kind = event.what if event.what in _SETTLED else "attention"
    return Step(at_ms, _SETTLED.get(event.what, event.what), event.text, kind)


# What was sent and answered


def _sent(
    name: str, outcome: Outcome, decision: Decision, attempt: Attempt | None, whole: bool
) -> Pane:
    if attempt is not None:
        body = attempt.request if whole or not attempt.row else attempt.row
        return Pane(f"What was sent to {name}", body, "The request had no body.")
    if outcome.outcome == PENDING and decision.mapped is not None:
        return Pane(f"What will be sent to {name}", text_of(bytes(decision.mapped)))
    if outcome.destination == AT_THE_DOOR:
        return Pane("What was sent", None, "Nothing: the message was refused at the door.")
    title = f"What was sent to {name}"
    if outcome.reason in _BY_PAGE:
        return Pane(title, None, "The page sent it itself; what it sent is not known here.")
    if outcome.outcome == DELIVERED:
        return Pane(title, None, "The request is not kept any more.")
    if outcome.outcome == PENDING:
        return Pane(title, None, "Nothing yet.")
    return Pane(title, None, f"Nothing: {outcome.sentence or 'no request was made.'}")


def _answered(name: str, story: Story, outcome: Outcome, attempt: Attempt | None) -> Pane:
    if outcome.destination == AT_THE_DOOR:
        why = f"Headgate answered {story.arrival.answered} to the sender."
        return Pane("What was answered", None, why)
    title = f"What {name} answered"
    if attempt is None:
        if outcome.reason in _BY_PAGE:
            return Pane(title, None, "The page got the answer; it cannot be seen here.")
        return Pane(title, None, "There is no answer, since nothing was sent.")
    if not attempt.status:
        return Pane(title, None, f"No answer: {attempt.error}")
    return Pane(title, attempt.answer or None, f"{attempt.status}, with an empty body.")


ROUTES = (page("/messages/{id:path}", message),)
