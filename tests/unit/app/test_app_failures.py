"""Failures: why, cause by cause, and sending again, with the cost said first."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import Answer, House, opened, standing_of

from data_dirs import destination, source
from headgate.delivery.facts import DELIVERED, DISCARDED, Facts, Settled
from headgate.delivery.positions import unpack
from headgate.delivery.replays import decode
from headgate.workspace.access import Role

HERE = "/destinations/heap/failures"
REPLAY = "/destinations/heap/replay"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Three messages that were all refused, a minute after a change of the App ID; m1 waits."""
    with opened(tmp_path) as one:
        one.clock.advance(60)
        one.data_dir.use(sources=[source()], destinations=[changed("9999")])
        one.clock.advance(60)
        one.data_dir.accept("a", "b", "c")
        one.data_dir.give_up(2, 3, 4)
        yield one


def changed(app_id: str) -> dict[str, object]:
    """The destination with another App ID."""
    return destination() | {"settings": {"appId": app_id}}


async def page(house: House, address: str = HERE) -> Answer:
    """The page as an editor gets it."""
    editor = await house.somebody(Role.EDITOR)
    return await editor.get(address)


def key_of(answer: Answer) -> str:
    """The first cause's."""
    return str(re.findall(r'id="cause-(\w+)"', answer.text)[0])


def requests(house: House) -> list[Path]:
    """The replays that were asked for and not taken up."""
    return sorted((house.data_dir.path / "replays").glob("*.request"))


async def test_one_answer_is_one_cause_and_names_the_change_before_it(house: House) -> None:
    """Everything was refused: a setting is wrong, not a message."""
    words = (await page(house)).words
    assert "3 failed in 1 cause" in words
    assert "Every message was refused : answered 400 3 messages 1 user" in words
    assert "destination heap: settings.appId 1535634150 → 9999 , changed by a test at" in words


async def test_a_message_that_is_refused_while_others_go_is_its_own_fault(house: House) -> None:
    """No setting is blamed."""
    house.data_dir.accept("d", "e")
    house.data_dir.settle(DELIVERED, 5, at_ms=house.clock.now_ms() + 50)
    words = (await page(house)).words
    assert "These messages were refused" in words
    assert "Heap took other messages meanwhile, so these cannot succeed as they are" in words
    assert "changed by" not in words


async def test_show_opens_the_messages_of_a_cause_page_by_page(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Newest first, each leading to its trace."""
    monkeypatch.setattr("headgate.app.pages.failures._ROWS", 2)
    first = await page(house, f"{HERE}?cause={key_of(await page(house))}")
    rows = r'class="row" href="/messages/(\w+)\?position=\d"'
    assert re.findall(rows, first.text) == ["c", "b"]
    (more,) = re.findall(r'href="([^"]*before=[^"]*)"', first.text)
    second = await page(house, more.replace("&amp;", "&").partition("#")[0])
    assert re.findall(rows, second.text) == ["a"]


async def test_personal_values_can_be_hidden(house: House) -> None:
    """In the rows as in the lists of messages; the causes stay."""
    house.data_dir.append(house.data_dir.say("track", "d", "ann@example.com"))
    house.data_dir.give_up(5)
    editor = await house.somebody(Role.EDITOR)
    address = f"{HERE}?cause={key_of(await editor.get(HERE))}"
    assert "ann@example.com" in (await editor.get(address)).words
    editor.cookies["headgate_mask"] = "1"
    assert "ann@example.com" not in (await editor.get(address)).text


async def test_a_replay_says_first_how_many_how_long_and_what_is_skipped(house: House) -> None:
    """Looking changes nothing."""
    answer = await page(house, f"{REPLAY}?cause={key_of(await page(house))}")
    assert "Replay 3 messages to heap?" in answer.words
    assert "3 failed (refused)" in answer.words
    assert "about a second at Heap's limits; 1 pending message goes before" in answer.words
    assert "None is older than a value already delivered; none is skipped." in answer.words
    assert requests(house) == []


async def test_an_older_profile_update_is_counted_as_skipped(house: House) -> None:
    """A newer value was delivered, and would be discarded under today's settings."""
    older = house.data_dir.say("identify", "old", "bob", traits={"plan": "free"})
    newer = house.data_dir.say("identify", "new", "bob", integrations={"Heap": False})
    house.data_dir.append(older, newer)
    house.data_dir.settle(DELIVERED, 6)
    house.data_dir.give_up(5)
    address = f"{REPLAY}?outcome=failed&from=2023-11-14T22:00Z&to=2023-11-14T23:00Z"
    answer = await page(house, address)
    assert 'data-figure="skipped" data-count="1"' in answer.text
    assert "1 is older than a value already delivered: it will be skipped." in answer.words


async def test_the_replay_of_a_cause_asks_for_all_of_it(house: House) -> None:
    """Durably, so that a server which is not there takes it up later; its row is there at once."""
    editor = await house.somebody(Role.EDITOR)
    key = key_of(await editor.get(HERE))
    done = await editor.post(REPLAY, {"cause": key})
    assert (done.status, done.location) == (303, HERE)
    (path,) = requests(house)
    request = decode(path.read_bytes())
    assert request.criteria == "dead letters, destination heap, cause answered 400"
    after = await editor.get(HERE)
    assert "3 messages queued for replay." in after.words
    assert "Waiting for the server 0 of 3 done, 3 left" in after.words


async def test_progress_is_on_the_page_until_it_has_ended(house: House) -> None:
    """Then with what became of the messages."""
    house.data_dir.replay("r-1", 2, 3, 4, settled=2)
    assert "Under way 2 of 3 done, 1 left" in (await page(house)).words
    house.data_dir.settle(DELIVERED, 2, 3, 4)
    house.data_dir.record(Facts(replayed={("r-1", 1): 1}, recovered=[(1, 2), (1, 3), (1, 4)]))  # type: ignore[arg-type]
    words = (await page(house)).words
    assert "Ended 3 of 3 done" in words
    assert "3 delivered" in words
    assert "Nothing that was sent to heap is failed" in words


async def test_what_was_discarded_by_settings_can_be_sent_again_too(house: House) -> None:
    """By outcome and reason, as the delivery page asks for it."""
    house.data_dir.accept("d", "e")
    house.data_dir.settle(DISCARDED, 5, 6, reason="destination_disabled")
    address = f"{REPLAY}?outcome=discarded&reason=destination_disabled"
    assert "Replay 2 messages to heap?" in (await page(house, address)).words


async def test_one_message_can_be_sent_again_alone(house: House) -> None:
    """As its trace asks for it."""
    editor = await house.somebody(Role.EDITOR)
    asked = await editor.get(f"{REPLAY}?outcome=failed&id=b")
    assert "Replay 1 message to heap?" in asked.words
    assert '<input type="hidden" name="id" value="b">' in asked.text
    await editor.post(REPLAY, {"outcome": "failed", "id": "b"})
    (path,) = requests(house)
    (wanted,) = decode(path.read_bytes()).destinations.values()
    assert list(unpack(wanted.events)) == [3]


async def test_where_nothing_fits_there_is_no_button(house: House) -> None:
    """What is pending is left out, and the page says so."""
    house.data_dir.settle("replayed", 2, 3, 4)
    answer = await page(house, f"{REPLAY}?outcome=failed")
    assert "Nothing can be sent again" in answer.words
    assert (
        "Left out: 3: Another replay is sending them again. 1: They are pending already."
        in answer.words
    )
    assert "<button" not in answer.text.partition("<main")[2]


@pytest.mark.parametrize("query", ["cause=gone", "", "outcome=failed&reason=nothing_known"])
async def test_a_replay_of_nothing_known_is_no_page(house: House, query: str) -> None:
    """And asks for nothing."""
    assert (await page(house, f"{REPLAY}?{query}")).status == 404
    assert requests(house) == []


async def test_a_viewer_sees_the_button_and_cannot_press_it(house: House) -> None:
    """Nor post."""
    viewer = await house.somebody(Role.VIEWER)
    answer = await viewer.get(HERE)
    assert f'href="{REPLAY}' not in answer.text
    assert 'title="This needs the role editor">Replay 3</button>' in answer.text
    assert (await viewer.post(REPLAY, {"cause": key_of(answer)})).status == 403
    assert requests(house) == []


async def test_what_waits_can_be_tried_now(house: House) -> None:
    """Where no server runs, that is said."""
    house.standing = [standing_of("heap", pending=1)]
    editor = await house.somebody(Role.EDITOR)
    assert 'action="/destinations/heap/retry"' in (await editor.get(HERE)).text
    assert (await editor.post("/destinations/heap/retry")).location == HERE
    assert "No server runs; what waits is tried when one starts." in (await editor.get(HERE)).words


async def test_failures_without_content_are_counted_apart(house: House) -> None:
    """They cannot be sent again."""
    house.data_dir.record(Facts(settled=[Settled(1, "failed", "unreadable_message", "", 5, [1])]))
    answer = await page(house)
    assert 'data-figure="failed" data-count="4"' in answer.text
    assert "1 more failed and nothing is kept of them" in answer.words


async def test_what_waits_for_its_next_attempt_is_told(house: House) -> None:
    """When that is, and when it is given up."""
    due_ms = house.clock.now_ms() + 30_000
    house.data_dir.wait(1, attempts=2, due_at_ms=due_ms)
    house.standing = [standing_of("heap", state="failing", trouble="answered 503", pending=1)]
    words = (await page(house)).words
    assert "1 pending · next attempt 14 Nov 2023, 22:15:50 UTC" in words
    assert "given up 4 hours after a message's first attempt" in words
