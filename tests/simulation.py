"""Delivery in simulated time: a log in memory, a clock that jumps to the next timer, and a model of Heap.

Everything runs in one thread and is decided by seeds, so that a failure can be repeated.
"""

import asyncio
import random
from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import msgspec

from headgate.clock import ManualClock
from headgate.delivery.answers import Answer
from headgate.delivery.engine import Delivery
from headgate.delivery.facts import Facts
from headgate.delivery.positions import pack
from headgate.delivery.replays import ReplayRequest, Wanted
from headgate.delivery.store import DeliveryStore
from headgate.delivery.transport import FakeTransport
from headgate.destinations.catalog import CATALOG
from headgate.destinations.interface import Request
from headgate.eventlog.interface import Arrival
from headgate.eventlog.memory import MemoryStorage, memory_log
from headgate.spec.message import Envelope
from headgate.spec.names import CALL_TYPE_CODES
from headgate.workspace.document import checked
from headgate.workspace.memory_store import MemoryWorkspaceStore
from headgate.workspace.versions import Versions

SETTINGS = {kind: destination.settings for kind, destination in CATALOG.items()}
MAX_STEPS_AT_ONE_MOMENT = 1_000
BLOCK_MESSAGES = 1_000
TIMEOUT_S = 10.0

Message = dict[str, Any]


class InlineExecutor(Executor):
    """Runs what is submitted at once, in the same thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """The finished future."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


class HeapModel:
    """What Heap would hold. A row's property `script` says how the requests that carry it are answered.

    Words: a status, optionally `;SECONDS` for Retry-After, `lost` (no answer), `lost-after-storing`,
    `reset`. The n-th request that carries the row plays the n-th word; the last one repeats.
    """

    def __init__(self, clock: ManualClock, latency: Callable[[], float] = lambda: 0.05) -> None:
        self._clock = clock
        self._latency = latency
        self._turns: Counter[str] = Counter()
        self._keys: set[tuple[str, str]] = set()
        self.users: dict[str, Message] = {}
        self.arrivals: dict[str, list[int]] = {}
        self.counted: list[tuple[float, str, Counter[str]]] = []
        self.latencies: list[float] = []
        self.requests = 0
        self.down = False
        self.refuses = False

    async def answer(self, request: Request) -> Answer:
        """Heap's answer, after a while."""
        self.requests += 1
        body = msgspec.json.decode(request.body)
        rows = body.get("events", body.get("users"))
        latency_s = self._latency()
        counted_after_s = latency_s * random.Random(self.requests).random()
        await self._pass(counted_after_s)
        users = Counter(row["identity"] for row in rows)
        self.counted.append((self._clock.monotonic_s(), body["app_id"], users))
        word = self._word(request, rows)
        if word in ("200", "lost-after-storing"):
            for row in rows:
                self._store(body["app_id"], row)
        if word.startswith("lost"):
            await self._pass(TIMEOUT_S - counted_after_s)
            return Answer(0, error="no answer within 10 s")
        await self._pass(latency_s - counted_after_s)
        if word == "reset":
            return Answer(0, error="ClientOSError: reset")
        status, _, retry_after = word.partition(";")
        return Answer(int(status), body=b"{}", retry_after=retry_after)

    def most_in_a_minute(self, app_id: str = "1", user: str | None = None) -> int:
        """The most rows that were counted in any 60 s: all of them, or one user's."""
        most = inside = 0
        window: deque[tuple[float, int]] = deque()
        for at_s, of_app, users in self.counted:
            if of_app != app_id:
                continue
            n = users.total() if user is None else users[user]
            window.append((at_s, n))
            inside += n
            while window[0][0] <= at_s - 60.0:
                inside -= window.popleft()[1]
            most = max(most, inside)
        return most

    def _word(self, request: Request, rows: list[Message]) -> str:
        """A 400 or else the first word other than 200 decides for the whole request; every row's turn counts."""
        if self.down:
            return "503"
        if self.refuses:
            return "400"
        words = [self._turn(request, row) for row in rows if "script" in row["properties"]]
        return "400" if "400" in words else next((word for word in words if word != "200"), "200")

    def _turn(self, request: Request, row: Message) -> str:
        words = row["properties"]["script"].split(",")
        key = f"{request.url} {row['identity']} {row['properties']['n']}"
        self._turns[key] += 1
        return str(words[min(self._turns[key], len(words)) - 1])

    def _store(self, app_id: str, row: Message) -> None:
        key = row.get("idempotency_key")
        n = row["properties"]["n"]
        if key is None:
            self.users.setdefault(row["identity"], {}).update(row["properties"])
        elif (app_id, key) in self._keys:
            return
        else:
            self._keys.add((app_id, key))
        self.arrivals.setdefault(row["identity"], []).append(n)

    async def _pass(self, seconds: float) -> None:
        await self._clock.wait(asyncio.Event(), seconds)


class SnapshotStore(DeliveryStore):
    """A delivery store in memory. Counts commits; can be copied, and told to refuse."""

    def __init__(self, saved: bytes | None = None) -> None:
        super().__init__(Path(":memory:"))
        if saved is not None:
            self._db.deserialize(saved)
        self.commits = 0
        self.failure: Exception | None = None

    def record(self, facts: Facts) -> None:
        """As a disk would, unless it is full."""
        if self.failure is not None:
            raise self.failure
        super().record(facts)
        self.commits += 1

    def saved(self) -> bytes:
        """What is on disk."""
        return self._db.serialize()

    def outcomes(self, destination: int = 1) -> dict[int, list[tuple[str, str]]]:
        """Every (outcome, reason) that was recorded for each message."""
        found: dict[int, list[tuple[str, str]]] = {}
        for outcome, reason, runs in self.settled_within(destination, 1, 2**62):
            for run in runs:
                for seq in run:
                    found.setdefault(seq, []).append((outcome, reason))
        return found


class World:
    """One gateway's delivery and the Heap it talks to. `destinations` are slug → settings."""

    def __init__(
        self,
        destinations: dict[str, Message] | None = None,
        *,
        latency: Callable[[], float] = lambda: 0.05,
        withheld: Callable[[str, int], str] = lambda user_id, seq: "",
        seed: int = 0,
    ) -> None:
        self.withheld = withheld
        self.clock = ManualClock()
        self.chance = random.Random(seed)
        self.heap = HeapModel(self.clock, latency)
        self.answer: Callable[[Request], Any] = self.heap.answer
        self.storage = MemoryStorage()
        self.messages: list[Message] = []
        self.log = memory_log(self.clock, self.storage)
        self.workspace = MemoryWorkspaceStore(self.clock)
        self.store = SnapshotStore()
        self.settled_to = 0
        self.delivery: Delivery | None = None
        self._soon: list[tuple[float, Callable[[], None]]] = []
        self.configure(destinations or {"heap": {}})

    def configure(self, destinations: dict[str, Message]) -> None:
        """Makes these the destinations. Keys of a destination itself start with `_`."""
        document = checked(
            {
                "sources": [{"slug": "web", "type": "website", "writeKeys": ["wk"]}],
                "destinations": [_destination(*item) for item in destinations.items()],
            },
            catalog=SETTINGS,
            environment={},
        )
        self.version = self.workspace.commit(document, actor="test")
        if self.delivery is not None:
            self.delivery.reconfigure()

    def start(self) -> Delivery:
        """A process starts to deliver, on what the last one left."""
        self.transport = FakeTransport(lambda request: self.answer(request))
        self.delivery = Delivery(
            log=self.log,
            store=self.store,
            versions=Versions(self.workspace, catalog=SETTINGS, environment={}),
            history=self.workspace.destination_history,
            catalog=CATALOG,
            transport=self.transport,
            clock=self.clock,
            chance=self.chance,
            settled=self._settled,
            withheld=self.withheld,
            executor=InlineExecutor(),
        )
        self.delivery.start()
        return self.delivery

    @property
    def running(self) -> Delivery:
        """The process that delivers now."""
        assert self.delivery is not None
        return self.delivery

    async def kill(self) -> None:
        """The process is gone at once; the next `start` finds what was on disk."""
        self.delivery = None
        self.store = SnapshotStore(self.store.saved())
        here = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not here]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def append(self, messages: Iterable[Message], *, behind: bool = False) -> None:
        """The gateway accepts messages, in blocks of up to 1,000; `behind`: nobody waits for them."""
        given = list(messages)
        self.messages += given
        for start in range(0, len(given), BLOCK_MESSAGES):
            self.log.append([self._arrival(given[start : start + BLOCK_MESSAGES], behind)])
        if self.delivery is not None:
            self.delivery.wake()

    def request(self, name: str, seqs: Iterable[int], *, planned_to: int = 0) -> ReplayRequest:
        """A replay as the command line plans it: with every later profile write of the same users."""
        chosen = sorted(seqs)
        events: list[int] = []
        writes: dict[str, list[int]] = {}
        for seq in chosen:
            message = self.messages[seq - 1]
            if message["type"] == "identify":
                writes.setdefault(message["userId"], [seq])
            else:
                events.append(seq)
        planned_to = planned_to or self.log.last_seq()
        for seq, message in enumerate(self.messages[:planned_to], 1):
            of_user = writes.get(message["userId"])
            if of_user and message["type"] == "identify" and seq > of_user[-1]:
                of_user.append(seq)
        wanted = Wanted({user: pack(of_user) for user, of_user in writes.items()}, pack(events))
        return ReplayRequest(name, self.clock.now_ms(), "for a test", planned_to, {1: wanted})

    def replay(self, name: str, seqs: Iterable[int]) -> "asyncio.Task[None]":
        """Somebody asks for a replay to the first destination; done when it is recorded."""
        return self.ask(self.request(name, seqs))

    def ask(self, request: ReplayRequest) -> "asyncio.Task[None]":
        """The worker finds a request; done when it is recorded, or was already."""
        assert self.delivery is not None
        return asyncio.get_running_loop().create_task(self.delivery.replay(request))

    def at(self, monotonic_s: float, do: Callable[[], None]) -> None:
        """Something happens at a moment to come."""
        insort(self._soon, (monotonic_s, do), key=lambda item: item[0])

    async def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Lets time pass; True as soon as `until` holds, False when it did not within `seconds`."""
        end_s = self.clock.monotonic_s() + seconds
        steps = 0
        while True:
            await quiet()
            if until():
                return True
            moment = min(
                filter(None, [self.clock.next_timer_s(), *self._next_plan()]), default=end_s
            )
            if moment > end_s or self.clock.monotonic_s() >= end_s:
                self.clock.advance_to(end_s)
                await quiet()
                return until()
            steps = steps + 1 if moment <= self.clock.monotonic_s() else 0
            assert steps < MAX_STEPS_AT_ONE_MOMENT, "delivery spins"
            self.clock.advance_to(moment)
            while self._soon and self._soon[0][0] <= moment:
                self._soon.pop(0)[1]()

    async def run_until_settled(self, within_s: float = 3600.0) -> None:
        """Lets time pass until every message has its outcome on disk."""
        last = self.log.last_seq()
        settled = await self.run(within_s, lambda: self._all_settled(last))
        assert settled, (
            f"not settled within {within_s:g} s: {self.delivery and self.delivery.status()}"
        )

    async def stop(self) -> None:
        """The process stops as it is asked to; whatever it is waiting for, at most 5 s."""
        assert self.delivery is not None
        saving = self.store
        stopping = asyncio.get_running_loop().create_task(self.delivery.stop(5.0))
        saved = b""
        original_close = saving.close

        def save_and_close() -> None:
            nonlocal saved
            saved = saving.saved()
            original_close()

        saving.close = save_and_close  # type: ignore[method-assign]
        assert await self.run(60.0, stopping.done)
        stopping.result()
        self.delivery = None
        self.store = SnapshotStore(saved)

    def outcomes(self, destination: int = 1) -> dict[int, tuple[str, str]]:
        """The one outcome of each message; fails when one has several."""
        found = self.store.outcomes(destination)
        assert all(len(each) == 1 for each in found.values())
        return {seq: each[0] for seq, each in found.items()}

    def last_outcomes(self, destination: int = 1) -> dict[int, tuple[str, str]]:
        """The outcome that each message has now."""
        return {seq: each[-1] for seq, each in self.store.outcomes(destination).items()}

    def _arrival(self, messages: list[Message], behind: bool) -> Arrival:
        return Arrival(
            envelope=Envelope("web", self.clock.now_ms(), self.version, behind=behind),
            raws=[msgspec.json.encode(message) for message in messages],
            ids=[message["messageId"] for message in messages],
            users=[message.get("userId", "") for message in messages],
            types=bytearray(CALL_TYPE_CODES[message["type"]] for message in messages),
        )

    def _all_settled(self, last: int) -> bool:
        delivery = self.delivery
        return (
            delivery is not None
            and delivery.settled_to() >= last
            and all(cursor >= last for cursor in self.store.cursors().values())
            and not any(status.replaying for status in delivery.status())
            and not self.store.open_replays()
        )

    def _next_plan(self) -> list[float]:
        return [self._soon[0][0]] if self._soon else []

    def _settled(self, seq: int) -> None:
        self.settled_to = seq


async def quiet() -> None:
    """Returns when nothing is left to run but what waits for the clock."""
    ready: deque[Any] = getattr(asyncio.get_running_loop(), "_ready")  # noqa: B009
    await asyncio.sleep(0)
    while ready:  # noqa: ASYNC110
        await asyncio.sleep(0)


def track(n: int, user: str = "ann", script: str = "", **fields: Any) -> Message:
    """The n-th message: an event."""
    properties = {"n": n} | ({"script": script} if script else {})
    message = {"type": "track", "messageId": f"m{n}", "userId": user, "event": "E"}
    return message | {"properties": properties} | fields


def identify(n: int, user: str = "ann", script: str = "", **traits: Any) -> Message:
    """The n-th message: a profile write."""
    traits = {"n": n} | traits | ({"script": script} if script else {})
    return {"type": "identify", "messageId": f"m{n}", "userId": user, "traits": traits}


def in_order(numbers: list[int]) -> bool:
    """Whether nothing came after something newer. The newest may come again, as a profile write does."""
    return numbers == sorted(numbers)


def share(values: list[float], at_most: float) -> float:
    """The share of values up to a bound."""
    ordered = sorted(values)
    return bisect_left(ordered, at_most) / len(ordered)


def _destination(slug: str, given: Message) -> Message:
    own = {name[1:]: value for name, value in given.items() if name.startswith("_")}
    settings = {name: value for name, value in given.items() if not name.startswith("_")}
    settings = {"appId": "1"} | settings
    return {"slug": slug, "metadataId": "heap", "sourceId": "web", "settings": settings} | own
