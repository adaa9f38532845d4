"""Profiles in memory, for identity resolution to work on, and messages about them."""

from collections.abc import Sequence

from hypothesis import strategies as st

from headgate.engage.identity import take_over
from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier, Profile
from headgate.engage.rules import rank

SEEN = 1  # the leaf in which a test keeps the numbers of a profile's messages

identifiers = st.builds(
    Identifier,
    st.sampled_from(["user_id", "email", "anonymous_id", "phone"]),
    st.sampled_from(["a", "b", "c"]),
)
identifier_lists = st.lists(st.lists(identifiers, max_size=4, unique=True), max_size=12)
limits = st.fixed_dictionaries(
    {"user_id": st.just(1), "email": st.integers(1, 2)}
    | {name: st.integers(1, 3) for name in ("anonymous_id", "phone")}
)


class People:
    """Everybody, without a store."""

    def __init__(self) -> None:
        self.profiles: dict[int, Profile] = {}
        self._last = 0

    def holder(self, identifier: Identifier) -> Profile | None:
        """Who has the identifier."""
        return next((one for one in self.profiles.values() if identifier in one.identifiers), None)

    def create(self, created_at_ms: int) -> Profile:
        """Somebody new."""
        self._last += 1
        self.profiles[self._last] = profile = Profile(self._last, created_at_ms)
        return profile

    def attach(self, profile: Profile, identifiers: Sequence[Identifier]) -> None:
        """The profile has these identifiers too."""
        profile.identifiers += identifiers

    def merge(self, into: Profile, gone: Profile) -> None:
        """Only `into` is left."""
        take_over(into, gone, merge_seen)
        del self.profiles[gone.id]


def merge_seen(into: Profile, gone: Profile) -> None:
    """What the computations would do."""
    into.leaves[SEEN] = into.leaves.get(SEEN, []) + gone.leaves.get(SEEN, [])


def see(profile: Profile, observed: Observed) -> None:
    """The profile has taken the message."""
    profile.leaves.setdefault(SEEN, []).append(observed.seq)


def about(seq: int, *identifiers: Identifier, received_at_ms: int = 0) -> Observed:
    """A message of these identifiers, which are put into their order."""
    ordered = tuple(sorted(identifiers, key=rank))
    return Observed(seq, f"m{seq}", "website", 0, received_at_ms, "E", ordered)


def told(profile: Profile) -> tuple[list[Identifier], list[int]]:
    """A profile as `naive_identity.py` tells it."""
    return sorted(profile.identifiers), sorted(profile.leaves.get(SEEN, []))


def user(value: str) -> Identifier:
    """A userId."""
    return Identifier("user_id", value)


def email(value: str) -> Identifier:
    """An e-mail address."""
    return Identifier("email", value)


def anonymous(value: str) -> Identifier:
    """An anonymousId."""
    return Identifier("anonymous_id", value)
