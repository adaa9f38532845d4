"""Members as a list shows them: what makes somebody one, until when, and what destinations were told.

Made of people's records alone, so that a page of a hundred costs little; the messages behind it are
`explaining.py`'s.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from zlib import crc32

import msgspec

from headgate.engage.computation.model import Explanation
from headgate.engage.computation.program import Program
from headgate.engage.profile import Profile
from headgate.engage.registry import Record, State
from headgate.language.parser import parse
from headgate.language.tree import And, Definition, Not, Or, Reduced, Trait
from headgate.records.engage.answers import Answer, Sought, answers
from headgate.records.engage.evidence import program_of
from headgate.records.engage.explaining import next_change
from headgate.records.engage.people import identifiers_by_type
from headgate.records.engage.standing import is_member, last_told, untold
from headgate.records.engage.stored import Engaged
from headgate.records.engage.tellings import message_id_of
from headgate.records.stored import Stored

_MOST_EVIDENCE = 3


class Ground(msgspec.Struct, frozen=True):
    """A condition that holds: `what` it is about, an event's or a trait's name, and what that comes to.

    `is_count`: `found` says how many events count. `text` is the condition.
    """

    what: str
    found: Any
    is_count: bool
    text: str


class LastTold(msgspec.Struct, frozen=True):
    """The last telling of a userId at a destination; `answer` is what became of it, None when nobody knows."""

    destination: str
    user_id: str
    value: Any
    at_ms: int
    message_id: str
    answer: Answer | None


class Row(msgspec.Struct, frozen=True):
    """Somebody in a list.

    `changes_at` is when the value changes by itself to `changes_to`, None when it does not. `untold` are
    the destinations that do not know what holds now.
    """

    profile: int
    identifiers: dict[str, list[str]]
    value: Any
    is_member: bool
    grounds: list[Ground]
    changes_at: str | None
    changes_to: Any
    told: list[LastTold]
    untold: list[str]

    @property
    def mark(self) -> str:
        """Another one as soon as other messages may be behind it."""
        seen = msgspec.json.encode((self.value, self.grounds, self.changes_at))
        return f"{crc32(seen):x}"


def rows_of(
    stored: Stored, store: Engaged, record: Record, people: Sequence[Profile], now_ms: int
) -> list[Row]:
    """A row for each of these people."""
    at_ms = max(now_ms, store.position().clock_ms)
    said = {
        Sought(slug, message_id_of(profile, record, slug, user_id, sent))
        for profile in people
        for slug, user_id, sent in last_told(profile, record)
    }
    became = answers(stored, said)
    program = program_of(store.records, store.leaves()) if record.state is State.LIVE else None
    tree = parse(record.definition)
    return [_row(one, record, tree, program, at_ms, became) for one in people]


def _row(
    profile: Profile,
    record: Record,
    tree: Definition,
    program: Program | None,
    at_ms: int,
    became: Mapping[Sought, Answer],
) -> Row:
    value = profile.value(record.number, is_audience=record.is_audience)
    changes_at, changes_to = None, None
    grounds: list[Ground] = []
    if program is not None:
        changes_at, changes_to = next_change(program, profile, record.number, at_ms, value)
        explained = program.explain(profile, record.number, at_ms)
        grounds = list(_grounds(explained, tree))[:_MOST_EVIDENCE]
    return Row(
        profile=profile.id,
        identifiers=identifiers_by_type(profile.identifiers),
        value=value,
        is_member=is_member(profile, record),
        grounds=grounds,
        changes_at=changes_at,
        changes_to=changes_to,
        told=list(told_of(profile, record, became)),
        untold=sorted(untold(profile, record)),
    )


def told_of(
    profile: Profile, record: Record, became: Mapping[Sought, Answer]
) -> Iterator[LastTold]:
    """What destinations were told of a person last, with what became of it as `answers` found out."""
    for slug, user_id, sent in last_told(profile, record):
        message_id = message_id_of(profile, record, slug, user_id, sent)
        answer = became.get(Sought(slug, message_id))
        yield LastTold(slug, user_id, sent.value, sent.at_ms, message_id, answer)


def _grounds(explained: Explanation, tree: Definition) -> Iterator[Ground]:
    """The conditions that hold, beside the tree that they explain."""
    match tree:
        case And(trees) | Or(trees):
            for part, one in zip(explained.parts, trees, strict=True):
                yield from _grounds(part, one)
        case Not():
            return
        case _:
            if explained.value is True or not isinstance(explained.value, bool):
                yield _ground(explained, tree)


def _ground(explained: Explanation, tree: Definition) -> Ground:
    left = getattr(tree, "left", tree)
    found = explained.value if left is tree else explained.compared
    if isinstance(left, Reduced):
        return Ground(left.events.name, found, left.reducer == "count", explained.text)
    what = left.path if isinstance(left, Trait) else explained.text
    return Ground(what, found, False, explained.text)
