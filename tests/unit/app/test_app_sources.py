"""Sources in the app: shown, checked as people type, saved as `headgate apply` would, never over others."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from asking import Asker, House, json_of, opened

from data_dirs import SETTINGS, destination, source
from headgate.app.editing import save
from headgate.app.showing import made_visible
from headgate.clock import SystemClock
from headgate.workspace.access import Role
from headgate.workspace.export import export
from headgate.workspace.file import parse
from headgate.workspace.model import Document
from headgate.workspace.sqlite_store import SqliteWorkspaceStore

SETTINGS_OF = "/sources/website/settings"
NONE = "\u2013"
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}{% include 'x' %}",
    "a\u202eb\u200bc",
    "x" * 30_000,
    "'; DROP TABLE accounts; --",
]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path) as one:
        yield one


@pytest.fixture
async def editor(house: House) -> Asker:
    """Somebody who may edit."""
    return await house.somebody(Role.EDITOR, "ed")


def website(house: House) -> dict[str, object]:
    """The source as it is stored now."""
    return next(one for one in house.document()["sources"] if one["slug"] == "website")


async def form_of(asker: Asker, path: str = SETTINGS_OF) -> dict[str, str]:
    """What the settings form says when it is opened."""
    text = (await asker.get(path)).text
    version = text.partition('name="version" value="')[2].partition('"')[0]
    return {"version": version, "name": "Website", "type": "website"}


async def test_the_list_says_where_each_source_goes(house: House, editor: Asker) -> None:
    """Every source, with its type, what it sends, what was refused of it, and its destinations."""
    house.data_dir.refuse("r", "no_ids", source="website")
    words = (await editor.get("/sources")).words
    assert "Website website Enabled 0.2 20 s ago 1 1 heap" in words
    assert f"Spare server Enabled {NONE} none in 24 h {NONE} {NONE} {NONE} wk_s" in words


async def test_a_source_shows_its_keys_and_what_became_of_its_messages(
    house: House, editor: Asker
) -> None:
    """The key is masked until somebody wants it; the figures are those of delivery."""
    house.data_dir.accept("m2")
    house.data_dir.give_up(1, cursor=2)
    answer = await editor.get("/sources/website")
    assert "wk_w…" in answer.words
    assert 'data-outcome="failed" data-count="1"' in answer.text
    assert (await editor.get("/sources/nothing")).status == 404


async def test_settings_are_saved_as_a_version_by_the_one_who_saved_them(
    house: House, editor: Asker
) -> None:
    """The answer leads to the source, which says that it is done, once."""
    form = await form_of(editor)
    answer = await editor.post(SETTINGS_OF, {**form, "name": "  Shop  ", "type": "mobile"})
    assert (answer.status, answer.location) == (303, "/sources/website")
    newest = house.app.parts.workspace.current()
    assert (newest.number, newest.actor) == (2, "ed")
    assert website(house)["name"] == "Shop"
    assert website(house)["type"] == "mobile"
    assert website(house)["writeKeys"] == ["wk_website"]
    assert "Settings saved." in (await editor.get("/sources/website")).words
    assert "Settings saved." not in (await editor.get("/sources/website")).words


async def test_what_was_changed_in_the_app_is_exported_as_the_file_that_would_make_it(
    house: House, editor: Asker
) -> None:
    """The file shown, the file downloaded and the command's are one; applying it changes nothing."""
    await editor.post("/sources/new", {"name": "Kiosk", "slug": "kiosk", "type": "mobile"})
    await editor.post("/sources/spare/enabled", {"enabled": "false"})
    text = (await editor.get("/settings/file/headgate.yaml")).text
    assert text == export(house.document(), SETTINGS)
    assert parse(text, catalog=SETTINGS, environment={}) == house.document()
    assert "slug: kiosk" in (await editor.get("/settings/file")).words


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({"type": "toaster"}, "type", "website | mobile | server"),
        ({"name": "a\x00b"}, "name", "Expected text"),
        ({"type": "server"}, "", ""),
        ({"name": ""}, "", ""),
    ],
    ids=["no such type", "control character", "fine", "the slug will do"],
)
async def test_a_form_is_judged_while_it_is_filled_in(
    house: House, editor: Asker, typed: dict[str, str], field: str, told: str
) -> None:
    """In the words in which a file would be refused; nothing is stored."""
    form = {**await form_of(editor), **typed}
    problems = json_of(await editor.post(f"{SETTINGS_OF}/check", form))
    assert list(problems) == ([field] if field else [])
    assert told in problems.get(field, "")
    assert house.app.parts.workspace.current().number == 1


async def test_a_wrong_form_saves_nothing_and_loses_nothing(house: House, editor: Asker) -> None:
    """What was typed stands in the fields, with the reason under the one that is wrong."""
    form = {**await form_of(editor), "name": "A new name", "type": "toaster"}
    answer = await editor.post(SETTINGS_OF, form)
    assert answer.status == 422
    assert 'value="A new name"' in answer.text
    assert "Expected website | mobile | server" in answer.words
    assert house.app.parts.workspace.current().number == 1


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"name": "X", "slug": "website", "type": "server"}, "a slug of its own"),
        ({"name": "X", "slug": "no slug", "type": "server"}, "a slug (1 to 100 letters"),
        ({"name": "X", "type": "server"}, "found nothing"),
    ],
    ids=["taken", "malformed", "missing"],
)
async def test_a_new_source_needs_a_slug_of_its_own(
    house: House, editor: Asker, form: dict[str, str], told: str
) -> None:
    """Checked as people type and when it is posted."""
    assert told in json_of(await editor.post("/sources/new/check", form))["slug"]
    answer = await editor.post("/sources/new", form)
    assert answer.status == 422
    assert told in answer.words
    assert 'value="X"' in answer.text
    assert len(house.document()["sources"]) == 2


async def test_a_new_source_gets_a_key_of_its_own_and_says_how_to_install_it(
    house: House, editor: Asker
) -> None:
    """Two new sources have different keys; the snippet has the key."""
    for slug in ("one", "two"):
        answer = await editor.post("/sources/new", {"slug": slug, "name": "", "type": "website"})
        assert answer.location == f"/sources/{slug}/install"
    keys = [one["writeKeys"][0] for one in house.document()["sources"][2:]]
    assert len(set(keys)) == 2
    page = await editor.get("/sources/two/install")
    assert keys[1] in page.words
    assert "https://events.example.com" in page.words


# Two editors at once


async def test_the_second_of_two_editors_sees_both_values_and_overwrites_nothing(
    house: House, editor: Asker
) -> None:
    """Saving again, with both before their eyes, is a decision."""
    other = await house.somebody(Role.EDITOR, "otto")
    mine, theirs = await form_of(editor), await form_of(other)
    await other.post(SETTINGS_OF, {**theirs, "name": "Theirs"})
    vera = await house.somebody(Role.EDITOR, "vera")
    await vera.post("/sources/spare/enabled", {"enabled": "false"})
    answer = await editor.post(SETTINGS_OF, {**mine, "name": "Mine"})
    assert answer.status == 409
    assert "Nothing was saved. otto changed this source meanwhile" in answer.words
    assert "Saved meanwhile: Theirs" in answer.words
    assert 'value="Mine"' in answer.text
    assert website(house)["name"] == "Theirs"
    again = answer.text.partition('name="version" value="')[2].partition('"')[0]
    assert (
        await editor.post(SETTINGS_OF, {**mine, "version": again, "name": "Mine"})
    ).status == 303
    assert website(house)["name"] == "Mine"


async def test_an_edit_after_an_apply_overwrites_nothing(house: House, editor: Asker) -> None:
    """A file counts like another editor."""
    form = await form_of(editor)
    document: Document = house.document()
    document["sources"][0]["name"] = "From the file"
    with closing(
        SqliteWorkspaceStore(house.data_dir.path / "workspace.db", SystemClock())
    ) as store:
        store.commit(document, actor="apply")
    answer = await editor.post(SETTINGS_OF, {**form, "name": "Mine"})
    assert answer.status == 409
    assert "apply changed this source meanwhile" in answer.words
    assert website(house)["name"] == "From the file"


async def test_changes_of_something_else_are_no_conflict(house: House, editor: Asker) -> None:
    """Nor is a change to the very value that is wanted; both stand afterwards."""
    form = await form_of(editor)
    other = await house.somebody(Role.EDITOR, "otto")
    await other.post("/sources/website/keys")
    await other.post("/sources/spare/enabled", {"enabled": "false"})
    assert (await editor.post(SETTINGS_OF, {**form, "name": "Mine"})).status == 303
    assert website(house)["name"] == "Mine"
    keys = website(house)["writeKeys"]
    assert isinstance(keys, list)
    assert len(keys) == 2


def test_changes_of_the_same_instant_both_stand(house: House) -> None:
    """Somebody else commits between the reading and the commit of a change."""
    parts = house.app.parts
    edits: list[Document] = []

    def edit(document: Document) -> None:
        if not edits:
            save(parts, "otto", lambda other: other["sources"][1].update(name="Otto's"))
        edits.append(document)
        document["sources"][0]["name"] = "Mine"

    assert save(parts, "ed", edit).version == 3
    assert [one["name"] for one in house.document()["sources"]] == ["Mine", "Otto's"]
    assert len(edits) == 2


async def test_a_source_that_was_deleted_meanwhile_is_told(house: House, editor: Asker) -> None:
    """Nothing is made anew by a late form."""
    house.data_dir.use(sources=[source("spare")])
    answer = await editor.post(SETTINGS_OF, {"version": "1", "name": "Mine", "type": "website"})
    assert answer.status == 404
    assert "There is no source website" in answer.words
    assert [one["slug"] for one in house.document()["sources"]] == ["spare"]


# Switches, keys, the end


async def test_disabling_says_what_it_means_first(house: House, editor: Asker) -> None:
    """A page asks; its form does it."""
    page = await editor.get("/sources/website/disable")
    assert "everything it sends is refused" in page.words
    await editor.post("/sources/website/enabled", {"enabled": "false"})
    assert website(house)["enabled"] is False
    assert "is refused, and not delivered later" in (await editor.get("/sources/website")).words
    await editor.post("/sources/website/enabled", {"enabled": "true"})
    assert website(house)["enabled"] is True


async def test_a_key_is_replaced_step_by_step(house: House, editor: Asker) -> None:
    """One is added, libraries move over, the old one is retired."""
    await editor.post("/sources/website/keys")
    assert (
        "Retire the write key wk_w…" in (await editor.get("/sources/website/keys/0/retire")).words
    )
    await editor.post("/sources/website/keys/0/retire")
    keys = website(house)["writeKeys"]
    assert isinstance(keys, list)
    assert len(keys) == 1
    assert keys != ["wk_website"]
    assert (await editor.post("/sources/website/keys/1/retire")).status == 404


async def test_deleting_takes_the_slug_and_no_destination(house: House, editor: Asker) -> None:
    """What is connected stays in one piece."""
    assert (
        "Remove its destinations first: heap" in (await editor.get("/sources/website/delete")).words
    )
    refused = await editor.post("/sources/website/delete", {"slug": "website"})
    assert refused.status == 422
    unsure = await editor.post("/sources/spare/delete", {"slug": "spar"})
    assert unsure.status == 422
    assert "Type spare to delete it." in unsure.words
    assert len(house.document()["sources"]) == 2
    assert (await editor.post("/sources/spare/delete", {"slug": "spare"})).location == "/sources"
    assert [one["slug"] for one in house.document()["sources"]] == ["website"]


async def test_a_viewer_sees_everything_and_can_press_nothing(house: House) -> None:
    """What is missing is shown, with the reason."""
    viewer = await house.somebody(Role.VIEWER)
    for path in ("/sources", "/sources/website", SETTINGS_OF):
        text = (await viewer.get(path)).text
        main = text.partition("<main")[2]
        assert 'disabled title="This needs the role editor"' in main
        assert main.count("<button") == main.count(
            'disabled title="This needs the role editor"'
        ) + main.count("data-copy")


# Installing


@pytest.mark.parametrize("library", ["browser", "npm", "python", "http"])
async def test_the_snippet_has_key_and_address(editor: Asker, library: str) -> None:
    """For each library, with the address that is asked for."""
    page = await editor.get(
        f"/sources/website/install?library={library}&url=https://my.example.com/in"
    )
    assert "wk_website" in page.words
    assert "my.example.com" in page.words


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://x.example/v1", "http://a:0", "x"])
async def test_an_address_that_leads_nowhere_is_told(editor: Asker, url: str) -> None:
    """And nothing is shown to paste."""
    page = await editor.get(f"/sources/website/install?url={url}")
    assert "Expected http(s)://host[:port][/path]" in page.words
    assert 'id="snippet"' not in page.text
    assert (await editor.get("/sources/website/install?library=cobol")).status == 404


# Hostile names


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_names_are_text_on_every_page(house: House, editor: Asker, name: str) -> None:
    """Neither markup nor a template, and what cannot be seen is shown as a code."""
    house.data_dir.use(sources=[source(name=name)], destinations=[destination(name=name)])
    for path in (
        "/",
        "/sources",
        "/sources/website",
        SETTINGS_OF,
        "/sources/website/install",
        "/sources/website/disable",
        "/sources/website/delete",
        "/settings/audit",
        "/settings/file",
    ):
        answer = await editor.get(path)
        assert answer.status == 200
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        if path in ("/", "/sources", "/sources/website"):
            assert str(made_visible(name)) in answer.text


# The API


async def test_the_api_makes_the_same_change_as_the_form(house: House) -> None:
    """With the same checks, and the token as its author."""
    nobody = Asker(house.app)
    headers = {"authorization": f"Bearer {house.token('write')}"}

    async def patch(body: bytes, slug: str = "website") -> tuple[int, object]:
        answer = await nobody.ask("PATCH", f"/api/sources/{slug}", body=body, headers=headers)
        return answer.status, json_of(answer)

    status, told = await patch(b'{"name": "Renamed", "enabled": false}')
    assert status == 200
    assert told == {"data": {"source": {"id": "website", **website(house)}}}
    assert website(house)["name"] == "Renamed"
    assert house.app.parts.workspace.current().actor == "token a write token"
    for body, expected in (
        (b'{"enabled": "yes"}', 400),
        (b'{"slug": "x"}', 400),
        (b"[]", 400),
        (b"{", 400),
    ):
        assert (await patch(body))[0] == expected
    assert (await patch(b'{"name": "x"}', "nothing"))[0] == 404
    assert house.app.parts.workspace.current().number == 2
    listed = json_of(await nobody.ask("GET", "/api/sources", headers=headers))
    assert [one["id"] for one in listed["data"]["sources"]] == ["website", "spare"]
