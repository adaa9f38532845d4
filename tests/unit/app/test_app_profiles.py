"""People in the app: found by any identifier, with what is known, computed and told; and forgotten."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from asking import Asker
from engage_house import EngageHouse, engaged_house

from headgate.stores import WORKSPACE
from headgate.workspace.access import Role
from headgate.workspace.sqlite_privacy import SqlitePrivacyReader


@pytest.fixture
def house(tmp_path: Path) -> Iterator[EngageHouse]:
    with engaged_house(tmp_path) as one:
        one.live()
        yield one


@pytest.fixture
async def editor(house: EngageHouse) -> Asker:
    """Somebody who may edit."""
    return await house.somebody(Role.EDITOR, "ed")


def privacy_of(house: EngageHouse) -> "closing[SqlitePrivacyReader]":
    """Who is suppressed or to be forgotten."""
    return closing(SqlitePrivacyReader(house.engage.path / WORKSPACE))


# Search


async def test_an_exact_identifier_opens_the_person(house: EngageHouse, editor: Asker) -> None:
    """A userId, or another one with its type."""
    assert (await editor.get("/profiles?q=ann")).location == "/profiles/user_id:ann"
    found = await editor.get("/profiles?q=email:cem@example.com")
    assert found.location == "/profiles/user_id:cem"


async def test_people_are_found_by_how_an_identifier_begins(
    house: EngageHouse, editor: Asker
) -> None:
    words = (await editor.get("/profiles?q=ce")).words
    assert re.search(r"cem (email:cem@example.com|user_id:cem)", words)
    words = (await editor.get("/profiles?q=anonymous_id:vis")).words
    assert "visitor anonymous_id:visitor" in words
    words = (await editor.get("/profiles?q=user_id:vis")).words
    assert "Nobody has an identifier that begins with user_id:vis" in words


async def test_without_a_question_the_newest_people_are_listed(
    house: EngageHouse, editor: Asker
) -> None:
    text = (await editor.get("/profiles")).text
    assert re.findall(r'class="row" href="/profiles/([^"]+)"', text) == [
        "user_id:cem",
        "anonymous_id:visitor",
        "user_id:ann",
    ]


async def test_an_address_with_any_characters_leads_to_the_person(
    house: EngageHouse, editor: Asker
) -> None:
    house.engage.track("Bought", "b-9", userId="a/b?c#d e%")
    house.engage.compute()
    found = await editor.get("/profiles?q=a%2Fb%3Fc%23d%20e%25")
    assert found.location == "/profiles/user_id:a%2Fb%3Fc%23d%20e%25"


async def test_nobody_is_not_found(house: EngageHouse, editor: Asker) -> None:
    answer = await editor.get("/profiles/user_id:zoe")
    assert answer.status == 404
    assert "Nobody is known as user_id:zoe." in answer.words


# One person


async def test_a_person_has_traits_memberships_and_what_was_told(
    house: EngageHouse, editor: Asker
) -> None:
    words = (await editor.get("/profiles/user_id:ann")).words
    assert re.search(r"Buyers In it true 14 Nov 2023.* On its way Why", words)
    assert re.search(r"Spent 12 12 14 Nov 2023.* On its way Why", words)
    cem = (await editor.get("/profiles/user_id:cem")).words
    assert "Buyers Not in it" in cem
    assert 'plan "free" identify i-1' in cem


async def test_the_history_has_every_call_and_every_telling(
    house: EngageHouse, editor: Asker
) -> None:
    words = (await editor.get("/profiles/user_id:ann?history=1")).words
    assert 'Bought {"total":7} b-2 website' in words
    assert "Entered buyers heap told true : pending personas_" in words
    assert words.index("b-2 website") < words.index("b-1 website")
    only = (await editor.get("/profiles/user_id:ann?history=1&only=told")).words
    assert "Entered buyers" in only
    assert "b-2 website" not in only
    assert "identify" in (await editor.get("/profiles/user_id:cem?history=1")).words


async def test_the_page_itself_does_not_wait_for_the_history(
    house: EngageHouse, editor: Asker
) -> None:
    text = (await editor.get("/profiles/user_id:ann")).text
    assert 'hx-get="/profiles/user_id:ann?history=1"' in text
    assert "Entered" not in text


async def test_a_merge_has_its_cause_and_the_old_number_leads_on(
    house: EngageHouse, editor: Asker
) -> None:
    """The visitor becomes cem by an identify that has both."""
    house.engage.identify("i-2", userId="cem", anonymousId="visitor")
    house.engage.compute()
    moved = await editor.get("/profiles/profile:3")
    assert moved.location == "/profiles/user_id:cem?merged=profile%3A3"
    assert "profile:3 is this person" in (await editor.get(moved.location)).words
    words = (await editor.get("/profiles/user_id:cem?history=1")).words
    assert re.search(r"Merged at .* which has user_id cem and anonymous_id visitor", words)
    assert re.search(r"anonymous_id visitor website, 14 Nov 2023, 22:13:20 UTC b-3", words)


async def test_somebody_without_a_user_id_cannot_be_told_of(
    house: EngageHouse, editor: Asker
) -> None:
    words = (await editor.get("/profiles/anonymous_id:visitor")).words
    assert "Heap has no such user" in words
    assert "Delete" not in words


async def test_hostile_values_are_text(house: EngageHouse, editor: Asker) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    house.engage.identify("i-9", userId=hostile, traits={hostile: hostile, "big": 2**60 + 1})
    house.engage.compute()
    for path in ("/profiles", f"/profiles/user_id:{hostile}?history=1"):
        answer = await editor.get(path)
        assert answer.status == 200
        assert "<img" not in answer.text
        assert "&lt;img" in answer.text
    assert str(2**60 + 1) in answer.text


async def test_personal_values_are_hidden_when_wanted(house: EngageHouse, editor: Asker) -> None:
    editor.cookies["headgate_mask"] = "1"
    for path in ("/profiles", "/profiles/user_id:cem?history=1"):
        assert "cem@example.com" not in (await editor.get(path)).text


# Forgetting


async def test_a_user_is_suppressed_and_no_longer(house: EngageHouse, editor: Asker) -> None:
    assert "Suppress the user" in (await editor.get("/profiles/-/suppress?user=ann")).words
    await editor.post("/profiles/-/suppress", {"user": "ann", "suppressed": "true"})
    with privacy_of(house) as privacy:
        assert [(one.user_id, one.actor) for one in privacy.suppressions()] == [("ann", "ed")]
    assert "Suppressed: messages of ann" in (await editor.get("/profiles/user_id:ann")).words
    await editor.post("/profiles/-/suppress", {"user": "ann", "suppressed": "false"})
    with privacy_of(house) as privacy:
        assert privacy.suppressions() == []


async def test_deleting_says_what_goes_and_wants_the_user_id(
    house: EngageHouse, editor: Asker
) -> None:
    words = (await editor.get("/profiles/-/delete?user=ann")).words
    assert "messages with this userId are held here" in words
    assert "heap has no key for deletions" in words
    refused = await editor.post("/profiles/-/delete", {"user": "ann", "typed": "an"})
    assert refused.status == 422
    form = {"user": "ann", "typed": "ann", "suppress": "on"}
    assert (await editor.post("/profiles/-/delete", form)).location == "/profiles"
    with privacy_of(house) as privacy:
        assert [(one.user_id, one.actor) for one in privacy.deletions()] == [("ann", "ed")]
        assert privacy.suppressed() == frozenset({"ann"})


async def test_somebody_who_may_only_look_forgets_nobody(house: EngageHouse) -> None:
    viewer = await house.somebody(Role.VIEWER)
    form = {"user": "ann", "typed": "ann", "suppressed": "true"}
    for path in ("/profiles/-/delete", "/profiles/-/suppress"):
        assert (await viewer.post(path, form)).status == 403
    with privacy_of(house) as privacy:
        assert (privacy.deletions(), privacy.suppressions()) == ([], [])
