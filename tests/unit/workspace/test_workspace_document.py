"""The canonical document, and documents that come as plain data, from the app."""

import pytest
from hypothesis import given
from workspace_samples import (
    CATALOG,
    ENVIRONMENT,
    destination,
    document,
    documents,
    source,
    unhurried,
)

from headgate.spec.settings import Kind, Setting
from headgate.workspace import table, variables
from headgate.workspace.document import checked, encoded
from headgate.workspace.errors import InvalidWorkspace
from headgate.workspace.model import Document


@unhurried
@given(documents())
def test_a_canonical_document_is_canonical(written: Document) -> None:
    """Checking again changes nothing."""
    assert checked(written, catalog=CATALOG, environment=ENVIRONMENT) == written


def test_what_equals_its_default_is_left_out() -> None:
    """A better default reaches those who never chose."""
    written = document(
        sources=[source()],
        destinations=[
            destination(
                region="US", limits={"eventsPerMinute": 15_000}, junkIdentities=["null", "0"]
            )
        ],
        retention={"days": 30},
        engage={"identity": {}, "audiences": []},
    )
    assert written["destinations"][0]["settings"] == {"appId": "1535634150"}
    assert sorted(written) == ["destinations", "sources"]


def test_the_encoding_does_not_depend_on_the_order_of_keys() -> None:
    """The same content is the same bytes."""
    assert encoded({"a": 1, "b": {"c": 1, "d": 2}}) == encoded({"b": {"d": 2, "c": 1}, "a": 1})


def test_plain_data_is_checked_without_lines() -> None:
    """The app's forms get the path of what is wrong."""
    with pytest.raises(InvalidWorkspace) as refused:
        document(sources=[source(writeKeys=["a b"])])
    (problem,) = refused.value.problems
    assert (problem.path, problem.line) == ("sources[0].writeKeys[0]", None)
    assert str(problem) == (
        "expected a write key (1 to 128 printable characters without space or colon, and not . or ..),"
        " found text 'a b', at sources[0].writeKeys[0] (the workspace)"
    )


TEXTS = {
    "no variable": ("a $ b $5 {x}", "a $ b $5 {x}"),
    "variable": ("http://${HOST}:80", "http://127.0.0.1:80"),
    "two": ("${HOST}${APP}", "127.0.0.11535634150"),
    "escaped": ("$${HOST}", "${HOST}"),
    "escaped after a dollar": ("$$${HOST}", "$${HOST}"),
    "unknown": ("${NOT_SET}", "${NOT_SET}"),
}


@pytest.mark.parametrize(("text", "expanded"), TEXTS.values(), ids=TEXTS)
def test_variables_are_expanded_once(text: str, expanded: str) -> None:
    """A value that looks like a variable is not read again."""
    assert variables.expand(text, ENVIRONMENT) == expanded


def test_a_value_of_the_environment_is_taken_as_it_is() -> None:
    """Secrets may hold dollars and braces."""
    assert variables.expand("${A}", {"A": "${B}$${", "B": "x"}) == "${B}$${"


def rows(settings: tuple[Setting, ...]) -> list[Setting]:
    """Every row of a table, members included."""
    return [row for one in settings for row in (one, *rows(one.members))]


def test_every_row_of_the_table_explains_itself() -> None:
    """Docs and forms are made from the rows."""
    for row in rows(table.WORKSPACE):
        assert row.description.endswith("."), row.name
        assert bool(row.choices) == (row.kind is Kind.CHOICE), row.name
        assert not (row.required and row.default is not None), row.name
