"""Whom a person means who names a user to a command."""

from pathlib import Path

import pytest

from engage_dirs import EngageDir, audience
from headgate.engage.profile import Identifier
from headgate.records.engage.people import find_person, identifiers_by_type
from headgate.records.engage.stored import engaged


@pytest.fixture
def directory(tmp_path: Path) -> EngageDir:
    """Somebody with an odd userId, somebody else with an email that looks like it."""
    directory = EngageDir(tmp_path)
    directory.configure(audience("A", "event('E').count() >= 1"))
    directory.track("E", "m-1", userId="email:odd", anonymousId="anon:1")
    directory.identify("m-2", userId="ann", traits={"email": "odd"})
    directory.compute()
    return directory


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        pytest.param("ann", "ann", id="a userId"),
        pytest.param("email:odd", "email:odd", id="a userId that looks like another identifier"),
        pytest.param("user_id:ann", "ann", id="a userId with its type"),
        pytest.param("userId:ann", "ann", id="as libraries write it"),
        pytest.param("anonymousId:anon:1", "email:odd", id="a value with a colon"),
        pytest.param("email:other", None, id="nobody"),
        pytest.param("odd", None, id="an email without its type"),
        pytest.param(":", None, id="nothing"),
    ],
)
def test_a_userid_goes_before_an_identifier_with_its_type(
    directory: EngageDir, named: str, expected: str | None
) -> None:
    """To the letter."""
    with engaged(directory.path) as store:
        found = find_person(store, named)
    assert (found.of_type("user_id")[0] if found else None) == expected


def test_identifiers_stand_by_type_in_the_order_in_which_they_came() -> None:
    """The userId first."""
    given = [Identifier("email", "b"), Identifier("user_id", "u"), Identifier("email", "a")]
    found = identifiers_by_type(given)
    assert list(found.items()) == [("user_id", ["u"]), ("email", ["b", "a"])]
