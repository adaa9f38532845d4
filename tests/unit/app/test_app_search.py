"""The search box opens what is meant, lists what may be, and says where it looked when it found nothing."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from asking import Answer, House, opened

from headgate.app.editing import save
from headgate.workspace.access import Role


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path / "data") as one:
        yield one


async def searched(house: House, text: str) -> Answer:
    """What somebody gets who types this."""
    return await (await house.somebody(Role.VIEWER)).get(f"/search?q={quote(text)}")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("m1", "/messages/m1?position=1"),
        (" m1 ", "/messages/m1?position=1"),
        ("refused/1", "/messages/refused%2F1"),
        ("ann", "/messages?user=ann"),
        ("Order Completed", "/messages?event=Order+Completed"),
        ("Spare", "/sources/spare"),
        ("spare", "/sources/spare"),
        ("wk_website", "/sources/website"),
        ("HEAP", "/destinations/heap"),
        ("appId", "/destinations/heap/settings#field-settings.appId"),
        ("app id", "/destinations/heap/settings#field-settings.appId"),
        ("audit trail", "/settings/audit"),
    ],
)
async def test_what_is_meant_by_nothing_else_is_opened(house: House, text: str, path: str) -> None:
    """At once."""
    house.data_dir.refuse("refused/1", "no_ids")
    answer = await searched(house, text)
    assert (answer.status, answer.location) == (303, path)


async def test_a_computation_is_found_by_name_and_by_key(house: House) -> None:
    """Engage need not have seen it yet."""
    audience = {"name": "Very Important", "definition": "trait('vip') = true"}
    save(
        house.app.parts,
        "a test",
        lambda document: document.update(engage={"audiences": [audience]}),
    )
    for text in ("Very Important", "very_important"):
        assert (await searched(house, text)).location == "/audiences/very_important"


async def test_an_id_of_several_messages_opens_the_chooser(house: House) -> None:
    """They are one meaning."""
    house.data_dir.accept("m1", source="spare")
    assert (await searched(house, "m1")).location == "/messages/m1"


async def test_several_meanings_are_listed_in_groups(house: House) -> None:
    """What only resembles comes after what is meant."""
    house.data_dir.append(house.data_dir.say("track", "website", "website"))
    answer = await searched(house, "website")
    assert "Several things are called “website”" in answer.words
    assert re.findall(r'<h2 id="group-\d+">(.*?)</h2>', answer.text) == [
        "Messages",
        "Messages of a user",
        "Sources",
    ]


async def test_what_resembles_is_listed(house: House) -> None:
    """Nothing is opened on a guess."""
    answer = await searched(house, "webs")
    assert "What resembles “webs” " in answer.words
    assert 'href="/sources/website"' in answer.text


async def test_nothing_found_says_where_was_looked(house: House) -> None:
    """Markup of what was typed stays text."""
    answer = await searched(house, "<b>nowhere</b>")
    assert answer.status == 200
    assert "Nothing is called “<b>nowhere</b>”" in answer.words.replace("&lt;", "<")
    assert "<b>nowhere" not in answer.text
    assert "Looked through the ids and the users of every message" in answer.words
    assert "People are known by anonymousId and email only where Engage" in answer.words


async def test_nothing_typed_says_what_can_be_typed(house: House) -> None:
    """A page, not an error."""
    answer = await searched(house, "  ")
    assert (answer.status, "A messageId, userId" in answer.words) == (200, True)
