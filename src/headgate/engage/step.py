"""A step of the engine: what messages, or time, do to profiles, gathered and committed as one.

Between the engine, which chooses what a step is about, and the store. Everything in a step is evaluated at
one instant.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from headgate.engage.batch import Assigned, Batch
from headgate.engage.directory import Directory, earlier
from headgate.engage.identifies import Identify
from headgate.engage.observed import Observed
from headgate.engage.plan import Plan
from headgate.engage.profile import Profile
from headgate.engage.rules import USER_ID
from headgate.engage.sync import Sync, is_empty, same
from headgate.engage.violations import Violations

UNDELIVERABLE = "undeliverable/"  # counted by number of the computation: members without a userId


class Step:
    """Evaluates at `now_ms`. `behind`: what destinations are told may wait for what others tell them."""

    def __init__(
        self, plan: Plan, sync: Sync, directory: Directory, now_ms: int, *, behind: bool = False
    ) -> None:
        self._plan = plan
        self._sync = sync
        self._directory = directory
        self._now_ms = now_ms
        self._behind = behind
        self._touched: dict[int, tuple[Profile, frozenset[int]]] = {}
        self._whole: dict[int, Profile] = {}
        self._outbox: list[Identify] = []
        self._sizes: Counter[int] = Counter()
        self._counters: Counter[str] = Counter()
        self.backfilled: tuple[int, int] | None = None
        self.heard: int | None = None

    def take(self, profile: Profile, observed: Observed) -> None:
        """The profile's computations see the message."""
        numbers = self._plan.program.take(profile, observed)
        if numbers or observed.traits:
            self._directory.changed(profile)
        if numbers:
            touched = self._touched.get(profile.id)
            both = numbers if touched is None else numbers | touched[1]
            self._touched[profile.id] = profile, both

    def left(self, gone: Profile) -> None:
        """The profile is part of another one now, which is counted instead."""
        members = self._members(gone)
        self._sizes.subtract(members)
        self._counters.subtract(_undeliverable(members, gone.is_known))

    def evaluate(self, profile: Profile) -> None:
        """All of the profile's computations are to be evaluated: its time has come, or a sweep is at it."""
        self._whole[profile.id] = profile

    def batch(self, read_to: int, assigned: Sequence[Assigned], violations: Violations) -> Batch:
        """Evaluates, and gathers what is to be committed."""
        whole = self._directory.reshaped | self._whole
        for profile in self._whole.values():
            self._plan.program.trim(profile, self._now_ms)
        for profile in whole.values():
            self._settle(profile, self._plan.live, whole=True)
        for id_, (profile, numbers) in self._touched.items():
            if id_ not in whole and not self._directory.is_gone(id_):
                self._settle(profile, numbers & self._plan.live)
        self._counters.update({f"violation/{kind}": n for kind, n in violations.counts.items()})
        return Batch(
            seq=read_to,
            clock_ms=self._now_ms,
            changes=self._directory.changes(),
            outbox=self._outbox,
            sizes=self._sizes,
            counters=self._counters,
            violations=list(violations.last),
            assigned=list(assigned),
            backfilled=self.backfilled,
            heard=self.heard,
            behind=self._behind,
        )

    def _settle(self, profile: Profile, numbers: Collection[int], *, whole: bool = False) -> None:
        """The profile's values as of now, and what destinations have to be told of them."""
        audiences, until_ms = self._plan.audiences, None
        changed: dict[int, Any] = {}
        outcomes = self._plan.program.evaluate(profile, numbers, self._now_ms)
        for number, outcome in outcomes.items():
            if outcome.until_ms is not None:
                until_ms = earlier(until_ms, outcome.until_ms)
            value = outcome.value
            if not same(profile.value(number, is_audience=number in audiences), value):
                changed[number] = value
        if whole:
            self._count_known(profile)
        if changed:
            self._change(profile, changed)
        is_owed = 0 < profile.owed_from_ms <= self._now_ms
        if changed or whole or is_owed:
            concerned = None if whole or is_owed else changed
            again_ms = self._sync.tell(profile, concerned, self._now_ms, self._outbox)
            until_ms = earlier(until_ms, again_ms)
        self._directory.evaluated(profile, until_ms, self._now_ms, whole=whole)

    def _change(self, profile: Profile, values: Mapping[int, Any]) -> None:
        """Gives the profile other values, and counts it among other members."""
        for number, value in values.items():
            is_audience = number in self._plan.audiences
            was = self._is_member(number, profile.values.get(number))
            profile.set_value(number, value, is_audience=is_audience)
            came = self._is_member(number, value) - was
            self._sizes[number] += came
            if not profile.is_known:
                self._counters[f"{UNDELIVERABLE}{number}"] += came

    def _count_known(self, profile: Profile) -> None:
        """Members who have got a userId can be told of."""
        was_known, profile.is_known = profile.is_known, bool(profile.of_type(USER_ID))
        if profile.is_known:
            self._counters.subtract(_undeliverable(self._members(profile), was_known))

    def _members(self, profile: Profile) -> list[int]:
        """The audiences that the profile is in, and the traits that it has a value of."""
        return [
            number for number, value in profile.values.items() if self._is_member(number, value)
        ]

    def _is_member(self, number: int, value: Any) -> bool:
        return value is True if number in self._plan.audiences else not is_empty(value)


def _undeliverable(members: Iterable[int], is_known: bool) -> list[str]:
    """The counters of a person who cannot be told of, for want of a userId."""
    return [] if is_known else [f"{UNDELIVERABLE}{number}" for number in members]
