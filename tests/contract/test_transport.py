"""What every transport does: an answer whatever the peer does, never an exception, nothing sent elsewhere.

The real one talks to the sandbox, which plays the faults; its twin is told the answers.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import msgspec
import pytest

from headgate.clock import ManualClock
from headgate.delivery import transport as transports
from headgate.delivery.answers import MAX_ANSWER_BYTES, Answer
from headgate.delivery.transport import FakeTransport, HttpTransport, Transport
from headgate.destinations.interface import Request
from headgate.sandbox.faults import Answer as Fault
from headgate.sandbox.faults import Rule
from headgate.sandbox.heap import Sandbox
from headgate.sandbox.journal import Wanted
from headgate.sandbox.options import Options
from headgate.sandbox.server import serving

BODY = b'{"app_id":"1","events":[{"identity":"ann","event":"E","idempotency_key":"k"}]}'

Peer = tuple[Transport, str, Sandbox | None]
Prepared = Callable[[Fault, Answer], Awaitable[Peer]]


def request(url: str) -> Request:
    """A bulk request of one event."""
    return Request(f"{url}/api/track", {"Content-Type": "application/json"}, BODY)


@pytest.fixture(params=["http", "fake"])
async def prepared(request: pytest.FixtureRequest) -> AsyncIterator[Prepared]:
    """Prepares a peer that answers in one way; the sandbox plays the fault, the twin gives the answer."""
    async with AsyncExitStack() as stack:

        async def prepare(fault: Fault, answer: Answer) -> Peer:
            if request.param == "fake":
                return FakeTransport(lambda request: answer), "http://heap", None
            sandbox = Sandbox(Options(), ManualClock())
            sandbox.plan.set([Rule(fault)])
            transport = HttpTransport()
            stack.push_async_callback(transport.close)
            return transport, await stack.enter_async_context(serving(sandbox, port=0)), sandbox

        yield prepare


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ({"status": 200, "body": "{}"}, Answer(200, b"{}")),
        ({"status": 200, "body": "OK"}, Answer(200, b"OK")),
        ({"status": 200, "body": ""}, Answer(200, b"")),
        ({"status": 204, "body": ""}, Answer(204, b"")),
        (
            {"status": 502, "body": "<html>bad gateway</html>"},
            Answer(502, b"<html>bad gateway</html>"),
        ),
        ({"status": 200, "body": "{}", "encoding": "chunked"}, Answer(200, b"{}")),
        ({"status": 400, "body": "Bad Request"}, Answer(400, b"Bad Request")),
        (
            {"status": 503, "body": "x", "headers": {"Retry-After": "17"}},
            Answer(503, b"x", retry_after="17"),
        ),
        (
            {"status": 429, "body": "x", "headers": {"Retry-After": "-1, soon"}},
            Answer(429, b"x", retry_after="-1, soon"),
        ),
    ],
)
async def test_an_answer_has_status_body_and_retry_after(
    prepared: Prepared, fault: dict[str, Any], answer: Answer
) -> None:
    """Whatever they are."""
    transport, url, _ = await prepared(Fault(**fault), answer)
    assert await transport.send(request(url)) == answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(prepared: Prepared, status: int) -> None:
    """Rows are sent where the destination says, and nowhere else."""
    async with serving(elsewhere := Sandbox(Options(), ManualClock()), port=0) as other_url:
        fault = Fault(status=status, body="moved", headers={"Location": f"{other_url}/api/track"})
        transport, url, sandbox = await prepared(fault, Answer(status, b"moved"))
        assert await transport.send(request(url)) == Answer(status, b"moved")
        assert elsewhere.journal.last == 0
        assert sandbox is None or sandbox.journal.last == 1


@pytest.mark.parametrize("connection", ["reset", "hang"])
async def test_silence_is_status_0_with_the_reason_in_words(
    prepared: Prepared, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reset or no answer in time."""
    monkeypatch.setattr(transports, "ATTEMPT_TIMEOUT_S", 0.2)
    silent = Answer(0, error="no answer")
    transport, url, _ = await prepared(Fault(connection=connection), silent)
    answer = await transport.send(request(url))
    assert (answer.status, answer.body) == (0, b"")
    assert answer.error


async def test_a_request_is_sent_by_its_method(prepared: Prepared) -> None:
    """A GET without a body, and without a type of one."""
    fault = Fault(status=200, body="{}", store=False)
    transport, url, sandbox = await prepared(fault, Answer(200, b"{}"))
    asked = Request(f"{url}/api/status/7", {"Authorization": "Bearer t"}, b"", "GET")
    assert await transport.send(asked) == Answer(200, b"{}")
    if sandbox is not None:
        [seen] = sandbox.journal.read(Wanted())
        assert (seen.method, seen.path, seen.body) == ("GET", "/api/status/7", b"")
        headers = msgspec.json.decode(seen.headers)
        assert headers["authorization"] == "Bearer t"
        assert "content-type" not in headers


async def test_closing_twice_does_no_harm(prepared: Prepared) -> None:
    """Also before anything was sent."""
    transport, url, _ = await prepared(Fault(status=200, body="{}"), Answer(200, b"{}"))
    await transport.close()
    assert (await transport.send(request(url))).status == 200
    await transport.close()
    await transport.close()


# what only a network does


@pytest.mark.parametrize(
    "fault",
    [
        Fault(connection="close"),
        Fault(connection="half-close"),
        Fault(status=200, body="x", body_bytes=5_000_000),
        Fault(status=200, body="{}", encoding="gzip"),
        Fault(status=200, body="x" * 200, drip_s=5.0),
        Fault(connection="reset-mid-reply"),
        Fault(status=200, headers={"Content-Encoding": "gzip"}, body="not gzip"),
        Fault(status=200, headers={"Content-Type": "no/such; charset=odd"}, body="{}"),
    ],
    ids=["close", "half-close", "huge", "gzip", "drip", "cut", "no gzip", "odd type"],
)
async def test_the_status_stands_however_the_body_behaves(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Huge, dripping, cut or encoded: what was accepted is not sent again."""
    monkeypatch.setattr(transports, "_BODY_TIMEOUT_S", 0.2)
    async with served(fault) as (transport, url, _):
        answer = await transport.send(request(url))
        assert (answer.status, answer.error) == (200, "")
        assert len(answer.body) <= MAX_ANSWER_BYTES


async def test_a_status_that_comes_late_counts_though_its_body_comes_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The deadline of an attempt is for the status; the body has a little time of its own."""
    monkeypatch.setattr(transports, "ATTEMPT_TIMEOUT_S", 1.0)
    monkeypatch.setattr(transports, "_BODY_TIMEOUT_S", 0.9)
    fault = Fault(status=200, body="{" + " " * 20 + "}", delay_s=0.7, drip_s=0.1)
    async with served(fault) as (transport, url, _):
        answer = await transport.send(request(url))
        assert (answer.status, answer.error) == (200, "")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "http://no-such-host.invalid",
        "http://[::1",
        "ftp://heap",
        "http://a b",
    ],
)
async def test_an_address_nobody_answers_at_is_silence(url: str) -> None:
    """A port nobody listens on, a name nobody has, an address nobody can read."""
    transport = HttpTransport()
    answer = await transport.send(request(url))
    assert answer.status == 0
    assert answer.error
    await transport.close()


async def test_nothing_is_added_that_nobody_asked_for() -> None:
    """The body as given; no cookies are kept; no compression is asked for."""
    fault = Fault(status=200, body="{}", headers={"Set-Cookie": "id=1"})
    async with served(fault) as (transport, url, sandbox):
        for _ in range(2):
            await transport.send(request(url))
        first, second = sandbox.journal.read(Wanted())
        assert first.body == second.body == BODY
        headers = msgspec.json.decode(second.headers)
        assert "cookie" not in headers
        assert headers["accept-encoding"] == "identity"
        assert headers["user-agent"] == "headgate"


@asynccontextmanager
async def served(fault: Fault) -> AsyncIterator[tuple[HttpTransport, str, Sandbox]]:
    """A transport, the address of a sandbox that plays the fault, and the sandbox."""
    sandbox = Sandbox(Options(), ManualClock())
    sandbox.plan.set([Rule(fault)])
    transport = HttpTransport()
    async with serving(sandbox, port=0) as url:
        try:
            yield transport, url, sandbox
        finally:
            await transport.close()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/api/track", "cannot connect to 127.0.0.1:1: "),
        ("http://heap.invalid/api/track", "the host heap.invalid cannot be found"),
    ],
)
async def test_who_cannot_be_reached_is_told_in_words(url: str, words: str) -> None:
    """People read them in `status` and `trace`, not the names of classes."""
    transport = HttpTransport()
    answer = await transport.send(request(url))
    await transport.close()
    assert (answer.status, answer.error.startswith(words)) == (0, True), answer.error
