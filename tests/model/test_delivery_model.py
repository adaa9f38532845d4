"""Delivery against a model of a few lines: per user the messages in order, per destination what it owes.

Heap answers whatever the messages' scripts say, goes down and refuses; the process is killed, stopped and
started; destinations come, go and change; the store's disk fills up; the clock is set. Memory, breaker and
budgets are made small, so that parking, refusing and waiting for room happen within a few messages.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from depth import search
from headgate.delivery import breaker, intake, room
from headgate.delivery.answers import MAX_RETRY_AFTER_S, Answer
from headgate.destinations.interface import Request
from simulation import HeapModel, Message, World, identify, in_order, quiet, track

ROWS_PER_MIN = 20
ROWS_PER_MIN_PER_USER = 8
WINDOW_S = 1_800.0
LONG_ENOUGH_S = 12 * 3_600.0

USERS = ("ann", "bob", "cid")
SCRIPTS = (
    "",
    "500,500,200",
    "400",
    "429;20,200",
    "lost,200",
    "lost-after-storing,200",
    "lost-after-storing,500,lost-after-storing,200",
    "reset,200",
    "413,200",
    "302,200",
    "500",
)
SETTINGS: Message = {
    "limits": {"eventsPerMinute": ROWS_PER_MIN, "eventsPerMinutePerUser": ROWS_PER_MIN_PER_USER},
    "retryWindow": "30 minutes",
}

sent = st.lists(
    st.tuples(
        st.sampled_from([identify, track]),
        st.sampled_from(USERS),
        st.sampled_from(SCRIPTS) | st.just(""),
    ),
    min_size=1,
    max_size=10,
)
a_while = st.sampled_from([0.05, 0.3, 1.0, 5.0, 15.0, 61.0, 300.0, 2_000.0])


class Stumbles(logging.Handler):
    """Collects what delivery logs when it meets a bug of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(self.format(record))


class DeliveryModel(RuleBasedStateMachine):
    """A world, and what has to be true of it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.stumbles = Stumbles()
        logging.getLogger("headgate.delivery").addHandler(self.stumbles)
        self.messages: list[Message] = []
        self.owed: dict[int, set[int]] = {}
        self.refusable: set[int] = set()
        self.first_tried_s: dict[tuple[str, int], float] = {}
        self.heaps: dict[str, HeapModel] = {}
        self.destinations: dict[str, Message] = {"heap": SETTINGS | {"appId": "1"}}
        self.stays = 1
        self.set_forward_s = self.set_back_s = 0
        self.set_forward_in_this_life = self.has_forgotten_spending = False
        self.is_sound = False

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        """A gateway with one destination, whose Heap takes 10 to 800 ms."""
        self.world = World(
            self.destinations, latency=lambda: self.world.chance.uniform(0.01, 0.8), seed=seed
        )
        self.world.answer = self._answer
        self._run(self._started())

    # what the senders do

    @rule(messages=sent)
    def append(self, messages: list[Any]) -> None:
        """Messages are accepted, whether anybody delivers or not."""
        first = len(self.messages) + 1
        new = [make(n, user, script) for n, (make, user, script) in enumerate(messages, first)]
        for one in new:
            one.get("traits", {})[f"key {len(self.messages) % 3}"] = one["messageId"]
        self.messages += new
        numbers = set(range(first, first + len(new)))
        for destination in self.world.workspace.destination_ids(self.world.version).values():
            self.owed.setdefault(destination, set()).update(numbers)
        self._mark_refusable()
        self._run(self._appended(new))

    # what happens at Heap

    @rule(seconds=a_while)
    def time_passes(self, seconds: float) -> None:
        """Delivery goes on."""
        self._run(self.world.run(seconds))

    @rule(down=st.booleans())
    def heap_goes_down_or_up(self, down: bool) -> None:
        """Every request is answered with 503."""
        self.world.heap.down = down

    @rule(refuses=st.booleans())
    def heap_refuses_or_accepts(self, refuses: bool) -> None:
        """Every request is answered with 400, as with a wrong App ID."""
        self.world.heap.refuses = refuses
        self._mark_refusable()

    # what happens here

    @precondition(lambda self: self.world.delivery is not None)
    @rule(commits=st.integers(0, 5))
    def kill(self, commits: int) -> None:
        """The process dies some commits later, and another takes its place."""
        self._run(self._killed(commits))

    @precondition(lambda self: self.world.delivery is not None)
    @rule()
    def stop(self) -> None:
        """The process is asked to go."""
        self._note_forgotten_spending()
        self._run(self.world.stop())

    @precondition(lambda self: self.world.delivery is None)
    @rule()
    def start(self) -> None:
        """It comes back."""
        self._run(self._started())

    @rule(refuses=st.booleans())
    def disk_fills_up_or_has_room(self, refuses: bool) -> None:
        """Outcomes cannot be recorded."""
        self.world.store.failure = OSError("disk full") if refuses else None

    @rule(hours=st.sampled_from([-24, -1, 1, 24]))
    def set_the_clock(self, hours: int) -> None:
        """By an administrator, or by NTP after a long sleep."""
        self.world.clock.jump(hours * 3_600.0)
        self.set_forward_s += max(0, hours) * 3_600
        self.set_forward_in_this_life |= hours > 0
        self.set_back_s += max(0, -hours) * 3_600

    @rule(enabled=st.booleans())
    def disable_or_enable(self, enabled: bool) -> None:
        """What waits while it is disabled is discarded."""
        self._configure("heap", _enabled=enabled)

    @rule(null_traits=st.sampled_from([None, 0, ""]))
    def change_a_setting(self, null_traits: Any) -> None:
        """What waits is mapped anew."""
        self._configure("heap", nullTraits=null_traits)

    @precondition(lambda self: "other" not in self.destinations)
    @rule()
    def add_a_destination(self) -> None:
        """It gets what comes from now on."""
        self.stays += 1
        self._configure("other", **SETTINGS, appId=str(self.stays))

    @precondition(lambda self: "other" in self.destinations)
    @rule()
    def remove_the_destination(self) -> None:
        """It settles what it still owes."""
        del self.destinations["other"]
        self._run(self._configured())

    # what holds all along

    @invariant()
    def what_has_to_be_true_is(self) -> None:
        """After every step."""
        self.is_sound = False
        self.nothing_of_a_user_lands_after_something_newer()
        self.no_message_has_two_outcomes_or_one_that_is_not_owed()
        self.what_is_called_settled_has_an_outcome()
        self.outcomes_are_true()
        self.budgets_are_kept()
        assert self.stumbles.found == []
        self.is_sound = True

    def nothing_of_a_user_lands_after_something_newer(self) -> None:
        """Only the newest write may come again; so no old value ever replaces a new one."""
        for heap in self.heaps.values():
            for user, arrived in heap.arrivals.items():
                assert in_order(arrived), (user, arrived)

    def no_message_has_two_outcomes_or_one_that_is_not_owed(self) -> None:
        """Accepted = delivered + discarded + failed + pending, by number."""
        for destination in self._stays():
            outcomes = self.world.store.outcomes(destination)
            assert all(len(each) == 1 for each in outcomes.values()), outcomes
            assert outcomes.keys() <= self.owed.get(destination, set())

    def what_is_called_settled_has_an_outcome(self) -> None:
        """Cursors, and what the gateway is told about retention, are never ahead of the facts."""
        for destination, cursor in self.world.store.cursors().items():
            assert not self._pending(destination, cursor)
        for destination in self.owed:
            assert not self._pending(destination, self.world.settled_to)

    def outcomes_are_true(self) -> None:
        """What counts as delivered is at Heap; what counts as refused was refused alone."""
        for destination, app_id in self._stays().items():
            arrived = {n for each in self._arrivals(app_id).values() for n in each}
            for seq, [(outcome, reason)] in self.world.store.outcomes(destination).items():
                if outcome == "delivered":
                    assert seq in arrived
                elif reason == "refused":
                    assert seq in self.refusable or "400" in _script(self.messages[seq - 1])
                elif reason == "destination_refusing":
                    assert seq in self.refusable
                elif reason == "retry_window_over":
                    tried_for_s = self.world.clock.monotonic_s() - self.first_tried_s[app_id, seq]
                    by_the_clock_s = tried_for_s + self.set_forward_s
                    assert by_the_clock_s >= WINDOW_S - MAX_RETRY_AFTER_S, (seq, by_the_clock_s)

    def budgets_are_kept(self) -> None:
        """In any 60 s as Heap sees it, also across restarts that could know."""
        if self.has_forgotten_spending:
            return
        for app_id, heap in self.heaps.items():
            assert heap.most_in_a_minute(app_id) <= ROWS_PER_MIN
            for user in USERS:
                assert heap.most_in_a_minute(app_id, user) <= ROWS_PER_MIN_PER_USER

    def teardown(self) -> None:
        try:
            if self.is_sound:
                self._run(self._all_ends_well())
        finally:
            self._run(self._over())
            logging.getLogger("headgate.delivery").removeHandler(self.stumbles)
            self.loop.close()

    # helpers

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(coroutine)

    def _stays(self) -> dict[int, str]:
        """Every destination there ever was, with its App ID."""
        return {
            stay.id: self._app_id(stay.slug, stay.first_version)
            for stay in self.world.workspace.destination_history()
        }

    def _app_id(self, slug: str, version: int) -> str:
        document = self.world.workspace.at(version).document
        [found] = [one for one in document["destinations"] if one["slug"] == slug]
        return str(found["settings"]["appId"])

    def _arrivals(self, app_id: str) -> dict[str, list[int]]:
        return self.heaps[app_id].arrivals if app_id in self.heaps else {}

    def _pending(self, destination: int, up_to: int) -> set[int]:
        """What the destination owes up to a number and has not settled."""
        owed = {seq for seq in self.owed.get(destination, set()) if seq <= up_to}
        return owed - self.world.store.outcomes(destination).keys()

    def _nothing_is_pending(self) -> bool:
        return not any(self._pending(each, len(self.messages)) for each in self.owed)

    def _note_forgotten_spending(self) -> None:
        """The next process cannot count what this one could not record, or what seems to be long ago."""
        disk_is_full = self.world.store.failure is not None
        self.has_forgotten_spending |= disk_is_full or self.set_forward_in_this_life
        self.set_forward_in_this_life = False

    def _mark_refusable(self) -> None:
        if self.world.heap.refuses:
            self.refusable |= set(range(1, len(self.messages) + 1))

    async def _answer(self, request: Request) -> Answer:
        """One Heap for each App ID; all share their fate."""
        body = msgspec.json.decode(request.body)
        app_id = body["app_id"]
        for row in body.get("events", body.get("users")):
            key = app_id, row["properties"]["n"]
            self.first_tried_s.setdefault(key, self.world.clock.monotonic_s())
        heap = self.heaps.setdefault(app_id, HeapModel(self.world.clock, self.world.heap._latency))
        heap.down, heap.refuses = self.world.heap.down, self.world.heap.refuses
        return await heap.answer(request)

    async def _over(self) -> None:
        await self.world.kill()
        await quiet()

    def _configure(self, slug: str, **changes: Any) -> None:
        self.destinations[slug] = self.destinations.get(slug, {}) | changes
        self._run(self._configured())

    async def _configured(self) -> None:
        self.world.configure(self.destinations)

    async def _appended(self, messages: list[Message]) -> None:
        self.world.append(messages)

    async def _started(self) -> None:
        self._note_forgotten_spending()
        self.world.start()

    async def _killed(self, commits: int) -> None:
        dies_at = self.world.store.commits + commits
        await self.world.run(10.0, lambda: self.world.store.commits >= dies_at)
        self._note_forgotten_spending()
        await self.world.kill()
        await self._started()

    async def _all_ends_well(self) -> None:
        """With a healthy Heap every message gets its outcome, and profiles hold the newest values."""
        world = self.world
        world.heap.down = world.heap.refuses = False
        world.store.failure = None
        if world.delivery is None:
            await self._started()
        long_enough_s = LONG_ENOUGH_S + self.set_back_s
        assert await world.run(long_enough_s, self._nothing_is_pending), "not settled"
        self.what_has_to_be_true_is()
        for destination, app_id in self._stays().items():
            self._assert_newest_values(destination, app_id)

    def _assert_newest_values(self, destination: int, app_id: str) -> None:
        outcomes = self.world.store.outcomes(destination)
        expected: dict[str, Message] = {}
        for user, numbers in self._arrivals(app_id).items():
            for n in sorted(numbers):
                expected.setdefault(user, {}).update(self.messages[n - 1].get("traits", {}))
        for seq, message in enumerate(self.messages, 1):
            if message["type"] == "identify" and outcomes.get(seq) == [("delivered", "")]:
                profile = self.heaps[app_id].users[message["userId"]]
                for name in message["traits"]:
                    assert profile[name] == expected[message["userId"]][name]


def _script(message: Message) -> str:
    fields = message.get("properties") or message.get("traits") or {}
    return str(fields.get("script", ""))


@pytest.fixture
def small_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes thousands of messages in earnest takes a dozen here."""
    monkeypatch.setattr(room, "MAX_IN_MEMORY", 12)
    monkeypatch.setattr(room, "_FED_AT_ONCE", 4)
    monkeypatch.setattr(intake, "_READ_AGAIN_AT_ONCE", 5)
    monkeypatch.setattr(intake, "_CURSOR_EVERY", 7)
    monkeypatch.setattr(breaker, "REFUSALS_TO_OPEN", 8)


def test_delivery_agrees_with_its_model(small_numbers: None) -> None:
    """Whatever happens, in whatever order."""
    run_state_machine_as_test(DeliveryModel, settings=search(60, steps=30))
