"""Definitions are read out so that nobody has to know the language."""

import pytest
from hypothesis import given, settings
from language_trees import definitions

from headgate.language.parser import parse
from headgate.language.sentence import sentence_of
from headgate.language.tree import Definition

NAMES = {"vip_users": "VIP users"}

SENTENCES = {
    "event('Order Completed').within(30 days).count() >= 1 AND (NOT trait('plan') = 'free' OR"
    " trait('vip_users') = true)": "people who performed Order Completed at least once in the last 30"
    " days, and (whose plan is missing or not “free”, or who are in VIP users)",
    "NOT event('A').count() >= 1 AND event('B').count() = 0": "people who never performed A, and who never"
    " performed B",
    "NOT event('A').count() >= 3": "people who did not perform A at least 3 times",
    "event('Bought').where(property('price') >= trait('usual') AND event('Returned').within(parent: 5"
    " days).count() >= 1).count() > 2": "people who performed Bought (price is at least the trait usual,"
    " and followed by Returned at least once within 5 days) more than 2 times",
    "event('Added').where(NOT event('Ordered').where(property('id') = property(parent:"
    " 'id')).within(parent: 1 day).count() >= 1).count() >= 1": "people who performed Added (not followed"
    " by Ordered (id is the earlier event's id) within 1 day) at least once",
    "trait('a') != 5 OR NOT (trait('b').one_of('x', true) AND trait('c').absent())": "people whose a is"
    " there and not 5, or for whom this is not so: (whose b is “x” or true, and whose c is missing)",
    "event('E').within(7 days).sum(property('total')) > 5": "people for whom the sum of total in E in the"
    " last 7 days is more than 5",
    "NOT trait('vip_users') = true": "people who are not in VIP users",
    "trait('vip_users') = false": "people who are not in VIP users",
    "NOT trait('ends').within_next(3 days)": "people for whom it is not so that ends is in the next 3 days",
    "event('E').between(30 days, 90 days).mode(property('c'), 3)": "the most frequent c (seen at least 3"
    " times) in E 30 days to 90 days ago",
    "event('E').sources(exclude: ['app']).count()": "how often E, not from app, was performed",
}  # fmt: skip


@pytest.mark.parametrize("definition", SENTENCES)
def test_a_definition_is_read_out(definition: str) -> None:
    assert sentence_of(parse(definition), NAMES) == SENTENCES[definition]


@settings(max_examples=100, deadline=None)
@given(definitions())
def test_whatever_the_language_can_say_is_read_out(tree: Definition) -> None:
    assert sentence_of(tree, NAMES)
