"""Whose message it is: flat matching with limits, merges and caps."""

import people
from hypothesis import given
from naive_identity import NaivePeople
from people import People, about, anonymous, email, see, told, user

from headgate.engage.identity import MAX_IDENTIFIERS, MAX_MERGES, resolve, take_over
from headgate.engage.profile import Identifier, Profile, Sent
from headgate.engage.rules import Rules
from headgate.engage.violations import Violations


class Resolving:
    """Messages resolved one after the other."""

    def __init__(self, **limits: int) -> None:
        self.people = People()
        self.violations = Violations()
        self.rules = Rules(limits)
        self._seq = 0

    def __call__(self, *identifiers: Identifier) -> Profile | None:
        """The profile of the next message."""
        self._seq += 1
        observed = about(self._seq, *identifiers, received_at_ms=self._seq * 1_000)
        profile = resolve(observed, self.people, self.rules, self.violations)
        if profile is not None:
            see(profile, observed)
        return profile

    def told(self) -> list[tuple[list[Identifier], list[int]]]:
        """Everybody, by what identifies them and which messages are theirs."""
        return [told(one) for one in self.people.profiles.values()]


def test_a_message_without_an_identifier_is_nobodys() -> None:
    """And makes nobody."""
    resolving = Resolving()
    assert resolving() is None
    assert resolving.told() == []


def test_who_is_not_known_is_created_and_known_from_then_on() -> None:
    """By any of the identifiers, new ones being attached."""
    resolving = Resolving()
    assert resolving(anonymous("x"))
    assert resolving(user("ann"), anonymous("x"))
    assert resolving(user("ann"), email("ann@a"))
    assert resolving(email("ann@a"))
    (profile,) = resolving.people.profiles.values()
    assert (profile.id, profile.created_at_ms, profile.merges) == (1, 1_000, 0)
    assert profile.identifiers == [anonymous("x"), user("ann"), email("ann@a")]
    assert told(profile)[1] == [1, 2, 3, 4]


def test_profiles_that_a_message_joins_become_the_one_created_first() -> None:
    """With all that belongs to them."""
    resolving = Resolving()
    resolving(anonymous("x"))
    resolving(user("ann"))
    resolving(email("ann@a"))
    joined = resolving(user("ann"), email("ann@a"), anonymous("x"))
    assert joined is not None
    assert (joined.id, joined.merges, joined.created_at_ms) == (1, 2, 1_000)
    assert resolving.told() == [
        ([anonymous("x"), email("ann@a"), user("ann")], [1, 2, 3, 4]),
    ]


def test_a_second_user_on_the_same_address_is_somebody_else() -> None:
    """Segment's own example: the address is dropped from the message, and the drop is counted."""
    resolving = Resolving()
    resolving(user("abc123"), email("jane@example1.com"))
    resolving(user("abc456"), email("jane@example1.com"))
    assert resolving.told() == [
        ([email("jane@example1.com"), user("abc123")], [1]),
        ([user("abc456")], [2]),
    ]
    (dropped,) = resolving.violations.last
    assert (dropped.kind, dropped.message_id, dropped.at_ms) == ("limit_exceeded", "m2", 2_000)
    assert (dropped.type, dropped.value) == ("email", "jane@example1.com")


def test_the_sixth_device_of_a_person_is_left_out() -> None:
    """The message is still the person's."""
    resolving = Resolving()
    profiles = {id(resolving(user("ann"), anonymous(f"x{n}"))) for n in range(6)}
    assert len(profiles) == 1
    (person,) = resolving.told()
    assert (len(person[0]), person[1]) == (6, [1, 2, 3, 4, 5, 6])
    assert resolving.violations.counts == {"limit_exceeded": 1}


def test_one_message_with_too_many_of_a_type_keeps_as_many_as_fit() -> None:
    """Also when it makes a profile."""
    resolving = Resolving(anonymous_id=2)
    resolving(user("ann"), anonymous("x"), anonymous("y"), anonymous("z"))
    assert resolving.told() == [([anonymous("x"), anonymous("y"), user("ann")], [1])]


def test_stricter_rules_leave_old_profiles_as_they_are() -> None:
    """Only what would grow is held against them."""
    resolving = Resolving(user_id=2)
    resolving(user("ann"), anonymous("x"))
    resolving(user("anna"), anonymous("x"))
    resolving.rules = Rules()
    resolving(user("ann"), email("ann@a"))
    resolving(user("anita"), anonymous("x"))
    assert resolving.told() == [
        ([anonymous("x"), email("ann@a"), user("ann"), user("anna")], [1, 2, 3]),
        ([user("anita")], [4]),
    ]


def test_after_a_hundred_merges_a_profile_stays_as_it_is() -> None:
    """Messages still find it, by their most important identifier."""
    limit = MAX_MERGES + 10
    resolving = Resolving(anonymous_id=limit)
    resolving(user("ann"))
    for n in range(limit - 1):
        resolving(anonymous(f"x{n}"))
        resolving(user("ann"), anonymous(f"x{n}"))
    first, *others = resolving.people.profiles.values()
    assert (first.merges, len(others)) == (MAX_MERGES, limit - 1 - MAX_MERGES)
    assert resolving.violations.counts == {"merge_cap": len(others)}
    assert resolving.violations.last[-1].value == f"x{limit - 2}"
    assert resolving(user("ann"), anonymous(f"x{limit - 2}")) is first


def test_ten_thousand_identifiers_end_at_a_thousand() -> None:
    """Counted, the message still the person's, and what is over is nobody's until it comes alone."""
    resolving = Resolving(anonymous_id=10_000)
    first = resolving(user("ann"))
    assert first is not None
    first.identifiers += [anonymous(f"x{n}") for n in range(MAX_IDENTIFIERS - 2)]
    assert resolving(user("ann"), anonymous("fits")) is first
    for n in range(3):
        assert resolving(user("ann"), anonymous(f"over{n}")) is first
    assert len(first.identifiers) == MAX_IDENTIFIERS
    assert resolving.violations.counts == {"identifier_cap": 3}
    alone = resolving(anonymous("over1"))
    assert alone is not first
    assert resolving(user("ann"), anonymous("over1")) is first
    assert resolving.violations.counts == {"identifier_cap": 4}


@given(people.identifier_lists, people.limits)
def test_it_does_what_the_rules_say(
    messages: list[list[Identifier]], limits: dict[str, int]
) -> None:
    """Compared with the rules read naively: profiles, their messages, what was dropped."""
    resolving, naive = Resolving(**limits), NaivePeople(limits)
    for seq, wanted in enumerate(messages, 1):
        resolving(*wanted)
        naive.take(seq, about(seq, *wanted).identifiers)
    assert resolving.told() == [one.told() for one in naive.profiles]
    dropped = [Identifier(one.type, one.value) for one in resolving.violations.last]
    assert dropped == naive.dropped
    assert list(resolving.people.profiles) == sorted(resolving.people.profiles)


def test_a_merge_takes_over_what_destinations_were_told_of_each_userid() -> None:
    """And since when they are to be told more."""
    ann, bob = {"1/heap": Sent(True, 3, 9)}, {"1/heap": Sent(False, 2, 8)}
    into = Profile(1, 0, sent={"ann": ann}, merges=2, untold_since_ms=7)
    take_over(into, Profile(2, 0, sent={"bob": bob}, merges=3), people.merge_seen)
    assert (into.sent, into.merges, into.untold_since_ms) == ({"ann": ann, "bob": bob}, 6, 7)
    take_over(into, Profile(3, 0, untold_since_ms=5), people.merge_seen)
    assert into.untold_since_ms == 5
