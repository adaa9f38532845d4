"""Destinations in the app: every setting as a form, saved as `headgate apply` would, never over others."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from asking import Asker, House, json_of, opened

from data_dirs import destination, source
from headgate.app.destination_form import rows, values_of
from headgate.app.editing import save
from headgate.app.parts import SETTINGS as CATALOG
from headgate.app.showing import made_visible
from headgate.clock import SystemClock
from headgate.workspace.access import Role
from headgate.workspace.sqlite_store import SqliteWorkspaceStore

SETTINGS = "/destinations/heap/settings"
SECRET = "the-key-of-deletions"
HOSTILE = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "\u202e "]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path / "data") as one:
        yield one


@pytest.fixture
async def editor(house: House) -> Asker:
    return await house.somebody(Role.EDITOR)


def heap(house: House) -> dict[str, Any]:
    """The destination as it is written."""
    return next(one for one in house.document()["destinations"] if one["slug"] == "heap")


async def version_of(asker: Asker, path: str = SETTINGS) -> str:
    """What the form was filled from."""
    text = (await asker.get(path)).text
    return text.partition('name="version" value="')[2].partition('"')[0]


async def form_of(asker: Asker, **typed: str) -> dict[str, str]:
    """A form with an App ID, the values of what must not be blank, and what is typed."""
    usual = {"settings.appId": "1535634150", "connectionMode": "cloud", "settings.region": "US"}
    return {"version": await version_of(asker), **usual, **typed}


# The form


async def test_every_row_of_the_settings_table_has_a_field(editor: Asker) -> None:
    """Nested ones too, and all but the fixed ones of the destination itself."""
    text = (await editor.get(SETTINGS)).text
    names = [row.name for row in rows(CATALOG, "heap")]
    assert len(names) > 15
    assert [name for name in names if f'name="{name}"' not in text] == []


async def test_what_is_saved_is_what_a_file_would_say(house: House, editor: Asker) -> None:
    """Numbers as numbers, lists line by line, values of any kind as JSON, defaults left out."""
    form = await form_of(
        editor,
        **{
            "name": "Heap production",
            "settings.region": "EU",
            "settings.limits.eventsPerMinute": "900",
            "settings.limits.eventsPerMinutePerUser": "1000",
            "settings.retryWindow": "2 hours",
            "settings.junkIdentities": "null\r\n  nobody  \r\n",
            "settings.nullTraits": "false",
            "settings.secureCookie": "true",
            "settings.fallbackToCloud": "false",
        },
    )
    answer = await editor.post(SETTINGS, form)
    assert answer.location == SETTINGS
    assert heap(house)["name"] == "Heap production"
    assert heap(house)["settings"] == {
        "appId": "1535634150",
        "region": "EU",
        "limits": {"eventsPerMinute": 900},
        "retryWindow": "2 hours",
        "junkIdentities": ["null", "nobody"],
        "nullTraits": False,
        "secureCookie": True,
    }


async def test_an_empty_list_is_not_the_default(house: House, editor: Asker) -> None:
    """No user id is junk then, and the form shows no line."""
    await editor.post(SETTINGS, await form_of(editor, **{"settings.junkIdentities": " "}))
    assert heap(house)["settings"]["junkIdentities"] == []
    page = (await editor.get(SETTINGS)).text
    area = page.partition('name="settings.junkIdentities"')[2].partition("</textarea>")[0]
    assert area.endswith(">")


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("false", False), ('"false"', "false"), ("none", "none"), ("[1, null]", [1, None])],
)
async def test_a_value_of_any_kind_comes_back_as_it_was_typed(
    house: House, editor: Asker, typed: str, stored: object
) -> None:
    """JSON is what it says, anything else a text; saving what is shown changes nothing."""
    await editor.post(SETTINGS, await form_of(editor, **{"settings.nullTraits": typed}))
    assert heap(house)["settings"]["nullTraits"] == stored
    text = (await editor.get(SETTINGS)).text
    shown = text.partition('name="settings.nullTraits" value="')[2].partition('"')[0]
    again = shown.replace("&#34;", '"')
    await editor.post(SETTINGS, await form_of(editor, **{"settings.nullTraits": again}))
    assert heap(house)["settings"]["nullTraits"] == stored


@pytest.mark.parametrize(
    "pasted",
    [
        'heap.load("1535634150");',
        "heap.load('1535634150', {secureCookie: true})",
        " 1535 634 150 ",
        'window.heap=…;\nheap.load( "1535634150" );',
    ],
)
async def test_an_app_id_is_understood_however_it_is_pasted(
    house: House, editor: Asker, pasted: str
) -> None:
    """The line of Heap's snippet, or the digits with spaces."""
    form = await form_of(editor, **{"settings.appId": pasted, "name": "pasted"})
    await editor.post(SETTINGS, form)
    assert heap(house)["name"] == "pasted"
    assert heap(house)["settings"]["appId"] == "1535634150"


async def test_a_missing_app_id_is_refused_at_its_field_and_nothing_typed_is_lost(
    house: House, editor: Asker
) -> None:
    """The other fields keep what was typed; nothing is stored."""
    form = await form_of(
        editor, **{"settings.appId": "", "name": "Typed", "settings.retryWindow": "1 hour"}
    )
    answer = await editor.post(SETTINGS, form)
    assert answer.status == 422
    place = answer.text.partition('data-problem="settings.appId"')[2].partition("</p>")[0]
    assert "found nothing" in place
    assert 'value="Typed"' in answer.text
    assert 'value="1 hour"' in answer.text
    assert house.app.parts.workspace.current().number == 1


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({"settings.appId": "my app"}, "settings.appId", "digits"),
        ({"settings.retryWindow": "soon"}, "settings.retryWindow", "a duration"),
        (
            {"settings.limits.eventsPerMinute": "many"},
            "settings.limits.eventsPerMinute",
            "a whole number",
        ),
        ({"settings.apiBaseUrl": "heap"}, "settings.apiBaseUrl", "http or https URL"),
        (
            {"settings.region": "EU", "settings.heapScript": "classic"},
            "settings.heapScript",
            "current",
        ),
        ({"name": "Fine"}, "", ""),
    ],
    ids=["App ID", "duration", "count", "address", "rule over several", "fine"],
)
async def test_a_form_is_judged_while_it_is_filled_in(
    house: House, editor: Asker, typed: dict[str, str], field: str, told: str
) -> None:
    """By field, in the words in which a file would be refused; nothing is stored."""
    problems = json_of(await editor.post(f"{SETTINGS}/check", await form_of(editor, **typed)))
    assert list(problems) == ([field] if field else [])
    assert told in problems.get(field, "")
    assert house.app.parts.workspace.current().number == 1


async def test_device_mode_is_refused_where_no_page_runs(house: House, editor: Asker) -> None:
    """At the field, with the reason."""
    house.data_dir.use(
        sources=[source("till", type="server")], destinations=[destination("heap", "till")]
    )
    form = await form_of(editor, connectionMode="device")
    answer = await editor.post(SETTINGS, form)
    place = answer.text.partition('data-problem="connectionMode"')[2].partition("</p>")[0]
    assert "device mode works on website sources only" in place


async def test_a_secret_is_stored_kept_and_forgotten_but_never_shown(
    house: House, editor: Asker
) -> None:
    """Left blank it stays; another value replaces it; it can be taken away."""
    name = "settings.deletionApiKey"
    assert "(one is kept)" not in (await editor.get(SETTINGS)).words
    await editor.post(SETTINGS, await form_of(editor, **{name: SECRET}))
    assert heap(house)["settings"]["deletionApiKey"] == SECRET
    assert SECRET not in values_of(rows(CATALOG, "heap"), heap(house)).values()
    page = await editor.get(SETTINGS)
    assert SECRET not in page.text
    assert "(one is kept)" in page.words
    await editor.post(SETTINGS, await form_of(editor, name="Renamed"))
    assert heap(house)["settings"]["deletionApiKey"] == SECRET
    await editor.post(SETTINGS, await form_of(editor, **{f"forget.{name}": "true"}))
    assert "deletionApiKey" not in heap(house)["settings"]


# Two editors at once


async def test_the_second_of_two_editors_sees_both_values_and_overwrites_nothing(
    house: House, editor: Asker
) -> None:
    """Saving again, with both before their eyes, is a decision."""
    other = await house.somebody(Role.EDITOR, "otto")
    mine = await form_of(editor, **{"settings.appId": "1"})
    await other.post(SETTINGS, await form_of(other, **{"settings.appId": "2"}))
    answer = await editor.post(SETTINGS, mine)
    assert answer.status == 409
    assert "Nothing was saved. otto changed this destination meanwhile" in answer.words
    assert "Saved meanwhile: 2" in answer.words
    assert heap(house)["settings"]["appId"] == "2"
    again = answer.text.partition('name="version" value="')[2].partition('"')[0]
    assert (await editor.post(SETTINGS, {**mine, "version": again})).status == 303
    assert heap(house)["settings"]["appId"] == "1"


async def test_an_edit_after_an_apply_overwrites_nothing(house: House, editor: Asker) -> None:
    """A file counts like another editor."""
    mine = await form_of(editor, **{"settings.retryWindow": "1 hour"})
    document = house.document()
    document["destinations"][0]["settings"]["retryWindow"] = "9 hours"
    path = house.data_dir.path / "workspace.db"
    with closing(SqliteWorkspaceStore(path, SystemClock())) as store:
        store.commit(document, actor="apply")
    answer = await editor.post(SETTINGS, mine)
    assert answer.status == 409
    assert "Saved meanwhile: 9 hours" in answer.words
    assert heap(house)["settings"]["retryWindow"] == "9 hours"


# On, off, the end


async def test_disabling_says_what_it_means_in_numbers_first(house: House, editor: Asker) -> None:
    """One message is pending; the destination is off only after the question."""
    page = await editor.get("/destinations/heap/disable")
    assert "discarded as destination off ; you can replay them" in page.words
    assert 'data-count="1"' in page.text
    assert heap(house)["enabled"] is True
    await editor.post("/destinations/heap/enabled", {"enabled": "false"})
    assert heap(house)["enabled"] is False


async def test_enabling_says_how_many_messages_were_missed(house: House, editor: Asker) -> None:
    """As delivery has recorded them."""
    await editor.post("/destinations/heap/enabled", {"enabled": "false"})
    house.data_dir.settle("discarded", 1, reason="destination_disabled", cursor=1)
    house.clock.advance(3600)
    answer = await editor.post("/destinations/heap/enabled", {"enabled": "true"})
    assert heap(house)["enabled"] is True
    said = (await editor.get(SETTINGS)).words
    assert answer.location == "/destinations/heap?outcome=discarded&reason=destination_disabled"
    assert "1 message was discarded while it was off; replay them here." in said


async def test_enabling_is_asked_about_while_the_source_is_sending(
    house: House, editor: Asker
) -> None:
    """In numbers; the answer is the button of that page."""
    house.data_dir.use(sources=[source()], destinations=[destination(enabled=False)])
    house.data_dir.accept(*(f"n{number}" for number in range(49)))
    asked = await editor.post("/destinations/heap/enabled", {"enabled": "true"})
    assert "About 10 messages/min will start to go to it." in asked.words
    assert heap(house)["enabled"] is False
    await editor.post("/destinations/heap/enabled", {"enabled": "true", "confirmed": "yes"})
    assert heap(house)["enabled"] is True


async def test_what_cannot_be_enabled_says_why(house: House, editor: Asker) -> None:
    """A page runs one Heap: the second one in device mode stays off."""
    device = {"connectionMode": "device"}
    house.data_dir.use(
        sources=[source()],
        destinations=[destination(**device), destination("second", **device, enabled=False)],
    )
    form = {"enabled": "true", "confirmed": "yes"}
    answer = await editor.post("/destinations/second/enabled", form)
    assert answer.status == 422
    assert "a page runs one heap at a time" in answer.words
    assert house.document()["destinations"][1]["enabled"] is False


async def test_deleting_takes_the_slug(house: House, editor: Asker) -> None:
    """Anything else deletes nothing."""
    unsure = await editor.post("/destinations/heap/delete", {"slug": "hea"})
    assert unsure.status == 422
    assert "Type heap to delete it." in unsure.words
    assert len(house.document()["destinations"]) == 1
    done = await editor.post("/destinations/heap/delete", {"slug": " heap "})
    assert done.location == "/destinations"
    assert house.document()["destinations"] == []
    assert "There is no destination yet." in (await editor.get("/destinations")).words
    assert (await editor.get(SETTINGS)).status == 404


async def test_what_an_audience_is_sent_to_is_not_deleted(house: House, editor: Asker) -> None:
    """The page says who needs it."""
    vip = {"name": "VIP", "definition": "event('E').count() >= 1", "destinations": ["heap"]}
    save(house.app.parts, "a test", lambda one: one.update(engage={"audiences": [vip]}))
    answer = await editor.post("/destinations/heap/delete", {"slug": "heap"})
    assert answer.status == 422
    assert "Expected a destination's slug" in answer.words
    assert len(house.document()["destinations"]) == 1


async def test_a_viewer_sees_the_settings_and_can_press_nothing(house: House) -> None:
    """What is missing is shown, with the reason."""
    viewer = await house.somebody(Role.VIEWER)
    for path in ("/destinations", SETTINGS):
        main = (await viewer.get(path)).text.partition("<main")[2]
        assert 'disabled title="This needs the role editor"' in main
        assert main.count("<button") == main.count("<button ") == main.count("disabled title")


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_names_are_text_on_every_page(house: House, editor: Asker, name: str) -> None:
    """Neither markup nor a template, and what cannot be seen is shown as a code."""
    house.data_dir.use(sources=[source(name=name)], destinations=[destination(name=name)])
    for path in ("", "/heap/settings", "/heap/disable", "/heap/delete"):
        answer = await editor.get(f"/destinations{path}")
        assert answer.status == 200
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        assert str(made_visible(name)) in answer.text
