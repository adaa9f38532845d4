"""Making and editing definitions without scripts: said what it sends, checked, and saved as the file would."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import House, opened

from headgate.workspace.access import Role

BOUGHT = "event('Order Completed').count() >= 1"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as one:
        yield one


async def test_an_audience_is_made_once_its_consequence_is_said(house: House) -> None:
    """The first post asks, the second one does; the file is what a person would have written."""
    asker = await house.somebody(Role.EDITOR)
    page = await asker.get("/audiences/new")
    assert page.status == 200
    version = str(house.app.parts.workspace.current().number)
    form = {"kind": "audience", "key": "", "version": version, "name": "Paying buyers"}
    form |= {"definition": BOUGHT, "to.heap": "true", "history": "all"}
    asked = await asker.post("/audiences/new", form)
    assert asked.status == 200
    assert "engage" not in house.document() or not house.document()["engage"].get("audiences")
    made = await asker.post("/audiences/new", form | {"sure": "true"})
    assert (made.status, made.location) == (303, "/audiences/paying_buyers")
    (audience,) = house.document()["engage"]["audiences"]
    assert (audience["name"], audience["definition"]) == ("Paying buyers", BOUGHT)
    assert audience["destinations"] == ["heap"]


async def test_a_definition_that_cannot_be_read_is_told_at_its_place(house: House) -> None:
    """With what was expected; what was typed is kept, and nothing is saved."""
    asker = await house.somebody(Role.EDITOR)
    before = house.document()
    form = {"kind": "audience", "key": "", "version": "1", "name": "Broken"}
    told = await asker.post("/audiences/new", form | {"definition": "event('a').cuont() >= 1"})
    assert told.status == 422
    assert "cuont" in told.text
    assert "Broken" in told.text
    assert house.document() == before


async def test_a_viewer_cannot_make_one(house: House) -> None:
    """Neither see the form nor post it."""
    asker = await house.somebody(Role.VIEWER)
    assert (await asker.get("/audiences/new")).status == 403
    assert (await asker.post("/audiences/new", {"name": "x", "sure": "true"})).status == 403
