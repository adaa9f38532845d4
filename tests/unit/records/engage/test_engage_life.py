"""A person's life out of their messages: where identifiers come from, what merged people, by property too."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier
from headgate.records.engage.life import Merge, merges, origins

ANN, BOB, VISITOR, EMAIL = (
    Identifier("user_id", "ann"),
    Identifier("user_id", "bob"),
    Identifier("anonymous_id", "v"),
    Identifier("email", "a@b.c"),
)
ALL = (ANN, BOB, VISITOR, EMAIL)


def message(seq: int, *identifiers: Identifier) -> Observed:
    """One with these identifiers, in order of arrival by its number."""
    return Observed(seq, f"m-{seq}", "website", 1_000 - seq, seq, "E", identifiers)


def test_a_merge_is_caused_by_the_message_that_has_identifiers_of_both() -> None:
    """By arrival, whatever the messages' own times say."""
    first, second, third = message(1, ANN), message(2, VISITOR), message(3, ANN, VISITOR)
    assert merges([third, second, first], ALL) == [Merge(third, (ANN, VISITOR))]


def test_an_identifier_that_is_new_merges_nobody() -> None:
    assert merges([message(1, ANN), message(2, ANN, EMAIL), message(3, EMAIL)], ALL) == []


def test_people_who_were_merged_are_one_from_then_on() -> None:
    both = message(3, ANN, VISITOR)
    again = message(4, ANN, VISITOR)
    assert merges([message(1, ANN), message(2, VISITOR), both, again], ALL) == [
        Merge(both, (ANN, VISITOR))
    ]


def test_an_identifier_that_was_left_out_does_not_count() -> None:
    """As a second userId, which somebody cannot have."""
    messages = [message(1, ANN), message(2, BOB), message(3, ANN, BOB)]
    assert merges(messages, (ANN,)) == []


def test_an_identifier_comes_from_the_first_message_that_is_held_with_it() -> None:
    first, second = message(1, ANN), message(2, ANN, EMAIL)
    assert [one.message for one in origins((ANN, EMAIL, BOB), [second, first])] == [
        first,
        second,
        None,
    ]


@given(st.lists(st.lists(st.sampled_from(ALL), min_size=1, max_size=3, unique=True), max_size=8))
def test_as_many_people_are_merged_as_there_are_less_in_the_end(
    named: Sequence[Sequence[Identifier]],
) -> None:
    """Every merge joins at least two, so there are never more of them than identifiers less one."""
    messages = [message(seq, *ids) for seq, ids in enumerate(named, 1)]
    seen = {one for ids in named for one in ids}
    assert len(merges(messages, ALL)) <= max(0, len(seen) - 1)
