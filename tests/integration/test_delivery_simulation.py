"""The promises of delivery, over the whole engine in simulated time, against a model of Heap."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from headgate.delivery import room
from headgate.delivery.answers import Answer
from headgate.delivery.facts import Standing
from headgate.delivery.letters import unsealed
from headgate.destinations.heap.destination import Heap
from headgate.destinations.interface import Discard, Request, Row
from headgate.eventlog.interface import Arrival
from headgate.spec.message import Envelope
from simulation import (
    Message,
    World,
    identify,
    in_order,
    share,
    track,
)

DELIVERED = ("delivered", "")
REFUSED = ("failed", "refused")
SCRIPTS = (
    *[""] * 6,
    "500,500,200",
    "400",
    "429;7,200",
    "503;soon,200",
    "lost-after-storing,200",
    "lost,200",
    "reset,200",
    "302,200",
    "401,404,200",
    "413,200",
)

UNLIMITED = {"eventsPerMinute": 0, "eventsPerMinutePerUser": 0}

WorldFactory = Callable[..., World]


@pytest.fixture
async def worlds() -> AsyncIterator[WorldFactory]:
    """Makes worlds, and ends them."""
    made: list[World] = []

    def make(*args: Any, **kwargs: Any) -> World:
        made.append(World(*args, **kwargs))
        return made[-1]

    yield make
    for world in made:
        await world.kill()


def traffic(n: int, *, users: int, seed: int, scripts: tuple[str, ...] = SCRIPTS) -> list[Message]:
    """Profile writes and events of several users in turn, scripted at random."""
    chance = random.Random(seed)
    return [
        (track if chance.random() < 0.6 else identify)(
            number, f"user-{number % users}", chance.choice(scripts)
        )
        for number in range(1, n + 1)
    ]


def assert_heap_holds(world: World, messages: list[Message]) -> None:
    """Heap has the delivered messages, each user's in order, and the newest profiles; nothing else."""
    outcomes = world.outcomes()
    assert sorted(outcomes) == list(range(1, len(messages) + 1))
    profiles: dict[str, Message] = {}
    delivered: dict[str, set[int]] = {}
    for seq, message in enumerate(messages, 1):
        if outcomes[seq] == DELIVERED:
            delivered.setdefault(message["userId"], set()).add(seq)
            if message["type"] == "identify":
                profiles.setdefault(message["userId"], {}).update(message["traits"])
    assert {user: set(arrived) for user, arrived in world.heap.arrivals.items()} == delivered
    assert all(map(in_order, world.heap.arrivals.values()))
    assert world.heap.users == profiles


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_heap_answers_every_user_is_served_in_order_and_every_message_settled_once(
    worlds: WorldFactory, seed: int
) -> None:
    """50 users with 40 messages each, a quarter of them in trouble, some sent while others wait."""
    chance = random.Random(seed)
    world = worlds(latency=lambda: chance.uniform(0.01, 0.8), seed=seed)
    messages = traffic(2_000, users=50, seed=seed)
    world.start()
    for start in range(0, 2_000, 100):
        world.at(start / 50, partial(world.append, messages[start : start + 100]))
    await world.run(60)
    await world.run_until_settled()
    assert_heap_holds(world, messages)
    refused = {seq for seq, outcome in world.outcomes().items() if outcome == REFUSED}
    assert refused == {seq for seq, one in enumerate(messages, 1) if _script(one) == "400"}


@pytest.mark.parametrize("seed", range(4))
async def test_a_restart_at_any_commit_loses_nothing_and_doubles_nothing(
    worlds: WorldFactory, seed: int
) -> None:
    """The process is killed again and again, 1 to 30 commits after it began."""
    chance = random.Random(seed)
    world = worlds(latency=lambda: chance.uniform(0.01, 0.8), seed=seed)
    messages = traffic(400, users=20, seed=seed)
    world.append(messages[:200])
    world.append(messages[200:])
    lives = 0
    while lives < 1_000:
        lives += 1
        world.start()
        assert await world.run(7_200, partial(_is_done_or_has_lived, world, chance.randint(1, 30)))
        if _is_done(world):
            break
        await world.kill()
    assert lives > 10
    assert_heap_holds(world, messages)


@pytest.mark.parametrize(
    "script",
    ["500,500,500,200", "lost-after-storing,200", "lost,lost-after-storing,200", "429;30,200"],
)
async def test_a_retried_true_never_lands_after_a_newer_false(
    worlds: WorldFactory, script: str
) -> None:
    """An audience's `true` waits for its retry while the `false` is already there."""
    world = worlds()
    world.start()
    world.append([identify(1, script=script, member=True), identify(2, member=False)])
    world.append([identify(3, "bob", member=True)])
    await world.run(0.5)
    assert world.heap.users["bob"]["member"] is True
    await world.run_until_settled()
    assert world.heap.users["ann"]["member"] is False
    assert in_order(world.heap.arrivals["ann"])


async def test_an_outage_of_a_day_fails_almost_nothing_and_memory_stays_bounded(
    worlds: WorldFactory,
) -> None:
    """A message every 2 s for 24 hours while Heap is down: two in four hours may fail, which were probes."""
    world = worlds({"heap": {"limits": {"eventsPerMinute": 0, "eventsPerMinutePerUser": 0}}})
    delivery = world.start()
    world.append(track(n, f"user-{n % 7}") for n in range(1, 21))
    await world.run_until_settled()
    world.heap.down = True
    total, hours = 20, 24

    for minute in range(0, hours * 60, 10):
        first = total + 1
        total += 300
        messages = (track(n, f"user-{n % 997}") for n in range(first, total + 1))
        world.at(minute * 60.0 + 60, partial(world.append, messages))
    before = world.heap.requests
    await world.run(hours * 3600.0)
    (status,) = delivery.status()
    assert status.state == "failing"
    assert status.pending <= room.MAX_IN_MEMORY + 300
    requests = world.heap.requests - before
    assert hours * 3600 / 16 <= requests <= hours * 3600 / 7
    world.heap.down = False
    await world.run(60)
    await world.run_until_settled()
    outcomes = Counter(world.outcomes().values())
    assert outcomes[("failed", "retry_window_over")] <= 20
    assert outcomes[DELIVERED] >= total - 20
    assert all(map(in_order, world.heap.arrivals.values()))


async def test_during_an_outage_only_single_messages_are_tried_and_a_success_releases_everything(
    worlds: WorldFactory,
) -> None:
    """Nothing but probes, at most 15 s apart; the backlog goes as soon as one comes through."""
    world = worlds()
    world.start()
    world.heap.down = True
    world.append(track(n, f"user-{n}") for n in range(1, 1_001))
    await world.run(120)
    at_s, sizes = _requests(world, after_s=60)
    assert sizes == {1}
    assert max(late - early for early, late in pairwise(at_s)) <= 15.2
    users = [next(iter(users)) for counted_s, _, users in world.heap.counted if counted_s > 60]
    assert len(set(users)) == 2
    assert all(one != other for one, other in pairwise(users))
    world.heap.down = False
    assert await world.run(17, lambda: len(world.outcomes()) == 1_000)


async def test_a_probe_waits_as_long_as_heap_asks(worlds: WorldFactory) -> None:
    """Retry-After of 100 s holds during an outage too."""
    world = worlds()
    world.answer = lambda request: Answer(503, retry_after="100")
    world.start()
    world.append(track(n, f"user-{n}") for n in range(1, 21))
    await world.run(250)
    before = len(world.transport.journal)
    await world.run(1_000)
    assert 9 <= len(world.transport.journal) - before <= 11


@pytest.mark.parametrize(("asked", "least_s", "most_s"), [("200", 200, 200), ("9999", 300, 300)])
async def test_retry_after_is_honoured_up_to_300_s(
    worlds: WorldFactory, asked: str, least_s: float, most_s: float
) -> None:
    """A single user's message is tried again when Heap says, but never later than 300 s."""
    world = worlds()
    world.start()
    world.append([track(1, script=f"429;{asked},200")])
    await world.run_until_settled()
    at_s, _ = _requests(world)
    assert least_s <= at_s[1] - at_s[0] <= most_s + 0.2


async def test_a_wrong_app_id_costs_fifty_messages_and_the_rest_wait_for_the_right_one(
    worlds: WorldFactory,
) -> None:
    """Everything is refused with 400: after 50 it is probed once a minute; the change releases the rest."""
    world = worlds({"heap": {"appId": "7"}})
    delivery = world.start()
    world.heap.refuses = True
    world.append(traffic(3_000, users=300, seed=1, scripts=("",)))
    await world.run(600)
    (status,) = delivery.status()
    assert status.state == "refusing"
    assert set(world.outcomes().values()) == {REFUSED}
    assert 50 <= len(world.outcomes()) <= 60
    at_s, sizes = _requests(world, app_id="7", after_s=120)
    assert sizes == {1}
    assert 7 <= len(at_s) <= 9
    probed = world.heap.requests
    assert await world.run(61, lambda: world.heap.requests > probed)
    await world.run(1)
    world.heap.refuses = False
    world.configure({"heap": {"appId": "8"}})
    await world.run_until_settled(5.0)
    assert Counter(world.outcomes().values())[DELIVERED] >= 2_940


async def test_a_refusing_destination_that_breaks_down_is_still_probed_once_a_minute(
    worlds: WorldFactory,
) -> None:
    """A probe that meets a 500 instead of a 400 sets the next one a minute later, not at once."""
    world = worlds()
    world.start()
    world.heap.refuses = True
    world.append(track(n, f"user-{n}") for n in range(1, 201))
    await world.run(90)
    world.heap.down = True
    before = world.heap.requests
    await world.run(600)
    assert 9 <= world.heap.requests - before <= 11


async def test_a_restart_does_not_cost_a_refusing_destination_another_fifty(
    worlds: WorldFactory,
) -> None:
    """The breaker survives; the next process probes with one message."""
    world = worlds()
    world.start()
    world.heap.refuses = True
    world.append(track(n, f"user-{n}") for n in range(1, 501))
    await world.run(30)
    lost = len(world.outcomes())
    for _ in range(3):
        await world.kill()
        world.start()
        await world.run(30)
    assert len(world.outcomes()) == lost
    world.heap.refuses = False
    await world.run_until_settled(65.0)


GIVEN_UP = ("failed", "destination_refusing")


async def test_what_waits_for_a_refusing_destination_fails_when_the_window_is_over(
    worlds: WorldFactory,
) -> None:
    """A wrong App ID for 6 hours: after 4 the first ones fail, each with its bytes, the younger ones wait."""
    world = worlds()
    delivery = world.start()
    world.heap.refuses = True
    world.append(track(n, f"user-{n % 3_000}") for n in range(1, 30_001))
    for hour in range(1, 6):
        first = 30_001 + (hour - 1) * 100
        more = (track(n, f"user-{n}") for n in range(first, first + 100))
        world.at(hour * 3_600.0, partial(world.append, more))
    await world.run(3.9 * 3_600)
    assert len(world.outcomes()) < 60
    await world.kill()
    delivery = world.start()
    await world.run(2.1 * 3_600)
    outcomes = world.outcomes()
    assert set(outcomes.values()) == {REFUSED, GIVEN_UP}
    waiting = set(range(1, 30_501)) - set(outcomes)
    probes = [seq for seq in waiting if seq <= 30_100]  # which have a window of their own
    assert len(probes) <= 30
    assert all(seq in waiting for seq in range(30_201, 30_501))
    letters = {letter.seq: letter for letter in world.store.dead_letters()}
    assert sorted(letters) == sorted(outcomes)
    kept = unsealed(letters[29_000].message)
    assert kept is not None
    assert msgspec.json.decode(kept.raw) == world.messages[28_999]
    assert world.store.outcomes_of(1, 29_000)[0].detail == "answered 400: {}"
    assert delivery.status()[0].pending < 500
    world.heap.refuses = False
    world.configure({"heap": {"appId": "8"}})
    await world.run_until_settled(60.0)
    assert Counter(world.outcomes().values())[DELIVERED] == 30_500 - len(outcomes)


async def test_a_destination_that_is_mended_in_time_has_lost_nothing_more(
    worlds: WorldFactory,
) -> None:
    """Refusing for 3.9 hours, with a restart: the window is not over."""
    world = worlds()
    world.start()
    world.heap.refuses = True
    world.append(track(n, f"user-{n}") for n in range(1, 3_001))
    for _ in range(2):
        await world.run(1.95 * 3_600)
        await world.kill()
        world.start()
    world.heap.refuses = False
    await world.run_until_settled(60.0)
    assert Counter(world.outcomes().values())[DELIVERED] >= 2_940


async def test_the_window_of_what_waits_begins_when_the_destination_begins_to_refuse(
    worlds: WorldFactory,
) -> None:
    """After an outage of 4.5 hours it answers 400: what was received long ago is not failed for that."""
    world = worlds()
    delivery = world.start()
    world.heap.down = True
    world.append(track(n, f"user-{n}") for n in range(1, 10_001))
    await world.run(4.5 * 3_600)
    world.heap.down, world.heap.refuses = False, True
    await world.run(3.5 * 3_600)
    assert delivery.status()[0].state == "refusing"
    probes = [seq for seq, outcome in world.outcomes().items() if outcome == GIVEN_UP]
    assert all(len(world.store.attempts_of(1, seq)) > 1 for seq in probes)
    assert len(probes) <= 3.5 * 60
    await world.run(3_600)
    assert Counter(world.outcomes().values())[GIVEN_UP] >= 5_000


async def test_an_outage_never_fails_what_was_not_attempted(worlds: WorldFactory) -> None:
    """Down for 12 hours, restarted once: nothing but what was tried at the beginning has a window."""
    world = worlds()
    world.start()
    world.heap.down = True
    world.append(track(n, f"user-{n}") for n in range(1, 10_001))
    await world.run(6 * 3_600)
    await world.kill()
    world.start()
    await world.run(6 * 3_600)
    assert GIVEN_UP not in world.outcomes().values()
    world.heap.down = False
    await world.run_until_settled()
    assert Counter(world.outcomes().values())[DELIVERED] >= 9_990


async def test_people_see_since_when_a_destination_fails_and_that_it_is_back(
    worlds: WorldFactory, caplog: pytest.LogCaptureFixture
) -> None:
    """From the first failure on, across a restart; the log says what stopped, and no answer's text."""
    caplog.set_level("INFO", "headgate.delivery")
    world = worlds()
    delivery = world.start()
    await world.run(10)
    world.heap.down = True
    world.append([track(1)])
    await world.run(1)
    failing = delivery.status()[0]
    assert (failing.state, failing.trouble) == ("failing", "answered 503: {}")
    assert failing.since_ms == pytest.approx(world.clock.now_ms() - 1_000, abs=200)
    assert world.store.standings()[1] == Standing("failing", failing.trouble, failing.since_ms)
    await world.kill()
    delivery = world.start()
    assert delivery.status()[0].since_ms == failing.since_ms
    world.append(track(n, f"user-{n}") for n in range(2, 21))
    world.answer = lambda request: Answer(500)
    await world.run(200)
    assert delivery.status()[0].trouble == "answered 500"
    assert delivery.status()[0].since_ms == failing.since_ms
    world.heap.down, world.answer = False, world.heap.answer
    await world.run_until_settled()
    assert delivery.status()[0].state == world.store.standings()[1].state == "delivering"
    assert world.store.standings()[1].since_ms > failing.since_ms
    lines = [record.getMessage() for record in caplog.records]
    assert lines[-1] == "heap: delivering again"
    assert not any("{}" in line for line in lines)


async def test_users_whose_requests_time_out_do_not_take_every_slot(worlds: WorldFactory) -> None:
    """Fifty users get no answer for 10 s each, over and over; the others are hardly slower."""
    world = worlds()
    world.start()
    world.append(track(n, f"slow-{n}", "lost") for n in range(1, 51))
    for n in range(51, 2_051):
        world.at(n * 0.3, partial(world.append, [track(n, f"user-{n % 20}")]))
    await world.run(600 + 51 * 0.3)
    healthy = [seq for seq in world.outcomes() if seq > 50]
    assert len(healthy) >= 1_950


async def test_large_messages_are_bounded_by_their_bytes(
    worlds: WorldFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During an outage, memory is full long before the number of messages is."""
    monkeypatch.setattr(room, "MAX_IN_MEMORY_BYTES", 1_000_000)
    world = worlds()
    delivery = world.start()
    world.heap.down = True
    for n in range(1, 801):
        properties = {"n": n} | {f"p{at}": "x" * 1_000 for at in range(5)}
        world.append([track(n, f"user-{n}", properties=properties)])
    await world.run(60)
    assert 180 < delivery.status()[0].pending < 210
    world.heap.down = False
    await world.run_until_settled()


async def test_a_dead_destination_does_not_slow_a_healthy_one(worlds: WorldFactory) -> None:
    """Beside a destination that never answers, messages reach the other one as fast as alone."""
    world = worlds({"dead": {"appId": "2", "apiBaseUrl": "http://dead:1"}, "heap": {"appId": "1"}})
    heap = world.heap.answer

    async def answer(request: Request) -> Answer:
        if "dead" in request.url:
            await world.heap._pass(10.0)
            return Answer(0, error="no answer within 10 s")
        return await heap(request)

    world.answer = answer
    world.start()
    sent_at: dict[int, float] = {}
    for n in range(1, 1_001):

        def send(n: int = n) -> None:
            sent_at[n] = world.clock.monotonic_s()
            world.append([track(n, f"user-{n % 50}")])

        world.at(n * 0.1, send)
    await world.run(101)
    healthy = world.store.outcomes(2)
    assert len(healthy) == 1_000
    assert not world.store.outcomes(1)
    seen: dict[str, int] = {}
    latencies = []
    for counted_s, _, users in world.heap.counted:
        for user, rows in users.items():
            for _ in range(rows):
                at = seen[user] = seen.get(user, 0) + 1
                number = world.heap.arrivals[user][at - 1]
                latencies.append(counted_s - sent_at[number])
    assert share(latencies, 0.2) >= 0.99


async def test_poison_is_isolated_while_its_neighbours_are_delivered(worlds: WorldFactory) -> None:
    """One message that Heap answers with 500 for ever fails alone when its own window is over."""
    world = worlds({"heap": {"retryWindow": "30 minutes"}})
    world.start()
    world.append(track(n, f"user-{n}", "500" if n == 500 else "") for n in range(1, 1_001))
    await world.run(300)
    assert len(world.outcomes()) == 999
    await world.run_until_settled()
    assert world.outcomes()[500] == ("failed", "retry_window_over")
    at_s, _ = _requests(world)
    assert 28 * 60 <= at_s[-1] <= 30 * 60


async def test_a_window_runs_from_a_messages_own_first_attempt(worlds: WorldFactory) -> None:
    """Younger messages of the same user are not failed together with an old one."""
    world = worlds({"heap": {"retryWindow": "10 minutes"}})
    world.start()
    world.append([track(1, script="500")])
    await world.run(300)
    world.append([track(2), track(3, script="500,500,500,200")])
    await world.run_until_settled()
    assert world.outcomes() == {1: ("failed", "retry_window_over"), 2: DELIVERED, 3: DELIVERED}


async def test_a_batch_that_is_too_large_is_split_at_once(worlds: WorldFactory) -> None:
    """413 says nothing against the messages: smaller requests go without a wait."""
    world = worlds()
    heap = world.heap.answer

    async def answer(request: Request) -> Answer:
        return Answer(413) if len(request.body) > 2_000 else await heap(request)

    world.answer = answer
    world.start()
    world.append(track(n, f"user-{n}") for n in range(1, 201))
    await world.run_until_settled(3.0)
    assert set(world.outcomes().values()) == {DELIVERED}


async def test_bisecting_finds_the_refused_and_delivers_their_neighbours_in_order(
    worlds: WorldFactory,
) -> None:
    """Refused events in the middle of users' runs cost nobody else anything."""
    world = worlds()
    world.start()
    bad = {7, 8, 90, 333, 999}
    messages = [track(n, f"user-{n % 3}", "400" if n in bad else "") for n in range(1, 1_001)]
    world.append(messages)
    await world.run_until_settled(900.0)
    assert_heap_holds(world, messages)
    assert {seq for seq, outcome in world.outcomes().items() if outcome == REFUSED} == bad


# limits


@pytest.mark.parametrize("latency_s", [0.02, 0.8])
async def test_limits_are_never_exceeded_and_hardly_wasted(
    worlds: WorldFactory, latency_s: float
) -> None:
    """A backlog for ten minutes at 3,000 rows a minute, with refusals that have to be bisected."""
    chance = random.Random(5)
    world = worlds(
        {"heap": {"limits": {"eventsPerMinute": 3_000, "eventsPerMinutePerUser": 100}}},
        latency=lambda: chance.uniform(0.01, latency_s),
    )
    world.start()
    world.append(
        track(n, f"user-{n % 500}", "400" if n % 5_000 == 0 else "") for n in range(1, 40_001)
    )
    await world.run(600)
    counted = sum(users.total() for _, _, users in world.heap.counted)
    assert world.heap.most_in_a_minute() <= 3_000
    assert counted >= 0.95 * 3_000 * 10
    assert max(world.heap.most_in_a_minute(user=f"user-{u}") for u in range(0, 500, 25)) <= 100


async def test_destinations_of_one_app_share_its_budget(worlds: WorldFactory) -> None:
    """Two destinations with the same App ID and address together stay under the lower of their limits."""
    world = worlds(
        {
            "one": {"limits": {"eventsPerMinute": 1_000}},
            "two": {"limits": {"eventsPerMinute": 600}},
        }
    )
    world.start()
    world.append(track(n, f"user-{n}") for n in range(1, 3_001))
    await world.run(400)
    assert world.heap.most_in_a_minute() <= 600
    assert sum(users.total() for _, _, users in world.heap.counted) >= 0.95 * 600 * 6
    assert all(len(world.store.outcomes(number)) > 1_000 for number in (1, 2))


async def test_a_restart_remembers_what_was_sent_in_the_last_minute(worlds: WorldFactory) -> None:
    """Killed in the middle of requests and started again, delivery still keeps to the limit."""
    world = worlds(
        {"heap": {"limits": {"eventsPerMinute": 2_500, "eventsPerMinutePerUser": 100}}},
        latency=lambda: 0.5,
    )
    world.append(track(n, f"user-{n % 80}") for n in range(1, 10_001))
    for seconds in (0.2, 3.0, 0.7, 20.0, 61.0, 0.3, 200.0):
        world.start()
        await world.run(seconds)
        await world.kill()
    assert world.heap.most_in_a_minute() <= 2_500
    assert max(world.heap.most_in_a_minute(user=f"user-{u}") for u in range(80)) <= 100


async def test_nothing_is_sent_whose_cost_is_not_on_disk(worlds: WorldFactory) -> None:
    """Under a limit a full disk stops requests; a kill at any moment never lets the next process spend twice."""
    world = worlds({"heap": {"limits": {"eventsPerMinute": 100}}})
    world.store.failure = OSError("disk full")
    world.start()
    world.append(track(n, f"user-{n}") for n in range(1, 501))
    await world.run(30)
    assert world.heap.requests == 0
    world.store.failure = None
    for _ in range(20):
        commits = world.store.commits
        assert await world.run(90, lambda: world.store.commits > commits)  # noqa: B023
        await world.kill()
        world.start()
    assert world.heap.most_in_a_minute() <= 100


async def test_a_user_over_the_limit_is_parked_while_others_flow(worlds: WorldFactory) -> None:
    """25,000 messages of one user fill the memory; the others behind them are not held up."""
    world = worlds()
    delivery = world.start()
    world.append(track(n, "hot") for n in range(1, 25_001))
    world.append(track(n, f"user-{n % 50}") for n in range(25_001, 26_001))
    assert await world.run(5, lambda: len(world.outcomes()) == 2_000)
    (status,) = delivery.status()
    assert status.pending == 24_000
    await world.run_until_settled(26 * 62.0)
    assert world.heap.most_in_a_minute(user="hot") <= 1_000
    assert len(world.heap.arrivals["hot"]) == 25_000
    assert all(map(in_order, world.heap.arrivals.values()))


async def test_a_user_whose_messages_fail_does_not_fill_the_memory(worlds: WorldFactory) -> None:
    """One user's first message is answered with 500 for half an hour, with 25,000 more behind it."""
    world = worlds({"heap": {"limits": {"eventsPerMinutePerUser": 0, "eventsPerMinute": 0}}})
    world.start()
    world.append([identify(1, "bad", ",".join(["500"] * 40) + ",200")])
    world.append(traffic_of("bad", range(2, 25_001)))
    world.append(track(n, f"user-{n % 50}") for n in range(25_001, 26_001))
    assert await world.run(5, lambda: len(world.outcomes()) == 1_000)
    await world.run_until_settled()
    assert all(map(in_order, world.heap.arrivals.values()))
    assert len(world.outcomes()) == 26_000


async def test_hundreds_of_users_that_fail_alone_do_not_keep_others_out(
    worlds: WorldFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every third of 15 messages a second is answered with 500 for ever, and memory is small: others flow."""
    monkeypatch.setattr(room, "MAX_IN_MEMORY", 1_000)
    world = worlds({"heap": {"limits": UNLIMITED}}, latency=lambda: 0.15)
    delivery = world.start()

    async def answer(request: Request) -> Answer:
        return Answer(500) if b"bad" in request.body else await world.heap.answer(request)

    world.answer = answer

    def send(n: int) -> None:
        kind = "bad" if n % 3 == 0 else "good"
        world.append([track(n, f"{kind} {n} {world.clock.monotonic_s()}")])

    for n in range(1, 6_001):
        world.at(n / 15, partial(send, n))
    await world.run(420)
    assert delivery.status()[0].pending == 2_000
    assert delivery._couriers[1].progress.open_count <= 1_000
    latencies = [
        at_s - float(user.split()[-1])
        for at_s, _, users in world.heap.counted
        for user in users
        if user.startswith("good")
    ]
    assert len(latencies) == 4_000
    assert share(latencies, 3.0) >= 0.99
    await world.kill()
    world.answer = world.heap.answer
    world.start()
    await world.run_until_settled()
    assert set(world.outcomes().values()) == {DELIVERED}


async def test_a_user_whose_request_hangs_holds_others_up_for_a_moment_at_most(
    worlds: WorldFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is full of messages that wait behind a request without answer."""
    monkeypatch.setattr(room, "MAX_IN_MEMORY", 500)
    world = worlds({"heap": {"limits": UNLIMITED}})
    world.start()
    world.append([identify(1, "slow", "lost,200")])
    world.append(traffic_of("slow", range(2, 1_001)))
    world.append(track(n, f"user-{n % 50}") for n in range(1_001, 1_101))
    assert await world.run(1, lambda: len(world.outcomes()) == 100)
    await world.run_until_settled()
    assert set(world.outcomes().values()) == {DELIVERED}


async def test_a_backlog_of_few_users_is_read_once(
    worlds: WorldFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can go for a moment, since all users have something in flight; that is no reason to park."""
    monkeypatch.setattr(room, "MAX_IN_MEMORY", 500)
    mapped: Counter[str] = Counter()
    world = worlds({"heap": {"limits": UNLIMITED}})
    map_row = Heap.map_row

    def counted(kind: Heap, message: Message, settings: Mapping[str, Any]) -> Row | Discard:
        mapped[message["messageId"]] += 1
        return map_row(kind, message, settings)

    monkeypatch.setattr(Heap, "map_row", counted)
    for at in range(0, 5_000, 100):
        world.append(
            (identify if n % 10 == 0 else track)(n, f"user-{n % 7}") for n in range(at, at + 100)
        )
    world.start()
    await world.run_until_settled()
    assert set(world.outcomes().values()) == {DELIVERED}
    assert set(mapped.values()) == {1}


async def test_a_restart_beside_a_parked_user_loses_nothing(worlds: WorldFactory) -> None:
    """What was settled far above the parked messages is not sent again."""
    world = worlds()
    world.start()
    world.append(track(n, "hot") for n in range(1, 25_001))
    world.append(track(n, f"user-{n % 50}") for n in range(25_001, 26_001))
    await world.run(100)
    await world.kill()
    sent = Counter(user for _, _, users in world.heap.counted for user in users.elements())
    world.start()
    await world.run_until_settled(26 * 62.0)
    again = Counter(user for _, _, users in world.heap.counted for user in users.elements())
    assert {user: n for user, n in again.items() if user != "hot"} == {
        user: n for user, n in sent.items() if user != "hot"
    }
    assert len(world.heap.arrivals["hot"]) == 25_000
    assert world.heap.most_in_a_minute(user="hot") <= 1_000
    assert len(world.outcomes()) == 26_000


# other settings


async def test_disabling_discards_what_waits_and_nothing_more_is_sent(
    worlds: WorldFactory,
) -> None:
    """Waiting for retry, parked, behind others, unread, or failing just now: all are discarded."""
    world = worlds()
    world.start()
    world.append([track(1, "ann", "500"), track(2, "ann"), track(3, "bob", "lost")])
    world.append(track(n, "hot") for n in range(4, 24_001))
    await world.run(1)
    world.configure({"heap": {"_enabled": False}})
    sent = world.heap.requests
    world.append([track(24_001)])
    await world.run_until_settled(15.0)
    outcomes = world.outcomes()
    assert outcomes[1] == outcomes[2] == outcomes[3] == ("discarded", "destination_disabled")
    assert outcomes[24_000] == outcomes[24_001] == ("discarded", "destination_disabled")
    assert world.heap.requests == sent


async def test_a_removed_destination_settles_what_it_still_owes(worlds: WorldFactory) -> None:
    """What waits is settled as destination_removed; what comes later is not its own."""
    world = worlds()
    delivery = world.start()
    world.append([track(1, script="500"), track(2)])
    await world.run(1)
    world.configure({})
    world.append([track(3)])
    await world.run_until_settled(15.0)
    assert world.outcomes() == dict.fromkeys((1, 2), ("discarded", "destination_removed"))
    assert delivery.status() == []
    assert delivery.counts() == [("heap", "discarded", "destination_removed", 2)]


@pytest.mark.parametrize("read_before", [True, False])
async def test_a_new_destination_starts_with_the_first_message_accepted_under_it(
    worlds: WorldFactory, read_before: bool
) -> None:
    """Also when the message is in the log before delivery learns of the destination."""
    world = worlds()
    world.append([track(1), track(2)])
    delivery = world.start()
    if read_before:
        await world.run_until_settled()
    world.delivery = None
    world.configure({"heap": {}, "new": {"appId": "2"}})
    world.append([track(3)])
    world.delivery = delivery
    delivery.wake()
    await world.run(1)
    delivery.reconfigure()
    await world.run_until_settled()
    assert sorted(world.outcomes(1)) == [1, 2, 3]
    assert sorted(world.outcomes(2)) == [3]


async def test_a_new_address_is_used_for_what_waits_and_for_what_fails_just_now(
    worlds: WorldFactory,
) -> None:
    """Rows are mapped anew, in order, and the old address is left alone at once."""
    world = worlds({"heap": {"apiBaseUrl": "http://old:1"}})
    heap = world.heap.answer

    async def answer(request: Request) -> Answer:
        if "old" in request.url:
            await world.heap._pass(5.0)
            return Answer(503)
        return await heap(request)

    world.answer = answer
    world.start()
    messages = [
        *(identify(n, f"user-{n % 5}") for n in range(1, 21)),
        *(track(n, f"user-{n % 5}") for n in range(21, 41)),
    ]
    world.append(messages)
    await world.run(1)
    world.configure({"heap": {"apiBaseUrl": "http://new:1"}})
    asked = len(world.transport.journal)
    await world.run_until_settled(30.0)
    assert all("new" in request.url for request in world.transport.journal[asked:])
    assert_heap_holds(world, messages)


async def test_other_settings_do_not_begin_a_window_again(worlds: WorldFactory) -> None:
    """What was tried before the change keeps its first attempt."""
    world = worlds({"heap": {"retryWindow": "10 minutes"}})
    world.start()
    world.append([track(1, script="500")])
    await world.run(300)
    world.configure({"heap": {"retryWindow": "10 minutes", "nullTraits": 0}})
    await world.run_until_settled(301.0)
    assert world.outcomes() == {1: ("failed", "retry_window_over")}


async def test_an_unrelated_change_leaves_retries_where_they_are(worlds: WorldFactory) -> None:
    """Another destination is added: what waits for its Retry-After goes on waiting."""
    world = worlds()
    world.start()
    world.append([track(1, script="503;200,200")])
    await world.run(10)
    world.configure({"heap": {}, "new": {"appId": "2"}})
    await world.run(100)
    assert world.heap.requests == 1
    await world.run_until_settled()


async def test_what_is_withheld_is_discarded_wherever_it_waits(worlds: WorldFactory) -> None:
    """Waiting for retry, unread behind it, parked, in flight: nothing of the user is sent any more."""
    withheld = set[str]()
    world = worlds(withheld=lambda user, seq: "suppressed" if user in withheld else "")
    delivery = world.start()
    world.append([track(1, "ann", "500"), track(2, "ann"), track(3, "bob", "lost")])
    world.append(track(n, "hot") for n in range(4, 24_001))
    await world.run(1)
    sent = Counter(user for _, _, users in world.heap.counted for user in users.elements())
    withheld.update(("ann", "bob", "hot"))
    delivery.withhold()
    world.append([track(24_001, "ann"), track(24_002, "eve")])
    await world.run_until_settled(15.0)
    again = Counter(user for _, _, users in world.heap.counted for user in users.elements())
    assert again == sent + Counter(eve=1)
    assert Counter(world.outcomes().values()) == {
        DELIVERED: 1 + sent["hot"],
        ("discarded", "suppressed"): 24_001 - sent["hot"],
    }


async def test_what_was_erased_is_not_sent(worlds: WorldFactory) -> None:
    """The log holds a stub: pending messages of it are discarded."""
    world = worlds()
    world.append([track(1)])
    envelope = Envelope("web", 0, world.version, erased=True)
    stub = Arrival(envelope, [b'{"type":"track","messageId":"m2"}'], ["m2"], [""], bytearray([1]))
    world.log.append([stub])
    world.start()
    await world.run_until_settled()
    assert world.outcomes() == {1: DELIVERED, 2: ("discarded", "erased")}


async def test_what_the_log_let_go_of_is_forgotten_bit_by_bit(worlds: WorldFactory) -> None:
    """Attempts and outcomes go, tallies and dead letters stay, and delivery goes on meanwhile."""
    world = worlds({"heap": {"limits": UNLIMITED}})
    delivery = world.start()
    bad = {n for n in range(1, 3_001) if n % 1_000 == 0}
    for n in range(1, 3_001):
        world.at(n * 0.1, partial(world.append, [track(n, script="400" if n in bad else "")]))
    await world.run(310)
    await world.run_until_settled()
    delivery.log_starts_at(2_500)
    world.append([track(3_001)])
    await world.run(60)
    assert min(world.store.outcomes()) == 2_500
    assert not world.store.attempts_of(1, 2_499)
    assert world.store.attempts_of(1, 2_500)
    assert {one.outcome: one.recorded for one in world.store.tallies()} == {
        "delivered": 2_998,
        "failed": 3,
    }
    assert sorted(letter.seq for letter in world.store.dead_letters()) == sorted(bad)


# trouble on this side


async def test_a_full_disk_stops_delivery_and_loses_no_outcome(worlds: WorldFactory) -> None:
    """While outcomes cannot be recorded, nothing overtakes; once they can, everything goes on."""
    world = worlds({"heap": {"limits": UNLIMITED}})
    delivery = world.start()
    world.append([identify(1), identify(2)])
    await world.run(0.02)
    world.store.failure = OSError("disk full")  # while the first is in flight
    await world.run(30)
    assert world.heap.arrivals["ann"] == [1]
    assert "disk full" in delivery.status()[0].trouble
    world.store.failure = None
    await world.run_until_settled(5.0)
    assert world.heap.arrivals["ann"] == [1, 2]
    assert delivery.status()[0].trouble == ""


async def test_delivery_stops_in_time_with_a_full_disk_and_sends_again_after_the_start(
    worlds: WorldFactory,
) -> None:
    """A stop is never held up by a disk; what was not recorded is delivered once more, to no effect."""
    world = worlds({"heap": {"limits": UNLIMITED}})
    world.start()
    world.append([track(1)])
    world.store.failure = OSError("disk full")
    await world.run(3)
    await world.stop()
    world.start()
    await world.run_until_settled()
    assert world.heap.requests == 2
    assert world.heap.arrivals["ann"] == [1]


async def test_a_stop_waits_for_what_is_in_flight_and_starts_nothing(worlds: WorldFactory) -> None:
    """An answer within the grace is recorded; the next process does not send it again."""
    world = worlds(latency=lambda: 2.0)
    world.start()
    world.append([identify(1), identify(2)])
    await world.run(1)
    await world.stop()
    assert world.heap.requests == 1
    world.start()
    await world.run_until_settled()
    assert world.heap.arrivals["ann"] == [1, 2]
    assert world.heap.requests == 2


async def test_a_restart_keeps_retries_waiting(worlds: WorldFactory) -> None:
    """Attempts, first attempt and due time survive; the window does not begin again."""
    world = worlds({"heap": {"retryWindow": "10 minutes"}})
    world.append([track(1, script="503;250"), track(2)])
    for _ in range(6):
        world.start()
        await world.run(125)
        await world.kill()
    assert world.outcomes()[1] == ("failed", "retry_window_over")
    ones = [at_s for at_s, _, _ in world.heap.counted][:-1]
    assert ones == pytest.approx([0, 250, 500], abs=1.5)
    assert world.outcomes()[2] == DELIVERED


async def test_a_damaged_block_is_settled_as_failed_and_the_rest_delivered(
    worlds: WorldFactory,
) -> None:
    """Messages whose bytes are gone are never skipped in silence."""
    world = worlds()
    for first in (1, 11, 21):
        world.append(track(n, f"user-{n}") for n in range(first, first + 10))
    blocks = world.storage._blocks
    blocks[1] = blocks[1]._replace(payload=b"x" + blocks[1].payload[1:])
    world.start()
    await world.run_until_settled()
    outcomes = world.outcomes()
    assert all(outcomes[seq] == ("failed", "unreadable_message") for seq in range(11, 21))
    assert Counter(outcomes.values())[DELIVERED] == 20


async def test_a_message_that_mapping_stumbles_over_fails_alone(
    worlds: WorldFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in a mapping costs the message that met it, not the destination."""
    world = worlds()
    world.start()
    from headgate.destinations.heap.destination import Heap

    map_row = Heap.map_row

    def stumble(self: Heap, message: Message, settings: Any) -> Any:
        if message["messageId"] == "m2":
            raise KeyError("a bug")
        return map_row(self, message, settings)

    monkeypatch.setattr(Heap, "map_row", stumble)
    world.append([track(1), track(2), track(3)])
    await world.run_until_settled()
    assert world.outcomes() == {1: DELIVERED, 2: ("failed", "mapping_failed"), 3: DELIVERED}


async def test_when_nothing_happens_nothing_runs(worlds: WorldFactory) -> None:
    """With everything settled and budgets recovered, no timer is left."""
    world = worlds()
    world.start()
    world.append([track(1)])
    await world.run_until_settled()
    await world.run(120)
    assert world.clock.next_timer_s() is None


def traffic_of(user: str, numbers: range) -> list[Message]:
    """Events of one user."""
    return [track(n, user) for n in numbers]


def _script(message: Message) -> str:
    fields = message.get("properties") or message.get("traits") or {}
    return str(fields.get("script", ""))


def _has_outcome(world: World, seq: int) -> bool:
    return bool(world.store.outcomes_of(1, seq))


def _is_done(world: World) -> bool:
    return world.store.cursors().get(1, 0) >= world.log.last_seq()


def _is_done_or_has_lived(world: World, commits: int) -> bool:
    return _is_done(world) or world.store.commits >= commits


def _requests(
    world: World, *, app_id: str = "1", after_s: float = 0.0
) -> tuple[list[float], set[int]]:
    """When Heap counted requests after a moment, and how many rows they had."""
    found = [
        (at_s, users.total())
        for at_s, of_app, users in world.heap.counted
        if of_app == app_id and at_s >= after_s
    ]
    return [at_s for at_s, _ in found], {rows for _, rows in found}


@pytest.mark.parametrize("limit", [0, 15_000])
async def test_a_write_that_takes_effect_after_a_kill_overtakes_nothing(limit: int) -> None:
    """Heap is slow to apply it; the next process waits as long as that may take, and no longer."""
    world = World({"heap": {"limits": {"eventsPerMinute": limit, "eventsPerMinutePerUser": 0}}})
    late_s = 5.0

    async def answer_late(request: Request) -> Answer:
        (row,) = msgspec.json.decode(request.body)["users"]
        world.at(world.clock.monotonic_s() + late_s, lambda: world.heap._store("1", row))
        await world.clock.wait(asyncio.Event(), 60.0)
        raise AssertionError("nobody waits so long")

    world.answer = answer_late
    world.start()
    world.append([identify(1, plan="free")])
    await world.run(1.0)
    await world.kill()
    world.answer = world.heap.answer
    world.append([identify(2, plan="paid"), identify(3, user="bob")])
    world.start()
    await world.run(2.0)
    assert world.heap.arrivals == {"bob": [3]}
    await world.run_until_settled(30.0)
    assert world.clock.monotonic_s() < 15.0
    assert world.heap.arrivals["ann"] == [1, 1, 2]
    assert world.heap.users["ann"]["plan"] == "paid"
