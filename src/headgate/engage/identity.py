"""Identity resolution: whose message this is, by Segment's flat matching.

Between the observed message and the profiles at hand (`directory.py`). Deterministic, in order of arrival,
never undone: https://segment.com/docs/unify/identity-resolution/identity-resolution-onboarding/

Where Segment leaves it open: a type exceeds its limit only when it grows, so that stricter rules leave
old profiles as they are; at a cap nothing is attached or merged, and the message goes to the profile that
holds its identifier of highest priority; the profile that was created first is the one that remains.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier, Profile
from headgate.engage.rules import Rules
from headgate.engage.violations import Violations

# Source: https://segment.com/docs/unify/product-limits/
MAX_MERGES = 100
MAX_IDENTIFIERS = 1_000

MergeLeaves = Callable[[Profile, Profile], None]


class Profiles(Protocol):
    """The profiles that a message can belong to, as far as its identifiers reach."""

    def holder(self, identifier: Identifier) -> Profile | None:
        """The one profile that has this identifier."""

    def create(self, created_at_ms: int) -> Profile:
        """A new profile; its id is above every earlier one's."""

    def attach(self, profile: Profile, identifiers: Sequence[Identifier]) -> None:
        """The profile has these identifiers too, which nobody had."""

    def merge(self, into: Profile, gone: Profile) -> None:
        """Everything of `gone` is `into`'s from now on."""


def resolve(
    observed: Observed, profiles: Profiles, rules: Rules, violations: Violations
) -> Profile | None:
    """The profile that the message belongs to: found, created, extended or merged. None: nobody's."""
    identifiers = observed.identifiers
    if not identifiers:
        return None
    first = profiles.holder(identifiers[0])
    if first is not None and all(profiles.holder(one) is first for one in identifiers[1:]):
        return first
    matching = _Matching(observed, profiles)
    while matching.exceeds(rules):
        dropped = matching.drop_last()
        violations.add("limit_exceeded", dropped, observed.message_id, observed.received_at_ms)
    return _settle(matching, observed, profiles, violations)


class _Matching:
    """A message's identifiers by who has them, the least important dropped until they fit."""

    def __init__(self, observed: Observed, profiles: Profiles) -> None:
        self._wanted = [(one, profiles.holder(one)) for one in observed.identifiers]
        self._types = {
            holder.id: Counter(one.type for one in holder.identifiers)
            for _, holder in self._wanted
            if holder is not None
        }

    @property
    def holders(self) -> list[Profile]:
        """The profiles that match, by the priority of the identifiers that they have."""
        found = {holder.id: holder for _, holder in self._wanted if holder is not None}
        return list(found.values())

    @property
    def new(self) -> list[Identifier]:
        """The identifiers that nobody has."""
        return [one for one, holder in self._wanted if holder is None]

    def exceeds(self, rules: Rules) -> bool:
        """Whether one profile of all this would have more of a type than it may, and than it had."""
        whole = Counter(one.type for one in self.new)
        parts = [self._types[holder.id] for holder in self.holders]
        for part in parts:
            whole.update(part)
        return any(
            n > rules.limit(type_) and n > max((part[type_] for part in parts), default=0)
            for type_, n in whole.items()
        )

    def drop_last(self) -> Identifier:
        """Goes on without the identifier of lowest priority."""
        return self._wanted.pop()[0]


def _settle(
    matching: _Matching, observed: Observed, profiles: Profiles, violations: Violations
) -> Profile:
    holders, new = matching.holders, matching.new
    if not holders:
        holders = [profiles.create(observed.received_at_ms)]
    size = sum(len(one.identifiers) for one in holders) + len(new)
    merges = sum(one.merges for one in holders) + len(holders) - 1
    if len(holders) > 1 and merges > MAX_MERGES:
        refused = _held_apart(observed, profiles, holders[0])
        violations.add("merge_cap", refused, observed.message_id, observed.received_at_ms)
        return holders[0]
    if (new or len(holders) > 1) and size > MAX_IDENTIFIERS:
        refused = new[0] if new else _held_apart(observed, profiles, holders[0])
        violations.add("identifier_cap", refused, observed.message_id, observed.received_at_ms)
        return holders[0]
    parent = min(holders, key=lambda one: one.id)
    for gone in sorted(holders, key=lambda one: one.id):
        if gone is not parent:
            profiles.merge(parent, gone)
    if new:
        profiles.attach(parent, new)
    return parent


def _held_apart(observed: Observed, profiles: Profiles, profile: Profile) -> Identifier:
    """The first identifier of the message that another profile has."""
    return next(
        one
        for one in observed.identifiers
        if (holder := profiles.holder(one)) is not None and holder is not profile
    )


def take_over(into: Profile, gone: Profile, merge_leaves: MergeLeaves) -> None:
    """Makes `into` what it would be had it been given everything that `gone` was.

    `merge_leaves` brings together their traits and leaves. Its `values` are those of before: they have to
    be computed again.
    """
    into.created_at_ms = min(into.created_at_ms, gone.created_at_ms)
    into.identifiers += gone.identifiers
    into.merges += gone.merges + 1
    untold = [since for since in (into.untold_since_ms, gone.untold_since_ms) if since]
    into.untold_since_ms = min(untold, default=0)
    for user_id, told in gone.sent.items():
        into.sent.setdefault(user_id, {}).update(told)
    merge_leaves(into, gone)
