"""The list of messages and its exports: what is asked for stands in the address, and nothing of it is run."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asking import Answer, Asker, House, opened

from headgate.delivery.facts import DELIVERED
from headgate.spec.timestamps import iso_ms
from headgate.workspace.access import Role

HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path / "data") as one:
        yield one


async def viewer(house: House) -> Asker:
    """Somebody who may read."""
    return await house.somebody(Role.VIEWER)


def rows(answer: Answer) -> list[str]:
    """The table, a line for each row."""
    _, _, table = answer.text.partition('<tbody id="rows">')
    parts = table.partition("</tbody>")[0].split("<tr ")[1:]
    return [Answer(200, {}, f"<tr {part}").words for part in parts]


async def test_messages_are_listed_newest_first_with_their_outcomes(house: House) -> None:
    """Each leads to its story."""
    house.data_dir.clock.advance(1)
    house.data_dir.accept("m2", source="spare")
    house.data_dir.settle(DELIVERED, 1, cursor=1)
    answer = await (await viewer(house)).get("/messages")
    assert rows(answer) == [
        "14 Nov 2023, 22:13:21 UTC Order Completed kept, sent nowhere ann track spare",
        "14 Nov 2023, 22:13:20 UTC Order Completed Delivered ann track website",
    ]
    assert 'href="/messages/m1?position=1"' in answer.text
    assert 'data-count="2" data-exact="true"' in answer.text


async def test_nothing_has_arrived(tmp_path: Path) -> None:
    """The page says so, and what to do."""
    with opened(tmp_path / "data") as house:
        house.data_dir.retire(2)
        answer = await (await viewer(house)).get("/messages")
    assert "Nothing has arrived yet." in answer.words
    assert rows(answer) == []


async def test_the_form_keeps_what_the_address_asks_for(house: House) -> None:
    """Also what is asked for several times, and what there is not in its lists."""
    asker = await viewer(house)
    query = "source=website&type=track&type=page&event=%3Cb%3E&user=ann+"
    query += "&outcome=pending&reason=refused&destination=heap"
    answer = await asker.get(f"/messages?{query}&from=2023-11-14T22:00:00Z&to=1800000000000")
    assert answer.status == 200
    for kept in (
        '<option value="website" selected>',
        '<option value="track" selected>',
        '<option value="page" selected>',
        'name="event" value="&lt;b&gt;"',
        'name="user" value="ann "',
        '<option value="pending" selected>',
        '<option value="refused" selected>',
        '<option value="heap" selected>',
        'name="from" value="2023-11-14T22:00:00Z"',
        'name="to" value="1800000000000"',
    ):
        assert kept in answer.text
    assert f"/messages.csv?{query}".replace("&", "&amp;")[:60] in answer.text


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("source=nowhere", "There is no source 'nowhere'; there are:"),
        ("destination=nowhere", "There is no destination 'nowhere'; there are: heap."),
        ("type=trak", "There is no type 'trak'; there are: track"),
        ("reason=rate", "There is no reason 'rate'; there are:"),
        ("outcome=lost", "Expected one of delivered, discarded, failed, pending."),
        ("from=yesterday", "Expected a moment such as 2026-11-24T14:02:31Z."),
    ],
)
async def test_what_makes_no_sense_is_told_at_its_field(
    house: House, query: str, words: str
) -> None:
    """The value stays there, and nothing is listed; exports say the same."""
    asker = await viewer(house)
    answer = await asker.get(f"/messages?{query}")
    assert (answer.status, rows(answer)) == (422, [])
    assert words in answer.words
    name, _, value = query.partition("=")
    assert f'id="filter-{name}-problem">{words[:8]}' in answer.text
    assert f'value="{value}"' in answer.text
    export = await asker.get(f"/messages.csv?{query}")
    assert (export.status, words in export.text) == (422, True)


async def test_more_is_loaded_a_hundred_at_a_time(house: House) -> None:
    """By an address; at the end it says that this was all, and how far back that is."""
    house.data_dir.accept(*(f"n{n}" for n in range(120)))
    asker = await viewer(house)
    first = await asker.get("/messages?type=track")
    assert len(rows(first)) == 100
    assert 'href="?type=track&amp;before=22" hx-get=' in first.text
    second = await asker.get("/messages?type=track&before=22")
    assert len(rows(second)) == 21
    assert "hx-get" not in second.text
    assert "That is all. Everything since 14 Nov 2023, 22:13:20 UTC was searched." in second.words


async def test_what_retention_has_removed_is_said(house: House) -> None:
    """Rather than that there was nothing."""
    house.data_dir.accept("m2", segment_messages=1)
    house.data_dir.retire(2)
    words = (await (await viewer(house)).get("/messages?to=1600000000000")).words
    assert "No message fits. Everything since 14 Nov 2023, 22:13:20 UTC was searched;" in words
    assert "what is older, retention has removed." in words


async def test_a_large_number_is_counted_when_that_is_asked_for(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then it says that there are more."""
    monkeypatch.setattr("headgate.app.pages.messages._COUNTED", 10)
    house.data_dir.accept(*(f"n{n}" for n in range(1_200)))
    asker = await viewer(house)
    some = await asker.get("/messages?source=website")
    assert "10+ messages · count all" in some.words
    every = await asker.get("/messages?source=website&count=all")
    assert 'data-count="1201" data-exact="true"' in every.text


async def test_what_anybody_may_have_made_up_is_text(house: House) -> None:
    """In the list, in its links, and in what is exported."""
    event, user = f"{HOSTILE}\u202e ", '=HYPERLINK("http://x")'
    house.data_dir.append(house.data_dir.say("track", "a/b?c#d", user, event=event))
    asker = await viewer(house)
    answer = await asker.get("/messages")
    assert "<img" not in answer.text
    assert "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;" in answer.text
    assert 'U+202E</span><span class="odd" title="space">·</span>' in answer.text
    assert 'href="/messages/a%2Fb%3Fc%23d?position=2"' in answer.text
    table = csv.DictReader(io.StringIO((await asker.get("/messages.csv")).text))
    row = next(table)
    assert row["userId"] == f"'{user}"
    assert row["event"] == event


async def test_a_name_of_many_thousand_characters_is_cut_in_lists(house: House) -> None:
    """The page of the message has all of it, in its body."""
    house.data_dir.append(house.data_dir.say("track", "m2", "u" * 9_000, event="e" * 20_000))
    asker = await viewer(house)
    assert len((await asker.get("/messages")).text) < 30_000
    page = (await asker.get("/messages/m2")).text
    assert "e" * 20_000 in page and len(page) < 300_000


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
async def test_no_cell_is_computed_by_a_spreadsheet(house: House, cell: str) -> None:
    """It begins with a quote, then."""
    house.data_dir.append(house.data_dir.say("track", "m2", event=cell))
    text = (await (await viewer(house)).get("/messages.csv")).text
    assert next(csv.DictReader(io.StringIO(text, newline="")))["event"] == f"'{cell}"


async def test_exports_hold_everything_to_the_digit(house: House) -> None:
    """Whatever a line holds, it is one line."""
    raw = b'{"type":"track","messageId":"m2","event":"E",\n"properties":{"n":9007199254740993,"f":1.10}}'
    house.data_dir.accept_raw(raw, "m2", workspace_version=1)
    asker = await viewer(house)
    csv_answer = await asker.get("/messages.csv")
    assert csv_answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert csv_answer.headers["content-disposition"] == 'attachment; filename="messages.csv"'
    table = [*csv.DictReader(io.StringIO(csv_answer.text, newline=""))]
    assert [one["messageId"] for one in table] == ["m2", "m1"]
    assert table[0]["message"].encode() == raw
    assert table[1]["outcomes"] == "heap: pending"
    lines = (await asker.get("/messages.jsonl")).text.splitlines()
    assert len(lines) == 2
    assert '"n":9007199254740993,"f":1.10' in lines[0]
    told: dict[str, Any] = msgspec.json.decode(lines[1])
    del told["message"]
    assert told == {
        "position": 1,
        "receivedAt": iso_ms(house.clock.now_ms()),
        "messageId": "m1",
        "source": "website",
        "type": "track",
        "event": "Order Completed",
        "userId": "ann",
        "outcomes": [{"destination": "heap", "outcome": "pending", "reason": ""}],
    }


async def test_what_is_not_json_is_exported_as_text(house: House) -> None:
    """The lines stay lines of JSON."""
    house.data_dir.accept_raw(b'{"type":"track",\xff', "m2")
    lines = (await (await viewer(house)).get("/messages.jsonl")).text.splitlines()
    assert msgspec.json.decode(lines[0])["message"] == '{"type":"track",\\xff'


async def test_what_the_door_refused_is_a_link_away(house: House) -> None:
    """It never got into the log, so it is not in the list."""
    answer = await (await viewer(house)).get("/messages?source=website")
    assert 'href="/sources/website/refused"' in answer.text


async def test_exports_filter_as_the_list_does(house: House) -> None:
    """The same address with another ending."""
    house.data_dir.accept("m2", source="spare")
    asker = await viewer(house)
    assert len((await asker.get("/messages.jsonl?source=spare")).text.splitlines()) == 1


async def test_personal_values_are_masked_where_somebody_wants_that(house: House) -> None:
    """In this browser alone, until they want them back."""
    house.data_dir.append(house.data_dir.say("track", "m2", "ana@example.com"))
    asker, other = await viewer(house), await viewer(house)
    assert "ana@example.com" in (await asker.get("/messages")).text
    answer = await asker.post("/mask", {"mask": "yes", "next": "/messages?user=x"})
    assert (answer.status, answer.location) == (303, "/messages?user=x")
    for path in ("/messages", "/messages.csv", "/messages.jsonl", "/messages/m2"):
        masked = await asker.get(path)
        assert (masked.status, "ana@example.com" in masked.text) == (200, False)
    assert "ana@example.com" in (await other.get("/messages")).text
    await asker.post("/mask", {"mask": "no"})
    assert "ana@example.com" in (await asker.get("/messages")).text


async def test_the_switch_comes_back_to_the_page_whatever_its_address(house: House) -> None:
    """There is one, in the menu."""
    house.data_dir.append(house.data_dir.say("track", "a/b?#%"))
    path = "/messages/a%2Fb%3F%23%25?position=2"
    text = (await (await viewer(house)).get(path)).text
    assert text.count("Mask personal values") == 1
    assert f'name="next" value="{path}"' in text


@pytest.mark.parametrize("next_", ["https://x.example", "//x.example", "/\\x.example", ""])
async def test_the_switch_leads_to_no_other_host(house: House, next_: str) -> None:
    """Whatever the form says."""
    answer = await (await viewer(house)).post("/mask", {"mask": "yes", "next": next_})
    assert answer.location == "/messages"
