"""The tester and the mapping page: what would be sent and why not; sending itself needs a running server."""

import re
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any

import msgspec
import pytest
from asking import Answer, Asker, House, opened

from data_dirs import destination, source
from factories import arrival
from headgate.app.showing import made_visible
from headgate.workspace.access import Role
from headgate.workspace.sqlite_privacy import SqlitePrivacyStore

TESTER = "/destinations/heap/tester"
CALL: dict[str, Any] = {"type": "track", "userId": "u1", "event": "Signed Up"}
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path / "data") as one:
        yield one


@pytest.fixture
async def editor(house: House) -> Asker:
    return await house.somebody(Role.EDITOR)


def request_of(answer: Answer) -> str:
    """The body that would be sent, as it would be copied."""
    found = re.search(r'<code id="body-request-to-heap">(.*?)</code>', answer.text, re.DOTALL)
    assert found, answer.words
    return unescape(found[1])


def changes_of(answer: Answer) -> list[str]:
    """The list of changes, in words."""
    part = answer.text.partition('class="changes"')[2].partition("</ul>")[0]
    items = re.findall(r"<li[^>]*>(.*?)</li>", part, re.DOTALL)
    return [" ".join(unescape(re.sub("<[^>]+>", "", one)).split()) for one in items]


async def previewed(asker: Asker, **fields: Any) -> Answer:
    """What the tester says of a call that somebody types."""
    await asker.get(TESTER)
    text = msgspec.json.encode({**CALL, **fields}).decode()
    return await asker.post(f"{TESTER}/preview", {"text": text})


# The preview


async def test_a_message_of_the_log_is_previewed_as_delivery_would_send_it(
    house: House, editor: Asker
) -> None:
    """Its own id and time, the library of its batch; to the byte."""
    raw = b'{"type":"track","messageId":"m9","userId":"ann","event":"E","properties":{"n":9007199254740993}}'
    house.data_dir.accept_raw(raw, "m9", context=b'{"library":{"name":"analytics-python"}}')
    answer = await editor.get(f"{TESTER}?message=m9")
    assert request_of(answer) == (
        '{"app_id":"1535634150","events":[{"identity":"ann","event":"E","properties":'
        '{"n":9007199254740993,"segment_library":"analytics-python"},'
        '"timestamp":"2023-11-14T22:13:20.000Z","idempotency_key":"m9"}]}'
    )
    assert "POST https://heapanalytics.com/api/track" in answer.words
    assert "Not arrived" not in answer.words


async def test_the_message_in_the_field_is_its_text_with_a_value_a_line(
    house: House, editor: Asker
) -> None:
    """No number is rounded; sent back unchanged, with the line ends of browsers, it is the very message."""
    raw = b'{"type":"track","messageId":"m9","userId":"ann","event":"E","properties":{"n":1.10}}'
    house.data_dir.accept_raw(raw, "m9", sent_at="2023-11-14T22:13:10Z")
    text = (await editor.get(f"{TESTER}?message=m9")).text
    area = unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", text, re.DOTALL)[1])  # type: ignore[index]
    assert '"n": 1.10' in area
    form = {"text": area.replace("\n", "\r\n"), "message": "m9"}
    for path in (TESTER, f"{TESTER}/preview"):
        again = await editor.post(path, form)
        assert request_of(again) == request_of(await editor.get(f"{TESTER}?message=m9"))


async def test_a_message_that_is_near_the_limit_is_not_too_large_for_its_line_breaks(
    house: House, editor: Asker
) -> None:
    """In the field it is longer than the door would take; it is the message that arrived all the same."""
    raw = msgspec.json.encode({**CALL, "messageId": "big", "properties": {"list": [1] * 14_000}})
    house.data_dir.accept_raw(raw, "big")
    page = await editor.get(f"{TESTER}?message=big")
    area = unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", page.text, re.DOTALL)[1])  # type: ignore[index]
    assert len(area) > 32_768
    form = {"text": area.replace("\n", "\r\n"), "message": "big"}
    assert request_of(await editor.post(f"{TESTER}/preview", form)) == request_of(page)


@pytest.mark.parametrize(
    "raw",
    [
        b'{"type":"track","messageId":"odd","userId":"u","event":"E","properties":'
        + b'{"a":' * 5000
        + b"1"
        + b"}" * 5001,
        b'{"type":"track","messageId":"odd","userId":"u","event":"E \xff\xfe"}',
        b'{"type":"track","messageId":"odd","userId":"u","event":"E \\ud800","properties":{"n":1e400}}',
    ],
    ids=["deep", "no UTF-8", "half a pair"],
)
async def test_odd_messages_are_shown_and_previewed(
    house: House, editor: Asker, raw: bytes
) -> None:
    """Whatever the door has taken."""
    house.data_dir.accept_raw(raw, "odd")
    page = await editor.get(f"{TESTER}?message=odd")
    assert page.status == 200
    assert '"idempotency_key":"odd"' in request_of(page)
    area = unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", page.text, re.DOTALL)[1])  # type: ignore[index]
    again = await editor.post(f"{TESTER}/preview", {"text": area, "message": "odd"})
    assert request_of(again) == request_of(page)


async def test_an_id_that_was_given_at_the_door_stays(house: House, editor: Asker) -> None:
    """The message came without one."""
    house.data_dir.append(arrival("given-1", given=[0], received_at_ms=house.clock.now_ms()))
    answer = await editor.get(f"{TESTER}?message=given-1")
    assert '"idempotency_key":"given-1"' in request_of(answer)


async def test_a_message_that_was_edited_keeps_what_surrounds_it(
    house: House, editor: Asker
) -> None:
    """The batch's context and the moment of arrival stay; the rest is as typed."""
    raw = b'{"type":"track","messageId":"m9","userId":"ann","event":"E"}'
    house.data_dir.accept_raw(raw, "m9", context=b'{"library":{"name":"analytics-python"}}')
    await editor.get(TESTER)
    text = raw.decode().replace('"E"', '"Edited"')
    body = request_of(await editor.post(f"{TESTER}/preview", {"text": text, "message": "m9"}))
    assert '"event":"Edited"' in body
    assert "analytics-python" in body
    assert "2023-11-14T22:13:20.000Z" in body


async def test_each_change_is_named(editor: Asker) -> None:
    """Objects, lists, dates, nulls, empty objects, cuts, and what mapping adds."""
    answer = await previewed(
        editor,
        properties={
            "plan": "pro",
            "foo": {"bar": [1, 2, 3], "cheese": "american"},
            "createdAt": "2026-11-23T15:02:31+01:00",
            "coupon": None,
            "extra": {},
            "long": "x" * 2000,
        },
        context={"library": {"name": "analytics.js"}},
    )
    assert changes_of(answer) == [
        "properties.foo.bar → foo.bar, list became text",
        "properties.foo.cheese → foo.cheese",
        "properties.createdAt → createdAt, became 2026-11-23T14:02:31.000Z",
        "properties.coupon null dropped",
        "properties.extra empty object dropped",
        "properties.long → long, cut from 2,000 to 1,023 characters",
        "segment_library added: the name of the library",
    ]


async def test_forbidden_names_of_users_are_named(editor: Asker) -> None:
    """Heap takes neither of them."""
    answer = await previewed(editor, type="identify", event=None, traits={"id": 7, "plan": "pro"})
    assert "add_user_properties" in answer.words
    assert changes_of(answer) == [
        "traits.id Heap forbids a user property of this name: dropped",
    ]


async def test_the_classic_mapping_tells_what_it_renames_and_adds(
    house: House, editor: Asker
) -> None:
    """Under the names that reports rely on."""
    settings = {"appId": "1", "mapping": "segment-classic"}
    house.data_dir.use(sources=[source()], destinations=[destination(settings=settings)])
    answer = await previewed(editor, type="identify", traits={"email": "a@b.ch", "n": 2**53 + 1})
    assert changes_of(answer) == [
        "traits.email → _email, renamed",
        "traits.n → n, became 9007199254740992",
        "id added: the userId",
        "segment_library added: empty, the library is not known",
    ]


@pytest.mark.parametrize(
    ("fields", "reason", "told"),
    [
        (
            {"integrations": {"Heap": False}},
            "integrations_object",
            "The message's integrations object switches this destination off."
            " integrations.Heap is false . Change integrations in the call",
        ),
        ({"userId": None, "anonymousId": "a"}, "no_user_id", "Heap refuses anonymous events"),
        ({"userId": "null"}, "junk_identity", "userId 'null'"),
        ({"type": "page"}, "unsupported_type", "type page"),
        ({"userId": "x" * 256}, "identity_too_long", "256 characters"),
    ],
    ids=["integrations", "anonymous", "junk", "page", "long id"],
)
async def test_what_would_be_discarded_says_so_in_the_words_of_the_trace(
    editor: Asker, fields: dict[str, Any], reason: str, told: str
) -> None:
    """And shows no request."""
    answer = await previewed(editor, **fields)
    assert f'data-outcome="discarded" data-reason="{reason}"' in answer.text
    assert "It would be discarded." in answer.words
    assert told in answer.words
    assert "Request to Heap" not in answer.words


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"type": "track", ', "This is not JSON"),
        ("[]", "It would be refused at the door. The item of the batch is not a JSON object."),
        ('{"type": "track", "userId": "u"}', "The track call has no event name."),
        ('{"type": "track", "event": "E"}', "neither a userId nor an anonymousId"),
        ('{"userId": "u"}', "The type is none of"),
        ("", "This is not JSON"),
    ],
    ids=["cut", "list", "no event", "no ids", "no type", "nothing"],
)
async def test_what_the_door_would_refuse_is_told(editor: Asker, text: str, told: str) -> None:
    """Half a call is no error: somebody is typing it."""
    await editor.get(TESTER)
    answer = await editor.post(f"{TESTER}/preview", {"text": text})
    assert answer.status == 200
    assert told in answer.words


async def test_a_suppressed_user_is_refused_at_the_door(house: House, editor: Asker) -> None:
    """As the tracking API would do it."""
    path = house.data_dir.path / "workspace.db"
    with closing(SqlitePrivacyStore(path, house.clock)) as privacy:
        privacy.suppress("u1", actor="a test")
    answer = await previewed(editor)
    assert "It would be refused at the door. The user is suppressed" in answer.words
    assert "Request to Heap" not in answer.words


async def test_a_disabled_destination_is_previewed_as_if_it_were_on(
    house: House, editor: Asker
) -> None:
    """The page says that it is not, and sends nothing."""
    house.data_dir.use(sources=[source()], destinations=[destination(enabled=False)])
    answer = await previewed(editor)
    assert "The destination is disabled: today everything is discarded." in answer.words
    assert '"event":"Signed Up"' in request_of(answer)
    form = {"text": msgspec.json.encode(CALL).decode(), "confirmed": "yes"}
    refused = await editor.post(f"{TESTER}/send", form)
    assert refused.status == 422
    assert "Enable it first" in refused.words


async def test_device_mode_shows_the_calls_of_the_page_and_claims_no_answer(
    house: House, editor: Asker
) -> None:
    """Anonymous visitors count there; nothing can be sent in the page's place."""
    house.data_dir.use(sources=[source()], destinations=[destination(connectionMode="device")])
    known = await previewed(editor, type="identify", traits={"a": {"b": [1]}})
    assert 'heap.identify("u1") heap.addUserProperties({"a.b":"[1]"})' in known.words
    anonymous = await previewed(editor, userId=None, anonymousId="a", properties={"n": 1})
    assert 'heap.track("Signed Up", {"n":1})' in anonymous.words
    page = await editor.get(TESTER)
    assert "Heap's answer cannot be seen here" in page.words
    assert "Send to Heap" not in page.words


# Picking, sending


async def test_messages_of_the_source_can_be_picked_newest_first(
    house: House, editor: Asker
) -> None:
    """Of this source alone; an id is an address, whatever it holds."""
    house.data_dir.accept("a/b?c", "m3")
    house.data_dir.accept("other", source="spare")
    text = (await editor.get(TESTER)).text
    links = re.findall(rf'href="{TESTER}\?message=([^"]+)"', text)
    assert links == ["m3", "a%2Fb%3Fc", "m1"]
    assert '"idempotency_key":"a/b?c"' in request_of(
        await editor.get(f"{TESTER}?message=a%2Fb%3Fc")
    )
    assert (await editor.get(f"{TESTER}?message=other")).status == 404
    assert (await editor.get(f"{TESTER}?sample=nothing")).status == 404


@pytest.mark.parametrize("position", ["3", "2", "1", "0", "99", "x", "9" * 30])
async def test_a_position_that_is_wrong_misleads_nobody(
    house: House, editor: Asker, position: str
) -> None:
    """It is a hint: the id decides."""
    house.data_dir.accept("m2", "m3")
    page = await editor.get(f"{TESTER}?message=m3&position={position}")
    assert '"idempotency_key":"m3"' in request_of(page)
    assert 'name="position" value="3"' in page.text


async def test_sending_is_asked_about_first_and_says_for_whom(house: House, editor: Asker) -> None:
    """The real user only when that is wanted; nothing typed is lost on the way."""
    await editor.get(TESTER)
    form = {"text": msgspec.json.encode(CALL).decode(), "as": "test", "identity": "me-testing"}
    asked = await editor.post(f"{TESTER}/send", form)
    assert "Send this message to Heap?" in asked.words
    assert "for the test identity me-testing" in asked.words
    real = await editor.post(f"{TESTER}/send", {**form, "as": "real"})
    assert "for the real user u1 . It changes what Heap knows of them" in real.words
    assert "Signed Up" in real.text
    discarded = {**form, "text": '{"type": "page", "userId": "u1"}', "confirmed": "yes"}
    refused = await editor.post(f"{TESTER}/send", discarded)
    assert refused.status == 422
    assert "Nothing would reach Heap. The destination takes identify and track calls only." in (
        refused.words
    )


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"enabled": False}, "Website is disabled, so what it sends is refused."),
        ({"writeKeys": []}, "Website has no write key to send with."),
    ],
    ids=["off", "no key"],
)
async def test_a_source_that_cannot_send_is_told(
    house: House, editor: Asker, keys: dict[str, Any], told: str
) -> None:
    """Before anything is asked; what was typed stays."""
    house.data_dir.use(sources=[source(name="Website", **keys)], destinations=[destination()])
    await editor.get(TESTER)
    answer = await editor.post(f"{TESTER}/send", {"text": msgspec.json.encode(CALL).decode()})
    assert answer.status == 422
    assert told in answer.words
    assert "Signed Up" in answer.text


async def test_what_the_tracking_api_does_not_take_is_told(house: House, editor: Asker) -> None:
    """Nobody listens there; what was typed stays."""
    await editor.get(TESTER)
    form = {"text": msgspec.json.encode(CALL).decode(), "confirmed": "yes"}
    answer = await editor.post(f"{TESTER}/send", form)
    assert answer.status == 502
    assert "Nothing was sent. The tracking API at https://events.example.com" in answer.words
    assert "Signed Up" in answer.text


async def test_a_viewer_previews_and_cannot_send(house: House) -> None:
    """With the reason."""
    viewer = await house.somebody(Role.VIEWER)
    page = await viewer.get(TESTER)
    assert 'disabled title="This needs the role editor">Send to Heap' in page.text
    assert '"event":"Signed Up"' in request_of(await previewed(viewer))
    assert (await viewer.post(f"{TESTER}/send", {"text": "{}"})).status == 403


async def test_a_hostile_message_is_text(house: House, editor: Asker) -> None:
    """In the list, the field, the request and the changes."""
    raw = msgspec.json.encode(
        {**CALL, "messageId": "bad", "event": HOSTILE, "properties": {HOSTILE: {"</textarea>": []}}}
    )
    house.data_dir.accept_raw(raw, "bad")
    for answer in (
        await editor.get(f"{TESTER}?message=bad"),
        await previewed(editor, event=HOSTILE, properties={HOSTILE: None}),
    ):
        assert "<img" not in answer.text
        assert HOSTILE in unescape(answer.text)
    page = await editor.get(TESTER)
    assert str(made_visible(HOSTILE)) in page.text


async def test_personal_values_are_hidden_where_the_browser_hides_them(
    house: House, editor: Asker
) -> None:
    """In the field and in the request; what would be sent stays what it is."""
    raw = (
        b'{"type":"identify","messageId":"p1","userId":"ann","traits":{"email":"ann@example.com"}}'
    )
    house.data_dir.accept_raw(raw, "p1")
    editor.cookies["headgate_mask"] = "1"
    page = await editor.get(f"{TESTER}?message=p1")
    assert "ann@example.com" not in page.text
    area = unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", page.text, re.DOTALL)[1])  # type: ignore[index]
    del editor.cookies["headgate_mask"]
    assert "ann@example.com" in request_of(await editor.get(f"{TESTER}?message=p1"))
    assert "•••" in area


# Mapping


async def test_the_mapping_page_compares_both_on_the_same_calls(editor: Asker) -> None:
    """Five of them; what differs is marked."""
    page = await editor.get("/destinations/heap/mapping")
    assert page.text.count('class="compared"') == 5
    assert "This destination maps by heap" in page.words
    assert "If you switch to segment-classic" in page.words
    by_classic = page.words.partition("A user's traits")[2]
    assert '_email: "ann@example.com" differs' in by_classic


async def test_switching_lists_the_names_that_change(house: House, editor: Asker) -> None:
    """By the newest messages of the source."""
    raw = b'{"type":"identify","messageId":"i1","userId":"ann","traits":{"email":"a@b.ch","plan":"x"}}'
    house.data_dir.accept_raw(raw, "i1")
    page = await editor.get("/destinations/heap/mapping")
    assert "No longer sent email Sent instead, or besides _email id segment_library" in page.words
