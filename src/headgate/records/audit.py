"""The audit: accepted = delivered + discarded + failed + pending, per (message, destination), proven by id.

Every message of the log is looked at, and every fact of delivery. For each destination that owes a
message an outcome (`owing.py`), the last fact wins; one that a replay took back is pending again. Without a fact
the message is pending, or, when the destination's cursor has passed it, broken: it was lost without a
record. A fact of a destination that owes the message nothing is broken too. Messages refused at the door
that were answered with success are accepted and discarded, with the destination `-`; they are counted by
the minute and never enter the log.

Beside a running server the facts are read first, as of one moment, and the log after them. Whatever is
accepted in between then has no outcome yet and looks pending, which it was. The other way round, the
cursor could stand above messages that the older view of the log does not hold.

Damage to the log (`eventlog/survey.py`) is named by range. Who owed the messages in it an outcome
cannot be told any more, so only those that have one are counted.
"""

from collections.abc import Iterable, Iterator
from contextlib import closing

import msgspec
import numpy as np
import numpy.typing as npt

from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED, REPLAYED
from headgate.delivery.owing import Owing
from headgate.delivery.reader import DeliveryReader
from headgate.eventlog.block import Block, BrokenBlock
from headgate.eventlog.log import BlockReader
from headgate.eventlog.refused import refusal_counts
from headgate.eventlog.sqlite import sqlite_reader
from headgate.eventlog.survey import Damage, survey
from headgate.records.stored import AT_THE_DOOR, Stored
from headgate.records.stretches import (
    STRETCH,
    UNREADABLE,
    Kinds,
    Range,
    Stretch,
    stretches,
    within,
)
from headgate.spec.message import normalize
from headgate.spec.repair import DECODE_ERRORS
from headgate.spec.timestamps import iso_ms

MAX_NAMED = 10_000
_ANSWERED_WITH_SUCCESS = 200


class Counts(msgspec.Struct, rename="camel"):
    """One destination's messages by outcome; `reasons` splits up the discarded and the failed."""

    accepted: int = 0
    delivered: int = 0
    discarded: int = 0
    failed: int = 0
    pending: int = 0
    broken: int = 0
    reasons: dict[str, int] = {}


class Problem(msgspec.Struct, frozen=True, rename="camel"):
    """One message without a record, or with one it should not have."""

    message_id: str
    position: int
    destination: str
    why: str


class Damaged(msgspec.Struct, frozen=True, rename="camel"):
    """A range of the log that is not what was accepted."""

    first: int
    last: int
    why: str


class Audit(msgspec.Struct, rename="camel"):
    """The result. `broken` names messages, the first 10,000; the counts are exact."""

    messages: int
    accepted: int
    delivered: int
    discarded: int
    failed: int
    pending: int
    broken_count: int
    broken: list[str]
    problems: list[Problem]
    damaged: list[Damaged]
    destinations: dict[str, Counts]
    from_: str | None = msgspec.field(name="from")
    to: str | None

    @property
    def is_sound(self) -> bool:
        """Whether every accepted message is accounted for, and the log whole."""
        return not self.broken_count and not self.damaged


_ALWAYS = Range()


def audit(stored: Stored, wanted: Range = _ALWAYS) -> Audit:
    """Counts every message of the range once per destination; see the top of this file."""
    facts = stored.facts()
    if facts is None:
        return _Auditor(stored, wanted, None).run()
    with closing(facts):
        facts.freeze()
        return _Auditor(stored, wanted, facts).run()


def pending(stored: Stored) -> dict[int, int]:
    """By destination: how many messages are pending, those of replays apart.

    Reads the log from the lowest cursor on, so it is quick as long as delivery keeps up.
    """
    facts = stored.facts()
    if facts is None:
        return _Auditor(stored, _ALWAYS, None).pending()
    with closing(facts):
        facts.freeze()
        return _Auditor(stored, _ALWAYS, facts).pending()


class _Auditor:
    """One audit under way. Destinations are numbers here, since a slug may have been used twice."""

    def __init__(self, stored: Stored, wanted: Range, facts: DeliveryReader | None) -> None:
        self._stored = stored
        self._wanted = wanted
        self._facts = facts
        self._owing = Owing(stored.versions)
        self._kinds = Kinds(wanted)
        self._cursors = facts.cursors() if facts else {}
        self._ends = facts.settled_ends() if facts else {}
        self._slugs = {stay.id: stay.slug for stay in stored.history}
        self._slugs |= {id_: f"#{id_}" for id_ in self._ends if id_ not in self._slugs}
        self._counts = {id_: Counts() for id_ in self._slugs}
        self._live = dict.fromkeys(self._slugs, 0)  # pending, and never settled yet
        self._outcomes: dict[tuple[str, str], int] = {}
        self._messages = 0
        self._read_to = 0
        self._damaged: list[Damaged] = []
        self._suspects: list[tuple[int, int, str]] = []

    def run(self) -> Audit:
        for stretch in self._stretches(0):
            self._count(stretch)
        self._compare_ends()
        at_the_door = self._refused()
        counts = [*self._counts.values(), at_the_door]
        problems = self._problems()
        return Audit(
            messages=self._messages,
            accepted=sum(one.accepted for one in counts),
            delivered=sum(one.delivered for one in counts),
            discarded=sum(one.discarded for one in counts),
            failed=sum(one.failed for one in counts),
            pending=sum(one.pending for one in counts),
            broken_count=sum(one.broken for one in counts),
            broken=list(dict.fromkeys(problem.message_id for problem in problems)),
            problems=problems,
            damaged=self._damaged,
            destinations=self._by_slug(at_the_door),
            from_=None if self._wanted.from_ms is None else iso_ms(self._wanted.from_ms),
            to=None if self._wanted.to_ms is None else iso_ms(self._wanted.to_ms),
        )

    def pending(self) -> dict[int, int]:
        """Nothing at or below a cursor is pending, so the log is read from the lowest one on."""
        settled_to = min((self._cursors.get(id_, 0) for id_ in self._slugs), default=0)
        for stretch in self._stretches(settled_to):
            self._count(stretch)
        return dict(self._live)

    # counting

    def _stretches(self, after_seq: int) -> Iterator[Stretch]:
        surveyed = within(survey(self._stored.log, after_seq), self._wanted)
        settled_to = max(self._ends.values(), default=0)
        return stretches(self._noted(surveyed), self._kinds, settled_to)

    def _noted(self, surveyed: Iterable[Block | Damage]) -> Iterator[Block | Damage]:
        """The same, with damage written down on the way."""
        for item in surveyed:
            self._read_to = max(self._read_to, item.last_seq)
            if isinstance(item, Damage):
                self._damaged.append(Damaged(item.first_seq, item.last_seq, item.why))
            yield item

    def _count(self, stretch: Stretch) -> None:
        present = np.bincount(stretch.kinds, minlength=len(self._kinds.names)) > 0
        self._messages += int(np.count_nonzero(stretch.kinds > UNREADABLE))
        for id_ in self._slugs:
            owes = self._owes(id_)
            if (present & owes).any() or self._ends.get(id_, 0) >= stretch.first_seq:
                self._count_for(id_, stretch, owes)

    def _owes(self, destination: int) -> npt.NDArray[np.bool_]:
        """By kind: whether the destination owes its messages an outcome."""
        names = self._kinds.names
        return np.fromiter(
            (name is not None and destination in self._owing.destinations(*name) for name in names),
            np.bool_,
            len(names),
        )

    def _count_for(self, destination: int, stretch: Stretch, owes: npt.NDArray[np.bool_]) -> None:
        codes = self._settled(destination, stretch)
        owed = owes[stretch.kinds]
        settled = codes > 0
        self._add(destination, codes[settled & (owed | (stretch.kinds == UNREADABLE))])
        open_ = np.flatnonzero(owed & ~settled)
        passed = int(
            np.searchsorted(open_, self._cursors.get(destination, 0) - stretch.first_seq, "right")
        )
        counts = self._counts[destination]
        counts.accepted += len(open_)
        counts.pending += len(open_) - passed
        self._live[destination] += len(open_) - passed
        self._suspect(destination, stretch, open_[:passed], _LOST)
        stray = np.flatnonzero(settled & ~owed & (stretch.kinds > UNREADABLE))
        self._suspect(destination, stretch, stray, _NOT_OWED)

    def _settled(self, destination: int, stretch: Stretch) -> npt.NDArray[np.uint16]:
        """By message: a code for its outcome and reason, 0 without one. A later fact wins."""
        codes = np.zeros(STRETCH, np.uint16)
        first_seq = stretch.first_seq
        if self._facts is None:
            return codes
        for outcome, reason, runs in self._facts.settled_within(
            destination, first_seq, stretch.last_seq
        ):
            code = self._outcomes.setdefault((outcome, reason), len(self._outcomes) + 1)
            for run in runs:
                codes[max(run.start - first_seq, 0) : max(run.stop - first_seq, 0)] = code
        return codes

    def _add(self, destination: int, codes: npt.NDArray[np.uint16]) -> None:
        counts = self._counts[destination]
        by_code = np.bincount(codes, minlength=len(self._outcomes) + 1).tolist()
        for (outcome, reason), code in self._outcomes.items():
            if by_code[code]:
                _add_outcome(counts, outcome, reason, by_code[code])

    # what is wrong

    def _suspect(
        self, destination: int, stretch: Stretch, at: npt.NDArray[np.intp], why: str
    ) -> None:
        self._counts[destination].broken += len(at)
        room = max(0, MAX_NAMED - len(self._suspects))
        self._suspects += (
            (stretch.first_seq + offset, destination, why) for offset in at[:room].tolist()
        )

    def _compare_ends(self) -> None:
        """Delivery saw everything that it has an outcome for: a log that ends below has lost its end."""
        seen = max((*self._ends.values(), *self._cursors.values()), default=0)
        if seen > self._read_to:
            why = "the end of the log is missing: delivery has seen more"
            self._damaged.append(Damaged(self._read_to + 1, seen, why))

    def _problems(self) -> list[Problem]:
        with closing(sqlite_reader(self._stored.log)) as log:
            return [
                Problem(_message_id(log, seq), seq, self._slugs[destination], why)
                for seq, destination, why in sorted(self._suspects)
            ]

    # the rest

    def _refused(self) -> Counts:
        counts = Counts()
        for _, reason, answered, n in refusal_counts(self._stored.refused, *self._wanted):
            if answered == _ANSWERED_WITH_SUCCESS:
                _add_outcome(counts, DISCARDED, reason, n)
        return counts

    def _by_slug(self, at_the_door: Counts) -> dict[str, Counts]:
        """A destination that was removed and added again counts under its slug as one."""
        by_slug: dict[str, Counts] = {}
        for id_, counts in self._counts.items():
            slug = self._slugs[id_]
            by_slug[slug] = _sum(by_slug[slug], counts) if slug in by_slug else counts
        by_slug[AT_THE_DOOR] = at_the_door
        return by_slug


_LOST = "the destination's cursor has passed it, and no outcome is recorded"
_NOT_OWED = "an outcome is recorded, and the destination was not connected to its source"


def _add_outcome(counts: Counts, outcome: str, reason: str, n: int) -> None:
    counts.accepted += n
    if outcome == DELIVERED:
        counts.delivered += n
        return
    if outcome == REPLAYED:
        counts.pending += n
        return
    if outcome == FAILED:
        counts.failed += n
    else:
        counts.discarded += n
    counts.reasons[reason] = counts.reasons.get(reason, 0) + n


def _sum(one: Counts, other: Counts) -> Counts:
    total = Counts(
        *(getattr(one, name) + getattr(other, name) for name in one.__struct_fields__[:-1])
    )
    for reasons in (one.reasons, other.reasons):
        for reason, n in reasons.items():
            total.reasons[reason] = total.reasons.get(reason, 0) + n
    return total


def _message_id(log: BlockReader, seq: int) -> str:
    try:
        entry = log.entry(seq)
        return str(normalize(entry.raw, entry.envelope, entry.given_id)["messageId"])
    except (KeyError, BrokenBlock, *DECODE_ERRORS):
        return f"#{seq}"
