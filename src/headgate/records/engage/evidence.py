"""The messages behind a part of a definition: which ones count at this moment, and until when.

Each message is put to the program that the engine runs, alone: as the only event of a name that nobody else
has, under the part's own `where` and window. So what is shown as counting is what counts, whatever the
condition, funnels and references to traits included.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from headgate.engage.computation.events import reader
from headgate.engage.computation.program import Program
from headgate.engage.observed import Observed
from headgate.engage.plan import plan_of
from headgate.engage.profile import Profile
from headgate.engage.registry import AUDIENCE, Record
from headgate.language.printer import text_of
from headgate.language.tree import (
    And,
    Compared,
    Definition,
    Events,
    Literal_,
    Not,
    Or,
    Reduced,
    Session,
    Trait,
)
from headgate.workspace.model import Engage

_ALONE = "\x01alone"  # no message has such a name: the door refuses none, but who would send it


class Counting(msgspec.Struct, frozen=True):
    """A message that counts, the value of the property that is asked for, and until when it counts."""

    message: Observed
    value: Any
    until_ms: int | None


def leaves_of(tree: Definition) -> Iterator[Definition]:
    """The parts of a definition that are no junctions, in the order in which they are explained."""
    match tree:
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves_of(part)
        case Not(part):
            yield from leaves_of(part)
        case _:
            yield tree


def read_by(leaf: Definition) -> list[Reduced | Trait]:
    """The events and traits of the profile that a part reads."""
    sides = (leaf, getattr(leaf, "left", None), getattr(leaf, "right", None))
    return [side for side in sides if isinstance(side, Reduced | Trait)]


class Witness:
    """Puts messages of people to definitions, at one instant."""

    def __init__(
        self,
        record: Record,
        asked: Sequence[Reduced],
        records: Iterable[Record],
        leaf_numbers: Mapping[str, int],
        at_ms: int,
    ) -> None:
        self._at_ms = at_ms
        self._numbers = {reduced: -number for number, reduced in enumerate(asked, 1)}
        alone = [_alone(record, reduced, self._numbers[reduced]) for reduced in asked]
        self._program = program_of([*records, *alone], leaf_numbers)

    def counting(
        self, profile: Profile, reduced: Reduced, messages: Iterable[Observed]
    ) -> list[Counting]:
        """Those of a person's messages that count, in their order."""
        read = reader(reduced.of)
        found = []
        for message in messages:
            if message.name == reduced.events.name:
                counts, until_ms = self._put(profile, reduced, message)
                if counts:
                    found.append(Counting(message, read(message), until_ms))
        if isinstance(reduced.events.window, Session):
            found = _of_session(found, reduced.events.window.gap_ms, self._at_ms)
        return [one for one in found if reduced.of is None or one.value is not None]

    def _put(
        self, profile: Profile, reduced: Reduced, message: Observed
    ) -> tuple[bool, int | None]:
        number = self._numbers[reduced]
        own = self._program.leaves_of[number]
        named = [one for one in own if self._program.leaves[one].name == _ALONE]
        probe = msgspec.structs.replace(profile, leaves=dict(profile.leaves))
        alone = msgspec.structs.replace(message, name=_ALONE)
        self._program.take_only(probe, alone, frozenset(named))
        outcome = self._program.evaluate(probe, [number], self._at_ms)[number]
        return outcome.value is True, outcome.until_ms


def program_of(records: Iterable[Record], leaf_numbers: Mapping[str, int]) -> Program:
    """The program of these computations. A leaf that the store has no number for finds nothing kept."""
    numbers = dict(leaf_numbers)
    plan = plan_of(records, Engage(), {}, lambda text: numbers.setdefault(text, -1 - len(numbers)))
    return plan.program


def _alone(record: Record, reduced: Reduced, number: int) -> Record:
    """A computation of its own: whether there is an event that the part would count."""
    events = reduced.events
    window = None if isinstance(events.window, Session) else events.window
    alone = Events(_ALONE, events.where, window, events.not_from)
    tree = Compared(Reduced(alone, "count"), ">=", Literal_(1))
    return msgspec.structs.replace(
        record,
        number=number,
        key=f"\x01{number}",
        kind=AUDIENCE,
        definition=text_of(tree),
        include_anonymous=True,
    )


def _of_session(found: list[Counting], gap_ms: int, at_ms: int) -> list[Counting]:
    """Those of the newest chain without a gap, if it goes on."""
    chain: list[Counting] = []
    end_ms = at_ms
    for one in reversed(found):
        pause_ms = end_ms - one.message.at_ms
        if pause_ms > gap_ms or (pause_ms == gap_ms and not chain):
            break
        chain.append(one)
        end_ms = one.message.at_ms
    return [
        msgspec.structs.replace(one, until_ms=chain[0].message.at_ms + gap_ms)
        for one in reversed(chain)
    ]
