"""What the language says and how it is understood: each way of writing, as the one way it is printed in."""

import pytest

from headgate.language.errors import DefinitionError
from headgate.language.parser import parse, parse_audience, parse_trait
from headgate.language.printer import text_of
from headgate.language.tree import (
    And,
    Compared,
    Events,
    Literal_,
    Not,
    Or,
    Property,
    Reduced,
    Session,
    Trait,
    Within,
)

DAY_MS = 86_400_000

# The same text when printed.
CANONICAL = [
    "event('Order Completed').within(30 days).count() >= 1",
    "event('E').where(property('price') >= 100 AND context('page.url').contains('shoes')).count() = 0",
    "event('E').where(property('a') = 1 OR NOT (trait('b').exists())).sources(exclude: ['web']).count() >= 1",
    "event('E').within(3650 days).count() >= 1",
    "event('E').between(30 days, 90 days).sum(property('total')) < 5.5",
    "event('A').where(NOT (event('B').within(parent: 7 days).count() >= 1)).count() >= 1",
    "event('A').where(event('B').between(parent: 1 day, 7 days).count() >= 1).count() >= 1",
    "event('A').where(event('B').where(property('id') = property(parent: 'id')).count() >= 1).count() >= 1",
    "event('A').where(event('B').where(event('C').count() >= 1).count() >= 1).count() >= 1",
    "event('A').where(property('price') >= trait('avg_spend')).count() >= 1",
    "trait('address.city') = 'Berlin' AND trait('utm\\.source') != 'x'",
    "(trait('a') = 1 OR trait('b') = 2) AND trait('c') = 3",
    "trait('a') = 1 OR trait('b') = 2 AND trait('c') = 3",
    "trait('a') = 1 AND (trait('b') = 2 AND trait('c') = 3)",
    "NOT (trait('a') = true OR trait('b') = false)",
    "trait('plan').one_of('pro', 5, true)",
    "trait('plan').none_of('pro')",
    "trait('a').contains('x', 'y') AND trait('a').omits('z')",
    "trait('a').starts_with('x') OR trait('a').ends_with('y', 'z')",
    "trait('a').exists() AND trait('b').absent()",
    "trait('d').before_date('2026-11-23T18:50:00Z') OR trait('d').after_date('2026-11-23')",
    "trait('d').within_last(7 days) OR trait('d').within_next(12 hours)",
    "trait('d').before_last(90 minutes) OR trait('d').after_next(1 second)",
    "trait('a') = 'it\\'s \"quoted\"\\n'",
    "trait('a') = -1.5e-07",
    "event('E').count()",
    "event('E').sum(property('x'))",
    "event('E').within(30 days).avg(property('x'))",
    "event('E').min(property('x'))",
    "event('E').max(property('x') as string)",
    "event('E').mode(property('x') as array, 3)",
    "event('E').first(property('x'))",
    "event('E').expires_after(30 minutes).last(context('page.path'))",
    "event('E').unique(property('x'))",
    "event('E').expires_after(90 days).unique(property('x')).count()",
]

REWRITTEN = {
    "the window first": (
        "event('E').within(7 days).where(property('a') = 1).count() >= 1",
        "event('E').where(property('a') = 1).within(7 days).count() >= 1",
    ),
    "methods for signs": (
        "trait('a').equals(1) AND trait('a').differs(2) AND trait('a').greater_than(3) AND "
        "trait('a').at_least(4) AND trait('a').less_than(5) AND trait('a').at_most(6)",
        "trait('a') = 1 AND trait('a') != 2 AND trait('a') > 3 AND "
        "trait('a') >= 4 AND trait('a') < 5 AND trait('a') <= 6",
    ),
    "other signs": ("trait('a') == 1 OR trait('a') <> 2", "trait('a') = 1 OR trait('a') != 2"),
    "literal": ("trait('a') = literal(5)", "trait('a') = 5"),
    "double quotes": ('trait("it\'s") = "x"', "trait('it\\'s') = 'x'"),
    "small words in any case": (
        "not trait('a') = True and trait('b') = FALSE Or trait('c') = true",
        "NOT (trait('a') = true) AND trait('b') = false OR trait('c') = true",
    ),
    "as in any case": (
        "event('E').max(property('x') AS string)",
        "event('E').max(property('x') as string)",
    ),
    "space of all kinds": (
        "\n event ( 'E' )\n\t. within(7days) .\u00a0count( )>=1 ",
        "event('E').within(7 days).count() >= 1",
    ),
    "brackets without need": ("((trait('a')) = (1))", "trait('a') = 1"),
    "brackets before a dot": ("(trait('a')).exists()", "trait('a').exists()"),
    "NOT before a bracketed value": ("NOT (trait('a')) = 1", "NOT (trait('a') = 1)"),
    "mode's usual minimum": ("event('E').mode(property('x'))", "event('E').mode(property('x'), 2)"),
    "singular and plural": (
        "trait('d').within_last(1 days) OR trait('d').within_last(2 hour)",
        "trait('d').within_last(1 day) OR trait('d').within_last(2 hours)",
    ),
    "the largest unit": (
        "trait('d').within_last(48 hours) OR trait('d').within_last(90 seconds)",
        "trait('d').within_last(2 days) OR trait('d').within_last(90 seconds)",
    ),
    "Segment's braces": (
        "event('E').where({property('price_usd') > 100}).sources({exclude: 'a', 'b'}).count()",
        "event('E').where(property('price_usd') > 100).sources(exclude: ['a', 'b']).count()",
    ),
    "Segment's braces with a list": (
        "event('E').sources({exclude: ['a']}).count()",
        "event('E').sources(exclude: ['a']).count()",
    ),
    "a list in square brackets": ("trait('a').one_of(['x', 2])", "trait('a').one_of('x', 2)"),
    "Unicode escapes": ("trait('a') = '\\u0041\\ud83d\\ude00'", "trait('a') = 'A😀'"),
    "what cannot be seen": ("trait('a') = '\u00a0\u200b'", "trait('a') = '\\u00a0\\u200b'"),
    "a number in full": ("trait('a') = 1E2", "trait('a') = 100.0"),
}


@pytest.mark.parametrize("text", CANONICAL)
def test_is_printed_as_it_was_written(text: str) -> None:
    assert text_of(parse(text)) == text


@pytest.mark.parametrize(("written", "printed"), REWRITTEN.values(), ids=REWRITTEN)
def test_other_ways_to_write_are_printed_in_the_one_way(written: str, printed: str) -> None:
    assert text_of(parse(written)) == printed


def test_and_binds_before_or_and_not_before_both() -> None:
    a, b, c = (Compared(Trait(name), "=", Literal_(1)) for name in "abc")
    tree = parse("NOT trait('a') = 1 AND trait('b') = 1 OR trait('c') = 1")
    assert tree == Or((And((Not(a), b)), c))


def test_the_tree_of_an_audience_has_durations_in_milliseconds() -> None:
    tree = parse_audience("event('E').where(property('a') = 'x').within(30 days).count() >= 1")
    where = Compared(Property("a"), "=", Literal_("x"))
    events = Events("E", where, Within(30 * DAY_MS))
    assert tree == Compared(Reduced(events, "count"), ">=", Literal_(1))


def test_a_computed_trait_may_have_a_session_window() -> None:
    tree = parse_trait("event('E').expires_after(1 hour).count()")
    assert tree == Reduced(Events("E", window=Session(3_600_000)), "count")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("true", True), ("1", 1), ("'true'", "true"), ("-0.5", -0.5), ("1e3", 1000.0)],
)
def test_literals_keep_their_type(written: str, meant: object) -> None:
    tree = parse(f"trait('a') = {written}")
    assert isinstance(tree, Compared)
    assert isinstance(tree.right, Literal_)
    assert tree.right.value == meant
    assert type(tree.right.value) is type(meant)


@pytest.mark.parametrize("text", ["event('E').count()", "trait('a')", "5"])
def test_an_audience_is_a_condition(text: str) -> None:
    with pytest.raises(
        DefinitionError, match="expected a condition, which is true or false of a user"
    ):
        parse_audience(text)


@pytest.mark.parametrize(
    "text", ["event('E').count() > 1", "trait('a')", "'a'", "NOT trait('a') = 1"]
)
def test_a_computed_trait_is_made_of_events(text: str) -> None:
    with pytest.raises(DefinitionError, match="expected a value made of events"):
        parse_trait(text)
