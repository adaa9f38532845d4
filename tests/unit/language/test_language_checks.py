"""Definitions that read each other: found out, put in order, and refused when they go in a circle."""

import pytest

from headgate.language.checks import Cycle, order, parts_of, traits_of
from headgate.language.parser import parse
from headgate.language.tree import Events


def reads(*keys: str) -> str:
    return " AND ".join(f"trait('{key}') = true" for key in keys)


def ordered(**definitions: str) -> list[str]:
    return order({key: parse(text) for key, text in definitions.items()})


def test_traits_are_found_wherever_they_stand_by_the_first_step_of_their_path() -> None:
    tree = parse(
        "NOT (trait('a.b') = trait('c\\.d')) OR event('E').where(property('x') > trait('e') AND "
        "event('F').where(trait('g').exists()).count() >= trait('h')).count() >= 1"
    )
    assert traits_of(tree) == {"a", "c.d", "e", "g", "h"}


def test_a_definition_without_traits_reads_none() -> None:
    assert traits_of(parse("event('E').sum(property('trait'))")) == set()


def test_the_parts_of_a_tree_include_events_inside_events() -> None:
    tree = parse(
        "event('A').where(event('B').count() = 1).count() = 1 OR NOT event('C').count() = 1"
    )
    assert [part.name for part in parts_of(tree) if isinstance(part, Events)] == ["A", "B", "C"]


def test_each_definition_comes_after_those_it_reads() -> None:
    keys = ordered(d=reads("b", "c"), b=reads("a"), c=reads("a"), a="trait('custom') = 1")
    assert keys[0] == "a"
    assert keys[-1] == "d"
    assert sorted(keys) == ["a", "b", "c", "d"]


def test_definitions_that_read_nothing_of_each_other_stay_in_their_order() -> None:
    assert ordered(z="trait('x') = 1", a="trait('x') = 1", m="trait('x') = 1") == ["z", "a", "m"]


def test_a_circle_is_named_in_the_order_of_reading() -> None:
    with pytest.raises(Cycle) as refused:
        ordered(a=reads("b"), b=reads("c"), c=reads("a"), d=reads("a"))
    keys = refused.value.keys
    assert set(keys) == {"a", "b", "c"}
    turned = keys[keys.index("a") :] + keys[: keys.index("a")]
    assert turned == ("a", "b", "c")
    assert str(refused.value) == " → ".join((*keys, keys[0]))


def test_a_definition_that_reads_itself_is_a_circle() -> None:
    with pytest.raises(Cycle, match="a → a"):
        ordered(a=reads("a"))


def test_a_long_row_of_definitions_is_put_in_order() -> None:
    row = {f"k{number}": reads(f"k{number - 1}") for number in range(2000, 0, -1)}
    assert ordered(**row, k0="trait('x') = 1") == [f"k{number}" for number in range(2001)]
