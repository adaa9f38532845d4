"""Posting traffic to a gateway as Segment's libraries do, and saying how it was received.

Stands before the gateway, in the sender's place: `headgate send`, benchmarks and tests call it. Each
connection is a lane with people of its own and posts one request after another, so a person's
messages arrive in the order in which they happened, and the same plan always sends the same messages.

A request that cannot be taken (429, 503, no answer) is sent again with the same messageIds and a new
sentAt, after the wait that the answer asks for, otherwise after one that doubles. Too many
retries end that, the stop, the end of `seconds`, and an address where nobody has answered at all.
"""

import asyncio
import math
import random
import re
import signal
import sys
from array import array
from base64 import b64encode
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import aiohttp
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from headgate.clock import Clock
from headgate.sandbox.traffic import Message, Traffic, batch_body, single_body

# How often, how long and for which answers Segment's libraries try again:
# https://github.com/segmentio/analytics-python, https://github.com/segmentio/analytics-next
_MAX_RETRIES = 10
_FIRST_WAIT_S = 0.1
_LONGEST_WAIT_S = 10.0
_LONGEST_RETRY_AFTER_S = 300
_WHOLE_SECONDS = re.compile(r"[0-9]{1,9}")
_RETRIED_4XX = frozenset({408, 410, 429, 460})
_FINAL_5XX = frozenset({501, 505})

_ATTEMPT_S = 15.0
_CONNECT_S = 5.0
_LAST_ANSWER_S = 1.5  # after the end of `seconds`, for what is in flight: most of it has been taken

# Until somebody answers: a wrong address is told soon, a server that is just starting is waited for.
_FIRST_ANSWER_S = 2.5
_LONGEST_WAIT_FOR_FIRST_S = 0.5

_NO_ANSWER = "no answer"

Wait = Callable[[asyncio.Event, float], Awaitable[None]]


async def until_stopped(stop: asyncio.Event, seconds: float) -> None:
    """Wait so many seconds, or less when `stop` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to send. Without `messages` and `seconds` it goes on until it is stopped.

    After `seconds` nothing is posted any more, no retry either. `rate` is in messages per second,
    0 = as fast as the gateway takes them. A `batch_size` of 1 posts each message alone to the route of
    its type.
    """

    url: str
    write_key: str
    messages: int | None = None
    seconds: float | None = None
    rate: float = 0
    batch_size: int = 20
    users: int = 1000
    seed: int = 0
    connections: int = 8

    def __post_init__(self) -> None:
        for name in ("batch_size", "users", "connections"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        for name in ("messages", "seconds", "rate"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name}: expected 0 or more, found {getattr(self, name)}")

    def size_of(self, batch: int) -> int:
        """How many messages the batch with this number holds; 0 when all have been sent before."""
        if self.messages is None:
            return self.batch_size
        return max(0, min(self.batch_size, self.messages - batch * self.batch_size))

    def due_s(self, batch: int) -> float:
        """When the batch with this number is due, in seconds from the start."""
        return batch * self.batch_size / self.rate if self.rate else 0.0


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How it went. `refused` counts messages by last status, or under `no answer`.

    Latency is per answered request, from its first byte to its answer; `None` when none was answered.
    """

    sent: int
    accepted: int
    refused: dict[str, int]
    retries: int
    seconds: float
    per_second: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None

    def as_dict(self) -> dict[str, Any]:
        """The summary as plain data, for `--json`."""
        return msgspec.structs.asdict(self)

    @property
    def answered(self) -> bool:
        """Whether anybody has answered, be it with a refusal."""
        return self.p50_ms is not None


def run(plan: Plan, *, clock: Clock) -> Summary:
    """`send` for a command: Ctrl-C ends it with the summary so far, a second one at once."""

    async def until_interrupted() -> Summary:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            loop.remove_signal_handler(signal.SIGINT)
            stop.set()

        loop.add_signal_handler(signal.SIGINT, interrupt)
        return await send(plan, clock=clock, stop=stop)

    return asyncio.run(until_interrupted())


async def send(
    plan: Plan, *, clock: Clock, stop: asyncio.Event, wait: Wait = until_stopped
) -> Summary:
    """Post the traffic of `plan`; what is in flight when `stop` is set is still waited for.

    An address where nobody has answered within a few seconds ends the run. A terminal on stderr shows
    the progress, anything else stays silent.
    """
    credentials = b64encode(f"{plan.write_key}:".encode()).decode()
    lanes = min(plan.connections, plan.users)
    with _progress(plan) as advance:
        async with aiohttp.ClientSession(
            headers={"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
            connector=aiohttp.TCPConnector(limit=lanes),
        ) as session:
            posting = _Posting(plan, session, clock=clock, stop=stop, wait=wait, advance=advance)
            async with asyncio.TaskGroup() as tasks:
                for lane in range(lanes):
                    tasks.create_task(posting.lane(lane, lanes), name=f"send lane {lane}")
    return posting.summary()


def report(summary: Summary) -> str:
    """The summary in words, for people."""
    refused = sum(summary.refused.values())
    lines = [
        f"Sent {summary.sent:,} messages in {summary.seconds:.1f} s ({summary.per_second:,.0f}/s): "
        f"{summary.accepted:,} accepted, {refused:,} refused; {summary.retries:,} retries."
    ]
    for status, messages in sorted(summary.refused.items()):
        lines.append(f"Refused: {messages:,} messages, {_meaning(status)}")
    if summary.p50_ms is not None:
        lines.append(
            f"Latency: p50 {summary.p50_ms:.1f} ms, p95 {summary.p95_ms:.1f} ms, "
            f"p99 {summary.p99_ms:.1f} ms."
        )
    return "\n".join(lines)


class _Posting:
    """One run's lanes and what they have seen so far."""

    def __init__(
        self,
        plan: Plan,
        session: aiohttp.ClientSession,
        *,
        clock: Clock,
        stop: asyncio.Event,
        wait: Wait,
        advance: Callable[[int], None],
    ) -> None:
        self._plan = plan
        self._session = session
        self._clock = clock
        self._stop = stop
        self._wait = wait
        self._advance = advance
        self._base = f"{plan.url.rstrip('/')}/v1"
        self._started_s = clock.monotonic_s()
        self._sent = 0
        self._accepted = 0
        self._refused: Counter[str] = Counter()
        self._retries = 0
        self._latencies_ms = array("d")

    async def lane(self, lane: int, lanes: int) -> None:
        """Every `lanes`-th batch, from the people whose numbers belong to this lane."""
        plan = self._plan
        rng = random.Random(f"{plan.seed}/{lane}")
        traffic = Traffic(clock=self._clock, rng=rng, users=range(lane, plan.users, lanes))
        for batch in count(lane, lanes):
            size = plan.size_of(batch)
            if not size or not await self._due(batch):
                return
            await self._deliver(traffic.take(size))
            self._advance(size)

    def _left_s(self) -> float:
        """How long until the run's own end."""
        return math.inf if self._plan.seconds is None else self._plan.seconds - self._elapsed_s()

    async def _due(self, batch: int) -> bool:
        """Wait for the batch's turn; false when the run is over before it."""
        due_s = self._plan.due_s(batch)
        pause_s = due_s - self._elapsed_s()
        if max(pause_s, 0.0) >= self._left_s():
            return False
        if pause_s > 0:
            await self._wait(self._stop, pause_s)
        return not self._stop.is_set()

    async def _deliver(self, messages: Sequence[Message]) -> None:
        """Post the messages until they are accepted, refused for good, or tried often or long enough."""
        self._sent += len(messages)
        for attempt in count():
            status, retry_after_s = await self._post(messages, attempt)
            if status == "200":
                self._accepted += len(messages)
                return
            if not _retried(status) or attempt == _MAX_RETRIES:
                break
            if not await self._may_try_again(attempt, retry_after_s):
                break
            self._retries += 1
        self._refused[status] += len(messages)
        if not self._latencies_ms:  # nobody has ever answered at this address
            self._stop.set()

    async def _may_try_again(self, attempt: int, retry_after_s: int | None) -> bool:
        """Wait for the next attempt's turn; false when the run is over before it."""
        left_s, longest_s = self._left_s(), _LONGEST_WAIT_S
        if not self._latencies_ms:
            left_s = min(left_s, _FIRST_ANSWER_S - self._elapsed_s())
            longest_s = _LONGEST_WAIT_FOR_FIRST_S
        pause_s = retry_after_s or min(_FIRST_WAIT_S * 2**attempt, longest_s)
        if left_s > 0 and not self._stop.is_set():
            await self._wait(self._stop, min(pause_s, left_s))
        return pause_s < left_s and not self._stop.is_set()

    async def _post(self, messages: Sequence[Message], attempt: int) -> tuple[str, int | None]:
        """The answer's status and Retry-After in seconds."""
        sent_ms = self._clock.now_ms()
        if self._plan.batch_size == 1:
            url = f"{self._base}/{messages[0]['type']}"
            body = single_body(messages[0], sent_ms)
        else:
            url, body = f"{self._base}/batch", batch_body(messages, sent_ms)
        headers = {"X-Retry-Count": str(attempt)} if attempt else None
        began_s = self._clock.monotonic_s()
        timeout = aiohttp.ClientTimeout(
            total=min(_ATTEMPT_S, max(0.0, self._left_s()) + _LAST_ANSWER_S), connect=_CONNECT_S
        )
        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False, timeout=timeout
            ) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return _NO_ANSWER, None
        self._latencies_ms.append((self._clock.monotonic_s() - began_s) * 1000)
        return str(answer.status), _retry_after_s(answer.headers.get("Retry-After"))

    def _elapsed_s(self) -> float:
        return self._clock.monotonic_s() - self._started_s

    def summary(self) -> Summary:
        seconds = self._elapsed_s()
        latencies_ms = sorted(self._latencies_ms)
        return Summary(
            sent=self._sent,
            accepted=self._accepted,
            refused=dict(self._refused),
            retries=self._retries,
            seconds=seconds,
            per_second=self._sent / seconds if seconds else 0.0,
            p50_ms=_percentile(latencies_ms, 0.50),
            p95_ms=_percentile(latencies_ms, 0.95),
            p99_ms=_percentile(latencies_ms, 0.99),
        )


def _retried(status: str) -> bool:
    if status == _NO_ANSWER:
        return True
    code = int(status)
    return code in _RETRIED_4XX or (code >= 500 and code not in _FINAL_5XX)


def _retry_after_s(header: str | None) -> int | None:
    """Whole seconds, which is all that most libraries read; `None` for none."""
    if header is None or _WHOLE_SECONDS.fullmatch(header) is None:
        return None
    return min(int(header), _LONGEST_RETRY_AFTER_S)


def _percentile(ascending: Sequence[float], share: float) -> float | None:
    if not ascending:
        return None
    return ascending[math.ceil(share * len(ascending)) - 1]


def _meaning(status: str) -> str:
    if status == _NO_ANSWER:
        return "no answer."
    return f"last answer {status}."


@contextmanager
def _progress(plan: Plan) -> Iterator[Callable[[int], None]]:
    """A bar on stderr when that is a terminal; yields what to call with each number settled."""
    if not sys.stderr.isatty():
        yield lambda messages: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    total = plan.messages
    if total is None and plan.seconds is not None and plan.rate:
        total = round(plan.seconds * plan.rate)
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("Sending", total=total)
        yield lambda messages: bar.advance(task, messages)
