"""Each message is accepted or refused for a reason of its own; its neighbours never notice."""

import json
import uuid
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import NOW_MS, batch, envelope, message
from headgate.eventlog.interface import Arrival
from headgate.eventlog.refused import Refusal
from headgate.gateway.post import Post, batch_post
from headgate.gateway.sift import counted_bytes, refuse_all, sift
from headgate.spec.limits import MAX_BATCH_MESSAGES, MAX_MESSAGE_BYTES
from headgate.spec.message import Envelope, normalize
from headgate.spec.names import CALL_TYPE_CODES, CALL_TYPES
from headgate.spec.reasons import DOOR_REASONS
from strategies import broken_messages, messages


def sifted(
    *items: bytes, path: str = "", suppressed: frozenset[str] = frozenset()
) -> tuple[Arrival, list[Refusal]]:
    """Items of a batch, or with a path the one message of a single post."""
    post = Post("wk_website", list(items), batched=not path)
    return sift(post, envelope(call_type=path), suppressed)


def sized(size_bytes: int, **fields: Any) -> bytes:
    """A message of exactly this size."""
    short = len(message(properties={"x": ""}, **fields))
    return message(properties={"x": "x" * (size_bytes - short)}, **fields)


REFUSED: dict[str, tuple[bytes, str, str]] = {
    "null": (b"null", "malformed_message", ""),
    "a number": (b"7", "malformed_message", ""),
    "a list": (b'[{"userId":"ann"}]', "malformed_message", ""),
    "text": (b'"x"', "malformed_message", ""),
    "true": (b"true", "malformed_message", ""),
    "no type": (message("m", type=None), "unknown_type", "m"),
    "an unknown type": (message("m", type="tracked"), "unknown_type", "m"),
    "a type in capitals": (message("m", type="Track"), "unknown_type", "m"),
    "a type that is no text": (message("m", type=["track"]), "unknown_type", "m"),
    "no ids": (message("m", userId=None), "no_ids", "m"),
    "empty ids": (message("m", userId="", anonymousId=""), "no_ids", "m"),
    "ids that are null": (b'{"type":"page","userId":null,"anonymousId":null}', "no_ids", ""),
    "ids that are no ids": (message("m", userId=True, anonymousId={}), "no_ids", "m"),
    "no event": (message("m", event=None), "no_event_name", "m"),
    "an empty event": (message("m", event=""), "no_event_name", "m"),
    "an event that is no text": (message("m", event=7), "no_event_name", "m"),
    "too large": (sized(MAX_MESSAGE_BYTES + 1), "message_too_large", "m-1"),
    "too large, and odd": (
        sized(MAX_MESSAGE_BYTES)[:-1] + b',"a":NaN}',
        "message_too_large",
        "m-1",
    ),
}


@pytest.mark.parametrize(("item", "reason", "message_id"), REFUSED.values(), ids=REFUSED)
def test_an_item_is_refused_for_its_reason(item: bytes, reason: str, message_id: str) -> None:
    """The refusal holds the item as it came and the id under which its sender may ask; neighbours are accepted."""
    arrival, refusals = sifted(message("before"), item, message("after"))
    assert arrival.ids == ["before", "after"]
    assert arrival.raws == [message("before"), message("after")]
    [refusal] = refusals
    assert (refusal.reason, refusal.message_id, refusal.source) == (reason, message_id, "website")
    assert (refusal.at_ms, refusal.answered) == (NOW_MS, 200)
    assert refusal.reason in DOOR_REASONS
    if b"NaN" not in item:
        assert refusal.body == item


ACCEPTED: dict[str, tuple[bytes, str, str]] = {
    "an ordinary one": (message("m"), "m", "ann"),
    "a numeric userId": (message("m", userId=42), "m", "42"),
    "a whole float for a userId": (b'{"type":"page","messageId":"m","userId":42.0}', "m", "42"),
    "an anonymous one": (message("m", userId=None, anonymousId="x"), "m", ""),
    "a numeric anonymousId": (message("m", userId=None, anonymousId=0), "m", ""),
    "a userId of zero": (message("m", userId=0), "m", "0"),
    "a numeric messageId": (message("m", messageId=17), "17", "ann"),
    "only a userId that is no id": (message("m", userId=[], anonymousId="x"), "m", ""),
    "an event that identify does not need": (message("m", type="identify", event=7), "m", "ann"),
    "a lone surrogate": (message("m")[:-1] + b',"a":"\\ud83d"}', "m", "ann"),
    "NaN": (message("m")[:-1] + b',"a":NaN}', "m", "ann"),
    "bytes that are not UTF-8": (message("m")[:-1] + b',"a":"\xff"}', "m", "ann"),
    "a number beyond a double": (message("m")[:-1] + b',"a":1e999}', "m", "ann"),
    "nesting": (message("m")[:-1] + b',"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", "m", "ann"),
    "a surrogate in the id": (
        b'{"type":"page","messageId":"m\\ud800","userId":"ann"}',
        "m\ufffd",
        "ann",
    ),
    "32 KiB": (sized(MAX_MESSAGE_BYTES), "m-1", "ann"),
}


@pytest.mark.parametrize(("item", "message_id", "user"), ACCEPTED.values(), ids=ACCEPTED)
def test_an_item_is_accepted(item: bytes, message_id: str, user: str) -> None:
    """Ids are text, and what is stored can be read as a message."""
    arrival, refusals = sifted(message("before"), item, message("after"))
    assert refusals == []
    assert arrival.ids == ["before", message_id, "after"]
    assert arrival.users == ["ann", user, "ann"]
    assert arrival.given == []
    assert normalize(arrival.raws[1], arrival.envelope)["messageId"] == message_id


def test_what_needs_no_mending_is_stored_as_it_came() -> None:
    """Spaces, order and spelling of numbers included."""
    raw = b' { "userId" : "ann",  "type":"track", "event":"E", "n": 1.50e0, "messageId":"m" } '
    arrival, _ = sifted(raw)
    assert arrival.raws == [raw]


def test_what_was_mended_is_told_once() -> None:
    """The envelope says what was done to the request's messages."""
    arrival, _ = sifted(
        b'{"type":"page","userId":1,"a":NaN}', b'{"type":"page","userId":1,"a":NaN}'
    )
    assert arrival.envelope.repairs == ("NaN, infinite and out-of-range numbers replaced by null",)


@pytest.mark.parametrize("name", CALL_TYPES)
def test_types_are_kept_as_codes(name: str) -> None:
    """Of an item its own, of a single message the path's, whatever it says itself."""
    arrival, _ = sifted(message(type=name))
    single, _ = sifted(message(type="nonsense"), path=name)
    assert arrival.types == single.types == bytes([CALL_TYPE_CODES[name]])


def test_a_message_without_an_id_is_given_one() -> None:
    """A different UUID for each; its position is remembered, in step with the accepted ones."""
    arrival, refusals = sifted(
        b"null", message("a"), message(None), message(""), message(None, event=""), message("b")
    )
    assert len(refusals) == 2
    assert arrival.given == [1, 2]
    assert [arrival.ids[0], arrival.ids[3]] == ["a", "b"]
    assert len({uuid.UUID(one) for one in arrival.ids[1:3]}) == 2


def test_a_batch_counts_to_2500() -> None:
    """What comes after is refused one by one; what is refused before counts too."""
    items = [message(f"m-{n}") for n in range(MAX_BATCH_MESSAGES + 2)]
    items[0] = b"null"
    arrival, refusals = sifted(*items)
    assert arrival.ids == [f"m-{n}" for n in range(1, MAX_BATCH_MESSAGES)]
    assert sorted((one.reason, one.message_id) for one in refusals) == [
        ("batch_too_long", "m-2500"),
        ("batch_too_long", "m-2501"),
        ("malformed_message", ""),
    ]


ADDED = {
    "_metadata": {"bundled": ["Segment.io"], "unbundled": []},
    "writeKey": "wk_website",
    "sentAt": "2026-11-23T18:24:00.000Z",
}


def test_what_libraries_add_after_measuring_is_not_counted() -> None:
    """A message that was 32 KiB to its library is taken, to the byte."""
    for fields in ({name: ADDED[name]} for name in ADDED):
        raw = sized(MAX_MESSAGE_BYTES)[:-1] + b"," + msgspec.json.encode(fields)[1:]
        assert counted_bytes(raw) == MAX_MESSAGE_BYTES
    exact = sized(MAX_MESSAGE_BYTES)[:-1] + b"," + msgspec.json.encode(ADDED)[1:]
    above = sized(MAX_MESSAGE_BYTES + 1)[:-1] + b"," + msgspec.json.encode(ADDED)[1:]
    assert sifted(exact)[1] == []
    assert [one.reason for one in sifted(above)[1]] == ["message_too_large"]


def test_a_refused_source_refuses_every_message() -> None:
    """Each with its id, whatever it is."""
    post = Post("wk", [message("a"), b"7", b'{"messageId":5,"x":NaN}', b'{"messageId":"c"}'])
    refusals = refuse_all(post, envelope(source=""), "unknown_write_key")
    assert [one.message_id for one in refusals] == ["a", "", "5", "c"]
    assert {(one.source, one.reason) for one in refusals} == {("", "unknown_write_key")}
    assert [one.body for one in refusals] == post.messages


SUPPRESSED = frozenset({"ann", "42"})

OF_SUPPRESSED_USERS: dict[str, tuple[bytes, str]] = {
    "an ordinary one": (message("m"), "suppressed"),
    "a numeric userId": (message("m", userId=42), "suppressed"),
    "a whole float for a userId": (
        b'{"type":"page","messageId":"m","userId":42.0}',
        "suppressed",
    ),
    "an odd one": (message("m")[:-1] + b',"a":NaN}', "suppressed"),
    "an identify call": (message("m", type="identify"), "suppressed"),
    "no event": (message("m", event=None), "no_event_name"),
    "an unknown type": (message("m", type="tracked"), "unknown_type"),
    "too large": (sized(MAX_MESSAGE_BYTES + 1, messageId="m"), "message_too_large"),
}


@pytest.mark.parametrize(("item", "reason"), OF_SUPPRESSED_USERS.values(), ids=OF_SUPPRESSED_USERS)
def test_what_a_suppressed_user_sends_is_refused_and_not_kept(item: bytes, reason: str) -> None:
    """Only the id is left, so that it can be asked for; neighbours are accepted."""
    before, after = message("before", userId="bob"), message("after", userId="Ann")
    arrival, refusals = sifted(before, item, after, suppressed=SUPPRESSED)
    assert arrival.raws == [before, after]
    assert [(one.reason, one.message_id, one.body) for one in refusals] == [(reason, "m", b"")]
    assert refusals[0].reason in DOOR_REASONS


def test_nobody_else_is_suppressed() -> None:
    """Users are compared to the letter; who has no userId cannot be suppressed."""
    items = [
        message("a", userId="Ann"),
        message("b", userId="ann "),
        message("c", userId="4"),
        message("d", userId=None, anonymousId="ann"),
    ]
    arrival, refusals = sifted(*items, suppressed=SUPPRESSED)
    assert (arrival.raws, refusals) == (items, [])


def test_what_others_send_wrongly_is_kept_beside_a_suppressed_user() -> None:
    """Bodies are left out user by user."""
    theirs = message("b", userId="bob", event=None)
    _, refusals = sifted(message("a"), theirs, b"null", suppressed=SUPPRESSED)
    assert [one.body for one in refusals] == [b"", theirs, b"null"]


def test_beyond_the_end_of_a_batch_a_suppressed_user_leaves_no_body_either() -> None:
    """Nor with a write key that nobody has."""
    items = [b"null"] * MAX_BATCH_MESSAGES + [message("a"), message("b", userId="bob")]
    _, refusals = sifted(*items, suppressed=SUPPRESSED)
    late = {one.message_id: one.body for one in refusals if one.reason == "batch_too_long"}
    assert late == {"a": b"", "b": items[-1]}
    post = Post("wk", [message("a"), message("b", userId="bob")])
    refused = refuse_all(post, envelope(source=""), "unknown_write_key", SUPPRESSED)
    assert [one.body for one in refused] == [b"", post.messages[1]]


def test_a_hostile_batch_is_sifted_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of a million numbers fit into one body; none of them is worth a second look."""
    looks: list[bytes] = []
    monkeypatch.setattr("headgate.gateway.sift.decode_tolerantly", looks.append)
    _, refusals = sifted(*[b"1", b'"x"', b"null", b"[]", b"-1", b"true"] * 1_000)
    assert len(refusals) == 6_000
    assert looks == []


@settings(deadline=None)
@given(
    st.lists(messages() | broken_messages(), max_size=5),
    st.sampled_from(["", "track"]),
    st.booleans(),
)
def test_nothing_is_lost_between_accepted_and_refused(
    items: list[dict[str, Any]], path: str, first_is_suppressed: bool
) -> None:
    """Whatever is sent, each message is in exactly one place, and what is accepted can be stored and read."""
    raws = [_as_sent(item) for item in items]
    first, _ = sifted(*raws[:1], path=path)
    suppressed = frozenset(first.users if first_is_suppressed else ()) - {""}
    arrival, refusals = sifted(*raws, path=path, suppressed=suppressed)
    assert suppressed.isdisjoint(arrival.users)
    assert len(arrival.raws) + len(refusals) == len(raws)
    assert len(arrival.ids) == len(arrival.users) == len(arrival.types) == len(arrival.raws)
    assert all(one.reason in DOOR_REASONS for one in refusals)
    given = set(arrival.given)
    for at, raw in enumerate(arrival.raws):
        given_id = arrival.ids[at] if at in given else ""
        whole = normalize(raw, arrival.envelope, given_id)
        assert whole["messageId"] == arrival.ids[at]
        assert whole.get("userId", "") == arrival.users[at]
        assert CALL_TYPE_CODES[whole["type"]] == arrival.types[at]
        (arrival.ids[at] + arrival.users[at]).encode()


@settings(deadline=None)
@given(messages() | broken_messages(), messages())
def test_a_neighbour_in_a_batch_is_unharmed(odd: dict[str, Any], good: dict[str, Any]) -> None:
    """A good message reads the same beside an odd one as alone."""
    raw = _as_sent(good)
    alone, _ = sift(batch_post(batch(raw), None), envelope())
    together, _ = sift(batch_post(batch(_as_sent(odd), raw), None), envelope())
    assert _read(together)[-1:] == _read(alone) != []


def _read(arrival: Arrival) -> list[dict[str, Any]]:
    plain: Envelope = msgspec.structs.replace(arrival.envelope, repairs=())
    whole = [normalize(raw, plain) for raw in arrival.raws]
    for one in whole:
        one.pop("warnings", None)
    return whole


def _as_sent(fields: dict[str, Any]) -> bytes:
    """As a sloppy library writes it: lone surrogates, NaN and infinities included."""
    return json.dumps(fields).encode()
