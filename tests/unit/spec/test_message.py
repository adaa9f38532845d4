"""The stored bytes and their envelope become the message that every later stage reads."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import NOW_MS, envelope, message
from headgate.spec.message import id_text, normalize, storable_ip
from headgate.spec.timestamps import iso_ms, parse_ms
from strategies import broken_messages, messages

RECEIVED = iso_ms(NOW_MS)
MINUTE_MS = 60_000


def at(offset_ms: int) -> str:
    return iso_ms(NOW_MS + offset_ms)


def test_an_ordinary_message_keeps_what_it_says() -> None:
    """Its own fields unchanged, the server's beside them, no warning."""
    assert normalize(
        message("m-1", context={"page": {"path": "/"}}, foo=[1, None]), envelope()
    ) == {
        "type": "track",
        "messageId": "m-1",
        "userId": "ann",
        "event": "Order Completed",
        "properties": {"total": 12.5},
        "context": {"page": {"path": "/"}},
        "foo": [1, None],
        "receivedAt": RECEIVED,
        "originalTimestamp": None,
        "sentAt": None,
        "timestamp": RECEIVED,
    }


TIMES: dict[str, tuple[str | None, str | None, str | None, int]] = {
    "a clock that agrees": (at(-2_000), at(0), None, -2_000),
    "a clock an hour behind": (at(-3_602_000), at(-3_600_000), None, -2_000),
    "a clock an hour ahead": (at(3_598_000), at(3_600_000), None, -2_000),
    "an old message sent now": (at(-30 * MINUTE_MS), at(0), None, -30 * MINUTE_MS),
    "sent before it happened": (at(MINUTE_MS), at(0), None, MINUTE_MS),
    "no timestamp": (None, at(-5_000), None, 0),
    "no sentAt": (at(-7_000), None, None, -7_000),
    "neither": (None, None, None, 0),
    "the batch's sentAt": (at(-3_602_000), None, at(-3_600_000), -2_000),
    "the message's sentAt beats the batch's": (at(-2_000), at(0), at(-3_600_000), -2_000),
}


@pytest.mark.parametrize(
    ("timestamp", "sent_at", "batch_sent_at", "expected_ms"), TIMES.values(), ids=TIMES
)
def test_time_is_corrected_by_the_sender_s_skew(
    timestamp: str | None, sent_at: str | None, batch_sent_at: str | None, expected_ms: int
) -> None:
    """timestamp = receivedAt - (sentAt - originalTimestamp), with what is there."""
    raw = message(timestamp=timestamp, sentAt=sent_at)
    whole = normalize(raw, envelope(sent_at=batch_sent_at))
    assert whole["timestamp"] == at(expected_ms)
    assert whole["receivedAt"] == RECEIVED
    assert whole["originalTimestamp"] == timestamp
    assert whole["sentAt"] == (sent_at or batch_sent_at)
    assert "warnings" not in whole


UNREADABLE: dict[str, tuple[bytes, str]] = {
    "words": (b'"yesterday"', "'yesterday'"),
    "nothing": (b'""', "''"),
    "true": (b"true", "'True'"),
    "a small number": (b"12", "'12'"),
    "a list": (b"[2026]", "'list'"),
    "an object": (b'{"$date":1}', "'dict'"),
    "nested as deep as a parser follows": (b"[" * 900 + b"]" * 900, "'list'"),
    "long": (b'"' + b"x" * 100 + b'"', repr("x" * 64)),
}


@pytest.mark.parametrize(("written", "shown"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_timestamp_counts_as_missing(written: bytes, shown: str) -> None:
    """The message happened when it was received; its trace says why, its own words stay."""
    raw = b'{"timestamp":' + written + b',"sentAt":"%b"}' % at(0).encode()
    whole = normalize(raw, envelope())
    assert whole["timestamp"] == RECEIVED
    assert whole["originalTimestamp"] == msgspec.json.decode(written)
    assert whole["warnings"] == [f"timestamp is not a time and counts as missing: {shown}"]


@pytest.mark.parametrize("where", ["message", "batch"])
def test_an_unreadable_sent_at_counts_as_missing(where: str) -> None:
    """Without a readable sentAt the sender's own timestamp stands."""
    own, shared = ("soon", None) if where == "message" else (None, "soon")
    raw = message(timestamp=at(-9_000), sentAt=own)
    whole = normalize(raw, envelope(sent_at=shared))
    assert whole["timestamp"] == at(-9_000)
    assert whole["warnings"] == ["sentAt is not a time and counts as missing: 'soon'"]


@pytest.mark.parametrize("own", ["soon", "", [], None])
def test_the_batch_s_sent_at_holds_where_the_message_s_cannot_be_read(own: object) -> None:
    """What cannot be read counts as missing, and a missing sentAt is the batch's."""
    raw = msgspec.json.encode({"timestamp": at(-9_000), "sentAt": own})
    whole = normalize(raw, envelope(sent_at=at(-5_000)))
    assert whole["timestamp"] == at(-4_000)


def test_the_write_key_is_taken_out() -> None:
    """It opens doors, so it goes no further; `_metadata` stays for routing."""
    whole = normalize(message(writeKey="wk_secret", _metadata={"bundled": []}), envelope())
    assert "wk_secret" not in str(whole)
    assert whole["_metadata"] == {"bundled": []}


IDS: dict[str, tuple[object, str]] = {
    "text": ("ann", "ann"),
    "empty": ("", ""),
    "a number": (42, "42"),
    "zero": (0, "0"),
    "minus": (-7, "-7"),
    "beyond a double": (2**53 + 1, "9007199254740993"),
    "a whole float": (42.0, "42"),
    "minus zero": (-0.0, "0"),
    "a fraction": (1.5, "1.5"),
    "large": (1e20, "100000000000000000000"),
    "too large for digits": (1e21, "1e+21"),
    "small": (0.000001, "0.000001"),
    "small with digits": (0.0000123, "0.0000123"),
    "too small for digits": (1e-7, "1e-7"),
    "far too small for digits": (1.5e-10, "1.5e-10"),
    "true": (True, ""),
    "null": (None, ""),
    "a list": (["ann"], ""),
    "an object": ({"id": "ann"}, ""),
    "not a number": (float("nan"), ""),
    "infinite": (float("-inf"), ""),
}


@pytest.mark.parametrize(("given_id", "expected"), IDS.values(), ids=IDS)
def test_ids_become_text(given_id: object, expected: str) -> None:
    """Numbers as JavaScript writes them; what is no id is absent."""
    assert id_text(given_id) == expected


def test_ids_of_a_message_are_text() -> None:
    """userId, anonymousId and messageId alike; a missing one stays missing."""
    whole = normalize(b'{"userId":7,"anonymousId":null,"messageId":1.0}', envelope())
    assert (whole["userId"], whole["anonymousId"], whole["messageId"]) == ("7", "", "1")
    assert "userId" not in normalize(b"{}", envelope())


@pytest.mark.parametrize(
    ("raw", "given_id", "expected"),
    [
        pytest.param(message("m-1"), "", "m-1", id="its own"),
        pytest.param(message(None), "given", "given", id="given by the server"),
        pytest.param(b'{"messageId":""}', "given", "given", id="empty"),
    ],
)
def test_the_message_id_is_its_own_or_the_given_one(
    raw: bytes, given_id: str, expected: str
) -> None:
    """One of both is always there."""
    assert normalize(raw, envelope(), given_id)["messageId"] == expected


@pytest.mark.parametrize(
    ("raw", "call_type", "expected"),
    [
        pytest.param(b'{"type":"track"}', "identify", "identify", id="the path beats the type"),
        pytest.param(b"{}", "page", "page", id="the path decides alone"),
        pytest.param(b'{"type":"track"}', "", "track", id="an item of a batch says it itself"),
    ],
)
def test_the_type_comes_from_path_or_message(raw: bytes, call_type: str, expected: str) -> None:
    """A single post's path decides."""
    assert normalize(raw, envelope(call_type=call_type))["type"] == expected


MERGED: dict[str, tuple[bytes, bytes, object]] = {
    "only the batch's": (b"{}", b'{"a":1}', {"a": 1}),
    "only its own": (b'{"%b":{"a":1}}', b"", {"a": 1}),
    "both": (b'{"%b":{"a":1,"b":1}}', b'{"b":2,"c":2}', {"a": 1, "b": 1, "c": 2}),
    "not deeper": (b'{"%b":{"o":{"a":1}}}', b'{"o":{"b":2}}', {"o": {"a": 1}}),
    "its own is null": (b'{"%b":null}', b'{"a":1}', {"a": 1}),
    "its own is no object": (b'{"%b":"x"}', b'{"a":1}', {"a": 1}),
    "its own is no object, alone": (b'{"%b":"x"}', b"", "x"),
    "the batch's is no object": (b'{"%b":{"a":1}}', b"[1]", {"a": 1}),
    "an odd value in the batch's": (b"{}", b'{"a":1e999}', {"a": None}),
}


@pytest.mark.parametrize("field", ["context", "integrations"])
@pytest.mark.parametrize(("raw", "shared", "expected"), MERGED.values(), ids=MERGED)
def test_batch_fields_go_under_the_message_s(
    field: str, raw: bytes, shared: bytes, expected: object
) -> None:
    """Key by key at the top; the message's own wins."""
    raw = raw.replace(b"%b", field.encode())
    shared_fields: dict[str, Any] = {field: shared}
    assert normalize(raw, envelope(**shared_fields))[field] == expected


ADDRESSES: dict[str, tuple[bytes, bool, object]] = {
    "a browser without context": (b"{}", True, {"ip": "192.0.2.7"}),
    "a browser": (b'{"context":{"a":1}}', True, {"a": 1, "ip": "192.0.2.7"}),
    "a browser that says its own": (b'{"context":{"ip":"0.0.0.0"}}', True, {"ip": "0.0.0.0"}),
    "a browser that says none": (b'{"context":{"ip":null}}', True, {"ip": None}),
    "a browser whose context is null": (b'{"context":null}', True, {"ip": "192.0.2.7"}),
    "a browser whose context is text": (b'{"context":"x"}', True, "x"),
    "a server": (b'{"context":{"a":1}}', False, {"a": 1}),
    "a server that asks": (
        b'{"context":{"direct":true}}',
        False,
        {"direct": True, "ip": "192.0.2.7"},
    ),
    "a server that asks with text": (
        b'{"context":{"direct":"true"}}',
        False,
        {"direct": "true"},
    ),
}


@pytest.mark.parametrize(("raw", "client_side", "context"), ADDRESSES.values(), ids=ADDRESSES)
def test_the_address_is_filled_in_for_client_side_sources(
    raw: bytes, client_side: bool, context: object
) -> None:
    """A server's address says nothing about a user, unless the caller asks for it."""
    whole = normalize(raw, envelope(ip="192.0.2.7", client_side=client_side))
    assert whole["context"] == context


def test_no_address_makes_no_context() -> None:
    """IPv6 addresses are not kept, and then nothing is added."""
    assert "context" not in normalize(b"{}", envelope(client_side=True))


@pytest.mark.parametrize(
    ("address", "stored"),
    [
        pytest.param("192.0.2.7", "192.0.2.7", id="IPv4"),
        pytest.param("::ffff:192.0.2.7", "192.0.2.7", id="IPv4 in IPv6"),
        pytest.param("2001:db8::1", "", id="IPv6"),
        pytest.param("fe80::1%eth0", "", id="IPv6 with a zone"),
        pytest.param("testclient", "", id="no address"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_only_ipv4_is_stored(address: str, stored: str) -> None:
    """Segment collects no IPv6 addresses."""
    assert storable_ip(address) == stored


def test_what_was_mended_is_told() -> None:
    """Both what the door had to mend and what is mended on reading."""
    whole = normalize(b'{"a":NaN}', envelope(repairs=("earlier",)))
    assert whole["a"] is None
    assert whole["warnings"] == [
        "earlier",
        "NaN, infinite and out-of-range numbers replaced by null",
    ]


@pytest.mark.parametrize("raw", [b"[]", b'"x"', b"1", b"null", b"", b"{", b'{"a":1}}'])
def test_what_is_no_object_is_an_error(raw: bytes) -> None:
    """The doors let no such message in; whoever reads one all the same is told."""
    with pytest.raises(msgspec.MsgspecError):
        normalize(raw, envelope())


@settings(deadline=None)
@given(
    messages() | broken_messages(),
    st.none() | st.text() | st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([b"", b"{}", b'{"ip":"x"}', b"[]", b'{"a":1e999}']),
    st.booleans(),
)
def test_any_object_becomes_a_message(
    fields: dict[str, Any], sent_at: str | int | None, shared: bytes, client_side: bool
) -> None:
    """Whatever is in the fields: a time of the calendar, ids as text, no write key, and no error."""
    raw = _as_sent(fields)
    shown = envelope(
        sent_at=sent_at,
        context=shared,
        integrations=shared,
        client_side=client_side,
        ip="192.0.2.7",
    )
    whole = normalize(raw, shown, "given")
    assert parse_ms(whole["timestamp"]) is not None
    assert whole["messageId"] == "given"
    assert isinstance(whole.get("userId", ""), str)
    assert "writeKey" not in whole
    assert normalize(raw, shown, "given") == whole


def _as_sent(fields: dict[str, Any]) -> bytes:
    """As a sloppy library writes it: lone surrogates, NaN and infinities included."""
    return json.dumps(fields).encode()
