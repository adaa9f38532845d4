"""Audiences and computed traits in the app: sizes, members, why, CSV, switches, and the end."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asking import Asker
from engage_house import BUYERS, EngageHouse, engaged_house

from data_dirs import destination
from engage_dirs import audience
from headgate.app.pages.audiences import NOBODY
from headgate.delivery.facts import DELIVERED
from headgate.engage.planning import records_of
from headgate.engage.reader import Computed
from headgate.engage.registry import State
from headgate.engage.requests import Requests
from headgate.engage.store import EngageStore
from headgate.records.engage.members import LOOKED_AT
from headgate.spec.timestamps import iso_ms
from headgate.stores import ENGAGE
from headgate.workspace.access import Role

_HOUR_S = 3_600
_ROW = re.compile(r'<tr id="person-(\d+)">')


@pytest.fixture
def house(tmp_path: Path) -> Iterator[EngageHouse]:
    with engaged_house(tmp_path) as one:
        one.live()
        yield one


@pytest.fixture
async def editor(house: EngageHouse) -> Asker:
    """Somebody who may edit."""
    return await house.somebody(Role.EDITOR, "ed")


def asked_of(house: EngageHouse, key: str = "audiences") -> list[dict[str, Any]]:
    """What the workspace says of audiences."""
    found: list[dict[str, Any]] = house.document().get("engage", {}).get(key, [])
    return found


def count_of(text: str, words: str) -> int:
    """The raw number beside some words of a page."""
    found = re.search(rf'data-count="(\d+)"(?:(?!data-count).)*?{words}', text, re.DOTALL)
    assert found is not None, words
    return int(found[1])


# Lists and pages


async def test_an_empty_list_says_what_would_be_there(tmp_path: Path) -> None:
    with engaged_house(tmp_path) as one:
        one.engage.configure()
        words = (await (await one.somebody(Role.VIEWER)).get("/audiences")).words
    assert "There is no audience yet." in words


async def test_the_list_has_sizes_states_and_who_cannot_be_told_of(
    house: EngageHouse, editor: Asker
) -> None:
    words = (await editor.get("/audiences")).words
    assert re.search(r"Buyers buyers Live 2 .* heap On its way 1", words)
    assert "3 people are known." in words
    assert "Spent spent Live 2" in (await editor.get("/traits")).words


async def test_the_list_names_the_next_change_by_time_alone(
    house: EngageHouse, editor: Asker
) -> None:
    """Ann leaves first, who bought a minute before the visitor."""
    text = (await editor.get("/audiences")).text
    assert "14 Nov 2023, 23:12:20 UTC" in text


async def test_a_computation_that_nobody_has_taken_up_is_starting(
    house: EngageHouse, editor: Asker
) -> None:
    house.engage.configure(BUYERS, audience("Later", "event('L').count() >= 1"))
    assert "Later later Starting" in (await editor.get("/audiences")).words
    assert "Engage has not taken it up yet" in (await editor.get("/audiences/later")).words


async def test_one_that_was_deleted_is_gone_for_good(house: EngageHouse, editor: Asker) -> None:
    house.engage.configure()
    house.engage.compute()
    gone = await editor.get("/audiences/buyers")
    assert gone.status == 404
    assert "Its key is never used again." in gone.words


async def test_one_whose_key_engage_refuses_has_failed_and_says_why(
    house: EngageHouse, editor: Asker
) -> None:
    """As when Engage's store remembers a computation that the workspace does not."""
    with closing(EngageStore(house.engage.path / ENGAGE)) as store:
        (buyers, _) = records_of(store.computations())
        gone = msgspec.structs.replace(buyers, state=State.REMOVED)
        store.save_computations(
            [Computed(gone.number, gone.key, gone.kind, msgspec.msgpack.encode(gone))]
        )
    words = (await editor.get("/audiences")).words
    assert "Buyers buyers Failed The key buyers belonged to another computation" in words


async def test_the_page_counts_what_the_destination_was_told(
    house: EngageHouse, editor: Asker
) -> None:
    """Ann was told true; the visitor has no userId; two hours later ann is told false."""
    text = (await editor.get("/audiences/buyers")).text
    assert count_of(text, "told true") == 1
    assert count_of(text, "have no userId") == 1
    assert count_of(text, "told false") == 0
    house.clock.advance(2 * _HOUR_S)
    house.engage.compute()
    text = (await editor.get("/audiences/buyers")).text
    assert count_of(text, "told true") == 0
    assert count_of(text, "told false") == 1
    assert count_of(text, "people") == 0


async def test_what_is_still_to_be_told_is_counted(tmp_path: Path) -> None:
    """With an interval between syncs, nobody is told at once."""
    with engaged_house(tmp_path) as one:
        one.engage.configure(BUYERS, syncInterval=3600)
        one.live()
        asker = await one.somebody(Role.VIEWER)
        assert count_of((await asker.get("/audiences/buyers")).text, "to be told") == 1
        words = (await asker.get("/audiences/buyers/members?among=untold")).words
    assert "In it" in words
    assert "To be told heap" in words


async def test_a_trait_shows_how_its_values_are_spread(house: EngageHouse, editor: Asker) -> None:
    words = (await editor.get("/traits/spent")).words
    assert "2 people have a value, 1 have none" in words
    assert "Most frequent values Value People 12 1 1 1" in words


async def test_definitions_that_read_it_are_named(tmp_path: Path) -> None:
    with engaged_house(tmp_path, BUYERS, audience("Both", "trait('buyers') = true")) as one:
        one.live()
        words = (await (await one.somebody(Role.VIEWER)).get("/audiences/buyers")).words
    assert "Used by Both ." in words


async def test_a_crowd_is_counted_when_the_page_asks_and_shown_with_its_age(
    house: EngageHouse, editor: Asker
) -> None:
    """The page itself does not look at everybody; what was counted is kept until it is old."""
    house.crowd(LOOKED_AT)
    text = (await editor.get("/audiences/buyers")).text
    assert "told true" not in text
    assert 'hx-get="/audiences/buyers?counted=1"' in text
    text = (await editor.get("/audiences/buyers?counted=1")).text
    assert count_of(text, "told true") == 1 + LOOKED_AT
    assert "Counted at" in text
    text = (await editor.get("/audiences/buyers")).text
    assert count_of(text, "told true") == 1 + LOOKED_AT
    assert "counted=1" not in text
    house.clock.advance(3_600)
    assert 'hx-get="/audiences/buyers?counted=1"' in (await editor.get("/audiences/buyers")).text


async def test_a_crowd_is_listed_in_the_order_in_which_it_was_seen(
    house: EngageHouse, editor: Asker
) -> None:
    """Rare people are looked for further down, a stretch at a time."""
    house.crowd(LOOKED_AT)
    house.engage.track("Bought", "b-9", userId=None, anonymousId="late")
    house.engage.compute()
    answer = await editor.get("/audiences/buyers/members?among=undeliverable&order=told")
    assert _ROW.findall(answer.text) == ["2"]
    assert 'href="/audiences/buyers/members?among=undeliverable&amp;order=told&amp;after=' in (
        answer.text
    )
    found = re.search(r'href="([^"]*after=[^"]*)">Load more', answer.text)
    assert found is not None
    late = await editor.get(found[1].replace("&amp;", "&"))
    assert "late anonymous_id" in late.words


# Members


async def test_members_say_until_when_and_what_heap_answered(
    house: EngageHouse, editor: Asker
) -> None:
    text = (await editor.get("/audiences/buyers/members")).text
    assert _ROW.findall(text) == ["1", "2"]
    assert "On its way" in text
    house.data_dir.settle(DELIVERED, 6, attempt_id=house.data_dir.attempt(6))
    answer = await editor.get("/audiences/buyers/members")
    assert re.search(r"ann .* Why 14 Nov 2023, 23:12:20 UTC true 14 Nov 2023.* 200", answer.words)
    assert 'href="/messages/personas_' in answer.text


async def test_the_messages_behind_rows_are_asked_for_by_the_page(
    house: EngageHouse, editor: Asker
) -> None:
    """One question for all rows, whose answer goes into each."""
    text = (await editor.get("/audiences/buyers/members")).text
    found = re.search(r'hx-get="([^"]*/evidence[^"]*)"', text)
    assert found is not None
    answer = await editor.get(found[1].replace("&amp;", "&"))
    assert re.search("2 . Bought , last", answer.words)
    assert 'href="/messages/b-2"' in answer.text
    assert 'href="/messages/b-3"' in answer.text
    for target in re.findall(r'<div id="(found-[^"]+)" hx-swap-oob', answer.text):
        assert f'id="{target}"' in text


async def test_who_left_is_listed_with_what_heap_was_told(
    house: EngageHouse, editor: Asker
) -> None:
    assert (
        "Nobody left in the last 7 days."
        in (await editor.get("/audiences/buyers/members?among=left")).words
    )
    house.clock.advance(2 * _HOUR_S)
    house.engage.compute()
    text = (await editor.get("/audiences/buyers/members?among=left")).text
    assert _ROW.findall(text) == ["1"]
    assert 'data-told="false"' in text
    assert "Nobody is in it." in (await editor.get("/audiences/buyers/members")).words


async def test_those_without_a_user_id_are_listed(house: EngageHouse, editor: Asker) -> None:
    answer = await editor.get("/audiences/buyers/members?among=undeliverable")
    assert _ROW.findall(answer.text) == ["2"]
    assert "visitor anonymous_id" in answer.words
    assert "1 people have no userId" in (await editor.get("/audiences/buyers")).words


async def test_values_are_sorted_the_greatest_first(house: EngageHouse, editor: Asker) -> None:
    house.engage.track("Bought", "b-9", userId="dora", properties={"total": 400})
    house.engage.compute()
    text = (await editor.get("/traits/spent/members?order=value")).text
    assert _ROW.findall(text) == ["4", "1", "2"]
    assert 'aria-sort="descending"' in text


async def test_a_page_has_a_hundred_rows_and_leads_to_the_next(
    house: EngageHouse, editor: Asker
) -> None:
    """In both orders, everybody comes once."""
    house.crowd(120)
    for path in ("/audiences/buyers/members?order=seen", "/traits/spent/members?order=value"):
        first = (await editor.get(path)).text
        found = re.search(r'href="([^"]*after=[^"]*)">Load more', first)
        assert found is not None
        second = (await editor.get(found[1].replace("&amp;", "&"))).text
        rows = [_ROW.findall(first), _ROW.findall(second)]
        assert [len(one) for one in rows] == [100, 22]
        assert not set(rows[0]) & set(rows[1])
        assert "Load more" not in second


# Why


async def test_a_member_is_explained_by_the_messages_that_count(
    house: EngageHouse, editor: Asker
) -> None:
    answer = await editor.get("/audiences/buyers/check?person=ann")
    assert "A member" in answer.words
    assert 'data-holds="yes"' in answer.text
    assert 'href="/messages/b-2"' in answer.text
    assert "By itself it becomes false at" in answer.words
    assert "heap ann told true" in answer.words


async def test_somebody_who_is_no_member_sees_what_fails_and_the_last_message(
    house: EngageHouse, editor: Asker
) -> None:
    house.clock.advance(2 * _HOUR_S)
    house.engage.compute()
    answer = await editor.get("/audiences/buyers/check?person=ann")
    assert "Not a member" in answer.words
    assert 'data-holds="no"' in answer.text
    assert "now 0" in answer.words
    assert "No message counts; the last with this name is b-2" in answer.words


async def test_nobody_known_is_told_at_the_field(house: EngageHouse, editor: Asker) -> None:
    answer = await editor.get("/audiences/buyers/check?person=%3Cb%3E")
    assert answer.status == 404
    assert "&lt;b&gt; is not known" in answer.text
    assert 'value="&lt;b&gt;"' in answer.text


# CSV


async def test_everybody_is_streamed_as_csv_in_which_nothing_is_a_formula(
    house: EngageHouse, editor: Asker
) -> None:
    house.engage.track("Bought", "b-9", userId="=HYPERLINK(1)", properties={"total": 1})
    house.engage.compute()
    answer = await editor.get("/audiences/buyers/members.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(io.StringIO(answer.text)))
    columns = ("profile", "value", "user_id", "email", "anonymous_id")
    assert tuple(rows[0]) == (*columns, "told", "told_at", "identifiers")
    assert rows[1][5:7] == ["true", iso_ms(house.clock.now_ms())]
    assert [(row[0], row[1], row[2]) for row in rows[1:]] == [
        ("1", "true", "ann"),
        ("2", "true", ""),
        ("4", "true", "'=HYPERLINK(1)"),
    ]
    some = await editor.get("/audiences/buyers/members.csv?among=undeliverable")
    assert [row[0] for row in csv.reader(io.StringIO(some.text))] == ["profile", "2"]


# Switches and the end


async def test_it_is_disabled_with_the_consequence_said_and_enabled_again(
    house: EngageHouse, editor: Asker
) -> None:
    assert (
        "what they were told last of 2 people"
        in (await editor.get("/audiences/buyers/disable")).words
    )
    done = await editor.post("/audiences/buyers/enabled", {"enabled": "false"})
    assert (done.status, done.location) == (303, "/audiences/buyers")
    assert asked_of(house)[0]["enabled"] is False
    house.engage.compute()
    assert "Disabled" in (await editor.get("/audiences/buyers")).words
    await editor.post("/traits/spent/enabled", {"enabled": "false"})
    assert asked_of(house, "computedTraits")[0]["enabled"] is False
    await editor.post("/audiences/buyers/enabled", {"enabled": "true"})
    assert asked_of(house)[0].get("enabled", True) is True


async def test_a_resync_is_asked_for_as_the_command_does(house: EngageHouse, editor: Asker) -> None:
    assert "About 1 identify calls" in (await editor.get("/audiences/buyers/resync")).words
    await editor.post("/audiences/buyers/resync")
    assert list(Requests(house.engage.path).waiting().values()) == ["buyers"]


async def test_it_is_deleted_by_typing_its_key(house: EngageHouse, editor: Asker) -> None:
    """What Heap holds stays, and the page says of how many."""
    words = (await editor.get("/audiences/buyers/delete")).words
    assert "heap true for 1 people" in words
    assert "never used again" in words
    refused = await editor.post("/audiences/buyers/delete", {"key": "buyer"})
    assert (refused.status, len(asked_of(house))) == (422, 1)
    done = await editor.post("/audiences/buyers/delete", {"key": "buyers"})
    assert (done.location, asked_of(house)) == ("/audiences", [])
    house.engage.compute()
    await editor.post("/traits/spent/delete", {"key": "spent"})
    assert asked_of(house, "computedTraits") == []


async def test_members_are_told_false_before_it_is_deleted(
    house: EngageHouse, editor: Asker
) -> None:
    """It is emptied first; its page counts who is to be told, and leads to the end."""
    assert "1 identify calls" in (await editor.get("/audiences/buyers/delete")).words
    done = await editor.post("/audiences/buyers/delete", {"key": "buyers", "tell": "on"})
    assert asked_of(house)[0]["definition"] == NOBODY
    text = (await editor.get(done.location)).text
    assert count_of(text, "are still to be told") == 1
    assert 'hx-post="/audiences/buyers/delete"' not in text
    house.engage.compute()
    answer = await editor.get(done.location)
    assert 'hx-post="/audiences/buyers/delete"' in answer.text
    assert "hx-post" not in (await editor.get("/audiences/buyers")).text
    assert "Everybody was told" in answer.words
    assert count_of(answer.text, "</b> told false") == 1
    await editor.post("/audiences/buyers/delete", {"key": "buyers"})
    assert asked_of(house) == []


async def test_one_that_another_definition_reads_is_not_deleted(tmp_path: Path) -> None:
    with engaged_house(tmp_path, BUYERS, audience("Both", "trait('buyers') = true")) as one:
        one.live()
        asker = await one.somebody(Role.EDITOR)
        assert "Other definitions use it" in (await asker.get("/audiences/buyers/delete")).words
        refused = await asker.post("/audiences/buyers/delete", {"key": "buyers"})
    assert refused.status == 422


async def test_somebody_who_may_only_look_changes_nothing(house: EngageHouse) -> None:
    viewer = await house.somebody(Role.VIEWER)
    before = house.document()
    for path in ("enabled", "resync", "delete"):
        answer = await viewer.post(f"/audiences/buyers/{path}", {"key": "buyers"})
        assert answer.status == 403
    assert house.document() == before
    assert "This needs the role editor" in (await viewer.get("/audiences/buyers")).text


async def test_a_destination_that_failed_is_seen(tmp_path: Path) -> None:
    """One that is disabled, one that is removed."""
    with engaged_house(tmp_path) as one:
        one.live()
        one.engage.configure(BUYERS, destinations=[destination(enabled=False)])
        one.engage.compute()
        words = (await (await one.somebody(Role.VIEWER)).get("/audiences/buyers")).words
    assert "heap Disabled last told at" in words
