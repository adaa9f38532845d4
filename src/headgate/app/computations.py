"""What pages say of audiences and computed traits: what the workspace asks for, beside what Engage has made of it.

Between Engage's store and the pages. A page costs the same however many people there are: what takes a look
at everybody is counted for stores of up to `members.LOOKED_AT` people, and left out for larger ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Literal, NamedTuple

from headgate.app.counting import Counted, Counting, at_once
from headgate.app.figures import stored_in
from headgate.app.visit import NothingHere, Visit
from headgate.delivery.budget import Spending
from headgate.delivery.engine import DestinationStatus
from headgate.destinations.catalog import CATALOG
from headgate.engage.registry import AUDIENCE, TRAIT, Record, State
from headgate.engage.step import UNDELIVERABLE
from headgate.language.checks import traits_of
from headgate.language.names import key_of
from headgate.language.parser import parse
from headgate.records.engage.answers import Answer, Sought, answers
from headgate.records.engage.changing import Coming, next_changes
from headgate.records.engage.listing import Readiness
from headgate.records.engage.members import LOOKED_AT
from headgate.records.engage.stored import Engaged, NothingComputed, engaged
from headgate.records.engage.tallying import Told
from headgate.records.stored import Stored
from headgate.workspace.model import Audience, ComputedTrait, Destination, Workspace

Standing = Literal["starting", "computing", "live", "disabled", "failed"]

_COUNTING = Counting()
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS


class Kind(NamedTuple):
    """Audiences, or computed traits: what they are called, where their pages and the workspace have them."""

    name: str
    base: str
    title: str
    one: str
    section: str


AUDIENCES = Kind(AUDIENCE, "/audiences", "Audiences", "audience", "audiences")
TRAITS = Kind(TRAIT, "/traits", "Computed traits", "computed trait", "computedTraits")


class Computation(NamedTuple):
    """One of them. `record` is what Engage knows of it, None as long as it does not; `percent` is how far it
    is read, while it is. `trouble` says why it failed, when it did. `empties`: nobody fulfils the definition,
    so that destinations are told before it is deleted."""

    kind: Kind
    key: str
    asked: Audience | ComputedTrait
    record: Record | None
    standing: Standing
    percent: int | None
    trouble: str
    size: int
    undeliverable: int

    @property
    def path(self) -> str:
        """Where its pages are."""
        return f"{self.kind.base}/{self.key}"


class Going(NamedTuple):
    """A destination that a computation goes to, or went to. `told` and `answer` are None when nobody counted.

    `unsent` messages of all computations wait for the log or for Heap, `drain_s` is how long they take.
    """

    slug: str
    destination: Destination | None
    status: DestinationStatus | None
    is_asked: bool
    told: Told | None
    answer: Answer | None
    unsent: int
    drain_s: float | None


class Step(NamedTuple):
    """The size from an instant on, and by how much it is another than before."""

    at_ms: int
    size: int
    change: int


class House:
    """Computations of the workspace as of now; `store` is None while Engage has stored nothing."""

    def __init__(self, visit: Visit, store: Engaged | None) -> None:
        self.stored: Stored = stored_in(visit)
        self.store = store
        self.now_ms = visit.parts.outside.clock.now_ms()
        self._visit = visit

    @cached_property
    def workspace(self) -> Workspace:
        """The newest version."""
        return self.stored.current.workspace

    @cached_property
    def at_ms(self) -> int | None:
        """The instant that sizes hold for."""
        return self.store.position().clock_ms or None if self.store else None

    @cached_property
    def people(self) -> int:
        """How many people are known."""
        return self.store.profile_count() if self.store else 0

    @property
    def is_countable(self) -> bool:
        """Whether there are few enough people to look at all of them for a page."""
        return self.people <= LOOKED_AT

    def all_of(self, kind: Kind) -> list[Computation]:
        """Every audience, or every computed trait, in the workspace's order."""
        engage = self.workspace.engage
        asked: Sequence[Audience | ComputedTrait] = (
            engage.audiences if kind is AUDIENCES else engage.computed_traits
        )
        return [self._computation(kind, one) for one in asked]

    def one(self, kind: Kind, key: str) -> Computation:
        """The one with this key; raises NothingHere."""
        found = next((one for one in self.all_of(kind) if one.key == key), None)
        if found is None:
            raise NothingHere(self._why_not(kind, key))
        return found

    def counted(self, one: Computation, *, again: bool = False) -> Counted | None:
        """What was told of it; None while nobody has counted. `again`: a large store is counted now, if due.

        Raises OSError when it cannot be.
        """
        if self.store is None or one.record is None:
            return None
        if counted := at_once(self.store, [one.record], self.now_ms):
            return counted[one.record.number]
        clock = self._visit.parts.outside.clock
        return _COUNTING.of(self.stored.data_dir, one.record, clock, again=again)

    def counted_each(self, computations: Sequence[Computation]) -> dict[str, Counted]:
        """The same of many, by key; nothing when there is too much to count."""
        if self.store is None:
            return {}
        counted = at_once(self.store, _records(computations), self.now_ms)
        return {
            one.key: counted[one.record.number]
            for one in computations
            if one.record is not None and one.record.number in counted
        }

    def coming(self, computations: Sequence[Computation]) -> dict[int, Coming]:
        """What changes next by time alone, by number."""
        if self.store is None:
            return {}
        return next_changes(self.store, _records(computations), self.now_ms)

    def steps(self, one: Computation, days: int) -> list[Step]:
        """How the size went in the last days, or since it was made; the first step begins the period."""
        if self.store is None or one.record is None:
            return []
        begin_ms = max(self.now_ms - days * _DAY_MS, one.record.created_at_ms - _HOUR_MS)
        before = 0
        steps = [Step(begin_ms, 0, 0)]
        for hour_ms, size in self.store.size_history(one.record.number):
            if hour_ms <= begin_ms:
                steps = [Step(begin_ms, size, 0)]
            else:
                steps.append(Step(hour_ms, size, size - before))
            before = size
        return steps

    def readers_of(self, one: Computation) -> list[Computation]:
        """The computations whose definition reads this one."""
        others = [*self.all_of(AUDIENCES), *self.all_of(TRAITS)]
        return [other for other in others if one.key in traits_of(parse(other.asked.definition))]

    def going(self, one: Computation, counted: Counted | None) -> list[Going]:
        """Where it goes, and where it went before, as far as that was counted."""
        told = counted.tally.told if counted else {}
        latest = {
            slug: Sought(slug, each.latest.message_id)
            for slug, each in told.items()
            if each.latest is not None
        }
        became = answers(self.stored, latest.values())
        return [
            self._going(
                one, slug, told.get(slug), became.get(latest[slug]) if slug in latest else None
            )
            for slug in dict.fromkeys((*one.asked.destinations, *told))
        ]

    def drain_s(self, slug: str, messages: int) -> float | None:
        """How long so many messages take a destination under its limits; None without any."""
        found = self._destination(slug)
        if found is None or found.metadata_id not in CATALOG:
            return None
        return Spending(CATALOG[found.metadata_id].budget(found.settings)).drain_s(messages, 0)

    def _computation(self, kind: Kind, asked: Audience | ComputedTrait) -> Computation:
        key = asked.key or key_of(asked.name)
        record = self.store.record(key) if self.store else None
        if record is not None and record.kind != kind.name:
            record = None
        standing, trouble = self._standing(kind, key, asked, record)
        number = record.number if record else 0
        return Computation(
            kind=kind,
            key=key,
            asked=asked,
            record=record,
            standing=standing,
            percent=self._readiness.percent(record) if record and self._readiness else None,
            trouble=trouble,
            size=self._sizes.get(number, 0),
            undeliverable=self._counters.get(f"{UNDELIVERABLE}{number}", 0),
        )

    def _standing(
        self, kind: Kind, key: str, asked: Audience | ComputedTrait, record: Record | None
    ) -> tuple[Standing, str]:
        if record is None and self.store is not None and self._is_taken(kind, key):
            return "failed", (
                f"The key {key} belonged to another computation before and is never used again,"
                " because destinations would take its members for the new one's. Give it another key."
            )
        if not asked.enabled:
            return "disabled", ""
        if record is None or record.state is State.DISABLED:
            return "starting", ""
        return ("computing" if record.state is State.PREPARING else "live"), ""

    def _is_taken(self, kind: Kind, key: str) -> bool:
        assert self.store is not None
        other = self.store.record(key)
        return self.store.removed(key) is not None or (
            other is not None and other.kind != kind.name
        )

    def _why_not(self, kind: Kind, key: str) -> str:
        if self.store is not None and self.store.removed(key) is not None:
            return f"The {kind.one} {key} was deleted. Its key is never used again."
        return f"There is no {kind.one} with the key {key}."

    def _going(
        self, one: Computation, slug: str, told: Told | None, answer: Answer | None
    ) -> Going:
        status = next((each for each in self._visit.standing if each.slug == slug), None)
        pending = status.pending + status.unread if status else 0
        unsent = self._waiting.get(slug, 0) + pending
        return Going(
            slug,
            self._destination(slug),
            status,
            slug in one.asked.destinations,
            told,
            answer,
            unsent,
            self.drain_s(slug, unsent) if unsent else None,
        )

    def _destination(self, slug: str) -> Destination | None:
        return next((one for one in self.workspace.destinations if one.slug == slug), None)

    @cached_property
    def _sizes(self) -> dict[int, int]:
        return self.store.sizes() if self.store else {}

    @cached_property
    def _counters(self) -> dict[str, int]:
        return self.store.counters() if self.store else {}

    @cached_property
    def _waiting(self) -> dict[str, int]:
        return self.store.waiting() if self.store else {}

    @cached_property
    def _readiness(self) -> Readiness | None:
        return Readiness(self.stored.data_dir, self.store) if self.store else None


@contextmanager
def house_of(visit: Visit) -> Iterator[House]:
    """The computations, in one consistent view."""
    try:
        with engaged(visit.parts.outside.data_dir) as store:
            yield House(visit, store)
    except NothingComputed:
        yield House(visit, None)


def _records(computations: Sequence[Computation]) -> list[Record]:
    return [one.record for one in computations if one.record is not None]
