"""One message's whole story, from the stores of a data directory: arrival, decisions, attempts, outcomes.

Reads only, so it works beside a running server, on what a stopped one left, and on a copy. What was
recorded is told as recorded. How the message maps is computed again, with the settings of today, since
the request of every attempt shows how it was then.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from headgate.delivery.facts import DELIVERED, DISCARDED
from headgate.delivery.owing import Owing
from headgate.delivery.reader import DeliveryReader, TracedAttempt, TracedOutcome
from headgate.delivery.routing import Router
from headgate.destinations.interface import Destination as Kind
from headgate.destinations.interface import Discard, Row
from headgate.eventlog.block import Block, Entry, id_hash
from headgate.eventlog.refused import Refusal, refusals_of
from headgate.eventlog.survey import survey
from headgate.records.stored import AT_THE_DOOR, Stored
from headgate.spec.message import normalize
from headgate.spec.reasons import REASONS
from headgate.spec.repair import DECODE_ERRORS
from headgate.spec.timestamps import iso_ms

PENDING = "pending"
BROKEN = "broken"


class Arrival(msgspec.Struct, rename="camel"):
    """How a message came in. `position` is its number in the log; None when it was refused at the door.

    `batched` is None for a refused message, of which less is kept.
    `context`, `integrations` and `sent_at` are those of the batch, which hold for all of its messages.
    `raw` is the message as it came, `message` as every later stage reads it.
    """

    source: str
    received_at: str
    type: str
    raw: str
    batched: bool | None = None
    position: int | None = None
    workspace_version: int | None = None
    answered: int = 200
    ip: str = ""
    sent_at: str | int | float | None = None
    context: Any = None
    integrations: Any = None
    repairs: list[str] = []
    warnings: list[str] = []
    message: dict[str, Any] | None = None


class Decision(msgspec.Struct, rename="camel"):
    """What was decided for one destination, `send` or `discard`.

    `recorded` is false while nothing is on record: then it is what today's settings say. `notes` and
    `mapped` are always today's: what mapping changes, and the row as it would be sent.
    """

    destination: str
    decision: str
    recorded: bool
    reason: str = ""
    sentence: str = ""
    remedy: str = ""
    detail: str = ""
    notes: list[str] = []
    mapped: Any = None


class Attempt(msgspec.Struct, rename="camel"):
    """One request that held the message, and what came back. `status` 0: no answer, `error` says why."""

    id: int
    destination: str
    at: str
    duration_ms: int
    url: str
    status: int
    error: str
    answer: str
    request: str


class Outcome(msgspec.Struct, rename="camel"):
    """Where the message stands with one destination now."""

    destination: str
    outcome: str
    reason: str = ""
    sentence: str = ""
    remedy: str = ""
    detail: str = ""
    at: str | None = None
    attempt: int | None = None
    attempts: int = 0
    next_attempt_at: str | None = None


class Event(msgspec.Struct, rename="camel"):
    """One line of the timeline. `at` is None for what is still to come at an unknown time."""

    at: str | None
    what: str
    destination: str
    text: str


class Story(msgspec.Struct, rename="camel"):
    """Everything known of one message. `others` are further messages under the same id."""

    message_id: str
    source: str
    arrival: Arrival
    decisions: list[Decision] = []
    attempts: list[Attempt] = []
    outcomes: list[Outcome] = []
    timeline: list[Event] = []
    others: list["Story"] = []


class Trace(msgspec.Struct):
    """What was found, and how many messages of the log were looked through since when."""

    story: Story | None
    looked_through: int
    since: str | None
    damage: int


def trace(
    stored: Stored,
    catalog: Mapping[str, Kind],
    message_id: str,
    *,
    source: str | None = None,
) -> Trace:
    """The story of every message with this id, oldest first; those in the log before refused ones."""
    search = _Search(stored, message_id, source)
    entries = search.run()
    facts = stored.facts()
    try:
        teller = _Teller(stored, catalog, facts)
        stories = [teller.tell(message_id, entry) for entry in entries]
    finally:
        if facts is not None:
            facts.close()
    stories += [
        _tell_refused(one)
        for one in refusals_of(stored.refused, message_id)
        if source is None or one.source == source
    ]
    story = stories[0] if stories else None
    if story is not None:
        story.others = stories[1:]
    return Trace(story, search.looked_through, search.since, search.damage)


class _Search:
    """Looks an id up in the log: by the hashes of every source there ever was, then by the id itself."""

    def __init__(self, stored: Stored, message_id: str, source: str | None) -> None:
        self._stored = stored
        self._message_id = message_id
        self._sources = stored.sources if source is None else {source}
        self.looked_through = 0
        self.since: str | None = None
        self.damage = 0

    def run(self) -> list[Entry]:
        hashes = {id_hash(source, self._message_id) for source in self._sources}
        found: list[Entry] = []
        for block in self._blocks():
            if not hashes.isdisjoint(block.id_hashes):
                found += (
                    entry
                    for at, hashed in enumerate(block.id_hashes)
                    if hashed in hashes and self._is(entry := block.entry(block.first_seq + at))
                )
        return found

    def _blocks(self) -> Iterator[Block]:
        for item in survey(self._stored.log):
            if not isinstance(item, Block):
                self.damage += 1
                continue
            self.looked_through += item.n
            self.since = self.since or iso_ms(item.received_at_ms)
            yield item

    def _is(self, entry: Entry) -> bool:
        if entry.envelope.source not in self._sources:
            return False
        message = _normalized(entry)
        return message is not None and message["messageId"] == self._message_id


class _Teller:
    """Tells the stories of messages of the log."""

    def __init__(
        self, stored: Stored, catalog: Mapping[str, Kind], facts: DeliveryReader | None
    ) -> None:
        self._facts = facts
        self._catalog = catalog
        self._owing = Owing(stored.versions)
        self._now = stored.current
        self._cursors = facts.cursors() if facts else {}

    def tell(self, message_id: str, entry: Entry) -> Story:
        message = _normalized(entry)
        story = Story(message_id, entry.envelope.source, _arrival(entry, message))
        story.timeline.append(_arrived(story.arrival))
        envelope = entry.envelope
        owed = self._owing.destinations(envelope.workspace_version, envelope.source)
        for destination, slug in owed.items():
            self._tell_destination(story, destination, slug)
        story.timeline.sort(key=lambda event: (event.at is None, event.at or ""))
        return story

    def _tell_destination(self, story: Story, destination: int, slug: str) -> None:
        seq = story.arrival.position or 0
        attempts = self._facts.attempts_of(destination, seq) if self._facts else []
        outcomes = self._facts.outcomes_of(destination, seq) if self._facts else []
        story.decisions.append(self._decision(story, destination, slug, attempts, outcomes))
        for attempt in attempts:
            story.attempts.append(_attempt(slug, attempt))
            story.timeline.append(_attempted(story.attempts[-1]))
        for outcome in outcomes:
            story.timeline.append(_settled_event(_settled(slug, outcome, attempts)))
        if outcomes:
            story.outcomes.append(_settled(slug, outcomes[-1], attempts))
        else:
            story.outcomes.append(self._open(destination, slug, seq, attempts))
            story.timeline.append(_open_event(story.outcomes[-1]))

    def _decision(
        self,
        story: Story,
        destination: int,
        slug: str,
        attempts: list[TracedAttempt],
        outcomes: list[TracedOutcome],
    ) -> Decision:
        today = self._route(destination, slug, story.arrival.message)
        if outcomes and outcomes[-1].outcome == DISCARDED:
            decision = _discard(slug, outcomes[-1].reason, outcomes[-1].detail)
        elif isinstance(today, Discard) and not (attempts or outcomes):
            decision = _discard(slug, today.reason, today.detail)
        else:
            decision = Decision(slug, "send", True)
        decision.recorded = bool(attempts or outcomes)
        if isinstance(today, Row):
            decision.notes = list(today.notes)
            decision.mapped = msgspec.Raw(today.encoded)
        return decision

    def _route(
        self, destination: int, slug: str, message: dict[str, Any] | None
    ) -> Row | Discard | None:
        """What today's settings say; None when the destination is gone or of an unknown kind."""
        if message is None:
            return Discard("unreadable_message")
        if self._now.destination_ids.get(slug) != destination:
            return Discard("destination_removed")
        workspace = self._now.workspace
        found = next(one for one in workspace.destinations if one.slug == slug)
        kind = self._catalog.get(found.metadata_id)
        return Router(found, kind, workspace).row(message) if kind else None

    def _open(
        self, destination: int, slug: str, seq: int, attempts: list[TracedAttempt]
    ) -> Outcome:
        if seq <= self._cursors.get(destination, 0):
            return Outcome(
                slug,
                BROKEN,
                sentence="Delivery has gone past this message, and no outcome is recorded.",
                remedy="Run headgate audit: it names every message this has happened to.",
            )
        retry = self._facts.retry_of(destination, seq) if self._facts else None
        if retry is None:
            sentence = "It waits for its turn."
            return Outcome(slug, PENDING, sentence=sentence, attempts=len(attempts))
        return Outcome(
            slug,
            PENDING,
            sentence="It was not taken and will be tried again.",
            attempts=retry.attempts,
            next_attempt_at=iso_ms(retry.due_at_ms),
        )


# arrival


def _arrival(entry: Entry, message: dict[str, Any] | None) -> Arrival:
    envelope = entry.envelope
    told = {} if message is None else message
    warnings = told.pop("warnings", [])
    return Arrival(
        source=envelope.source,
        received_at=iso_ms(envelope.received_at_ms),
        type=str(told.get("type", envelope.call_type)),
        batched=not envelope.call_type,
        raw=_text(entry.raw),
        position=entry.seq,
        workspace_version=envelope.workspace_version,
        ip=envelope.ip,
        sent_at=envelope.sent_at,
        context=_json(envelope.context),
        integrations=_json(envelope.integrations),
        repairs=list(envelope.repairs),
        warnings=[warning for warning in warnings if warning not in envelope.repairs],
        message=message,
    )


def _arrived(arrival: Arrival) -> Event:
    how = "in a batch" if arrival.batched else "alone"
    sender = f" from {arrival.ip}" if arrival.ip else ""
    text = f"{arrival.type or 'message'} to source {arrival.source}, {how}{sender}"
    return Event(arrival.received_at, "arrived", "", text)


def _tell_refused(refusal: Refusal) -> Story:
    at = iso_ms(refusal.at_ms)
    arrival = Arrival(
        source=refusal.source,
        received_at=at,
        type=_type_of(refusal.body),
        raw=_text(refusal.body),
        answered=refusal.answered,
    )
    decision = _discard(AT_THE_DOOR, refusal.reason, "")
    outcome = Outcome(
        AT_THE_DOOR, DISCARDED, refusal.reason, decision.sentence, decision.remedy, at=at
    )
    source = f"source {refusal.source}" if refusal.source else "no source"
    text = f"{arrival.type or 'message'} to {source}, answered {refusal.answered}"
    timeline = [Event(at, "arrived", "", text), _settled_event(outcome)]
    return Story(refusal.message_id, refusal.source, arrival, [decision], [], [outcome], timeline)


def _type_of(raw: bytes) -> str:
    message = _json(raw)
    found = message.get("type") if isinstance(message, dict) else None
    return found if isinstance(found, str) else ""


# decisions, attempts, outcomes


def _discard(destination: str, reason: str, detail: str) -> Decision:
    sentence, remedy = _in_words(reason)
    return Decision(destination, "discard", True, reason, sentence, remedy, detail)


def _attempt(destination: str, attempt: TracedAttempt) -> Attempt:
    return Attempt(
        id=attempt.id,
        destination=destination,
        at=iso_ms(attempt.started_at_ms),
        duration_ms=attempt.ended_at_ms - attempt.started_at_ms,
        url=attempt.url,
        status=attempt.status,
        error=attempt.error,
        answer=_text(attempt.answer),
        request=_text(attempt.request),
    )


def _attempted(attempt: Attempt) -> Event:
    found = f"answered {attempt.status}" if attempt.status else attempt.error
    text = f"POST {attempt.url}: {found} after {attempt.duration_ms} ms"
    return Event(attempt.at, "attempted", attempt.destination, text)


def _settled(destination: str, outcome: TracedOutcome, attempts: list[TracedAttempt]) -> Outcome:
    sentence, remedy = _in_words(outcome.reason)
    return Outcome(
        destination,
        outcome.outcome,
        outcome.reason,
        sentence,
        remedy,
        outcome.detail,
        at=iso_ms(outcome.at_ms),
        attempt=outcome.attempt_id,
        attempts=len(attempts),
    )


def _settled_event(outcome: Outcome) -> Event:
    detail = f" ({outcome.detail})" if outcome.detail else ""
    text = f"{outcome.reason}: {outcome.sentence}{detail}"
    if outcome.outcome == DELIVERED:
        text = f"by attempt {outcome.attempt}" if outcome.attempt else ""
    return Event(outcome.at, outcome.outcome, outcome.destination, text)


def _open_event(outcome: Outcome) -> Event:
    return Event(outcome.next_attempt_at, outcome.outcome, outcome.destination, outcome.sentence)


def _in_words(reason: str) -> tuple[str, str]:
    known = REASONS.get(reason)
    return (known.sentence, known.remedy) if known else ("", "")


def _normalized(entry: Entry) -> dict[str, Any] | None:
    try:
        return normalize(entry.raw, entry.envelope, entry.given_id)
    except DECODE_ERRORS:
        return None


def _json(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text) if text else None
    except DECODE_ERRORS:
        return _text(text)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
