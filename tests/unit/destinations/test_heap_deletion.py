"""What Heap's user deletion API is asked, how its answers are read, and requests without a user."""

import base64
import json
from typing import Any

import pytest

from headgate.destinations.heap.deletion import HeapUserDeletion
from headgate.destinations.heap.destination import HEAP
from headgate.destinations.heap.settings import SETTINGS
from headgate.destinations.interface import Request, Row, UnreadableAnswer
from headgate.spec.settings import with_defaults

DELETION = HeapUserDeletion()


def settings(**given: Any) -> dict[str, Any]:
    usual = {"appId": "1535634150", "deletionApiKey": "s3cret:key"}
    return with_defaults(SETTINGS, usual | given)


def test_heap_can_be_asked_to_delete_users() -> None:
    """Its place in the catalog says how."""
    assert isinstance(HEAP.user_deletion, HeapUserDeletion)


def test_a_token_is_asked_for_with_the_app_id_and_the_key() -> None:
    """Basic authentication, nothing in the body."""
    asked = DELETION.login(settings())
    credentials = base64.b64encode(b"1535634150:s3cret:key").decode()
    assert asked == Request(
        "https://heapanalytics.com/api/public/v0/auth_token",
        {"Authorization": f"Basic {credentials}"},
        b"",
    )


def test_users_are_named_by_identity() -> None:
    """In one request, up to 10,000 of them."""
    asked = DELETION.deletion(settings(), "t0ken", ["ann", "größer"])
    assert (asked.method, asked.url) == (
        "POST",
        "https://heapanalytics.com/api/public/v0/user_deletion",
    )
    assert asked.headers == {"Content-Type": "application/json", "Authorization": "Bearer t0ken"}
    assert json.loads(asked.body) == {"users": [{"identity": "ann"}, {"identity": "größer"}]}
    assert DELETION.max_users == 10_000


@pytest.mark.parametrize(
    ("request_id", "path"),
    [("17", "17"), ("a/../b?c", "a%2F..%2Fb%3Fc"), ("ü", "%C3%BC")],
    ids=["usual", "odd", "not ASCII"],
)
def test_the_status_is_asked_for_by_the_requests_id(request_id: str, path: str) -> None:
    """Whatever the id is, the address is that of the status."""
    asked = DELETION.status(settings(), "t0ken", request_id)
    assert asked == Request(
        f"https://heapanalytics.com/api/public/v0/deletion_status/{path}",
        {"Authorization": "Bearer t0ken"},
        b"",
        "GET",
    )


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ({}, "https://heapanalytics.com"),
        ({"region": "EU"}, "https://heapanalytics.com"),
        ({"region": "EU", "apiBaseUrl": "http://127.0.0.1:9091/"}, "http://127.0.0.1:9091"),
    ],
    ids=["US", "EU", "an address of one's own"],
)
def test_users_are_deleted_at_one_address_for_all_regions(given: dict[str, Any], base: str) -> None:
    """Unless an address is given; the App ID there is what people see."""
    assert DELETION.login(settings(**given)).url == f"{base}/api/public/v0/auth_token"
    assert DELETION.scope(settings(**given)) == f"{base} 1535634150"


@pytest.mark.parametrize("given", [{"deletionApiKey": None}, {"deletionApiKey": ""}])
def test_without_the_setting_there_is_no_key(given: dict[str, Any]) -> None:
    """And with it there is."""
    assert DELETION.key(settings(**given)) == ""
    assert DELETION.key(settings()) == "s3cret:key"


def test_answers_are_read_as_documented() -> None:
    """A token, a request's id as text or number, a status."""
    assert DELETION.token(b'{"access_token":"abc.def-_~+/="}') == "abc.def-_~+/="
    assert DELETION.request_id(b'{"deletion_request_id":"17","status":"pending"}') == "17"
    assert DELETION.request_id(b'{"deletion_request_id":17}') == "17"
    assert DELETION.is_complete(b'{"status":"complete"}')
    assert not DELETION.is_complete(b'{"status":"pending"}')
    assert not DELETION.is_complete(b'{"status":"queued"}')


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"null", b"OK", b"<html>", b"\xff", b'{"%b":'),
        *(b'{"%b":""}', b'{"%b":null}', b'{"%b":true}', b'{"%b":["x"]}', b'{"%b":{}}'),
    ],
)
def test_any_other_answer_is_said_to_be_unreadable(body: bytes) -> None:
    """Without repeating it, since it may hold a token."""
    for read, name in (
        (DELETION.token, "access_token"),
        (DELETION.request_id, "deletion_request_id"),
        (DELETION.is_complete, "status"),
    ):
        with pytest.raises(UnreadableAnswer, match=f"^expected a JSON object with {name}$"):
            read(body.replace(b"%b", name.encode()))


@pytest.mark.parametrize("token", ["a\\r\\nX-Evil: 1", "a\\u0000", "größer"])
def test_a_token_that_would_break_a_header_is_unreadable(token: str) -> None:
    """Nothing of what a peer says becomes a header of ours unseen."""
    with pytest.raises(UnreadableAnswer, match="expected an access_token that fits into a header"):
        DELETION.token(f'{{"access_token":"{token}"}}'.encode())


# requests without a user


def body(endpoint: str, *rows: bytes) -> bytes:
    """A request's body with these rows."""
    made = [Row(endpoint, "", row) for row in rows]
    return HEAP.request(endpoint, made, settings()).body


@pytest.mark.parametrize("endpoint", ["track", "add_user_properties"])
def test_a_user_is_taken_out_of_a_request_and_nobody_else_is_touched(endpoint: str) -> None:
    """To the byte, though they mention the user."""
    ann = b'{"identity":"ann","properties":{"email":"ann@example.com"}}'
    bob = b'{"identity":"bob", "properties":{"friend":"ann","n":1.50e0}}'
    upper = b'{"identity":"Ann","properties":{}}'
    erased = b'{"identity":"erased"}'
    assert HEAP.without_users(body(endpoint, bob, ann, upper, ann), {"ann"}) == body(
        endpoint, bob, erased, upper, erased
    )


def test_a_user_is_found_however_their_name_is_written() -> None:
    """Escapes are JSON's business."""
    rows = [b'{"identity":"a\\"b"}', b'{"identity":"gr\\u00f6\\u00dfer"}', b'{"identity":"x"}']
    found = json.loads(HEAP.without_users(body("track", *rows), {'a"b', "größer"}))
    assert [row["identity"] for row in found["events"]] == ["erased", "erased", "x"]


def test_a_request_without_the_user_stays_as_it_is() -> None:
    """So that nothing is written again for nothing."""
    sent = body("track", b'{"identity":"bob"}')
    assert HEAP.without_users(sent, {"ann"}) is sent


def test_a_request_is_taken_apart_once_only() -> None:
    """Doing it again changes nothing."""
    once = HEAP.without_users(body("track", b'{"identity":"ann"}'), {"ann"})
    assert HEAP.without_users(once, {"ann"}) == once


@pytest.mark.parametrize("sent", [b"", b"{", b"[]", b'{"events":[{"identity":1}]}', b"\xff"])
def test_a_request_that_cannot_be_read_is_not_kept(sent: bytes) -> None:
    """Nobody can tell whose it was."""
    assert HEAP.without_users(sent, {"ann"}) == b""
