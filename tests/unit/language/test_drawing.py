"""Definitions as drawings: the same definition on both ways, and a sentence for each."""

from hypothesis import given

from engage_oracle.definitions import computed_traits, conditions
from headgate.language.drawing import drawing_of, happening_of
from headgate.language.drawing_text import written_drawing
from headgate.language.parser import parse_audience, parse_trait
from headgate.language.printer import text_of
from headgate.language.sentence import sentence_of
from headgate.language.tree import Condition, Reduced, Scalar


@given(conditions(("vip",)))
def test_a_drawn_audience_reads_back_as_what_it_was(tree: Condition) -> None:
    """Whatever cannot be drawn stays as text inside of the drawing."""
    typed = parse_audience(text_of(tree))
    drawn = written_drawing(drawing_of(typed, {"vip"})).text
    assert text_of(parse_audience(drawn)) == text_of(typed)
    assert sentence_of(typed, {"vip": "VIP users"})


@given(computed_traits(("vip",)))
def test_a_drawn_trait_reads_back_as_what_it_was(tree: Scalar) -> None:
    """Its events, their conditions and what is made of them."""
    typed = parse_trait(text_of(tree))
    assert isinstance(typed, Reduced)
    drawn = written_drawing(happening_of(typed, {"vip"})).text
    assert text_of(parse_trait(drawn)) == text_of(typed)
    assert sentence_of(typed, {})
