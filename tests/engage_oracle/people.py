"""Who the messages are about: identity resolution by flat matching, replayed in arrival order."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier


@dataclass(frozen=True)
class Rules:
    """Limits of identity: how many values of a type on one profile, and the caps of a profile."""

    limits: Mapping[str, int] = field(default_factory=lambda: {"user_id": 1})
    other_limit: int = 5
    merges: int = 100
    identifiers: int = 1_000

    def limit(self, type_: str) -> int:
        return self.limits.get(type_, self.other_limit)


@dataclass
class Person:
    """A profile: its identifiers as they were attached, all of its messages, its merges so far."""

    identifiers: list[Identifier] = field(default_factory=list)
    messages: list[Observed] = field(default_factory=list)
    merges: int = 0

    def of_type(self, type_: str) -> list[str]:
        return [one.value for one in self.identifiers if one.type == type_]


def accepted(log: Iterable[Observed], at_ms: int) -> list[Observed]:
    """L(p): what had arrived by then; of messages with one id from one source, the first to arrive."""
    firsts: dict[tuple[str, str], Observed] = {}
    for message in log:
        if message.received_at_ms <= at_ms:
            firsts.setdefault((message.source, message.message_id), message)
    return list(firsts.values())


def people(log: Iterable[Observed], at_ms: int, rules: Rules) -> list[Person]:
    """All profiles at that instant, in the order of their creation."""
    found: list[Person] = []
    for message in accepted(log, at_ms):
        person = _resolved(message.identifiers, found, rules)
        if person:
            person.messages.append(message)
    return found


def _resolved(
    identifiers: Sequence[Identifier], found: list[Person], rules: Rules
) -> Person | None:
    """The profile of a message. None without identifiers.

    A result over a type's limit: the identifier of lowest priority, the last one, is dropped and the
    rest looked up again.
    """
    left = list(identifiers)
    while left:
        matched = [person for person in found if any(one in person.identifiers for one in left)]
        if _within_limits(matched, left, rules):
            return _joined(matched, left, found, rules)
        left.pop()
    return None


def _within_limits(matched: Sequence[Person], new: Sequence[Identifier], rules: Rules) -> bool:
    together = {one for person in matched for one in person.identifiers} | set(new)
    counts = Counter(one.type for one in together)
    return all(count <= rules.limit(type_) for type_, count in counts.items())


def _joined(
    matched: list[Person], new: Sequence[Identifier], found: list[Person], rules: Rules
) -> Person:
    """Creates, attaches or merges; the profile created first is the parent of a merge.

    At a cap nothing is merged and nothing attached, but the message still resolves: to the profile of
    its identifier of highest priority that has one.
    """
    merges = sum(person.merges for person in matched) + max(0, len(matched) - 1)
    size = sum(len(person.identifiers) for person in matched)
    if merges > rules.merges or (len(matched) > 1 and size > rules.identifiers):
        return next(person for one in new for person in matched if one in person.identifiers)
    if not matched:
        matched = [Person()]
        found.append(matched[0])
    parent, *gone = matched
    for person in gone:
        parent.identifiers += person.identifiers
        parent.messages += person.messages
        found.remove(person)
    parent.merges = merges
    for one in new:
        if one not in parent.identifiers and len(parent.identifiers) < rules.identifiers:
            parent.identifiers.append(one)
    return parent
