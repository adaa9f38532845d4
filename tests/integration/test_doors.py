"""The public doors over real connections and a real log: what senders do, and what they are told."""

import asyncio
import base64
import gzip
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import NOW_MS, batch, message, source, workspace
from headgate.clock import ManualClock
from headgate.eventlog.group_commit import GroupCommit
from headgate.eventlog.log import BlockLog
from headgate.eventlog.refused import RefusedRing, refusal_counts
from headgate.eventlog.sqlite import SqliteStorage, sqlite_reader
from headgate.gateway.connection import DoorServer
from headgate.gateway.doors import Doors
from headgate.spec.limits import MAX_BODY_BYTES, MAX_MESSAGE_BYTES
from headgate.spec.names import CALL_TYPES
from peers import PATIENCE_S, Peer, Reply, chunked, connected, http, listen, until

PLENTY = 1 << 40
SUCCESS = b'{"success": true}'
KEY = ("Authorization", "Basic " + base64.b64encode(b"wk_website:").decode())

WORKSPACE = workspace(
    source(),
    source("api", type="server"),
    source("old", enabled=False),
)


class House:
    """The doors, served on a free port, over a log and a ring in a directory."""

    def __init__(self, directory: Path, *, deadline_s: float) -> None:
        self.directory = directory
        self.free_bytes = PLENTY
        self.committed: list[int] = []
        clock = ManualClock(NOW_MS)
        storage = SqliteStorage(directory / "log", clock, free_bytes=lambda _: self.free_bytes)
        ring = RefusedRing(directory / "refused.db")
        self.commits = GroupCommit(BlockLog(storage, clock), ring, self.committed.append)
        self.workspace = WORKSPACE
        doors = Doors(self.commits, lambda: (7, self.workspace), clock)
        self.server = DoorServer(doors, request_deadline_s=deadline_s)
        self.port = 0

    async def start(self) -> None:
        listener, self.port = listen()
        await self.server.start(listener)

    async def stop(self) -> None:
        await self.server.stop(1)
        await self.commits.close()

    def peer(self) -> AbstractAsyncContextManager[Peer]:
        return connected(self.port)

    async def ask(self, request: bytes) -> Reply:
        """The answer to one request on a connection of its own."""
        async with self.peer() as peer:
            peer.send(request)
            return await peer.reply(has_body=not request.startswith(b"HEAD"))

    async def post(self, path: str, body: bytes, *headers: tuple[str, str]) -> Reply:
        return await self.ask(http("POST", path, body, *headers))

    def held(self) -> list[dict[str, Any]]:
        """What a reader finds in the log."""
        reader = sqlite_reader(self.directory / "log")
        found = [
            msgspec.json.decode(entry.raw)
            for block in reader.blocks(0)
            for entry in block.entries()
        ]
        reader.close()
        return found

    def refused(self) -> list[tuple[str, str, int, int]]:
        """(source, reason, status, n) of everything refused."""
        return refusal_counts(self.directory / "refused.db")

    def refused_bodies(self) -> list[bytes]:
        with sqlite3.connect(self.directory / "refused.db") as db:
            rows = db.execute("SELECT body FROM refusal ORDER BY id").fetchall()
        db.close()
        return [body for (body,) in rows]


@asynccontextmanager
async def opened(directory: Path, *, deadline_s: float = 30.0) -> AsyncIterator[House]:
    house = House(directory, deadline_s=deadline_s)
    await house.start()
    try:
        yield house
    finally:
        await house.stop()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Patient doors over an empty log."""
    async with opened(tmp_path) as made:
        yield made


@pytest.fixture
async def hasty(tmp_path: Path) -> AsyncIterator[House]:
    """Doors that give a sender a fifth of a second for a request."""
    async with opened(tmp_path, deadline_s=0.2) as made:
        yield made


PATHS = [
    *(f"/v1/{name}" for name in CALL_TYPES),
    *(f"/v1/{name[0]}" for name in CALL_TYPES),
]


async def test_success_is_what_the_strictest_library_takes(house: House) -> None:
    """Exactly 200 and a JSON object; then the message is in the log, with what the server knows."""
    reply = await house.post("/v1/track", message("m-1", writeKey="wk_website"))
    assert (reply.status, reply.body) == (200, SUCCESS)
    assert reply.headers["content-type"] == "application/json"
    reader = sqlite_reader(house.directory / "log")
    entry = reader.entry(1)
    reader.close()
    assert entry.raw == message("m-1", writeKey="wk_website")
    assert msgspec.structs.asdict(entry.envelope) | {"sent_at": None} == {
        "source": "website",
        "received_at_ms": NOW_MS,
        "workspace_version": 7,
        "call_type": "track",
        "sent_at": None,
        "client_side": True,
        "ip": "127.0.0.1",
        "context": b"",
        "integrations": b"",
        "repairs": (),
        "erased": False,
        "behind": False,
    }
    assert house.committed == [1]


async def test_every_single_path_takes_a_message(house: House) -> None:
    """Long and short, slashes doubled and trailing; the path decides the type."""
    paths = [form.format(path) for path in PATHS for form in ("{}", "{}/", "/{}", "/{}//")]
    for path in paths:
        reply = await house.post(path, message(path, type=None), KEY)
        assert (reply.status, reply.body) == (200, SUCCESS), path
    assert [one["messageId"] for one in house.held()] == paths
    assert house.refused() == []


@pytest.mark.parametrize("path", ["/v1/batch", "/v1/b", "/v1/import", "/v1/batch/", "//v1//b"])
async def test_every_batch_path_takes_a_batch(house: House, path: str) -> None:
    """Its items enter the log in their order."""
    reply = await house.post(path, batch(message("a"), message("b")))
    assert (reply.status, reply.body) == (200, SUCCESS)
    assert [one["messageId"] for one in house.held()] == ["a", "b"]


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "application/x-www-form-urlencoded", "image/png", "", None],
)
async def test_the_content_type_does_not_matter(house: House, content_type: str | None) -> None:
    """Browsers send text/plain to spare a preflight; some libraries send none."""
    headers = [] if content_type is None else [("Content-Type", content_type)]
    assert (await house.post("/v1/t", message(), KEY, *headers)).body == SUCCESS
    assert len(house.held()) == 1


async def test_a_write_key_may_be_anywhere(house: House) -> None:
    """Basic with and without a colon, body, Bearer and body, the first item of a batch, a pixel's query."""
    bare = ("authorization", "basic " + base64.b64encode(b"wk_website").decode())
    bearer = ("Authorization", "Bearer token")
    replies = [
        await house.post("/v1/t", message("a"), KEY),
        await house.post("/v1/t", message("b"), bare),
        await house.post("/v1/t", message("c", writeKey="wk_website")),
        await house.post("/v1/t", message("d", writeKey="wk_website"), bearer),
        await house.post("/v1/b", batch(message("e"), key=None), KEY),
        await house.post("/v1/b", batch(message("f")), bearer),
        await house.post("/v1/b", batch(message("g", writeKey="wk_website"), key=None)),
        await house.ask(http("GET", "/v1/pixel/page?writeKey=wk_website&userId=ann&messageId=h")),
    ]
    assert {reply.status for reply in replies} == {200}
    assert [one["messageId"] for one in house.held()] == list("abcdefgh")


def framed(body: bytes) -> dict[str, bytes]:
    """The same body in every way in which it may be sent."""
    packed = gzip.compress(body)
    head = "POST /v1/t HTTP/1.1\r\nHost: x\r\n"
    transfer = ("Transfer-Encoding", "chunked")
    return {
        "whole": http("POST", "/v1/t", body, KEY),
        "gzip": http("POST", "/v1/t", packed, KEY, ("Content-Encoding", "gzip")),
        "gzip without its header": http("POST", "/v1/t", packed, KEY),
        "a header without gzip": http("POST", "/v1/t", body, KEY, ("Content-Encoding", "gzip")),
        "chunked": http("GET", "/v1/t", b"", KEY, transfer).replace(b"GET", b"POST", 1)
        + chunked(body, 7),
        "chunked gzip": http("GET", "/v1/t", b"", KEY, transfer).replace(b"GET", b"POST", 1)
        + chunked(packed, 7),
        "HTTP/1.0": http("POST", "/v1/t", body, KEY).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
        "no reason to wait": http("POST", "/v1/t", body, KEY, ("Expect", "nothing")),
        "line ends before it": b"\r\n\r\n" + http("POST", "/v1/t", body, KEY),
        "an offer of HTTP/2": http(
            "POST",
            "/v1/t",
            body,
            KEY,
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA"),
        ),
        "an offer of HTTP/2, chunked": (
            f"{head}{KEY[0]}: {KEY[1]}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
        ).encode()
        + chunked(body),
        "an offer of a web socket": http(
            "POST", "/v1/t", body, KEY, ("Connection", "upgrade"), ("Upgrade", "websocket")
        ),
    }


FRAMINGS = framed(message(None, properties={"text": "größer " * 20}))


@pytest.mark.parametrize("request_", FRAMINGS.values(), ids=FRAMINGS)
async def test_a_body_is_taken_however_it_is_sent(house: House, request_: bytes) -> None:
    """Compressed, chunked, in old HTTP, behind an offer to upgrade; in as many pieces as the net makes of it."""
    for pieces in (1, 2, 7):
        step = -(-len(request_) // pieces)
        async with house.peer() as peer:
            for at in range(0, len(request_), step):
                peer.send(request_[at : at + step])
                await peer.writer.drain()
                await asyncio.sleep(0)
            reply = await peer.reply()
        assert (reply.status, reply.body) == (200, SUCCESS)
    sent = msgspec.json.decode(message(None, properties={"text": "größer " * 20}))
    assert house.held() == [sent] * 3


async def test_a_connection_is_used_again(house: House) -> None:
    """Also after an offer to upgrade, a refusal, and a pause in the middle."""
    offer = (("Connection", "Upgrade"), ("Upgrade", "h2c"))
    async with house.peer() as peer:
        for n, headers in enumerate([(), offer, (), offer, offer, ()]):
            peer.send(http("POST", "/v1/t", message(f"m-{n}"), KEY, *headers))
            assert (await peer.reply()).body == SUCCESS
            peer.send(http("GET", "/nowhere"))
            assert (await peer.reply()).status == 404
    assert [one["messageId"] for one in house.held()] == [f"m-{n}" for n in range(6)]


async def test_old_http_closes(house: House) -> None:
    """A sender that knows no kept connections is told and sees the end."""
    for request in (
        http("POST", "/v1/t", message("a"), KEY).replace(b"HTTP/1.1", b"HTTP/1.0", 1),
        http("POST", "/v1/t", message("b"), KEY, ("Connection", "close")),
    ):
        async with house.peer() as peer:
            peer.send(request)
            reply = await peer.reply()
            assert (reply.body, reply.headers["connection"]) == (SUCCESS, "close")
            assert await peer.rest() == b""


async def test_pipelined_requests_are_answered_in_order(house: House) -> None:
    """However many, of whatever kind, while earlier ones still wait for the disk."""
    kinds: list[tuple[bytes, int]] = [
        (http("POST", "/v1/t", message(), KEY), 200),
        (http("GET", "/nowhere"), 404),
        (http("POST", "/v1/t", b"{", KEY), 400),
        (http("GET", "/v1/t"), 405),
        (http("POST", "/v1/m", b"{}", ("Connection", "Upgrade"), ("Upgrade", "h2c")), 200),
    ]
    async with house.peer() as peer:
        peer.send(*(request for request, _ in kinds * 40))
        statuses = [(await peer.reply()).status for _ in range(200)]
    assert statuses == [status for _, status in kinds] * 40


async def test_a_large_body_before_a_cut_head_is_no_large_head(house: House) -> None:
    """What belongs to the request before does not count."""
    second = http("POST", "/v1/t", message("b"), KEY)
    async with house.peer() as peer:
        peer.send(http("POST", "/v1/m", b"x" * 200_000), second[:30])
        assert (await peer.reply()).status == 200
        peer.send(second[30:])
        assert (await peer.reply()).body == SUCCESS


async def test_a_sender_that_asks_first_is_told_to_go_on(house: House) -> None:
    """curl waits for this before it sends a large body."""
    body = message()
    request = http("POST", "/v1/t", body, KEY, ("Expect", "100-continue"))
    async with house.peer() as peer:
        peer.send(request[: -len(body)])
        assert (await peer.reply()).status == 100
        peer.send(body)
        assert (await peer.reply()).body == SUCCESS


async def test_duplicates_are_successes(house: House) -> None:
    """Over requests, and within a batch; the log holds the message once."""
    for _ in range(2):
        assert (await house.post("/v1/t", message("a"), KEY)).body == SUCCESS
    assert (
        await house.post("/v1/b", batch(message("a"), message("b"), message("b")))
    ).status == 200
    api = await house.post("/v1/t", message("a", writeKey="wk_api"))
    assert api.status == 200
    assert [one["messageId"] for one in house.held()] == ["a", "b", "a"]


@pytest.mark.parametrize("body", [b"", b"{}", b"nonsense", b"x" * (MAX_BODY_BYTES + 1)])
async def test_metrics_are_taken_and_dropped(house: House, body: bytes) -> None:
    """Without a key, whatever they are."""
    assert (await house.post("/v1/m", body)).body == SUCCESS
    assert house.held() == []


PIXEL_DATA = base64.urlsafe_b64encode(message("p", writeKey="wk_website")).decode().rstrip("=")
PIXELS: dict[str, tuple[str, list[tuple[str, str, int, int]], int]] = {
    "a message": (f"data={PIXEL_DATA}", [], 1),
    "no query": ("", [("", "no_write_key", 400, 1)], 0),
    "no key": ("userId=ann&event=E", [("", "no_write_key", 400, 1)], 0),
    "an unknown key": ("writeKey=x&userId=ann&event=E", [("", "unknown_write_key", 200, 1)], 0),
    "no ids": ("writeKey=wk_website&event=E", [("website", "no_ids", 200, 1)], 0),
    "no base64": ("data=a", [("", "bad_data", 400, 1)], 0),
    "letters that base64 does not know": ("data=%C3%A9", [("", "bad_data", 400, 1)], 0),
    "no JSON": ("data=AAAA", [("", "bad_json", 400, 1)], 0),
}


@pytest.mark.parametrize(("query", "refused", "accepted"), PIXELS.values(), ids=PIXELS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_pixel_is_always_a_picture(
    house: House,
    method: str,
    query: str,
    refused: list[tuple[str, str, int, int]],
    accepted: int,
) -> None:
    """Whatever becomes of the message; why it was refused is on record."""
    reply = await house.ask(http(method, f"/v1/pixel/track?{query}"))
    assert (reply.status, reply.headers["content-type"]) == (200, "image/gif")
    assert reply.body[:6] == (b"GIF89a" if method == "GET" else b"")
    assert len(house.held()) == accepted
    assert house.refused() == refused


async def test_the_pixel_is_a_picture_when_the_disk_is_full(house: House) -> None:
    """An e-mail shows no broken image because of us."""
    house.free_bytes = 0
    assert (await house.ask(http("GET", f"/v1/pixel/track?data={PIXEL_DATA}"))).body[:3] == b"GIF"


def sized(size_bytes: int, **fields: Any) -> bytes:
    short = len(message(properties={"x": ""}, **fields))
    return message(properties={"x": "x" * (size_bytes - short)}, **fields)


REFUSED: dict[str, tuple[str, bytes, str]] = {
    "an empty body": ("/v1/t", b"", "bad_json"),
    "words": ("/v1/t", b"hello", "bad_json"),
    "half an object": ("/v1/t", b'{"userId":"ann"', "bad_json"),
    "null": ("/v1/t", b"null", "bad_json"),
    "a list": ("/v1/t", b"[]", "bad_json"),
    "text": ("/v1/t", b'"x"', "bad_json"),
    "a number": ("/v1/t", b"7", "bad_json"),
    "two objects": ("/v1/t", b"{}{}", "bad_json"),
    "nothing but brackets": ("/v1/t", b"[" * 200_000, "bad_json"),
    "a message over 32 KiB": ("/v1/t", sized(MAX_MESSAGE_BYTES + 1), "message_too_large"),
    "a body over 512 KiB": ("/v1/t", b"x" * (MAX_BODY_BYTES + 1), "body_too_large"),
    "a body far over 512 KiB": ("/v1/t", b"x" * 3_000_000, "body_too_large"),
    "a bomb": ("/v1/b", gzip.compress(b"\0" * 50_000_000, 1), "body_too_large"),
    "gzip cut off": ("/v1/b", gzip.compress(batch(message()))[:-3], "bad_gzip"),
    "a batch that is no JSON": ("/v1/b", b'{"batch":[', "bad_json"),
    "a batch without a list": ("/v1/b", b'{"batch":{}}', "invalid_batch"),
    "a batch that is null": ("/v1/b", b"null", "invalid_batch"),
}


@pytest.mark.parametrize(("path", "body", "code"), REFUSED.values(), ids=REFUSED)
async def test_a_bad_request_is_refused(house: House, path: str, body: bytes, code: str) -> None:
    """With 400 and the documented body, whoever sends it; it is counted for its source, nothing is taken in."""
    for key in ("wk_website", "wk_old", "unknown"):
        basic = ("Authorization", "Basic " + base64.b64encode(key.encode()).decode())
        reply = await house.post(path, body, basic, ("Origin", "https://shop.example"))
        assert (reply.status, reply.code) == (400, code)
        assert reply.headers["access-control-allow-origin"] == "https://shop.example"
    assert house.held() == []
    assert house.refused() == [(named, code, 400, 1) for named in ("", "old", "website")]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param("/v1/t", message(), id="a message"),
        pytest.param("/v1/b", batch(message(), key=None), id="a batch"),
        pytest.param("/v1/b", b'{"batch":[]}', id="an empty batch"),
        pytest.param("/v1/t", message(writeKey=7), id="a key that is no text"),
    ],
)
@pytest.mark.parametrize("authorization", [None, "Bearer x", "Basic ", "Basic %%%"])
async def test_without_any_write_key_a_request_is_refused(
    house: House, path: str, body: bytes, authorization: str | None
) -> None:
    """Nobody could ever find such a message again."""
    headers = [] if authorization is None else [("Authorization", authorization)]
    reply = await house.post(path, body, *headers)
    assert (reply.status, reply.code) == (400, "no_write_key")
    assert house.refused() == [("", "no_write_key", 400, 1)]


@pytest.mark.parametrize(
    ("key", "source_slug", "reason"),
    [
        pytest.param("unknown", "", "unknown_write_key", id="unknown"),
        pytest.param("wk_old", "old", "source_disabled", id="disabled"),
    ],
)
async def test_a_key_that_opens_nothing_is_answered_with_success(
    house: House, key: str, source_slug: str, reason: str
) -> None:
    """As documented; every message is on record as discarded."""
    reply = await house.post("/v1/b", batch(message("a"), b"null", message("b"), key=key))
    single = await house.post("/v1/t", message("c", writeKey=key))
    assert (reply.body, single.body) == (SUCCESS, SUCCESS)
    assert house.held() == []
    assert house.refused() == [(source_slug, reason, 200, 4)]


async def test_a_batch_loses_only_its_bad_items(house: House) -> None:
    """Oversize, malformed and wrong items are discarded one by one, with their reasons."""
    items = {
        "message_too_large": sized(MAX_MESSAGE_BYTES + 1, userId="x"),
        "malformed_message": b"null",
        "unknown_type": message("m-2", type="purchase"),
        "no_ids": message("m-3", userId=None),
        "no_event_name": message("m-4", event=None),
    }
    reply = await house.post("/v1/b", batch(message("a"), *items.values(), message("b")))
    assert reply.body == SUCCESS
    assert [one["messageId"] for one in house.held()] == ["a", "b"]
    assert house.refused() == sorted(("website", reason, 200, 1) for reason in items)
    assert house.refused_bodies() == list(items.values())


async def test_a_batch_is_taken_up_to_its_2500th_item(house: House) -> None:
    """The rest is discarded."""
    items = [message(f"{n}", properties=None) for n in range(2_503)]
    assert (await house.post("/v1/b", batch(*items))).body == SUCCESS
    assert [one["messageId"] for one in house.held()] == [f"{n}" for n in range(2_500)]
    assert house.refused() == [("website", "batch_too_long", 200, 3)]


async def test_a_full_body_is_taken(house: House) -> None:
    """512 KiB exactly, decompressed, with messages of 32 KiB."""
    items = [sized(32_000, message_id=f"{n}") for n in range(16)]
    body = batch(*items)
    body = body[:-1] + b" " * (MAX_BODY_BYTES - len(body)) + b"}"
    assert len(body) == MAX_BODY_BYTES
    assert (await house.post("/v1/b", body)).body == SUCCESS
    assert (await house.post("/v1/b", gzip.compress(body))).body == SUCCESS
    assert len(house.held()) == 16


ODD: dict[str, bytes] = {
    "a lone surrogate": b'"\\ud83d"',
    "a lone surrogate in a key": b'{"\\ud83d":1}',
    "NaN": b"NaN",
    "an infinity": b"-Infinity",
    "a number beyond a double": b"1e999",
    "five thousand digits": b"9" * 5_000,
    "bytes that are not UTF-8": b'"\xff\xfe"',
    "a control character": b'"\x00"',
    "500 levels": b"[" * 500 + b"]" * 500,
    "950 levels": b"[" * 950 + b"]" * 950,
    "5,000 levels": b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    "a level that never ends well": b"[" * 15_000 + b"]" * 15_000,
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_an_odd_value_costs_only_itself(house: House, odd: bytes) -> None:
    """Alone and in a batch the message is taken, and so are its neighbours; all can be read again."""
    strange = message("odd")[:-1] + b',"odd":' + odd + b"}"
    alone = strange.replace(b'"messageId":"odd"', b'"messageId":"alone"')
    assert (await house.post("/v1/t", alone, KEY)).body == SUCCESS
    assert (await house.post("/v1/b", batch(message("a"), strange, message("b")))).body == SUCCESS
    reader = sqlite_reader(house.directory / "log")
    assert [len(reader.find("website", one)) for one in ("alone", "a", "odd", "b")] == [1] * 4
    reader.close()
    assert house.refused() == []


async def test_very_deep_nesting_in_a_whole_body_is_mended(house: House) -> None:
    """200,000 levels fit into a body; beside them a batch is taken."""
    deep = b"[" * 200_000 + b"]" * 200_000
    body = batch(message("a"), key="wk_website")[:-1] + b',"deep":' + deep + b"}"
    assert (await house.post("/v1/b", body)).body == SUCCESS
    assert [one["messageId"] for one in house.held()] == ["a"]


@pytest.mark.parametrize(
    "sent_at", [b"true", b"[1]", b"{}", b"9" * 100, b"NaN", b'"\\ud800"', b"-1e-300"]
)
async def test_an_odd_sent_at_of_a_batch_harms_nobody(house: House, sent_at: bytes) -> None:
    """An envelope that could not be written or read back would take its whole block along."""
    body = batch(message("a"))[:-1] + b',"sentAt":' + sent_at + b"}"
    assert (await house.post("/v1/b", body)).body == SUCCESS
    assert [one["messageId"] for one in house.held()] == ["a"]


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_unknown_path_is_not_found(house: House, method: str) -> None:
    """Readable by any page."""
    for path in ("/", "/v1", "/v1/tracks", "/v2/track", "/favicon.ico", "/metrics"):
        reply = await house.ask(http(method, path, b"{}" if method == "POST" else b""))
        assert (reply.status, reply.code) == (404, "not_found")
        assert reply.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/track", "POST, OPTIONS"),
        ("HEAD", "/v1/batch", "POST, OPTIONS"),
        ("PUT", "/v1/t", "POST, OPTIONS"),
        ("DELETE", "/v1/m", "POST, OPTIONS"),
        ("POST", "/v1/pixel/track", "GET, HEAD, OPTIONS"),
        ("POST", "/health", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_wrong_method_is_told_the_right_ones(
    house: House, method: str, path: str, allowed: str
) -> None:
    """405, and never a message."""
    reply = await house.ask(
        http(method, path, message() if method in ("PUT", "POST") else b"", KEY)
    )
    assert (reply.status, reply.headers["allow"]) == (405, allowed)
    assert house.held() == []


@pytest.mark.parametrize("path", ["/v1/t", "/v1/batch/", "/v1/m", "/v1/pixel/page", "/health"])
async def test_a_preflight_is_allowed_what_it_asks_for(house: House, path: str) -> None:
    """Without a key; for a day."""
    reply = await house.ask(
        http(
            "OPTIONS",
            path,
            b"",
            ("Origin", "https://shop.example"),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "authorization,x-retry-count"),
        )
    )
    assert reply.status // 100 == 2
    assert reply.headers["access-control-allow-origin"] == "https://shop.example"
    assert reply.headers["access-control-allow-headers"] == "authorization,x-retry-count"
    assert "POST" in reply.headers["access-control-allow-methods"]


async def test_a_full_disk_is_told_to_senders_and_to_health(house: House) -> None:
    """503 with whole seconds to wait, nothing kept; with space again everything is as before."""
    assert (await house.ask(http("GET", "/health"))).body == b'{"status": "ok"}'
    house.free_bytes = 0
    for path, body in (("/v1/t", message("a")), ("/v1/b", batch(message("a")))):
        reply = await house.post(path, body, KEY)
        assert (reply.status, reply.code) == (503, "not_durable")
        assert 1 <= int(reply.headers["retry-after"]) <= 300
        assert reply.headers["access-control-expose-headers"] == "Retry-After"
    health = await house.ask(http("GET", "/health"))
    assert (health.status, health.code) == (503, "not_durable")
    assert b"the disk is full" in health.body
    assert (await house.ask(http("HEAD", "/health"))).status == 503
    house.free_bytes = PLENTY
    assert (await house.ask(http("GET", "/health"))).status == 200
    assert (await house.post("/v1/t", message("a"), KEY)).body == SUCCESS
    assert [one["messageId"] for one in house.held()] == ["a"]


async def test_a_full_disk_still_refuses_what_is_wrong(house: House) -> None:
    """Trying again would not help a sender of nonsense."""
    house.free_bytes = 0
    assert (await house.post("/v1/t", b"{", KEY)).status == 400
    assert (await house.post("/v1/t", message())).status == 400


async def test_too_much_waiting_is_told_as_429(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a short wait."""
    monkeypatch.setattr("headgate.eventlog.group_commit.MAX_WAITING_BYTES", 10)
    reply = await house.post("/v1/t", message(), KEY)
    assert (reply.status, reply.code, reply.headers["retry-after"]) == (429, "overloaded", "1")


async def test_too_many_bodies_at_once_are_told_as_503(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory for bodies in the making is bounded over all connections, and free again afterwards."""
    monkeypatch.setattr("headgate.gateway.connection.MAX_RECEIVING_BYTES", 1_000)
    async with house.peer() as slow:
        slow.send(http("POST", "/v1/m", b"x" * 900)[:-1])
        await until(lambda: house.server.receiving_bytes > 800)
        reply = await house.post("/v1/m", b"x" * 200)
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "busy", "1")
    await until(lambda: house.server.receiving_bytes == 0)
    assert (await house.post("/v1/m", b"x" * 200)).body == SUCCESS


async def test_bodies_that_wait_for_their_turn_count_too(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pipelined behind a message on its way to the disk they take memory like those still in the making."""
    monkeypatch.setattr("headgate.gateway.connection.MAX_RECEIVING_BYTES", 100_000)
    async with house.peer() as peer:
        peer.send(http("POST", "/v1/t", message(), KEY), http("POST", "/v1/m", b"x" * 30_000) * 10)
        assert (await peer.reply()).body == SUCCESS
        assert (await peer.rest()).count(SUCCESS) < 10
    assert house.server.receiving_bytes == 0
    async with house.peer() as peer:
        peer.send(http("POST", "/v1/m", b"x" * 30_000) * 10)
        assert {(await peer.reply()).status for _ in range(10)} == {200}


async def test_a_fault_of_the_server_is_no_500(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """The sender is told to try again, people find the reason in the server's log, the connection goes on."""
    async with house.peer() as peer:
        house.workspace = None  # type: ignore[assignment]
        peer.send(http("POST", "/v1/t", message(), KEY))
        reply = await peer.reply()
        assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "unexpected", "10")
        assert "POST /v1/t could not be answered" in caplog.text
        house.workspace = WORKSPACE
        peer.send(http("POST", "/v1/t", message(), KEY))
        assert (await peer.reply()).body == SUCCESS


async def test_health_that_cannot_be_asked_for_is_bad_health(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever watches is answered, whatever is wrong."""

    async def broken() -> str:
        raise ValueError("oh")

    monkeypatch.setattr(house.commits, "trouble", broken)
    reply = await house.ask(http("GET", "/health"))
    assert (reply.status, reply.code) == (503, "not_durable")
    assert b"ValueError: oh" in reply.body


SLOW = {
    "half a head": http("POST", "/v1/t", message(), KEY)[:20],
    "half a body": http("POST", "/v1/t", message(), KEY)[:-5],
    "half a body behind a whole request": http("POST", "/v1/m", b"x")
    + http("POST", "/v1/t", message(), KEY)[:-5],
    "a length that is too long": http("POST", "/v1/t", message(), KEY).replace(
        b"Content-Length: ", b"Content-Length: 1"
    ),
    "half a chunk": b"POST /v1/t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabc",
}


@pytest.mark.parametrize("request_", SLOW.values(), ids=SLOW)
async def test_a_slow_sender_is_told(hasty: House, request_: bytes) -> None:
    """408 when its time is over; it may try again, and nothing was taken in."""
    async with hasty.peer() as peer:
        peer.send(request_)
        replies = [await peer.reply() for _ in range(1 + request_.startswith(b"POST /v1/m"))]
        assert (replies[-1].status, replies[-1].code) == (408, "request_timeout")
        assert replies[-1].headers["connection"] == "close"
        assert replies[-1].headers["access-control-allow-origin"] == "*"
        assert await peer.rest() == b""
    assert hasty.held() == []


async def test_an_idle_connection_is_not_slow(hasty: House) -> None:
    """The time runs from a request's first byte, not between requests."""
    async with hasty.peer() as idle, hasty.peer() as slow:
        idle.send(http("POST", "/v1/m", b"x"))
        assert (await idle.reply()).status == 200
        for _ in range(2):
            async with hasty.peer() as slow:
                slow.send(b"P")
                assert (await slow.reply()).status == 408
        idle.send(http("POST", "/v1/m", b"x"))
        assert (await idle.reply()).status == 200


async def test_a_steady_stream_of_requests_is_not_slow(hasty: House) -> None:
    """Each request has its own time, also when every piece of the stream ends inside one."""
    request = http("POST", "/v1/m", b"x" * 50)
    async with hasty.peer() as steady, hasty.peer() as slow:
        steady.send(request[:40])
        slow.send(b"P")
        timed_out = asyncio.create_task(slow.reply())
        answered = 0
        while not timed_out.done() or answered < 3:
            steady.send(request[40:], request[:40])
            assert (await steady.reply()).status == 200
            answered += 1
        assert (await timed_out).status == 408
        steady.send(request[40:])
        assert (await steady.reply()).status == 200


@pytest.mark.parametrize("start", [b"GET /", b"POST /v1/t HTTP/1.1\r\nX: "], ids=["path", "header"])
async def test_an_endless_head_is_refused(house: House, start: bytes) -> None:
    """431, after 64 KiB and what was under way."""
    async with house.peer() as peer:
        peer.send(start)
        for _ in range(16):
            peer.send(b"x" * 65_536)
        reply = await peer.reply()
        assert (reply.status, reply.code) == (431, "head_too_large")


BROKEN_HTTP: dict[str, bytes] = {
    "no HTTP": b"hello\r\n\r\n",
    "zeros": b"\0" * 100,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2 without asking": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two lengths": b"POST /v1/t HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a negative length": b"POST /v1/t HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "a length in words": b"POST /v1/t HTTP/1.1\r\nContent-Length: two\r\n\r\n",
    "length and chunks": b"POST /v1/t HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a chunk without a size": b"POST /v1/t HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a header without a name": b"POST /v1/t HTTP/1.1\r\n: x\r\n\r\n",
    "a zero in a header": b"POST /v1/t HTTP/1.1\r\nX: \0\r\n\r\n",
}


@pytest.mark.parametrize("request_", BROKEN_HTTP.values(), ids=BROKEN_HTTP)
async def test_what_is_not_http_is_refused(house: House, request_: bytes) -> None:
    """With a body that can be read, and the end of the connection."""
    async with house.peer() as peer:
        peer.send(request_)
        reply = await peer.reply()
        assert (reply.status, reply.code, reply.headers["connection"]) == (
            400,
            "bad_request",
            "close",
        )
        assert await peer.rest() == b""


async def test_nonsense_behind_a_message_does_not_cost_its_answer(house: House) -> None:
    """A length that is too short, say: the message's own answer comes first, then the end."""
    async with house.peer() as peer:
        peer.send(http("POST", "/v1/t", message("a"), KEY), b"}\0nonsense")
        assert (await peer.reply()).body == SUCCESS
        assert b'success": true' not in await peer.rest()
    assert [one["messageId"] for one in house.held()] == ["a"]


async def test_a_sender_that_leaves_takes_nothing_along(house: House) -> None:
    """Neither the server nor what others send; half a message is none."""
    whole = http("POST", "/v1/t", message("a"), KEY)
    for cut in (1, 30, len(whole) - 1):
        async with house.peer() as peer:
            peer.send(whole[:cut])
            await peer.writer.drain()
    async with house.peer() as peer:
        peer.send(whole)
        await peer.writer.drain()
    assert (await house.post("/v1/t", message("b"), KEY)).body == SUCCESS
    assert "b" in [one["messageId"] for one in house.held()]
    await until(lambda: not house.server.connections)


LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
Scene = Callable[[House], Awaitable[None]]


@pytest.fixture(params=LOOPS.values(), ids=list(LOOPS))
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scene], None]:
    """Runs a scene at open doors on each kind of loop; the server uses the faster one. The scene may stop them."""

    async def scene_at_doors(scene: Scene) -> None:
        async with opened(tmp_path) as house:
            await scene(house)

    def run(scene: Scene) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(scene_at_doors(scene))

    return run


def test_thousands_of_requests_may_wait_behind_one(play: Callable[[Scene], None]) -> None:
    """They came in one piece behind a message that waits for the disk; none is lost, none goes too deep."""

    async def scene(house: House) -> None:
        async with house.peer() as peer:
            peer.send(http("POST", "/v1/t", message(), KEY), http("GET", "/x") * 3_000)
            statuses = [(await peer.reply()).status for _ in range(3_001)]
        assert statuses == [200] + [404] * 3_000

    play(scene)


def test_a_sender_that_does_not_listen_is_not_read(play: Callable[[Scene], None]) -> None:
    """Answers nobody takes would fill the memory; instead the sender has to wait."""

    async def scene(house: House) -> None:
        with socket.create_connection(("127.0.0.1", house.port)) as deaf:
            deaf.setblocking(False)
            request = memoryview(http("GET", "/x") * 2_000)
            idle_turns = sent = 0
            while idle_turns < 1_000:
                assert sent < 100_000_000, "the server reads whatever comes"
                try:
                    sent += deaf.send(request[sent % len(request) :])
                    idle_turns = 0
                except BlockingIOError:
                    idle_turns += 1
                await asyncio.sleep(0)
            assert (await house.post("/v1/t", message(), KEY)).body == SUCCESS

    play(scene)


def test_stopping_answers_what_was_sent(play: Callable[[Scene], None]) -> None:
    """In flight, readable on an open connection, or on one that was not even accepted yet; idle ones are closed."""

    async def scene(house: House) -> None:
        async with house.peer() as idle, house.peer() as early:
            idle.send(http("POST", "/v1/t", message("idle"), KEY))
            assert (await idle.reply()).body == SUCCESS
            early.send(http("POST", "/v1/t", message("early"), KEY))
            with socket.create_connection(("127.0.0.1", house.port), PATIENCE_S) as late:
                late.sendall(http("POST", "/v1/t", message("late"), KEY))
                await house.stop()
                assert late.recv(65_536).endswith(SUCCESS)
            reply = await early.reply()
            assert (reply.body, await early.rest(), await idle.rest()) == (SUCCESS, b"", b"")
        assert sorted(one["messageId"] for one in house.held()) == ["early", "idle", "late"]
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", house.port)

    play(scene)


def test_stopping_answers_pipelined_requests(play: Callable[[Scene], None]) -> None:
    """All of those that had arrived, in order."""

    async def scene(house: House) -> None:
        async with house.peer() as peer:
            peer.send(*(http("POST", "/v1/t", message(f"{n}"), KEY) for n in range(100)))
            await peer.writer.drain()
            await house.stop()
            assert [(await peer.reply()).status for _ in range(100)] == [200] * 100
        assert [one["messageId"] for one in house.held()] == [f"{n}" for n in range(100)]

    play(scene)


def test_stopping_does_not_wait_for_half_a_request(play: Callable[[Scene], None]) -> None:
    """Its sender is cut off when the grace is over."""

    async def scene(house: House) -> None:
        async with house.peer() as peer:
            peer.send(b"POST /v1/t HTTP/1.1\r\n")
            await until(lambda: bool(house.server.connections))
            await house.server.stop(0.05)
            assert await peer.rest() == b""

    play(scene)


def test_random_bytes_never_make_a_server_error(tmp_path: Path) -> None:
    """Bodies, queries, whole requests: always an answer below 500 or a closed connection; the doors stay open."""
    bodies = st.binary(max_size=200) | st.lists(
        st.sampled_from(
            [b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\ud8", b"00", b"batch", b"1e9"]
        ),
        max_size=40,
    ).map(b"".join)
    paths = st.sampled_from(["/v1/t", "/v1/b", "/v1/m", "/v1/pixel/track", "/health"])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        house = House(tmp_path, deadline_s=30)
        runner.run(house.start())

        async def check(path: str, body: bytes, query: str) -> None:
            requests = [
                http("POST", path, body, KEY),
                http("POST", path, b'{"batch":[' + body + b"]}", KEY),
                http("POST", path, b'{"userId":"ann","event":' + body + b"}", KEY),
                http("POST", path, b"\x1f\x8b" + body, KEY),
                http("GET", f"{path}?data={query}"),
                http("GET", f"{path}?{query}"),
            ]
            async with house.peer() as peer:
                peer.send(*requests)
                statuses = [(await peer.reply()).status for _ in requests]
            assert all(status < 500 for status in statuses), statuses
            async with house.peer() as peer:
                peer.send(body, b"\r\n\r\n")
                peer.writer.write_eof()
                assert b"HTTP/1.1 5" not in await peer.rest()

        @settings(max_examples=60, deadline=None)
        @given(paths, bodies, st.text("ab%=&.+/-_01é", max_size=20).map(_quoted))
        def fuzz(path: str, body: bytes, query: str) -> None:
            runner.run(check(path, body, query))

        fuzz()
        reply = runner.run(house.post("/v1/t", message("after"), KEY))
        assert reply.body == SUCCESS
        runner.run(house.stop())


def _quoted(text: str) -> str:
    return text.encode().decode("latin-1").replace("\xc3\xa9", "%C3%A9")
