"""A step of the engine: what messages, or time, do to profiles, gathered and committed as one.

Between the engine, which chooses what a step is about, and the store. Everything in a step is evaluated at
one instant.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from headgate.engage.batch import Assigned, Batch
from headgate.engage.directory import Directory, earlier
from headgate.engage.identifies import Identify
from headgate.engage.observed import Observed
from headgate.engage.plan import Plan
from headgate.engage.profile import Profile
from headgate.engage.rules import USER_ID
from headgate.engage.sync import is_due, is_empty, same, tell
from headgate.engage.violations import Violations

UNDELIVERABLE = "undeliverable/"  # counted by number of the computation: members without a userId


class Step:
    """Evaluates at `now_ms`."""

    def __init__(self, plan: Plan, directory: Directory, now_ms: int) -> None:
        self._plan = plan
        self._directory = directory
        self._now_ms = now_ms
        self._touched: dict[int, tuple[Profile, set[int]]] = {}
        self._whole: dict[int, Profile] = {}
        self._outbox: list[Identify] = []
        self._sizes: Counter[int] = Counter()
        self._counters: Counter[str] = Counter()

    def take(self, profile: Profile, observed: Observed) -> None:
        """The profile's computations see the message."""
        numbers = self._plan.program.take(profile, observed)
        if numbers or observed.traits:
            self._directory.changed(profile)
        if numbers:
            touched = self._touched.get(profile.id)
            if touched is None:
                touched = self._touched[profile.id] = (profile, set())
            touched[1].update(numbers)

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
        )

    def _settle(self, profile: Profile, numbers: Collection[int], *, whole: bool = False) -> None:
        """The profile's values as of now, and what destinations have to be told of them."""
        outcomes = self._plan.program.evaluate(profile, numbers, self._now_ms)
        until_ms = None
        before = self._members(profile)
        changed = whole
        for number, outcome in outcomes.items():
            until_ms = earlier(until_ms, outcome.until_ms)
            is_audience = number in self._plan.audiences
            if not same(profile.value(number, is_audience=is_audience), outcome.value):
                profile.set_value(number, outcome.value, is_audience=is_audience)
                changed = True
        if changed:
            self._count(before, profile)
            until_ms = earlier(until_ms, self._tell(profile))
        self._directory.evaluated(profile, until_ms, self._now_ms, whole=whole)

    def _tell(self, profile: Profile) -> int | None:
        """Tells destinations, or says when to: at the beginning of the next interval between syncs."""
        interval_ms = self._plan.sync_interval_ms
        if not interval_ms:
            self._outbox += tell(profile, self._plan.told, self._now_ms)
            return None
        if not is_due(profile, self._plan.told):
            profile.untold_since_ms = 0
            return None
        since_ms = profile.untold_since_ms or self._now_ms
        next_sync_ms = (since_ms // interval_ms + 1) * interval_ms
        if self._now_ms < next_sync_ms:
            profile.untold_since_ms = since_ms
            return next_sync_ms
        profile.untold_since_ms = 0
        self._outbox += tell(profile, self._plan.told, self._now_ms)
        return None

    def _members(self, profile: Profile) -> frozenset[int]:
        """The audiences that the profile is in, and the traits that it has a value of."""
        audiences = self._plan.audiences
        return frozenset(
            number
            for number, value in profile.values.items()
            if (value is True if number in audiences else not is_empty(value))
        )

    def _count(self, before: frozenset[int], profile: Profile) -> None:
        after = self._members(profile)
        was_known, profile.is_known = profile.is_known, bool(profile.of_type(USER_ID))
        if after == before and was_known == profile.is_known:
            return
        self._sizes.update(dict.fromkeys(after - before, 1))
        self._sizes.subtract(before - after)
        self._counters.subtract(_undeliverable(before, was_known))
        self._counters.update(_undeliverable(after, profile.is_known))


def _undeliverable(members: Iterable[int], is_known: bool) -> list[str]:
    """The counters of a person who cannot be told of, for want of a userId."""
    return [] if is_known else [f"{UNDELIVERABLE}{number}" for number in members]
