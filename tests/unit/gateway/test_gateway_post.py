"""A body is taken apart without being decoded: the write key is found wherever libraries put it."""

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import batch, message
from headgate.gateway.post import BadBody, batch_post, pixel_post, single_post


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


SINGLE_KEYS: dict[str, tuple[bytes | None, bytes, str]] = {
    "Basic": (basic("wk:"), b"{}", "wk"),
    "Basic without a colon": (basic("wk"), b"{}", "wk"),
    "Basic with a password": (basic("wk:secret"), b"{}", "wk"),
    "Basic in other capitals": (b"BASIC " + basic("wk:")[6:], b"{}", "wk"),
    "Basic with more spaces": (b"Basic   " + basic("wk:")[6:] + b" ", b"{}", "wk"),
    "Basic beats the body": (basic("wk:"), b'{"writeKey":"other"}', "wk"),
    "Basic is not decoded with the body": (basic("wk:"), b"no json", "wk"),
    "body": (None, b'{"writeKey":"wk"}', "wk"),
    "body with an odd value": (None, b'{"a":NaN,"writeKey":"wk","b":"\\ud800"}', "wk"),
    "Bearer and body": (b"Bearer token", b'{"writeKey":"wk"}', "wk"),
    "empty Basic and body": (basic(":"), b'{"writeKey":"wk"}', "wk"),
    "broken Basic and body": (b"Basic %%%", b'{"writeKey":"wk"}', "wk"),
    "Basic of odd bytes and body": (
        b"Basic " + base64.b64encode(b"\xff:"),
        b'{"writeKey":"wk"}',
        "wk",
    ),
    "an unknown scheme and body": (b"Token x", b'{"writeKey":"wk"}', "wk"),
    "nowhere": (None, b"{}", ""),
    "Bearer alone": (b"Bearer wk", b"{}", ""),
    "a key that is no text": (None, b'{"writeKey":7}', ""),
    "a key that is null": (None, b'{"writeKey":null}', ""),
}


@pytest.mark.parametrize(("authorization", "body", "key"), SINGLE_KEYS.values(), ids=SINGLE_KEYS)
def test_a_single_message_s_write_key(authorization: bytes | None, body: bytes, key: str) -> None:
    """Basic's user name, otherwise the body's; "" when there is none."""
    post = single_post(body, authorization)
    assert post.write_key == key
    assert post.messages == [body]
    assert not post.batched


BATCH_KEYS: dict[str, tuple[bytes | None, bytes, str]] = {
    "Basic": (basic("wk:"), batch(message(), key=None), "wk"),
    "Basic beats the body": (basic("wk"), batch(message(), key="other"), "wk"),
    "body, behind the items": (None, batch(message(), key="wk"), "wk"),
    "body, before the items": (None, b'{"writeKey":"wk","batch":[{}]}', "wk"),
    "Bearer and body": (b"Bearer token", batch(message(), key="wk"), "wk"),
    "body beats the first item": (None, batch(message(writeKey="other"), key="wk"), "wk"),
    "the first item": (None, batch(message(writeKey="wk"), message(), key=None), "wk"),
    "the first item, beside an odd value": (
        None,
        batch(b'{"a":"\xff\\ud800","writeKey":"wk"}', key=None),
        "wk",
    ),
    "only the second item": (None, batch(message(), message(writeKey="wk"), key=None), "wk"),
    "after an item that is no object": (
        None,
        batch(b"null", message(writeKey="wk"), key=None),
        "wk",
    ),
    "no item": (None, batch(b"null", message(), key=None), ""),
    "an empty batch": (None, batch(key=None), ""),
    "a key that is no text": (None, b'{"batch":[],"writeKey":["wk"]}', ""),
}


@pytest.mark.parametrize(("authorization", "body", "key"), BATCH_KEYS.values(), ids=BATCH_KEYS)
def test_a_batch_s_write_key(authorization: bytes | None, body: bytes, key: str) -> None:
    """Basic's user name, the body's, the first item's, in this order."""
    assert batch_post(body, authorization).write_key == key


def test_the_items_of_a_batch_stay_as_they_are() -> None:
    """Whatever they are, byte for byte."""
    items = [message("a"), b"null", b"7", b'"x"', b"[ ]", b'{ "odd" : 1e400 }']
    post = batch_post(batch(*items), None)
    assert post.messages == items
    assert post.batched
    assert post.repairs == ()


SENT_AT: dict[str, tuple[bytes, object]] = {
    "text": (b'"2026-11-23"', "2026-11-23"),
    "a number": (b"1700000000", 1700000000),
    "a fraction": (b"1.5", 1.5),
    "null": (b"null", None),
    "true": (b"true", "True"),
    "a list": (b"[1]", "list"),
    "an object": (b"{}", "dict"),
    "the largest that is stored": (str(2**63 - 1).encode(), 2**63 - 1),
    "one more": (str(2**63).encode(), str(2**63)),
    "a hundred digits": (b"9" * 100, "9" * 64),
    "nested deep": (b"[" * 900 + b"]" * 900, "list"),
}


@pytest.mark.parametrize(("written", "sent_at"), SENT_AT.values(), ids=SENT_AT)
def test_a_batch_s_sent_at_can_always_be_stored(written: bytes, sent_at: object) -> None:
    """A time as it came; of what no envelope can hold, a word that the trace will warn of."""
    post = batch_post(b'{"batch":[],"sentAt":' + written + b"}", None)
    assert (post.sent_at, type(post.sent_at)) == (sent_at, type(sent_at))


SHARED: dict[str, tuple[bytes, bytes]] = {
    "an object": (b'{"a": 1}', b'{"a": 1}'),
    "an empty object": (b"{}", b""),
    "null": (b"null", b""),
    "text": (b'"x"', b""),
    "a list": (b"[{}]", b""),
}


@pytest.mark.parametrize(("written", "kept"), SHARED.values(), ids=SHARED)
def test_a_batch_s_context_and_integrations_are_kept_as_bytes(written: bytes, kept: bytes) -> None:
    """When they are objects with something in them; go always sends an empty context."""
    body = b'{"batch":[],"context":' + written + b',"integrations":' + written + b"}"
    post = batch_post(body, None)
    assert (post.context, post.integrations) == (kept, kept)


def test_unknown_fields_of_a_batch_are_ignored() -> None:
    """Old libraries send their own messageId and timestamp for the whole batch."""
    post = batch_post(batch(message(), messageId="b-1", timestamp="x", extra=[1]), None)
    assert (post.write_key, len(post.messages)) == ("wk_website", 1)


def test_odd_values_in_a_batch_are_mended_and_told() -> None:
    """Items beside them are untouched."""
    good = message("good")
    post = batch_post(batch(b'{"a":NaN}', good, b'{"b":"\\ud800"}'), None)
    assert post.messages == [b'{"a":null}', good, b'{"b":"\\ufffd"}']
    assert len(post.repairs) == 2


BAD_BATCHES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "bad_json"),
    "words": (b"hello", "bad_json"),
    "cut off": (b'{"batch":[{}', "bad_json"),
    "null": (b"null", "invalid_batch"),
    "a list": (b"[]", "invalid_batch"),
    "text": (b'"x"', "invalid_batch"),
    "no batch": (b"{}", "invalid_batch"),
    "batch is null": (b'{"batch":null}', "invalid_batch"),
    "batch is an object": (b'{"batch":{}}', "invalid_batch"),
}


@pytest.mark.parametrize(("body", "code"), BAD_BATCHES.values(), ids=BAD_BATCHES)
def test_what_is_no_batch_is_refused(body: bytes, code: str) -> None:
    """With a code for programs."""
    with pytest.raises(BadBody) as bad:
        batch_post(body, None)
    assert bad.value.code == code


@pytest.mark.parametrize("body", [b"", b"hello", b'{"a":1', b"[]", b"null", b'"x"', b"7"])
def test_a_single_body_without_a_key_in_the_header_has_to_be_an_object(body: bytes) -> None:
    """Otherwise there is nowhere to look for the key."""
    with pytest.raises(BadBody) as bad:
        single_post(body, None)
    assert bad.value.code == "bad_json"


WHOLE = {"writeKey": "wk", "userId": "ann", "event": "Email Opened", "properties": {"s": "ü>?"}}
ENCODED = base64.b64encode(msgspec.json.encode(WHOLE)).decode()
URL_SAFE = ENCODED.replace("+", "-").replace("/", "_")

PIXELS: dict[str, tuple[str, object]] = {
    "base64": (f"data={ENCODED.replace('+', '%2B')}", WHOLE),
    "base64 whose plus became a space": (f"data={ENCODED}", WHOLE),
    "base64 for URLs": (f"data={URL_SAFE}", WHOLE),
    "base64 without padding": (f"data={URL_SAFE.rstrip('=')}", WHOLE),
    "one parameter per field": (
        "writeKey=wk&userId=ann&event=Email+Opened&properties.s=%C3%BC%3E%3F",
        WHOLE,
    ),
    "raw UTF-8": ("writeKey=wk&userId=ann&event=Email+Opened&properties.s=ü>?", WHOLE),
    "an empty value": ("writeKey=wk&userId=", {"writeKey": "wk", "userId": ""}),
    "a name twice": ("writeKey=a&writeKey=wk", {"writeKey": "wk"}),
    "a value and a path under it": (
        "writeKey=wk&a=1&a.b=2",
        {"writeKey": "wk", "a": {"b": "2"}},
    ),
    "a path with empty steps": ("writeKey=wk&a..b=2", {"writeKey": "wk", "a": {"": {"b": "2"}}}),
}


@pytest.mark.parametrize(("query", "expected"), PIXELS.values(), ids=PIXELS)
def test_a_pixel_s_query_is_a_message(query: str, expected: object) -> None:
    """Base64 JSON under `data`, or one parameter per field."""
    post = pixel_post(query.encode())
    assert post.write_key == "wk"
    assert [msgspec.json.decode(one) for one in post.messages] == [expected]


def test_a_pixel_s_key_may_stand_beside_its_data() -> None:
    """Some people keep it out of the message."""
    data = base64.b64encode(b'{"userId":"ann"}').decode()
    assert pixel_post(f"data={data}&writeKey=wk".encode()).write_key == "wk"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        pytest.param("data=a", "bad_data", id="one character of base64"),
        pytest.param("data=%C3%A9", "bad_data", id="letters that base64 does not know"),
        pytest.param("data=", "bad_json", id="nothing"),
        pytest.param(f"data={base64.b64encode(b'[1]').decode()}", "bad_json", id="a list"),
        pytest.param(f"data={base64.b64encode(b'x').decode()}", "bad_json", id="no JSON"),
    ],
)
def test_a_pixel_that_cannot_be_read_is_refused(query: str, code: str) -> None:
    """Its sender gets the picture all the same; that is decided elsewhere."""
    with pytest.raises(BadBody) as bad:
        pixel_post(query.encode())
    assert bad.value.code == code


@settings(deadline=None)
@given(st.binary(max_size=100), st.none() | st.binary(max_size=30).map(b"Basic ".__add__))
def test_any_bytes_are_a_post_or_a_bad_body(text: bytes, authorization: bytes | None) -> None:
    """Nothing else can come out of taking a body apart."""
    parsers: list[Any] = [
        lambda: single_post(text, authorization),
        lambda: batch_post(text, authorization),
        lambda: batch_post(b'{"batch":[' + text + b"]}", authorization),
        lambda: pixel_post(text),
        lambda: pixel_post(b"data=" + text),
    ]
    for parse in parsers:
        try:
            post = parse()
        except BadBody:
            continue
        assert isinstance(post.write_key, str)
