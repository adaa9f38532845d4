"""The dead letters: what was given up on, by destination and reason, one in full, and all for sending again.

Each keeps its own message, so all of this works long after the log has let go of it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from headgate.delivery.facts import FAILED, DeadLetter
from headgate.delivery.reader import TracedAttempt
from headgate.destinations.interface import Destination as Kind
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.causes import numbers_of
from headgate.records.criteria import Criteria
from headgate.records.gist import gist
from headgate.records.letters import LetterSearch, opened
from headgate.records.outcomes import PENDING, Outcomes
from headgate.records.plan import Planned, Planner
from headgate.records.stored import Stored
from headgate.records.stretches import Range
from headgate.records.words import in_words, json_of, text_of
from headgate.spec.timestamps import iso_ms


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters; "" and empty ask for nothing. `given_up` is when they were given up on.

    `cause` is one of `causes.py`, in its words, and only asked for together with a destination.
    """

    destination: str = ""
    reason: str = ""
    cause: str = ""
    user: str = ""
    given_up: Range = Range()
    ids: tuple[str, ...] = ()

    def check(self, stored: Stored) -> None:
        """Raises `criteria.Unknown` when something is named that this data directory does not know."""
        Criteria(
            destinations=(self.destination,) if self.destination else (),
            reasons=(self.reason,) if self.reason else (),
        ).check(stored)

    def __str__(self) -> str:
        """In words for people, one line."""
        parts = [
            f"{name} {value}"
            for name, value in (
                ("destination", self.destination),
                ("reason", self.reason),
                ("cause", self.cause),
                ("user", self.user),
                ("id", " or ".join(self.ids)),
            )
            if value
        ]
        if self.given_up.from_ms is not None:
            parts.append(f"given up from {iso_ms(self.given_up.from_ms)}")
        if self.given_up.to_ms is not None:
            parts.append(f"given up before {iso_ms(self.given_up.to_ms)}")
        return ", ".join(["dead letters", *parts])


class Listed(msgspec.Struct, frozen=True, rename="camel"):
    """One dead letter in a list."""

    message_id: str
    destination: str
    reason: str
    user_id: str
    at: str
    position: int


class Group(msgspec.Struct, frozen=True, rename="camel"):
    """How many dead letters a destination has for a reason."""

    destination: str
    reason: str
    sentence: str
    letters: int


class Listing(msgspec.Struct, frozen=True, rename="camel"):
    """The newest dead letters, newest first, and how many fit in all."""

    total: int
    groups: list[Group]
    letters: list[Listed]


class Kept(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """A dead letter with its message as it came, which can be posted again, and Heap's last answer.

    `message` is None when it is not to be had any more, `status` when no request is kept, 0 when it was
    not answered.
    """

    message_id: str
    destination: str
    reason: str
    sentence: str
    remedy: str
    user_id: str
    at: str
    position: int
    source: str | None
    type: str | None
    received_at: str | None
    message: Any
    status: int | None
    error: str | None
    answer: str | None


class Shown(Kept, frozen=True, rename="camel", kw_only=True):
    """The same with the row and the whole request as they were sent; neighbours share a request."""

    row: Any
    attempt: int | None
    url: str | None
    request: str | None


class DeadLetters:
    """Reads them; `close` afterwards."""

    def __init__(self, stored: Stored) -> None:
        self._stored = stored
        self._facts = stored.facts()
        self._log = sqlite_reader(stored.log)
        self._slugs = {stay.id: stay.slug for stay in stored.history}

    def close(self) -> None:
        """Let go of every file."""
        self._log.close()
        if self._facts is not None:
            self._facts.close()

    def listing(self, wanted: Wanted, limit: int) -> Listing:
        """The newest `limit` that fit, and all of them counted."""
        counted: Counter[tuple[str, str]] = Counter()
        listed: list[Listed] = []
        for letter in self._letters(wanted):
            slug = self._slug(letter)
            counted[slug, letter.reason] += 1
            if len(listed) < limit:
                listed.append(
                    Listed(
                        letter.message_id,
                        slug,
                        letter.reason,
                        letter.user_id,
                        iso_ms(letter.at_ms),
                        letter.seq,
                    )
                )
        groups = [
            Group(slug, reason, in_words(reason)[0], n)
            for (slug, reason), n in counted.most_common()
        ]
        return Listing(counted.total(), groups, listed)

    def kept(self, wanted: Wanted) -> Iterator[Kept]:
        """Each that fits with its message, newest first."""
        return (
            Kept(**self._told(letter, self._attempt(letter))) for letter in self._letters(wanted)
        )

    def shown(self, wanted: Wanted) -> Iterator[Shown]:
        """Everything known of each that fits, newest first."""
        for letter in self._letters(wanted):
            attempt = self._attempt(letter)
            yield Shown(
                **self._told(letter, attempt),
                row=json_of(letter.row),
                attempt=letter.attempt_id,
                url=attempt.url if attempt else None,
                request=text_of(attempt.request) if attempt else None,
            )

    def plan(
        self, catalog: Mapping[str, Kind], wanted: Wanted, *, old_profiles: bool
    ) -> Planned | None:
        """The replay of those that fit; None where delivery has not recorded anything yet."""
        if self._facts is None:
            return None
        search = LetterSearch(Outcomes(self._facts), self._log.first_seq(), self._log)
        planner = Planner(
            self._stored, catalog, self._facts, _has_failed, old_profiles=old_profiles
        )
        planner.consider(search.fits(self._letters(wanted), _has_failed_or_waits))
        planner.leave("", "bare", search.bare)
        return planner.planned(str(wanted))

    def _letters(self, wanted: Wanted) -> Iterator[DeadLetter]:
        if self._facts is None:
            return
        ids = wanted.ids or (None,)
        slugs = [id_ for id_, slug in self._slugs.items() if slug == wanted.destination]
        for message_id in ids:
            for destination in slugs if wanted.destination else (None,):
                letters = self._facts.dead_letters(
                    destination=destination,
                    reason=wanted.reason or None,
                    user_id=wanted.user or None,
                    message_id=message_id,
                    from_ms=wanted.given_up.from_ms,
                    to_ms=wanted.given_up.to_ms,
                )
                if wanted.cause and destination is not None:
                    of_cause = numbers_of(self._facts, destination, wanted.cause)
                    letters = (one for one in letters if one.seq in of_cause)
                yield from letters

    def _slug(self, letter: DeadLetter) -> str:
        return self._slugs.get(letter.destination, f"#{letter.destination}")

    def _attempt(self, letter: DeadLetter) -> TracedAttempt | None:
        if self._facts is None or letter.attempt_id is None:
            return None
        return self._facts.attempt(letter.attempt_id)

    def _told(self, letter: DeadLetter, attempt: TracedAttempt | None) -> dict[str, Any]:
        entry = opened(letter, self._log)
        sentence, remedy = in_words(letter.reason)
        return {
            "message_id": letter.message_id,
            "destination": self._slug(letter),
            "reason": letter.reason,
            "sentence": sentence,
            "remedy": remedy,
            "user_id": letter.user_id,
            "at": iso_ms(letter.at_ms),
            "position": letter.seq,
            "source": entry.envelope.source if entry else None,
            "type": gist(entry).type if entry else None,
            "received_at": iso_ms(entry.envelope.received_at_ms) if entry else None,
            "message": json_of(entry.raw) if entry else None,
            "status": attempt.status if attempt else None,
            "error": attempt.error if attempt else None,
            "answer": text_of(attempt.answer) if attempt else None,
        }


def _has_failed(outcome: str, reason: str) -> bool:
    return outcome == FAILED


def _has_failed_or_waits(outcome: str, reason: str) -> bool:
    return outcome in (FAILED, PENDING)
