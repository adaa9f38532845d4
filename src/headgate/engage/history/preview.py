"""Preview: what a definition that nobody saved yet would come to, over all of history.

A number of people, a sample of them, how many can be told of, how many are in another audience as well;
and for whoever writes a definition, which events and properties there are.
"""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from headgate.engage.computation.model import Computation
from headgate.engage.definitions import history_of
from headgate.engage.history.definitions import computations_of, read_by
from headgate.engage.history.view import View
from headgate.engage.planning import records_of
from headgate.engage.profile import Identifier
from headgate.engage.rules import USER_ID
from headgate.language.parser import parse_audience, parse_trait

_TRIED = ""  # no computation has this key
_MOST_TOP = 20

_decode = msgspec.json.decode


class Asked(msgspec.Struct, frozen=True, rename="camel"):
    """A definition to try, as the configuration has it, without a name. `at_ms` 0: now.

    `overlap`: the key of an audience to compare with. `sample`: how many people to show.
    """

    kind: Literal["audience", "trait"]
    definition: str
    include_history: bool | str = True
    include_anonymous: bool = True
    wait: bool = False
    overlap: str = ""
    sample: int = 10
    at_ms: int = 0


class Shown(msgspec.Struct, frozen=True):
    """Somebody of the sample."""

    profile: int
    identifiers: list[Identifier]
    value: Any


class Top(msgspec.Struct, frozen=True):
    """A value, and how many people have it."""

    value: Any
    profiles: int


class Preview(msgspec.Struct, frozen=True, rename="camel"):
    """What the definition comes to at `at_ms`, of the messages up to `seq`.

    `having` of `profiles` people are members, or have a value that is not empty; `deliverable` of these have
    a userId, and `overlap` are in the other audience, too. `least`, `greatest` and `top` are a trait's.
    """

    at_ms: int
    seq: int
    profiles: int
    having: int
    deliverable: int
    overlap: int | None = None
    sample: list[Shown] = []
    least: float | None = None
    greatest: float | None = None
    top: list[Top] = []


class UnknownAudience(Exception):
    """There is no computation with the key that was given to compare with."""


def preview(view: View, asked: Asked, now_ms: int) -> Preview:
    """Tries a definition. Raises DefinitionError, Cycle, UnknownAudience."""
    at_ms = asked.at_ms or max(now_ms, view.position.clock_ms)
    known = computations_of(records_of(view.store.computations()))
    if asked.overlap and asked.overlap not in known:
        raise UnknownAudience(asked.overlap)
    tried = _tried(asked, at_ms)
    wanted = [tried, known[asked.overlap]] if asked.overlap else [tried]
    tables = view.compute(read_by(wanted, known), at_ms)
    view.rows(f"CREATE TABLE member AS {_having(asked.kind, tables[_TRIED])}")
    view.add_holders("deliverable", (USER_ID,))
    is_trait = asked.kind == "trait"
    least, greatest = _ends(view) if is_trait else (None, None)
    return Preview(
        at_ms=at_ms,
        seq=view.position.seq,
        profiles=_count(view, "profile"),
        having=_count(view, "member"),
        deliverable=_count(view, "member SEMI JOIN deliverable USING (profile)"),
        overlap=_overlap(view, tables[asked.overlap]) if asked.overlap else None,
        sample=_sample(view, asked.sample),
        least=least,
        greatest=greatest,
        top=_top(view) if is_trait else [],
    )


def _tried(asked: Asked, at_ms: int) -> Computation:
    """As if it were created now."""
    read = parse_audience if asked.kind == "audience" else parse_trait
    return Computation(
        number=0,
        key=_TRIED,
        kind=asked.kind,
        tree=read(asked.definition),
        created_at_ms=at_ms,
        history=history_of(asked.include_history),
        wait=asked.wait,
        include_anonymous=asked.include_anonymous,
    )


def _having(kind: str, table: str) -> str:
    there = "value = 'true'" if kind == "audience" else "value NOT IN ('0', '0.0', '[]')"
    return f"SELECT profile, value FROM {table} WHERE {there}"


def _count(view: View, rows: str) -> int:
    return int(view.rows(f"SELECT count(*) FROM {rows}")[0][0])


def _overlap(view: View, table: str) -> int:
    return _count(view, f"member JOIN {table} other USING (profile) WHERE other.value = 'true'")


def _sample(view: View, size: int) -> list[Shown]:
    """The people who have been known for longest."""
    found = dict(view.rows(f"SELECT profile, value FROM member ORDER BY profile LIMIT {size:d}"))
    return [
        Shown(kept.profile.id, kept.profile.identifiers, _decode(found[kept.profile.id]))
        for kept in view.store.load(found)
    ]


def _ends(view: View) -> Sequence[float | None]:
    """The least and the greatest number."""
    return view.rows("SELECT min(number_of(value)), max(number_of(value)) FROM member")[0]


def _top(view: View) -> list[Top]:
    """The values that most people have."""
    rows = view.rows(
        "SELECT value, count(*) AS n FROM member GROUP BY value"
        f" ORDER BY n DESC, value LIMIT {_MOST_TOP}"
    )
    return [Top(_decode(value), profiles) for value, profiles in rows]
