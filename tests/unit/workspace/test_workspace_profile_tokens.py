"""The tokens of the Profile API in the workspace: read from the environment, never shown."""

from typing import Any

import pytest

from headgate.destinations.catalog import CATALOG
from headgate.workspace.diff import changes
from headgate.workspace.document import as_workspace, checked, empty
from headgate.workspace.errors import InvalidWorkspace

SETTINGS = {name: kind.settings for name, kind in CATALOG.items()}


def document(*tokens: Any) -> Any:
    """A document with these tokens, checked."""
    given = {"sources": [], "destinations": [], "engage": {"profileApiTokens": list(tokens)}}
    return checked(given, catalog=SETTINGS, environment={"TOKEN": "from outside"})


def test_tokens_may_be_variables() -> None:
    """The document keeps the variable, the workspace has its value."""
    found = document("${TOKEN}", "plain")
    assert found["engage"]["profileApiTokens"] == ["${TOKEN}", "plain"]
    ready = as_workspace(found, catalog=SETTINGS, environment={"TOKEN": "from outside"})
    assert ready.engage.profile_api_tokens == ("from outside", "plain")
    assert not ready.engage.configured


def test_without_any_there_are_none() -> None:
    """Nobody may ask then."""
    ready = as_workspace(empty(), catalog=SETTINGS, environment={})
    assert ready.engage.profile_api_tokens == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param((), ("first",), "not set → a secret", id="added"),
        pytest.param(("first",), ("second",), "a secret → another", id="changed"),
        pytest.param(("first",), (), "a secret → not set", id="removed"),
    ],
)
def test_a_change_does_not_show_them(
    before: tuple[str, ...], after: tuple[str, ...], expected: str
) -> None:
    """`apply` prints that there is one, not which."""
    lines = changes(document(*before), document(*after), SETTINGS)
    assert lines == (f"~ engage: profileApiTokens {expected}",)


def test_a_refusal_does_not_show_them() -> None:
    """Not even of what cannot be one."""
    with pytest.raises(InvalidWorkspace) as refused:
        document({"a": "secret text"})
    assert "secret text" not in str(refused.value)
