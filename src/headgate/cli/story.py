"""`trace`: where a message went, as a timeline for people or one object for programs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.console import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDirOrBackup,
    Line,
    no,
    opened,
    print_json,
    print_lines,
)

if TYPE_CHECKING:
    from headgate.records.trace import Arrival, Attempt, Decision, Outcome, Story, Trace

_STYLES = {
    "arrived": "bold",
    "delivered": "green",
    "discarded": "yellow",
    "failed": "red",
    "broken": "red",
    "pending": "cyan",
    "replayed": "cyan",
}
_SHOWN_CHARACTERS = 600
_MANY_ATTEMPTS = 20
_FIRST_ATTEMPTS = 3
_LAST_ATTEMPTS = 5


def trace(
    message_id: Annotated[str, typer.Argument(help="The message's messageId.", metavar="ID")],
    source: Annotated[
        str | None, typer.Option(help="Only this source's message.", metavar="SLUG")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Show everything at full length.")] = False,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Tell one message's whole story.

    Where the message stands at each destination; then how it arrived, what was decided, and
    every request with its answer. Works beside a running server, without one, on a copy of the
    data directory and on a backup. Exit status 1 when no message has this id.

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
        raise no(_unknown(message_id, source, str(data_dir), found), as_json=as_json)
    if as_json:
        print_json(found.story)
        return
    for number, story in enumerate((found.story, *found.story.others)):
        if number:
            print()
        print_lines(_Teller(full=full).lines(story))


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


class _Teller:
    """A story as lines; without `full`, long values are cut and only the first and last attempts told."""

    def __init__(self, *, full: bool) -> None:
        self._full = full

    def lines(self, story: "Story") -> Iterator[Line]:
        arrival = story.arrival
        yield f"{story.message_id}  source {story.source or 'unknown'}, {_place(arrival)}", "bold"
        for outcome in story.outcomes:
            yield from self._outcome(outcome)
        yield "", ""
        yield from self._timeline(story)
        for note in (*arrival.repairs, *arrival.warnings):
            yield f"{'':<24}  {'note':<9}  {note}", "yellow"
        for decision in story.decisions:
            yield from self._decision(decision)
        yield from self._attempts(story.attempts)
        yield "", ""
        yield "As it came", "bold"
        yield self._cut(arrival.raw) or _without_body(arrival), ""
        if arrival.message is not None:
            yield "", ""
            yield "As it was read", "bold"
            yield self._cut(_compact(arrival.message)), ""

    def _outcome(self, outcome: "Outcome") -> Iterator[Line]:
        reason = f" ({outcome.reason})" if outcome.reason else ""
        at = f" at {outcome.at}" if outcome.at else ""
        due = f", next attempt at {outcome.next_attempt_at}" if outcome.next_attempt_at else ""
        tried = f", {_attempts_text(outcome.attempts)}" if outcome.attempts else ""
        style = f"bold {_STYLES.get(outcome.outcome, '')}".strip()
        yield f"{outcome.destination}: {outcome.outcome}{reason}{at}{tried}{due}", style
        for sentence in (outcome.sentence, outcome.detail, outcome.remedy):
            if sentence:
                yield f"  {self._cut(sentence)}", ""
        if outcome.dead_letter:
            yield "  It is kept as a dead letter: see headgate deadletters show.", ""

    def _timeline(self, story: "Story") -> Iterator[Line]:
        left_out = self._left_out(story.attempts)
        skipped = {(one.at, one.destination) for one in left_out}
        for event in story.timeline:
            if event.what == "attempted" and (event.at, event.destination) in skipped:
                if left_out and event.at == left_out[0].at:
                    yield f"{'':<24}  {'':<9}  … {len(left_out):,} more attempts …", ""
                continue
            at = event.at or "not yet"
            who = f"{event.destination}  " if event.destination else ""
            text = self._cut(event.text)
            yield f"{at:<24}  {event.what:<9}  {who}{text}", _STYLES.get(event.what, "")

    def _decision(self, decision: "Decision") -> Iterator[Line]:
        yield "", ""
        what = f"{decision.decision}, {decision.reason}" if decision.reason else decision.decision
        expected = "" if decision.recorded else " (by today's settings; nothing is on record yet)"
        yield f"Decision for {decision.destination}: {what}{expected}", "bold"
        for note in decision.notes:
            yield f"  mapping: {self._cut(note)}", ""
        if decision.mapped is not None:
            yield f"  maps to: {self._cut(_compact(decision.mapped))}", ""

    def _attempts(self, attempts: "list[Attempt]") -> Iterator[Line]:
        left_out = self._left_out(attempts)
        for attempt in attempts:
            if attempt not in left_out:
                yield from self._attempt(attempt)
            elif attempt is left_out[0]:
                yield "", ""
                yield f"… {len(left_out):,} more attempts; --full tells of all", "bold"

    def _attempt(self, attempt: "Attempt") -> Iterator[Line]:
        yield "", ""
        found = f"answered {attempt.status}" if attempt.status else attempt.error
        yield f"Attempt {attempt.number} to {attempt.destination}: {found}", "bold"
        yield f"  POST {attempt.url}", ""
        yield f"  {self._request(attempt)}", ""
        yield f"  answer: {self._cut(attempt.answer) or '(empty)'}", ""

    def _request(self, attempt: "Attempt") -> str:
        """The request, or of a long one only what this message is in it."""
        if self._full or len(attempt.request) <= _SHOWN_CHARACTERS or not attempt.row:
            return self._cut(attempt.request)
        size = f"{len(attempt.request):,} characters"
        return f"… {self._cut(attempt.row)} … (its part of a request of {size}; --full shows all)"

    def _left_out(self, attempts: "list[Attempt]") -> "list[Attempt]":
        """Those in the middle, when they are many."""
        if self._full or len(attempts) <= _MANY_ATTEMPTS:
            return []
        return attempts[_FIRST_ATTEMPTS:-_LAST_ATTEMPTS]

    def _cut(self, text: str) -> str:
        if self._full or len(text) <= _SHOWN_CHARACTERS:
            return text
        return f"{text[:_SHOWN_CHARACTERS]}… ({len(text):,} characters; --full shows all)"


def _place(arrival: "Arrival") -> str:
    if arrival.position is None:
        return "refused at the door"
    held = "" if arrival.in_log else ", no longer in the log, kept as a dead letter"
    return f"number {arrival.position:,}{held}"


def _without_body(arrival: "Arrival") -> str:
    return "(erased)" if arrival.erased else "(the body is not kept)"


def _attempts_text(n: int) -> str:
    return "1 attempt" if n == 1 else f"{n:,} attempts"


def _compact(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()
