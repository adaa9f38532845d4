"""Text and tree are two forms of one definition; whatever else stands in a text is refused, and never worse."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from language_trees import definitions

from headgate.language.errors import DefinitionError
from headgate.language.parser import parse
from headgate.language.printer import text_of
from headgate.language.tree import Definition

whole = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])

WORDS = [
    *("event", "trait", "property", "context", "literal", "where", "sources", "within", "between"),
    *("expires_after", "count", "sum", "mode", "unique", "equals", "contains", "one_of", "exists"),
    *(
        "before_date",
        "within_last",
        "AND",
        "or",
        "Not",
        "ANY",
        "as",
        "true",
        "null",
        "days",
        "hour",
    ),
    *(
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ".",
        ",",
        ":",
        "=",
        ">=",
        "!=",
        "=>",
        "&&",
        "5",
        "-1.5e3",
        "1e999",
    ),
    *(
        "'a'",
        '"b"',
        "'",
        '"',
        "\\",
        "\u2019",
        "parent",
        "exclude",
        "string",
        "$",
        "#",
        " ",
        "\n",
        "\x00",
    ),
    *("event('a')", ".count()", " >= 1", "trait('x') = 1", "property('p')", ".within(3 days)"),
]


@whole
@given(definitions())
def test_a_printed_tree_reads_as_the_same_tree(tree: Definition) -> None:
    printed = text_of(tree)
    assert parse(printed) == tree
    assert text_of(parse(printed)) == printed, "1 and true are equal to Python, not in print"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), max_size=20).map("".join)
    | st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join)
    | st.text(max_size=60)
    | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1"))
)
def test_any_text_is_read_or_refused_at_one_of_its_characters(text: str) -> None:
    check_read_or_refused(text)


@whole
@given(definitions(), st.data())
def test_a_definition_with_a_mistake_in_it_is_read_or_refused(
    tree: Definition, data: st.DataObject
) -> None:
    text = text_of(tree)
    at = data.draw(st.integers(0, len(text)))
    until = data.draw(st.integers(at, min(at + 3, len(text))))
    check_read_or_refused(text[:at] + data.draw(st.sampled_from(["", *WORDS])) + text[until:])


def check_read_or_refused(text: str) -> None:
    try:
        tree = parse(text)
    except DefinitionError as refused:
        assert 0 <= refused.position <= len(text)
        before = text[: refused.position].split("\n")
        assert (refused.line, refused.column) == (len(before), len(before[-1]) + 1)
        sentence, _, caret = str(refused).split("\n")
        assert sentence == refused.sentence
        assert caret.strip() == "^"
    else:
        assert text_of(parse(text_of(tree))) == text_of(tree)


@pytest.mark.parametrize("opened", ["(", "{", "event('x').where(", "(trait('x') = ", "mode("])
def test_brackets_without_end_are_refused(opened: str) -> None:
    with pytest.raises(DefinitionError, match="at most 100 brackets inside each other"):
        parse(opened * (30_000 // len(opened)))
