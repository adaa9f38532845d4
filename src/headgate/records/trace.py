"""One message's whole story, from the stores of a data directory: arrival, decisions, attempts, outcomes.

    find_any (ids, by hash) → entry, or dead letter → _Teller → Story

Reads only, so it works beside a running server, on what a stopped one left, and on a copy. What was
recorded is told as recorded. How the message maps is computed again, with the settings of today, since
the request of every attempt shows how it was then.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing, nullcontext
from typing import Any

import msgspec

from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED, REPLAYED, DeadLetter
from headgate.delivery.owing import Owing
from headgate.delivery.reader import DeliveryReader, TracedAttempt, TracedOutcome
from headgate.delivery.routing import Router
from headgate.destinations.interface import Destination as Kind
from headgate.destinations.interface import Discard, Row
from headgate.eventlog.block import BrokenBlock, Entry, id_hash
from headgate.eventlog.log import BlockReader
from headgate.eventlog.refused import Refusal, refusals_of
from headgate.eventlog.sqlite import SqliteReadStorage, sqlite_reader
from headgate.records.damage import known_damage
from headgate.records.gist import gist
from headgate.records.letters import opened
from headgate.records.stored import AT_THE_DOOR, Stored
from headgate.records.stretches import received_at
from headgate.records.words import in_words, json_of, text_of
from headgate.spec.message import normalize
from headgate.spec.names import configured_source, is_imported
from headgate.spec.repair import DECODE_ERRORS
from headgate.spec.timestamps import iso_ms

PENDING = "pending"
BROKEN = "broken"

_ERASED = (
    "Nothing to do: the user was deleted since, and with them what could have been sent again."
)


class Arrival(msgspec.Struct, rename="camel"):
    """How a message came in. `position` is its number in the log; None when it was refused at the door.

    `batched` is None for a refused message, of which less is kept. `in_log` is false when the log has let
    go of the message and a dead letter tells of it. Of an `erased` one only type and id are left.
    `context`, `integrations` and `sent_at` are those of the batch, which hold for all of its messages.
    `raw` is the message as it came, `message` as every later stage reads it.
    """

    source: str
    received_at: str
    type: str
    raw: str
    batched: bool | None = None
    position: int | None = None
    in_log: bool = True
    erased: bool = False
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
    """One request that held the message, and what came back. `status` 0: no answer, `error` says why.

    `number` counts the message's requests to the destination, `id` all requests there ever were. `row` is
    what this message is in the request, "" when it is not in there as it maps today.
    """

    id: int
    number: int
    destination: str
    at: str
    duration_ms: int
    url: str
    status: int
    error: str
    answer: str
    request: str
    row: str = ""


class Outcome(msgspec.Struct, rename="camel"):
    """Where the message stands with one destination now. `attempt` is an `Attempt.id`.

    `dead_letter`: the message was given up on, and is kept until it is sent again with success.
    """

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
    dead_letter: bool = False


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
    """What was found, and how many messages of the log were looked through since when.

    `damage` counts the ranges of the log that are known to be lost. `is_gone`: nothing was found, and there
    was a message with this id once, which retention has removed.
    """

    story: Story | None
    looked_through: int
    since: str | None
    damage: int
    is_gone: bool = False


def trace(
    stored: Stored,
    catalog: Mapping[str, Kind],
    message_id: str,
    *,
    source: str | None = None,
    position: int | None = None,
) -> Trace:
    """The story of every message with this id, oldest first; those in the log before refused ones.

    With a `position` only of the one with this number in the log, with 0 only of refused ones.
    """
    facts = stored.facts()
    with closing(facts) if facts else nullcontext(), closing(sqlite_reader(stored.log)) as log:
        search = _Search(stored, log, facts, message_id, source, position)
        teller = _Teller(stored, catalog, facts)
        stories = [teller.tell(message_id, found) for found in search.run()]
        first_seq, last_seq = log.first_seq(), log.last_seq()
        damage = max(search.unreadable, len(known_damage(stored, facts)))
    stories += [
        _tell_refused(one)
        for one in refusals_of(stored.refused, message_id)
        if not position and (source is None or one.source == source)
    ]
    story = stories[0] if stories else None
    if story is not None:
        story.others = stories[1:]
    since = received_at(stored.log, first_seq) if first_seq <= last_seq else None
    is_gone = story is None and search.was_held_before(first_seq)
    return Trace(story, max(0, last_seq - first_seq + 1), since, damage, is_gone)


class _Found(msgspec.Struct, frozen=True):
    """A message, and the dead letters that keep it, by destination."""

    entry: Entry
    in_log: bool
    letters: dict[int, DeadLetter]


class _Search:
    """Looks an id up: by the hashes of every source there ever was, then by the id itself."""

    def __init__(
        self,
        stored: Stored,
        log: BlockReader,
        facts: DeliveryReader | None,
        message_id: str,
        source: str | None,
        position: int | None,
    ) -> None:
        self._directory = stored.log
        self._log = log
        self._message_id = message_id
        self._position = position
        self._sources = stored.sources if source is None else {source}
        self._letters: dict[int, dict[int, DeadLetter]] = {}
        for letter in facts.dead_letters(message_id=message_id) if facts else ():
            self._letters.setdefault(letter.seq, {})[letter.destination] = letter
        self.unreadable = 0

    def run(self) -> Iterator[_Found]:
        """Oldest first."""
        for seq in self._places():
            letters = self._letters.get(seq, {})
            entry = self._entry(seq)
            if entry is not None:
                yield _Found(entry, True, letters)
            elif letters:
                yield from self._kept(letters)

    def was_held_before(self, first_seq: int) -> bool:
        """Whether the ids that are kept of what the log has let go of name it."""
        with closing(SqliteReadStorage(self._directory)) as storage:
            return any(
                seq < first_seq
                for run in storage.id_runs(0)
                for one in self._hashes()
                for seq in run.find(one)
            )

    def _hashes(self) -> list[int]:
        return [id_hash(source, self._message_id) for source in self._sources]

    def _places(self) -> list[int]:
        """The numbers of the messages that may be meant."""
        if self._position is not None:
            return [self._position] if self._position else []
        return sorted({*self._log.find_any(self._hashes()), *self._letters})

    def _entry(self, seq: int) -> Entry | None:
        """The log's message with this number, when it is the one that is looked for."""
        try:
            entry = self._log.entry(seq)
        except KeyError:
            return None
        except BrokenBlock:
            self.unreadable += 1
            return None
        return entry if self._is(entry) else None

    def _kept(self, letters: dict[int, DeadLetter]) -> Iterator[_Found]:
        entry = opened(next(iter(letters.values())))
        if entry is not None and self._is(entry):
            yield _Found(entry, False, letters)

    def _is(self, entry: Entry) -> bool:
        return entry.envelope.source in self._sources and gist(entry).message_id == self._message_id


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

    def tell(self, message_id: str, found: _Found) -> Story:
        entry = found.entry
        message = None if entry.envelope.erased else _normalized(entry)
        story = Story(message_id, entry.envelope.source, _arrival(found, message))
        story.timeline.append(_arrived(story.arrival))
        envelope = entry.envelope
        owed = self._owing.destinations(envelope.workspace_version, envelope.source)
        for destination, slug in owed.items():
            if found.in_log or destination in found.letters:
                self._tell_destination(story, destination, slug, found.letters.get(destination))
        story.timeline.sort(key=lambda event: (event.at is None, event.at or ""))
        return story

    def _tell_destination(
        self, story: Story, destination: int, slug: str, letter: DeadLetter | None
    ) -> None:
        seq = story.arrival.position or 0
        attempts = self._facts.attempts_of(destination, seq) if self._facts else []
        outcomes = self._facts.outcomes_of(destination, seq) if self._facts else []
        if letter is not None and not outcomes:  # forgotten together with the log's message
            outcomes = [_outcome_of(letter)]
        decision = self._decision(story, destination, slug, attempts, outcomes)
        story.decisions.append(decision)
        row = b"" if decision.mapped is None else bytes(decision.mapped)
        for number, attempt in enumerate(attempts, 1):
            story.attempts.append(_attempt(slug, number, attempt, row))
            story.timeline.append(_attempted(story.attempts[-1]))
        numbers = {attempt.id: number for number, attempt in enumerate(attempts, 1)}
        for outcome in outcomes:
            story.timeline.append(_settled_event(_settled(slug, outcome, attempts), numbers))
        if outcomes and outcomes[-1].outcome != REPLAYED:
            story.outcomes.append(_settled(slug, outcomes[-1], attempts))
            if story.arrival.erased and outcomes[-1].outcome == FAILED and letter is None:
                story.outcomes[-1].remedy = _ERASED
        else:
            story.outcomes.append(self._open(destination, slug, seq, attempts, outcomes))
            story.timeline.append(_open_event(story.outcomes[-1]))
        story.outcomes[-1].dead_letter = letter is not None

    def _decision(
        self,
        story: Story,
        destination: int,
        slug: str,
        attempts: list[TracedAttempt],
        outcomes: list[TracedOutcome],
    ) -> Decision:
        today = self._route(destination, slug, story)
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

    def _route(self, destination: int, slug: str, story: Story) -> Row | Discard | None:
        """What today's settings say; None when the destination is of an unknown kind."""
        message = story.arrival.message
        if story.arrival.erased:
            return Discard("erased")
        if message is None:
            return Discard("unreadable_message")
        if self._now.destination_ids.get(slug) != destination:
            return Discard("destination_removed")
        workspace = self._now.workspace
        found = next(one for one in workspace.destinations if one.slug == slug)
        kind = self._catalog.get(found.metadata_id)
        return Router(found, kind, workspace).row(message, story.source) if kind else None

    def _open(
        self,
        destination: int,
        slug: str,
        seq: int,
        attempts: list[TracedAttempt],
        outcomes: list[TracedOutcome],
    ) -> Outcome:
        """Where a message stands that has no outcome, or whose outcome a replay took back."""
        if not outcomes and seq <= self._cursors.get(destination, 0):
            return Outcome(
                slug,
                BROKEN,
                sentence="Delivery has gone past this message, and no outcome is recorded.",
                remedy="Run headgate audit: it names every message this has happened to.",
            )
        retry = self._facts.retry_of(destination, seq) if self._facts else None
        if outcomes and (retry is None or retry.first_attempt_ms < outcomes[-1].at_ms):
            sentence = f"Replay {outcomes[-1].detail} sends it again; it waits for its turn."
            return Outcome(slug, PENDING, sentence=sentence, attempts=len(attempts))
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


def _arrival(found: _Found, message: dict[str, Any] | None) -> Arrival:
    entry, envelope = found.entry, found.entry.envelope
    told = {} if message is None else message
    warnings = told.pop("warnings", [])
    return Arrival(
        source=envelope.source,
        received_at=iso_ms(envelope.received_at_ms),
        type=gist(entry).type,
        batched=not envelope.call_type,
        raw=text_of(entry.raw),
        position=entry.seq,
        in_log=found.in_log,
        erased=envelope.erased,
        workspace_version=envelope.workspace_version,
        ip=envelope.ip,
        sent_at=envelope.sent_at,
        context=json_of(envelope.context),
        integrations=json_of(envelope.integrations),
        repairs=list(envelope.repairs),
        warnings=[warning for warning in warnings if warning not in envelope.repairs],
        message=message,
    )


def _arrived(arrival: Arrival) -> Event:
    how = "in a batch" if arrival.batched else "alone"
    if is_imported(arrival.source):
        how = "imported from an archive, delivered to nobody"
    sender = f" from {arrival.ip}" if arrival.ip else ""
    source = configured_source(arrival.source)
    text = f"{arrival.type or 'message'} to source {source}, {how}{sender}"
    if arrival.erased:
        text += "; the content was erased at the user's request"
    return Event(arrival.received_at, "arrived", "", text)


def _tell_refused(refusal: Refusal) -> Story:
    at = iso_ms(refusal.at_ms)
    arrival = Arrival(
        source=refusal.source,
        received_at=at,
        type=_type_of(refusal.body),
        raw=text_of(refusal.body),
        answered=refusal.answered,
    )
    decision = _discard(AT_THE_DOOR, refusal.reason, "")
    outcome = Outcome(
        AT_THE_DOOR, DISCARDED, refusal.reason, decision.sentence, decision.remedy, at=at
    )
    source = f"source {refusal.source}" if refusal.source else "no source"
    text = f"{arrival.type or 'message'} to {source}, answered {refusal.answered}"
    timeline = [Event(at, "arrived", "", text), _settled_event(outcome, {})]
    return Story(refusal.message_id, refusal.source, arrival, [decision], [], [outcome], timeline)


def _type_of(raw: bytes) -> str:
    message = json_of(raw)
    found = message.get("type") if isinstance(message, dict) else None
    return found if isinstance(found, str) else ""


# decisions, attempts, outcomes


def _discard(destination: str, reason: str, detail: str) -> Decision:
    sentence, remedy = in_words(reason)
    return Decision(destination, "discard", True, reason, sentence, remedy, detail)


def _attempt(destination: str, number: int, attempt: TracedAttempt, row: bytes) -> Attempt:
    return Attempt(
        id=attempt.id,
        number=number,
        destination=destination,
        at=iso_ms(attempt.started_at_ms),
        duration_ms=attempt.ended_at_ms - attempt.started_at_ms,
        url=attempt.url,
        status=attempt.status,
        error=attempt.error,
        answer=text_of(attempt.answer),
        request=text_of(attempt.request),
        row=text_of(row) if row in attempt.request else "",
    )


def _attempted(attempt: Attempt) -> Event:
    found = f"answered {attempt.status}" if attempt.status else attempt.error
    text = f"POST {attempt.url}: {found} after {attempt.duration_ms} ms"
    return Event(attempt.at, "attempted", attempt.destination, text)


def _settled(destination: str, outcome: TracedOutcome, attempts: list[TracedAttempt]) -> Outcome:
    sentence, remedy = in_words(outcome.reason)
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


def _outcome_of(letter: DeadLetter) -> TracedOutcome:
    return TracedOutcome(FAILED, letter.reason, "", letter.at_ms, letter.attempt_id)


def _settled_event(outcome: Outcome, numbers: Mapping[int, int]) -> Event:
    """`numbers` are those of the message's attempts by id."""
    detail = f" ({outcome.detail})" if outcome.detail else ""
    text = f"{outcome.reason}: {outcome.sentence}{detail}"
    if outcome.outcome == DELIVERED:
        number = numbers.get(outcome.attempt or 0)
        text = f"by attempt {number}" if number else ""
    elif outcome.outcome == REPLAYED:
        text = f"asked to be sent again by replay {outcome.detail}"
    return Event(outcome.at, outcome.outcome, outcome.destination, text)


def _open_event(outcome: Outcome) -> Event:
    return Event(outcome.next_attempt_at, outcome.outcome, outcome.destination, outcome.sentence)


def _normalized(entry: Entry) -> dict[str, Any] | None:
    try:
        return normalize(entry.raw, entry.envelope, entry.given_id)
    except DECODE_ERRORS:
        return None
