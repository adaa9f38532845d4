"""`trace`: where a message went, as a timeline for people or one object for programs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.console import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    Line,
    no,
    opened,
    print_json,
    print_lines,
)

if TYPE_CHECKING:
    from headgate.records.trace import Attempt, Decision, Outcome, Story, Trace

_STYLES = {
    "arrived": "bold",
    "delivered": "green",
    "discarded": "yellow",
    "failed": "red",
    "broken": "red",
    "pending": "cyan",
}
_SHOWN_CHARACTERS = 4_000


def trace(
    message_id: Annotated[str, typer.Argument(help="The message's messageId.", metavar="ID")],
    source: Annotated[
        str | None, typer.Option(help="Only this source's message.", metavar="SLUG")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Tell one message's whole story.

    How it arrived, what was decided for each destination, every request with its answer, and
    where the message stands now. Works beside a running server, without one, and on a copy of
    the data directory. Exit status 1 when no message has this id.

    \b
    Example:
      headgate trace 022bb90c-bbac-11e4-8dfc-aa07a5b093db
    """
    from headgate.destinations.catalog import CATALOG
    from headgate.records.trace import trace as find

    message_id = message_id.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    with opened(data_dir) as stored:
        found = find(stored, CATALOG, message_id, source=source)
    if found.story is None:
        raise no(_unknown(message_id, source, str(data_dir), found))
    if as_json:
        print_json(found.story)
        return
    for number, story in enumerate((found.story, *found.story.others)):
        if number:
            print()
        print_lines(_lines(story))


def _unknown(message_id: str, source: str | None, data_dir: str, found: "Trace") -> str:
    where = f" of source {source}" if source else ""
    since = f" received since {found.since}" if found.since else ""
    sentence = (
        f"no message{where} has the id {message_id!r} in {data_dir}: looked through"
        f" {found.looked_through:,} messages{since}, and the refused ones that are kept.\n"
        "Was it sent to this server's URL and port, with a write key of one of its sources? Its"
        " sender knows: anything but an answer of 200 means that it was not taken in."
    )
    if found.damage:
        sentence += "\nThe log is damaged, and the message may have been there: see headgate audit."
    return sentence


# For people


def _lines(story: "Story") -> Iterator[Line]:
    arrival = story.arrival
    place = "refused at the door" if arrival.position is None else f"number {arrival.position:,}"
    yield f"{story.message_id}  source {story.source or 'unknown'}, {place}", "bold"
    yield "", ""
    for event in story.timeline:
        at = event.at or "not yet"
        who = f"{event.destination}  " if event.destination else ""
        yield f"{at:<24}  {event.what:<9}  {who}{event.text}", _STYLES.get(event.what, "")
    for note in (*arrival.repairs, *arrival.warnings):
        yield f"{'':<24}  {'note':<9}  {note}", "yellow"
    for decision in story.decisions:
        yield from _decision(decision)
    for attempt in story.attempts:
        yield from _attempt(attempt)
    yield "", ""
    yield "As it came", "bold"
    yield from _text(arrival.raw)
    if arrival.message is not None:
        yield "", ""
        yield "As it was read", "bold"
        yield from _text(_compact(arrival.message))
    yield "", ""
    for outcome in story.outcomes:
        yield from _outcome(outcome)


def _decision(decision: "Decision") -> Iterator[Line]:
    yield "", ""
    what = f"{decision.decision}, {decision.reason}" if decision.reason else decision.decision
    expected = "" if decision.recorded else " (by today's settings; nothing is on record yet)"
    yield f"Decision for {decision.destination}: {what}{expected}", "bold"
    for note in decision.notes:
        yield f"  mapping: {note}", ""
    if decision.mapped is not None:
        yield f"  maps to: {_cut(_compact(decision.mapped))}", ""


def _attempt(attempt: "Attempt") -> Iterator[Line]:
    yield "", ""
    found = f"answered {attempt.status}" if attempt.status else attempt.error
    yield f"Attempt {attempt.id} to {attempt.destination}: {found}", "bold"
    yield f"  POST {attempt.url}", ""
    yield from (("  " + text, style) for text, style in _text(attempt.request))
    yield f"  answer: {_cut(attempt.answer) or '(empty)'}", ""


def _outcome(outcome: "Outcome") -> Iterator[Line]:
    reason = f" ({outcome.reason})" if outcome.reason else ""
    due = f", next attempt at {outcome.next_attempt_at}" if outcome.next_attempt_at else ""
    style = _STYLES.get(outcome.outcome, "")
    yield f"{outcome.destination}: {outcome.outcome}{reason}{due}", f"bold {style}".strip()
    for sentence in (outcome.sentence, outcome.detail, outcome.remedy):
        if sentence:
            yield f"  {sentence}", ""


def _text(text: str) -> Iterator[Line]:
    yield _cut(text), ""


def _cut(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text):,} characters; --json shows all)"


def _compact(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
