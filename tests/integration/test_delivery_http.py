"""Delivery to the sandbox over real connections: what a network can do, and what Heap then holds.

Time runs fifty times as fast, for delivery and for the sandbox alike, so that waits cost little.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from headgate.delivery import transport as transports
from headgate.delivery.engine import Delivery
from headgate.delivery.transport import HttpTransport
from headgate.destinations.catalog import CATALOG
from headgate.sandbox.faults import Answer as Fault
from headgate.sandbox.faults import Match, Rule
from headgate.sandbox.heap import Sandbox
from headgate.sandbox.journal import Entry, Wanted
from headgate.sandbox.options import Limits, Options
from headgate.sandbox.server import serving
from headgate.workspace.versions import Versions
from simulation import SETTINGS, Message, SnapshotStore, World, identify, track

SPEED = 50
DEADLINE_S = 20
DELIVERED = ("delivered", "")


class HurriedClock:
    """The machine's clock, fifty times as fast."""

    def now_ms(self) -> int:
        """Unix time, as it would be."""
        return 1_700_000_000_000 + round(self.monotonic_s() * 1000)

    def monotonic_s(self) -> float:
        """Hurried seconds."""
        return time.monotonic() * SPEED

    async def wait(self, event: asyncio.Event, timeout_s: float | None) -> None:
        """Hurried waiting."""
        try:
            async with asyncio.timeout(None if timeout_s is None else timeout_s / SPEED):
                await event.wait()
        except TimeoutError:
            return


class Bench:
    """Delivery on one side, a sandbox on the other."""

    def __init__(self, url: str, sandbox: Sandbox, settings: Message) -> None:
        self.sandbox = sandbox
        self.clock = HurriedClock()
        self.world = World({"heap": {"appId": "1", "apiBaseUrl": url} | settings})
        self.store: SnapshotStore = self.world.store
        self.settled = asyncio.Event()
        self.delivery = Delivery(
            log=self.world.log,
            store=self.store,
            versions=Versions(self.world.workspace, catalog=SETTINGS, environment={}),
            history=self.world.workspace.destination_history,
            catalog=CATALOG,
            transport=HttpTransport(),
            clock=self.clock,
            chance=random.Random(1),
            settled=lambda seq: self.settled.set(),
        )

    def send(self, *messages: Message) -> None:
        """The gateway accepts messages."""
        self.world.append(messages)
        self.delivery.wake()

    async def outcomes(self) -> dict[int, tuple[str, str]]:
        """The outcomes, once every message has one."""
        async with asyncio.timeout(DEADLINE_S):
            while self.store.cursors().get(1, 0) < self.world.log.last_seq():
                self.settled.clear()
                await self.settled.wait()
        return {seq: each[-1] for seq, each in self.store.outcomes().items()}

    def requests(self) -> list[Entry]:
        """What the sandbox has seen."""
        return list(self.sandbox.journal.read(Wanted()))

    def numbers(self, user: str) -> list[int]:
        """The events that the user ended up with, as they are numbered, in order of arrival."""
        (found,) = self.sandbox.store.find(user)
        return [msgspec.json.decode(event.encoded)["properties"]["n"] for event in found.events]

    def properties(self, user: str) -> Message:
        """What the user ended up with."""
        (found,) = self.sandbox.store.find(user)
        return found.properties


@asynccontextmanager
async def bench(
    *rules: Rule, options: Options | None = None, **settings: Any
) -> AsyncIterator[Bench]:
    """Delivery under way to a sandbox with these faults."""
    sandbox = Sandbox(options or Options(), HurriedClock())
    sandbox.plan.set(rules)
    async with serving(sandbox, port=0) as url:
        made = Bench(url, sandbox, settings)
        made.delivery.start()
        try:
            yield made
        finally:
            await made.delivery.stop(0.0)


def scripted(message: Message, script: str) -> Message:
    """The message with the answers that the sandbox is to give."""
    fields = "properties" if "properties" in message else "traits"
    message[fields]["sandbox_answers"] = script
    return message


@pytest.mark.parametrize(
    ("fault", "requests"),
    [
        (Fault(status=200, body="<html>hello</html>", store=True), 1),
        (Fault(status=200, body="", store=True), 1),
        (Fault(status=204, store=True), 1),
        (Fault(encoding="gzip"), 1),
        (Fault(encoding="chunked"), 1),
        (Fault(status=200, body="x", body_bytes=3_000_000, store=True), 1),
        (Fault(status=200, body="x" * 100, drip_s=1.0, store=True), 1),
        (Fault(connection="close"), 1),
        (Fault(connection="half-close"), 1),
        (Fault(connection="reset-mid-reply"), 1),
        (Fault(connection="reset"), 2),
        (Fault(connection="reset", store=True), 2),
        (Fault(connection="hang"), 2),
        (Fault(connection="hang", store=True), 2),
        (Fault(status=500, body="<html>no</html>"), 2),
        (Fault(status=503, headers={"Retry-After": "9"}), 2),
        (Fault(status=429, headers={"Retry-After": "-9"}), 2),
        (Fault(status=413), 2),
        (Fault(status=404), 2),
        (Fault(status=401, read=False), 2),
        (Fault(status=302, headers={"Location": "http://127.0.0.1:1/"}), 2),
    ],
    ids=lambda value: msgspec.json.encode(value).decode()[:60],
)
async def test_whatever_the_network_does_the_event_is_at_heap_once(
    fault: Fault, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One event, one fault: done at once, or sent again under the same key."""
    monkeypatch.setattr(transports, "ATTEMPT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(transports, "_BODY_TIMEOUT_S", 0.2)
    async with bench(Rule(fault, Match(nth=1))) as made:
        made.send(track(1))
        assert await made.outcomes() == {1: DELIVERED}
        assert len(made.requests()) == requests
        assert made.numbers("ann") == [1]


async def test_a_redirect_to_another_host_is_not_followed() -> None:
    """The rows wait until the configured address takes them itself."""
    elsewhere = Sandbox(Options(), HurriedClock())
    async with serving(elsewhere, port=0) as url:
        fault = Fault(status=307, headers={"Location": f"{url}/api/track"})
        async with bench(Rule(fault, times=3)) as made:
            made.send(track(1))
            assert await made.outcomes() == {1: DELIVERED}
            assert len(made.requests()) == 4
    assert elsewhere.journal.last == 0


async def test_users_in_all_kinds_of_trouble_end_up_as_if_nothing_had_happened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nine users, each with a trouble of his own on the way; only what was refused is missing."""
    monkeypatch.setattr(transports, "ATTEMPT_TIMEOUT_S", 0.2)
    scripts = [
        "200",
        "500,500,200",
        "400",
        "429;retry-after=3,200",
        "reset,200",
        "reset-after-storing,200",
        "timeout-after-storing,200",
        "junk200",
        "302,200",
    ]
    async with bench() as made:
        messages: list[Message] = []
        for user in range(len(scripts)):
            first = 10 * user + 1
            messages += [
                identify(first, f"user-{user}", member=True),
                scripted(track(first + 1, f"user-{user}"), scripts[user]),
                scripted(identify(first + 2, f"user-{user}", member=True), scripts[user]),
                identify(first + 3, f"user-{user}", member=False),
                track(first + 4, f"user-{user}"),
            ]
        made.send(*messages)
        outcomes = await made.outcomes()
        refused = [seq for seq, outcome in outcomes.items() if outcome != DELIVERED]
        assert refused == [12, 13]
        for user, script in enumerate(scripts):
            first = 10 * user + 1
            kept = [first + 4] if script == "400" else [first + 1, first + 4]
            assert made.numbers(f"user-{user}") == kept
            assert made.properties(f"user-{user}")["member"] is False
            assert made.properties(f"user-{user}")["n"] == first + 3


async def test_documented_limits_are_kept_as_the_sandbox_counts_them() -> None:
    """A backlog of two minutes meets not a single 429."""
    limits = Limits(events_per_min=500, events_per_min_per_user=50)
    async with bench(
        options=Options(limits=limits),
        limits={"eventsPerMinute": 500, "eventsPerMinutePerUser": 50},
    ) as made:
        made.send(*(track(n, f"user-{n % 20}") for n in range(1, 1_201)))
        assert set((await made.outcomes()).values()) == {DELIVERED}
        assert {entry.verdict for entry in made.requests()} == {"stored"}


async def test_an_address_that_comes_back_gets_everything() -> None:
    """Nobody listens for a while; then the sandbox is there, on the same port."""
    sandbox = Sandbox(Options(), HurriedClock())
    async with serving(sandbox, port=0) as url:
        port = int(url.rpartition(":")[2])
    made = Bench(url, sandbox, {})
    made.delivery.start()
    made.send(*(track(n, f"user-{n}") for n in range(1, 51)))
    async with asyncio.timeout(DEADLINE_S):
        while made.delivery.status()[0].state != "failing" or made.store.commits < 20:
            made.settled.clear()
            await made.settled.wait()
    async with serving(sandbox, port=port):
        assert set((await made.outcomes()).values()) == {DELIVERED}
        assert sorted(made.numbers("user-7")) == [7]
        await made.delivery.stop(0.0)
