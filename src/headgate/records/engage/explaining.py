"""Why somebody is in an audience or not, or has a trait's value: part by part, with what makes it so.

    store → the person's record → the program → each part's value      messages → evidence
                                                                       told → outcomes, by `trace`

As of now by the clock, as the engine would evaluate it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from headgate.destinations.interface import Destination as Kind
from headgate.engage.computation.model import Explanation
from headgate.engage.computation.program import Program
from headgate.engage.computation.traits import written
from headgate.engage.profile import Profile
from headgate.engage.registry import Record
from headgate.engage.rules import USER_ID
from headgate.engage.sync import same
from headgate.language.parser import parse
from headgate.language.paths import steps_of, value_behind
from headgate.language.tree import And, Definition, Not, Or, Reduced, Trait
from headgate.records.engage.evidence import (
    Counting,
    Witness,
    leaves_of,
    program_of,
    read_by,
)
from headgate.records.engage.messages import messages_of
from headgate.records.engage.people import identifiers_by_type
from headgate.records.engage.stored import Engaged, behind
from headgate.records.engage.tellings import NO_USER_ID, Telling, tellings
from headgate.records.stored import Stored
from headgate.spec.timestamps import iso_ms

_MOST_STEPS = 1_000
_LAST_INSTANT_MS = 253_402_300_799_999  # the end of the year 9999


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """A message that counts. `value` is of the property that is asked for; `until`: when it stops to count."""

    id: str
    at: str
    name: str
    source: str
    value: Any = None
    until: str | None = None


class TraitFound(msgspec.Struct, frozen=True, rename="camel"):
    """A trait that is read. `by` is the identify that set it, or "audience" or "trait" for a computed one."""

    name: str
    value: Any
    by: str
    at: str | None = None


class Reason(msgspec.Struct, frozen=True, rename="camel"):
    """A part of the definition. `current` is what its left side comes to; `junction`: all, any or not of `parts`.

    `messages` are the newest of those that count, `counting` says how many do. `others` have a name that is
    asked for and do not count, `newest_other` is the newest of them.
    """

    text: str
    value: Any
    current: Any = None
    until: str | None = None
    counting: int | None = None
    messages: list[Message] = []
    others: int = 0
    newest_other: Message | None = None
    traits: list[TraitFound] = []
    junction: str = ""
    parts: list["Reason"] = []


class Why(msgspec.Struct, frozen=True, rename="camel"):
    """The whole answer.

    `computed` is what was evaluated last, which a server that runs keeps equal to `value`. `changes_at` is
    the next instant at which the value changes by itself, to `changes_to`; None: it does not. `behind`
    counts messages that Engage has not read yet. `left_out` counts what was left out of the person's record
    because there was too much of it.
    """

    key: str
    name: str
    kind: str
    state: str
    profile: int
    identifiers: dict[str, list[str]]
    at: str
    value: Any
    computed: Any
    changes_at: str | None
    changes_to: Any
    behind: int
    left_out: int
    undeliverable: str
    reason: Reason
    told: list[Telling]


def explain(
    stored: Stored,
    store: Engaged,
    catalog: Mapping[str, Kind],
    record: Record,
    profile: Profile,
    *,
    now_ms: int,
    most: int = 5,
) -> Why:
    """Why the person has the value; at most `most` messages are named for each part."""
    position = store.position()
    at_ms = max(now_ms, position.clock_ms)
    leaf_numbers = store.leaves()
    program = program_of(store.records, leaf_numbers)
    explanation = program.explain(profile, record.number, at_ms)
    value = program.evaluate(profile, [record.number], at_ms)[record.number].value
    changes_at, changes_to = next_change(program, profile, record.number, at_ms, value)
    teller = _Teller(stored, store, record, profile, program, leaf_numbers, at_ms, most)
    left_out = program.dropped(profile)
    return Why(
        key=record.key,
        name=record.name,
        kind=record.kind,
        state=record.state.value,
        profile=profile.id,
        identifiers=identifiers_by_type(profile.identifiers),
        at=iso_ms(at_ms),
        value=value,
        computed=profile.value(record.number, is_audience=record.is_audience),
        changes_at=changes_at,
        changes_to=changes_to,
        behind=behind(store, stored),
        left_out=sum(left_out.get(one, 0) for one in program.leaves_of[record.number]),
        undeliverable="" if profile.of_type(USER_ID) else NO_USER_ID,
        reason=teller.tell(explanation),
        told=list(tellings(stored, catalog, profile, record, value)),
    )


class _Teller:
    """Turns an explanation into reasons, beside the tree that it explains."""

    def __init__(
        self,
        stored: Stored,
        store: Engaged,
        record: Record,
        profile: Profile,
        program: Program,
        leaf_numbers: Mapping[str, int],
        at_ms: int,
        most: int,
    ) -> None:
        self._tree = parse(record.definition)
        reads = [one for leaf in leaves_of(self._tree) for one in read_by(leaf)]
        asked = list(dict.fromkeys(one for one in reads if isinstance(one, Reduced)))
        self._records = {one.key: one for one in store.records}
        self._profile = profile
        self._program = program
        self._at_ms = at_ms
        self._most = most
        names = sorted({one.events.name for one in asked})
        self._messages = messages_of(store, stored.data_dir, profile.id, names=names)
        self._witness = Witness(record, asked, store.records, leaf_numbers, at_ms)

    def tell(self, explained: Explanation) -> Reason:
        """The whole definition."""
        return self._reason(explained, self._tree)

    def _reason(self, explained: Explanation, tree: Definition) -> Reason:
        match tree:
            case And(trees):
                return self._junction("all", explained, trees)
            case Or(trees):
                return self._junction("any", explained, trees)
            case Not(inner):
                return self._junction("not", explained, (inner,))
            case _:
                return self._leaf(explained, tree)

    def _junction(
        self, junction: str, explained: Explanation, trees: tuple[Definition, ...]
    ) -> Reason:
        return Reason(
            text=explained.text,
            value=explained.value,
            until=_iso(explained.until_ms),
            junction=junction,
            parts=[
                self._reason(part, tree) for part, tree in zip(explained.parts, trees, strict=True)
            ],
        )

    def _leaf(self, explained: Explanation, tree: Definition) -> Reason:
        read = read_by(tree)
        events = [one for one in read if isinstance(one, Reduced)]
        said, put = self._messages, self._witness.counting
        counting = [each for one in events for each in put(self._profile, one, said)]
        count = {one.message.seq for one in counting}
        names = {one.events.name for one in events}
        others = [one for one in self._messages if one.name in names and one.seq not in count]
        return Reason(
            text=explained.text,
            value=explained.value,
            current=_current(explained, tree, len(counting)),
            until=_iso(explained.until_ms),
            counting=len(counting) if events else None,
            messages=[_message(one) for one in _newest(counting, self._most)],
            others=len(others),
            newest_other=_message(Counting(others[-1], None, None)) if others else None,
            traits=[self._trait(one.path) for one in read if isinstance(one, Trait)],
        )

    def _trait(self, path: str) -> TraitFound:
        key, *deeper = steps_of(path)
        if key in self._records:
            record = self._records[key]
            outcome = self._program.evaluate(self._profile, [record.number], self._at_ms)
            return TraitFound(path, None if deeper else outcome[record.number].value, record.kind)
        writes = self._profile.traits.get(key)
        value, _ = written(writes, self._at_ms)
        held = [one for one in writes or () if one.at_ms <= self._at_ms]
        return TraitFound(
            name=path,
            value=value_behind(value, tuple(deeper)) if deeper else value,
            by=held[-1].message_id if held else "",
            at=iso_ms(held[-1].at_ms) if held else None,
        )


def _current(explained: Explanation, tree: Definition, counting: int) -> Any:
    """What the left side comes to; of a number of events, no more are kept than the comparison needs."""
    left = getattr(tree, "left", None)
    if isinstance(left, Reduced) and left.reducer == "count":
        return max(explained.compared, counting)
    return explained.compared


def _newest(counting: list[Counting], most: int) -> list[Counting]:
    return list(reversed(counting[max(0, len(counting) - most) :]))


def _message(counting: Counting) -> Message:
    said = counting.message
    return Message(
        id=said.message_id,
        at=iso_ms(said.at_ms),
        name=said.name,
        source=said.source,
        value=counting.value,
        until=_iso(counting.until_ms),
    )


def next_change(
    program: Program, profile: Profile, number: int, at_ms: int, value: Any
) -> tuple[str | None, Any]:
    """When a value changes by itself, and to what; (None, None) when it does not in a thousand steps."""
    for _ in range(_MOST_STEPS):
        until_ms = program.evaluate(profile, [number], at_ms)[number].until_ms
        if until_ms is None or until_ms > _LAST_INSTANT_MS:
            break
        at_ms = until_ms
        following = program.evaluate(profile, [number], at_ms)[number].value
        if not same(following, value):
            return iso_ms(at_ms), following
    return None, None


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None or at_ms > _LAST_INSTANT_MS else iso_ms(at_ms)
