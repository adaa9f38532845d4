"""Identity resolution as its rules read, without thinking of speed: what the real one is compared with."""

from collections import Counter
from collections.abc import Mapping, Sequence

from headgate.engage.profile import Identifier


class NaiveProfile:
    """A person: identifiers, and the numbers of the messages that belong to them."""

    def __init__(self) -> None:
        self.identifiers: set[Identifier] = set()
        self.messages: list[int] = []

    def told(self) -> tuple[list[Identifier], list[int]]:
        """For comparing."""
        return sorted(self.identifiers), sorted(self.messages)


class NaivePeople:
    """Everybody, in the order of creation."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.profiles: list[NaiveProfile] = []
        self.dropped: list[Identifier] = []
        self._limits = limits

    def take(self, number: int, identifiers: Sequence[Identifier]) -> None:
        """A message of these identifiers, the most important first."""
        wanted = list(identifiers)
        while wanted:
            holders = [one for one in self.profiles if one.identifiers & set(wanted)]
            result = set(wanted).union(*(one.identifiers for one in holders))
            if self._fits(result):
                return self._become_one(holders, result, number)
            self.dropped.append(wanted.pop())
        return None

    def _fits(self, identifiers: set[Identifier]) -> bool:
        types = Counter(one.type for one in identifiers)
        return all(n <= self._limits[type_] for type_, n in types.items())

    def _become_one(
        self, holders: list[NaiveProfile], identifiers: set[Identifier], number: int
    ) -> None:
        if not holders:
            holders = [NaiveProfile()]
            self.profiles += holders
        parent, *others = holders
        parent.identifiers = identifiers
        parent.messages.append(number)
        for other in others:
            parent.messages += other.messages
            self.profiles.remove(other)
