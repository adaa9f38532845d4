"""The connect flow and the catalog: what is asked, refused, warned of and made; the rest needs a running server."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import Answer, Asker, House, json_of, opened

from data_dirs import destination, source
from headgate.workspace.access import Role

APP_ID = "settings.appId"
USUAL = {APP_ID: "1001", "settings.region": "US", "connectionMode": "cloud", "do": "enable"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """With a website, a server and a switched-off app, none of which is connected or sends yet."""
    with opened(tmp_path / "data") as one:
        one.data_dir.use(
            sources=[
                source(name="Website"),
                source("spare", type="server", name="Spare"),
                source("ios", type="mobile", name="iOS", enabled=False),
            ]
        )
        one.clock.advance(3600)
        yield one


@pytest.fixture
async def editor(house: House) -> Asker:
    return await house.somebody(Role.EDITOR)


def ticked(answer: Answer) -> list[str]:
    """The names of the boxes that are ticked."""
    boxes = re.findall(r'<input type="checkbox" name="([^"]+)"[^>]* checked', answer.text)
    return [str(one) for one in boxes]


def problem_at(answer: Answer, name: str) -> str:
    """What the page says of a field."""
    return answer.text.partition(f'data-problem="{name}"')[2].partition(">")[2].partition("<")[0]


def destinations(house: House) -> list[dict[str, Any]]:
    """As they are written."""
    found: list[dict[str, Any]] = house.document()["destinations"]
    return found


# The form


async def test_the_only_source_is_ticked_and_the_one_that_the_address_names(
    house: House, editor: Asker
) -> None:
    """With several, nothing is guessed; without any, a new website is proposed."""
    assert ticked(await editor.get("/connect")) == []
    assert ticked(await editor.get("/connect?destination=heap&source=spare")) == ["from.spare"]
    house.data_dir.use(sources=[source()])
    assert ticked(await editor.get("/connect")) == ["from.website"]
    assert (await editor.get("/connect?destination=other")).status == 404


async def test_a_workspace_without_sources_proposes_a_new_one(tmp_path: Path) -> None:
    """The first thing anybody connects."""
    with opened(tmp_path / "data") as house:
        editor = await house.somebody(Role.EDITOR)
        for path in (
            "/destinations/heap/delete",
            "/sources/website/delete",
            "/sources/spare/delete",
        ):
            await editor.post(path, {"slug": path.split("/")[2]})
        page = await editor.get("/connect")
        assert ticked(page) == ["new"]
        assert 'name="new.name" value="Website"' in page.text


async def test_connecting_makes_one_destination(house: House, editor: Asker) -> None:
    """Enabled, under a name and a slug that were proposed; a pasted line is understood."""
    form = {**USUAL, "from.website": "on", APP_ID: 'heap.load("1535634150");'}
    answer = await editor.post("/connect", form)
    assert answer.location == "/destinations/heap"
    assert destinations(house) == [
        {
            "slug": "heap",
            "name": "Heap",
            "metadataId": "heap",
            "sourceId": "website",
            "enabled": True,
            "connectionMode": "cloud",
            "settings": {"appId": "1535634150"},
        }
    ]


async def test_several_sources_make_one_destination_each(house: House, editor: Asker) -> None:
    """The new one among them, which gets a write key; all with the same App ID, in one version."""
    version = house.app.parts.workspace.current().number
    form = {
        **USUAL,
        "from.website": "on",
        "from.spare": "on",
        "new": "on",
        "new.name": "My Till",
        "new.type": "server",
        "do": "save",
    }
    assert (await editor.post("/connect", form)).location == "/destinations"
    made = [(one["slug"], one["sourceId"], one["enabled"]) for one in destinations(house)]
    assert made == [
        ("heap-website", "website", False),
        ("heap-spare", "spare", False),
        ("heap-my-till", "my-till", False),
    ]
    assert {one["settings"]["appId"] for one in destinations(house)} == {"1001"}
    till = house.document()["sources"][-1]
    assert (till["slug"], till["name"], till["type"]) == ("my-till", "My Till", "server")
    assert till["writeKeys"][0].startswith("wk_")
    assert house.app.parts.workspace.current().number == version + 1


@pytest.mark.parametrize(
    ("typed", "field", "told"),
    [
        ({APP_ID: ""}, APP_ID, "found nothing"),
        ({APP_ID: "my app"}, APP_ID, "digits"),
        ({"from.website": ""}, "source", "Tick the source"),
        ({"slug": "no slug"}, "slug", "a slug"),
        ({"settings.region": "Mars"}, "settings.region", "US | EU"),
        ({"connectionMode": "pigeon"}, "connectionMode", "cloud | device"),
        ({"settings.apiBaseUrl": "heap"}, "settings.apiBaseUrl", "http or https URL"),
        (
            {"from.website": "", "from.spare": "on", "connectionMode": "device"},
            "connectionMode",
            "device mode works on website sources only",
        ),
        ({"new": "on", "new.name": " "}, "new.name", "a name"),
        ({"new": "on", "new.name": "X", "new.type": "toaster"}, "new.name", "website | mobile"),
    ],
    ids=[
        "none",
        "no digits",
        "no source",
        "slug",
        "region",
        "odd mode",
        "address",
        "mode",
        "unnamed",
        "type",
    ],
)
async def test_what_is_wrong_is_told_at_its_field_and_nothing_typed_is_lost(
    house: House, editor: Asker, typed: dict[str, str], field: str, told: str
) -> None:
    """While people type and when it is posted; nothing is saved."""
    version = house.app.parts.workspace.current().number
    form = {**USUAL, "from.website": "on", "identity": "mine", "name": "Typed", **typed}
    assert told in json_of(await editor.post("/connect/check", form))[field]
    answer = await editor.post("/connect", form)
    assert answer.status == 422
    assert told in problem_at(answer, field)
    assert 'value="Typed"' in answer.text
    assert 'value="mine"' in answer.text
    assert house.app.parts.workspace.current().number == version


async def test_fields_are_judged_before_a_source_is_ticked(editor: Asker) -> None:
    """A wrong App ID is not hidden behind the missing source."""
    problems = json_of(await editor.post("/connect/check", {**USUAL, APP_ID: "x"}))
    assert set(problems) == {"source", APP_ID}


async def test_a_slug_that_is_taken_is_refused(house: House, editor: Asker) -> None:
    """The proposal is free; somebody's own choice may not be."""
    await editor.post("/connect", {**USUAL, "from.website": "on"})
    page = await editor.get("/connect?source=spare")
    assert 'name="slug" value="heap-2"' in page.text
    answer = await editor.post("/connect", {**USUAL, "from.spare": "on", "slug": "heap"})
    assert "a slug of its own" in problem_at(answer, "slug")


async def test_a_second_heap_on_a_source_is_warned_of(house: House, editor: Asker) -> None:
    """At the source, before anything is counted twice."""
    assert "counts everything twice" not in (await editor.get("/connect")).words
    house.data_dir.use(sources=[source()], destinations=[destination(name="Heap production")])
    words = (await editor.get("/connect")).words
    assert "Already goes to Heap production. A second Heap" in words


async def test_what_a_source_cannot_do_is_said_beside_it(editor: Asker) -> None:
    """Servers and apps have no page; a disabled source is refused."""
    words = (await editor.get("/connect")).words
    assert words.count("Cloud mode only") == 2
    assert "It is disabled" in words


async def test_a_source_that_is_sending_is_asked_about_first(house: House, editor: Asker) -> None:
    """In numbers; saying yes saves what was typed, going back loses none of it."""
    house.data_dir.accept(*(f"n{number}" for number in range(50)))
    house.data_dir.accept("s1", source="spare")
    form = {**USUAL, "from.website": "on", "name": "Heap production", "identity": "mine"}
    question = await editor.post("/connect", form)
    assert question.status == 200
    assert "About 10 messages/min will start to go to Heap" in question.words
    assert "Older messages are not sent" in question.words
    assert destinations(house) == []
    back = re.search(r'href="(/connect\?[^"]+)"', question.text)
    assert back is not None
    again = await editor.get(back[1].replace("&amp;", "&"))
    assert ticked(again) == ["from.website"]
    assert 'value="Heap production"' in again.text
    assert 'value="1001"' in again.text
    kept = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', question.text))
    kept.pop("csrf")
    assert (await editor.post("/connect", kept)).location == "/destinations/heap"
    assert destinations(house)[0]["name"] == "Heap production"


@pytest.mark.parametrize("form", [{"from.spare": "on"}, {"from.website": "on", "do": "save"}])
async def test_what_sends_nothing_is_not_asked_about(
    house: House, editor: Asker, form: dict[str, str]
) -> None:
    """A source that is silent, and a destination that is saved disabled."""
    house.data_dir.accept("n1")
    assert (await editor.post("/connect", {**USUAL, **form})).status == 303


async def test_the_sandbox_needs_no_app_id_and_serves_the_script_too(
    house: House, editor: Asker
) -> None:
    """Where `headgate sandbox` listens, unless a destination points at another one that answers."""
    form = {"from.website": "on", "connectionMode": "device", "do": "sandbox", APP_ID: ""}
    answer = await editor.post("/connect", {**USUAL, **form})
    assert answer.location.startswith("/connect/result?heap=")
    (made,) = destinations(house)
    assert made["settings"] == {
        "appId": "1535634150",
        "apiBaseUrl": "http://127.0.0.1:9091",
        "scriptHost": "127.0.0.1:9091",
    }


async def test_the_preview_is_the_test_event(editor: Asker) -> None:
    """With the App ID and the identity as they are typed; in device mode the calls of the page."""
    form = {**USUAL, "from.website": "on", "identity": "mine", "settings.region": "EU"}
    cloud = await editor.post("/connect/preview", form)
    assert "POST https://c.eu.heap-api.com/api/track" in cloud.words
    assert '"app_id":"1001"' in cloud.words
    assert '"identity":"mine"' in cloud.words
    assert "Looks like an App ID." in cloud.words
    device = await editor.post(
        "/connect/preview", {**form, "connectionMode": "device", APP_ID: "x"}
    )
    assert 'heap.track("Headgate Test"' in device.words
    assert "Looks like an App ID." not in device.words


async def test_a_destination_in_device_mode_claims_no_answer(house: House, editor: Asker) -> None:
    """No test event is sent for it; the page says who sends instead."""
    form = {**USUAL, "from.website": "on", "connectionMode": "device", "do": "try"}
    answer = await editor.post("/connect", form)
    page = await editor.get(answer.location)
    assert "The browser sends" in page.words
    assert "cannot see Heap's answer" in page.words
    assert "Heap answered" not in page.words


async def test_a_test_event_that_cannot_be_sent_is_told(house: House, editor: Asker) -> None:
    """The destination is made all the same; nobody listens where the tracking API should be."""
    answer = await editor.post("/connect", {**USUAL, "from.website": "on", "do": "try"})
    assert answer.location.startswith("/connect/result?heap=headgate-test-")
    page = await editor.get(answer.location)
    assert "did not answer" in page.words
    assert "Not arrived" in page.words
    assert len(destinations(house)) == 1
    assert (await editor.get("/connect/result?nothing=x")).status == 404


async def test_the_answer_is_told_as_delivery_has_recorded_it(house: House, editor: Asker) -> None:
    """Waiting, then Heap's status and how long it took."""
    version = house.data_dir.use(sources=[source()], destinations=[destination()])
    house.data_dir.accept("headgate-test-1", workspace_version=version)
    waiting = await editor.get("/connect/result?heap=headgate-test-1")
    assert "waiting for Heap's answer" in waiting.words
    assert '<noscript><meta http-equiv="refresh"' in waiting.text
    number = house.data_dir.attempt(2, to=2)
    house.data_dir.settle("delivered", 2, to=2, cursor=2, attempt_id=number)
    done = await editor.get("/connect/result?heap=headgate-test-1")
    assert "Heap answered 200 in 25 ms" in done.words
    assert 'data-outcome="delivered"' in done.text
    assert 'href="/messages/headgate-test-1"' in done.text
    assert "http-equiv" not in done.text


async def test_a_viewer_sees_the_form_and_can_press_nothing(house: House) -> None:
    """With the reason."""
    viewer = await house.somebody(Role.VIEWER)
    main = (await viewer.get("/connect")).text.partition("<main")[2]
    locked = main.count('disabled title="This needs the role editor"')
    assert main.count("<button") - main.count("data-copy") == locked == 3
    assert (await viewer.post("/connect", USUAL)).status == 403


# The catalog


async def test_the_catalog_finds_what_there_is(editor: Asker) -> None:
    """By any of its words; nothing is shown that cannot be connected."""
    everything = await editor.get("/catalog")
    assert everything.text.count('class="tiles"') == 2
    assert 'href="/catalog/heap"' in everything.text
    heap = await editor.get("/catalog?q=heap")
    assert 'href="/catalog/heap"' in heap.text
    assert "/sources/new" not in heap.text
    assert "Nothing in the catalog is called" in (await editor.get("/catalog?q=amplitude")).words


async def test_the_entry_of_heap_says_what_it_takes(house: House, editor: Asker) -> None:
    """Calls, modes by type of source, every setting; and where it is connected already."""
    page = await editor.get("/catalog/heap")
    assert 'href="/connect?destination=heap"' in page.text
    for word in ("identify", "screen", "Website Yes Yes", "Server Yes No", "App ID", "nullTraits"):
        assert word in page.words
    await editor.post("/connect", {**USUAL, "from.website": "on"})
    assert "Connected: Heap" in (await editor.get("/catalog/heap")).words
    assert (await editor.get("/catalog/amplitude")).status == 404
