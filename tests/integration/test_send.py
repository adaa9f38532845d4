"""`send` against a real HTTP server: what arrives there, what is tried again, what is reported."""

import asyncio
import io
import signal
import socket
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import Any

import msgspec
import pytest
from aiohttp import web
from typer.testing import CliRunner

from headgate.cli import app
from headgate.clock import ManualClock
from headgate.sandbox.send import Plan, Summary, report, send, until_stopped

Answer = tuple[int, dict[str, str]]


class Gateway:
    """Answers in the given order, then always 200, and keeps what it was sent.

    The status 0 hangs up without an answer.
    """

    def __init__(self, answers: Sequence[Answer] = ()) -> None:
        self.answers = list(answers)
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.on_request: Callable[[], None] = lambda: None

    async def take(self, request: web.Request) -> web.Response:
        body = msgspec.json.decode(await request.read())
        self.requests.append((request.path, dict(request.headers), body))
        self.on_request()
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        if status == 0 and request.transport is not None:
            request.transport.abort()
        return web.json_response({"success": status == 200}, status=status, headers=headers)

    @property
    def batches(self) -> list[list[dict[str, Any]]]:
        return [body["batch"] for _, _, body in self.requests]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [message for batch in self.batches for message in batch]


@asynccontextmanager
async def listening(gateway: Gateway) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/v1/{route}", gateway.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


class TickingClock(ManualClock):
    """Moves on by a millisecond whenever somebody looks."""

    def now_ms(self) -> int:
        self.advance(0.001)
        return super().now_ms()

    def monotonic_s(self) -> float:
        self.advance(0.001)
        return super().monotonic_s()


class Waits:
    """Waiting that takes no time but moves the clock, and remembers how long it was asked for."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.seconds: list[float] = []

    async def __call__(self, stop: asyncio.Event, seconds: float) -> None:
        self.seconds.append(seconds)
        self.clock.advance(seconds)


async def sent(gateway: Gateway, waits: Waits | None = None, **options: Any) -> Summary:
    waits = waits or Waits()
    async with listening(gateway) as url:
        plan = Plan(url=url, write_key="wk_demo", **options)
        return await send(plan, clock=waits.clock, stop=asyncio.Event(), wait=waits)


async def test_every_message_arrives_once_in_batches() -> None:
    gateway = Gateway()
    summary = await sent(gateway, messages=105, batch_size=20)
    assert (summary.sent, summary.accepted, summary.refused) == (105, 105, {})
    assert sorted(len(batch) for batch in gateway.batches) == [5, 20, 20, 20, 20, 20]
    assert len({message["messageId"] for message in gateway.messages}) == 105
    assert {path for path, _, _ in gateway.requests} == {"/v1/batch"}


async def test_a_batch_size_of_one_posts_to_the_route_of_the_type() -> None:
    gateway = Gateway()
    await sent(gateway, messages=100, batch_size=1)
    assert {path for path, _, _ in gateway.requests} >= {"/v1/page", "/v1/track"}
    assert all(path == f"/v1/{body['type']}" for path, _, body in gateway.requests)
    assert all(body["sentAt"] for _, _, body in gateway.requests)


async def test_the_write_key_goes_by_basic_auth_with_no_password() -> None:
    gateway = Gateway()
    await sent(gateway, messages=1)
    scheme, credentials = gateway.requests[0][1]["Authorization"].split()
    assert (scheme, b64decode(credentials)) == ("Basic", b"wk_demo:")


async def test_a_person_s_messages_all_come_in_order_however_many_connections() -> None:
    gateway, waits = Gateway(), Waits()
    waits.clock = TickingClock()
    await sent(gateway, waits, messages=1_000, batch_size=5, connections=4, users=30)
    people: dict[str, list[str]] = {}
    for message in gateway.messages:
        people.setdefault(message["anonymousId"], []).append(message["timestamp"])
    assert len(people) > 20
    assert all(times == sorted(times) for times in people.values())


async def test_the_same_plan_sends_the_same_messages() -> None:
    first, second = Gateway(), Gateway()
    for gateway in (first, second):
        await sent(gateway, messages=200, batch_size=7)
    by_id = itemgetter("messageId")
    assert sorted(first.messages, key=by_id) == sorted(second.messages, key=by_id)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_gateway_is_asked_again_after_the_wait_it_names(status: int) -> None:
    gateway, waits = Gateway([(status, {"Retry-After": "7"})]), Waits()
    summary = await sent(gateway, waits, messages=20)
    assert waits.seconds == [7]
    assert (summary.sent, summary.accepted, summary.retries) == (20, 20, 1)
    assert gateway.batches[0] == gateway.batches[1]
    assert gateway.requests[1][1]["X-Retry-Count"] == "1"
    assert gateway.requests[0][2]["sentAt"] < gateway.requests[1][2]["sentAt"]


@pytest.mark.parametrize(
    ("header", "expected_s"),
    [
        pytest.param("300", 300, id="the longest"),
        pytest.param("86400", 300, id="capped"),
        pytest.param("0", 0.1, id="zero"),
        pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", 0.1, id="a date"),
        pytest.param("9" * 5_000, 0.1, id="nonsense"),
    ],
)
async def test_retry_after_is_whole_seconds_within_reason(header: str, expected_s: float) -> None:
    waits = Waits()
    await sent(Gateway([(429, {"Retry-After": header})]), waits, messages=1)
    assert waits.seconds == [expected_s]


async def test_retries_wait_longer_each_time_and_end() -> None:
    gateway, waits = Gateway([(503, {})] * 11), Waits()
    summary = await sent(gateway, waits, messages=20)
    assert waits.seconds == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10, 10]
    assert (summary.accepted, summary.refused, summary.retries) == (0, {"503": 20}, 10)


@pytest.mark.parametrize("status", [202, 302, 400, 401, 404, 501])
async def test_a_final_answer_is_not_tried_again(status: int) -> None:
    gateway = Gateway([(status, {"Location": "/v1/elsewhere"})])
    summary = await sent(gateway, messages=40, batch_size=20, connections=1)
    assert (summary.accepted, summary.refused) == (20, {str(status): 20})
    assert len(gateway.requests) == 2


async def test_an_address_where_nobody_answers_ends_the_run() -> None:
    async with listening(Gateway()) as url:
        pass
    waits = Waits()
    plan = Plan(url=url, write_key="wk_demo", connections=1)
    summary = await send(plan, clock=waits.clock, stop=asyncio.Event(), wait=waits)
    assert (summary.sent, summary.refused, summary.retries) == (20, {"no answer": 20}, 6)
    assert summary.seconds == pytest.approx(2.5)
    assert not summary.answered


async def test_a_server_that_is_just_starting_is_waited_for() -> None:
    summary = await sent(Gateway([(0, {})] * 6), messages=20)
    assert (summary.accepted, summary.retries, summary.answered) == (20, 6, True)


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        pytest.param(0, {"no answer": 20}, id="the server is gone"),
        pytest.param(503, {"503": 20}, id="it takes nothing any more"),
    ],
)
async def test_no_retry_comes_after_the_seconds(status: int, refused: dict[str, int]) -> None:
    gateway, waits = Gateway([(200, {}), *[(status, {})] * 100]), Waits()
    summary = await sent(gateway, waits, seconds=2, connections=1)
    assert waits.seconds == pytest.approx([0.1, 0.2, 0.4, 0.8, 0.5])
    assert (summary.accepted, summary.refused, summary.retries) == (20, refused, 4)
    assert summary.seconds == pytest.approx(2)
    assert len(gateway.requests) == 6


async def test_a_wait_that_the_gateway_asks_for_ends_with_the_seconds() -> None:
    waits = Waits()
    summary = await sent(Gateway([(429, {"Retry-After": "300"})]), waits, seconds=2, connections=1)
    assert (waits.seconds, summary.refused) == ([2], {"429": 20})


async def test_what_is_in_flight_at_the_end_of_the_seconds_is_waited_for_a_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headgate.sandbox.send._LAST_ANSWER_S", 0.05)
    clock, asked, over = ManualClock(), asyncio.Event(), asyncio.Event()

    async def never(request: web.Request) -> web.Response:
        clock.advance(1)
        asked.set()
        await over.wait()
        return web.Response()

    gateway = Gateway()
    gateway.take = never  # type: ignore[method-assign]
    async with listening(gateway) as url:
        plan = Plan(url=url, write_key="wk_demo", seconds=0.01, connections=1)
        summary = await send(plan, clock=clock, stop=asyncio.Event())
        over.set()
    assert asked.is_set()
    assert (summary.sent, summary.refused, summary.retries) == (20, {"no answer": 20}, 0)


async def test_the_rate_is_kept_by_waiting_for_each_batch_s_turn() -> None:
    waits = Waits()
    summary = await sent(Gateway(), waits, messages=100, rate=50, batch_size=20, connections=1)
    assert waits.seconds == pytest.approx([0.4] * 4)
    assert summary.seconds == pytest.approx(1.6)


async def test_a_run_of_some_seconds_sends_what_its_rate_allows() -> None:
    summary = await sent(Gateway(), seconds=10, rate=50, batch_size=20, connections=1)
    assert summary.sent == 500


async def test_stopping_gives_the_summary_so_far() -> None:
    gateway, stop = Gateway(), asyncio.Event()
    gateway.on_request = lambda: stop.set() if len(gateway.requests) == 3 else None
    async with listening(gateway) as url:
        plan = Plan(url=url, write_key="wk_demo", connections=1)
        summary = await send(plan, clock=ManualClock(), stop=stop)
    assert (summary.sent, summary.accepted) == (60, 60)


async def test_speed_and_latency_are_measured_on_the_clock() -> None:
    waits = Waits()
    waits.clock = TickingClock()
    summary = await sent(Gateway(), waits, messages=200, connections=1)
    assert summary.p50_ms == pytest.approx(summary.p99_ms) == pytest.approx(1)
    assert summary.per_second == pytest.approx(200 / summary.seconds)


async def test_stopping_during_a_wait_ends_the_run_without_another_attempt() -> None:
    gateway, stop = Gateway([(429, {"Retry-After": "300"})]), asyncio.Event()

    async def interrupted(stop: asyncio.Event, seconds: float) -> None:
        stop.set()

    async with listening(gateway) as url:
        plan = Plan(url=url, write_key="wk_demo", connections=1)
        summary = await send(plan, clock=ManualClock(), stop=stop, wait=interrupted)
    assert (summary.refused, len(gateway.requests)) == ({"429": 20}, 1)


async def test_stopping_cuts_a_wait_short() -> None:
    gateway, stop = Gateway([(429, {"Retry-After": "300"})]), asyncio.Event()
    gateway.on_request = stop.set
    async with listening(gateway) as url:
        plan = Plan(url=url, write_key="wk_demo", connections=1)
        summary = await send(plan, clock=ManualClock(), stop=stop)
    assert summary.refused == {"429": 20}


async def test_a_real_wait_ends_by_itself_or_with_the_stop() -> None:
    stop = asyncio.Event()
    await until_stopped(stop, 0)
    stop.set()
    await until_stopped(stop, 3_600)


async def test_ctrl_c_ends_a_run_with_its_summary() -> None:
    gateway = Gateway()
    async with listening(gateway) as url:
        program = (
            "from headgate.clock import SystemClock\n"
            "from headgate.sandbox.send import Plan, run\n"
            f"print(run(Plan(url={url!r}, write_key='wk_demo'), clock=SystemClock()).as_dict())\n"
        )
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
        )
        gateway.on_request = lambda: (
            process.send_signal(signal.SIGINT) if len(gateway.requests) == 1 else None
        )
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"'accepted': " in output


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["words", "json"])
def test_the_command_says_that_nobody_answers(options: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    result = CliRunner().invoke(app, ["send", "--url", url, "--seconds", "0.2", *options])
    assert result.exit_code == 1
    assert result.stderr == f"headgate: nobody answers at {url}; is Headgate running there?\n"
    assert "no answer" in result.stdout
    if options:
        summary = msgspec.json.decode(result.stdout)
        assert summary["sent"] == summary["refused"]["no answer"]


async def test_a_terminal_shows_progress_and_anything_else_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stderr, shown in ((Terminal(), "40/40"), (io.StringIO(), "")):
        monkeypatch.setattr("sys.stderr", stderr)
        await sent(Gateway(), messages=40)
        assert shown in stderr.getvalue()
        assert bool(shown) == bool(stderr.getvalue())


def test_the_report_says_how_it_went() -> None:
    summary = Summary(
        sent=1_100,
        accepted=1_000,
        refused={"400": 60, "no answer": 40},
        retries=3,
        seconds=2.0,
        per_second=550.0,
        p50_ms=1.0,
        p95_ms=2.0,
        p99_ms=3.25,
    )
    assert report(summary).splitlines() == [
        "Sent 1,100 messages in 2.0 s (550/s): 1,000 accepted, 100 refused; 3 retries.",
        "Refused: 60 messages, last answer 400.",
        "Refused: 40 messages, no answer.",
        "Latency: p50 1.0 ms, p95 2.0 ms, p99 3.2 ms.",
    ]
    assert msgspec.json.decode(msgspec.json.encode(summary.as_dict()))["accepted"] == 1_000


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"batch_size": 0}, "batch_size: expected 1 or more, found 0"),
        ({"users": 0}, "users: expected 1 or more, found 0"),
        ({"rate": -1}, "rate: expected 0 or more, found -1"),
    ],
)
def test_an_impossible_plan_is_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Plan(url="http://localhost", write_key="wk_demo", **options)
