"""Preview: what a definition that nobody saved yet would come to, over all of history.

Its own answer and a sample of people; how many of them can be told of; how many are in another audience as
well. And what events and properties there are, for whoever writes a definition.
"""

from typing import Any, Literal

import msgspec

from headgate.engage.computation.model import Computation
from headgate.engage.history.duck import quoted
from headgate.engage.history.view import View
from headgate.engage.plan import history_of
from headgate.engage.profile import Identifier
from headgate.engage.registry import Record, State
from headgate.engage.rules import USER_ID
from headgate.language.checks import traits_of
from headgate.language.parser import parse, parse_audience, parse_trait

_MOST_TOP = 20
_MOST_EVENTS = 500
_MOST_PROPERTIES = 200
_ROWS_LOOKED_AT = 20_000


class Asked(msgspec.Struct, frozen=True):
    """A definition to try: as the configuration has it, without a name. `at_ms` 0: now.

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


class Preview(msgspec.Struct, frozen=True):
    """What the definition comes to at `at_ms`, of the messages up to `seq`.

    `having` are the members, or who has a value that is not empty; `deliverable` those of them with a userId.
    `overlap` are those who are in the other audience, too. `least`, `greatest` and `top` are a trait's.
    """

    at_ms: int
    seq: int
    profiles: int
    having: int
    deliverable: int
    overlap: int | None = None
    sample: list[Shown] = []
    least: int | float | None = None
    greatest: int | float | None = None
    top: list[Top] = []


def preview(view: View, asked: Asked, records: list[Record], now_ms: int) -> Preview:
    """Tries a definition. Raises DefinitionError, and KeyError when `overlap` is no computation's key."""
    at_ms = asked.at_ms or max(now_ms, view.position.clock_ms)
    known = {one.key: one for one in records if one.state is not State.REMOVED}
    tried = _tried(asked, at_ms)
    needed = _needed(tried, known, asked.overlap)
    view.add_profiles()
    if any(not one.include_anonymous for one in needed):
        view.add_known()
    tables = view.compute(needed, at_ms)
    having = _having(asked.kind, tables[tried.key])
    view.add("user", profile=view.store.who_have((USER_ID,)))
    ((profiles, members, deliverable),) = view.rows(
        f"SELECT (SELECT count(*) FROM profile), count(*), count(*) FILTER"
        f" (profile IN (SELECT profile FROM user)) FROM ({having})"
    )
    return Preview(
        at_ms=at_ms,
        seq=view.position.seq,
        profiles=profiles,
        having=members,
        deliverable=deliverable,
        overlap=_overlap(view, having, tables[asked.overlap]) if asked.overlap else None,
        sample=_sample(view, having, asked.sample),
        **(_distribution(view, having) if asked.kind == "trait" else {}),
    )
