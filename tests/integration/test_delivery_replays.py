"""Messages that are sent again: order, budgets, live messages beside them, restarts. In simulated time."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any

import pytest

from headgate.delivery import intake
from headgate.delivery.facts import Facts
from simulation import Message, World, identify, in_order, share, track

DELIVERED = ("delivered", "")
REPLAYED = ("replayed", "")
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


async def delivered(world: World, messages: Iterable[Message]) -> None:
    """All of them have been delivered, and count against no budget any more."""
    world.append(messages)
    await world.run_until_settled(100_000.0)
    await world.run(62)


async def taken_up(world: World, name: str, seqs: Iterable[int], within_s: float = 30.0) -> None:
    """A replay is asked for, and recorded."""
    asked = world.replay(name, seqs)
    assert await world.run(within_s, asked.done)
    asked.result()


def assert_tallies_are_what_the_facts_add_up_to(world: World) -> None:
    """What stands is each message's last outcome."""
    standing = {
        (one.outcome, one.reason): one.standing for one in world.store.tallies() if one.standing
    }
    assert standing == Counter(world.last_outcomes().values())


async def test_replayed_messages_get_one_more_outcome_and_no_others_do(
    worlds: WorldFactory,
) -> None:
    """Events and profile writes; heap knows the events' keys and the profiles stay as they are."""
    world = worlds()
    delivery = world.start()
    messages = [(identify if n % 3 else track)(n, f"user-{n % 40}") for n in range(1, 1_001)]
    await delivered(world, messages)
    before = {user: dict(traits) for user, traits in world.heap.users.items()}
    wanted = [seq for seq in range(1, 1_001) if seq % 7 == 0]
    again = set(wanted) | later_writes(messages, wanted)
    await taken_up(world, "r1", wanted)
    assert delivery.status()[0].replaying == len(again)
    await world.run_until_settled()
    for seq, outcomes in world.store.outcomes().items():
        assert outcomes == ([DELIVERED, REPLAYED, DELIVERED] if seq in again else [DELIVERED])
    assert world.heap.users == before
    assert_tallies_are_what_the_facts_add_up_to(world)
    (progress,) = world.store.replays()
    assert (progress.total, progress.settled) == (len(again), len(again))
    assert progress.ended_at_ms is not None


async def test_a_replay_is_taken_up_once_and_by_no_destination_that_is_gone(
    worlds: WorldFactory,
) -> None:
    """The same name again changes nothing, also after a restart; nor does one without messages."""
    world = worlds()
    world.start()
    await delivered(world, [track(1), track(2)])
    request = world.request("r1", [1, 2])
    for _ in range(2):
        await world.delivery.replay(request)
        await world.delivery.replay(request)
        await world.run_until_settled()
        await world.kill()
        world.start()
    assert world.store.outcomes()[1] == [DELIVERED, REPLAYED, DELIVERED]
    await taken_up(world, "nothing", [])
    assert all(one.ended_at_ms is not None for one in world.store.replays())
    world.configure({})
    await taken_up(world, "r2", [1])
    assert not world.store.knows_replay("r2", 1)


async def test_what_has_no_outcome_yet_is_not_replayed(worlds: WorldFactory) -> None:
    """A message that waits for its retry stays as it is; the request does not settle it twice."""
    world = worlds()
    world.start()
    world.append([track(1), track(2, "bob", "503;200,200")])
    await world.run(10)
    await taken_up(world, "r1", [1, 2])
    await world.run_until_settled()
    assert world.store.outcomes() == {1: [DELIVERED, REPLAYED, DELIVERED], 2: [DELIVERED]}
    assert world.store.replays()[0].total == 1


async def test_a_replayed_message_is_mapped_by_the_settings_of_today(worlds: WorldFactory) -> None:
    """What was discarded goes, what is not meant to go any more is discarded, its dead letter dropped."""
    world = worlds({"heap": {"junkIdentities": ["ann"]}})
    world.start()
    await delivered(world, [track(1, "ann"), track(2, "bob", "400"), track(3, "bob")])
    assert [letter.seq for letter in world.store.dead_letters()] == [2]
    world.configure({"heap": {"junkIdentities": ["bob"]}})
    await taken_up(world, "r1", [1, 2, 3])
    await world.run_until_settled()
    junk = ("discarded", "junk_identity")
    assert world.last_outcomes() == {1: DELIVERED, 2: junk, 3: junk}
    assert not list(world.store.dead_letters())
    assert_tallies_are_what_the_facts_add_up_to(world)


# live messages and budgets


async def test_a_replay_alone_uses_the_budget_and_never_more(worlds: WorldFactory) -> None:
    """Over 95 % of 3,000 rows a minute for ten minutes."""
    world = worlds({"heap": {"limits": UNLIMITED}})
    world.start()
    await delivered(world, (track(n, f"user-{n % 5_000}") for n in range(1, 40_001)))
    world.configure({"heap": {"limits": {"eventsPerMinute": 3_000}}})
    await taken_up(world, "r1", range(1, 40_001))
    before, start_s = len(world.heap.counted), world.clock.monotonic_s()
    await world.run(1_200)
    counted = sum(
        users.total() for at_s, _, users in world.heap.counted[before:] if at_s - start_s >= 600
    )
    assert counted >= 0.95 * 3_000 * 10
    assert world.heap.most_in_a_minute() <= 40_000
    del world.heap.counted[:before]
    assert world.heap.most_in_a_minute() <= 3_000


async def test_live_messages_hardly_notice_a_replay_of_fifty_thousand(
    worlds: WorldFactory,
) -> None:
    """Under a limit of 6,000 a minute, with 20 live messages a second; the budget is never exceeded."""
    world = worlds({"heap": {"limits": UNLIMITED}}, latency=lambda: 0.1)
    delivery = world.start()
    await delivered(world, (track(n, f"user-{n % 5_000}") for n in range(1, 50_001)))
    world.configure({"heap": {"limits": {"eventsPerMinute": 6_000}}})
    del world.heap.counted[:]
    start_s = world.clock.monotonic_s() + 70
    sent_at: dict[str, float] = {}

    def send(n: int) -> None:
        sent_at[f"live-{n}"] = world.clock.monotonic_s()
        world.append([track(n, f"live-{n}")])

    for n in range(50_001, 62_001):
        world.at(start_s - 65 + (n - 50_001) * 0.05, partial(send, n))
    await world.run(70)
    await taken_up(world, "r1", range(1, 50_001))
    await world.run(530)
    latencies = [
        at_s - sent_at[user]
        for at_s, _, users in world.heap.counted
        for user in users
        if user in sent_at and sent_at[user] >= start_s + 12
    ]
    assert len(latencies) > 8_000
    assert share(latencies, 1.0) >= 0.99
    assert max(latencies) < 30
    assert world.heap.most_in_a_minute() <= 6_000
    assert delivery.status()[0].replaying < 15_000


async def test_a_hot_user_s_replay_holds_up_neither_the_others_nor_the_user_s_live_messages(
    worlds: WorldFactory,
) -> None:
    """100,000 replayed events of one user at 1,000 a minute; what is left of the minute is for live ones."""
    world = worlds({"heap": {"limits": UNLIMITED}})
    world.start()
    await delivered(
        world,
        (track(n, "hot" if n <= 100_000 else f"user-{n % 50}") for n in range(1, 105_001)),
    )
    world.configure({"heap": {}})
    del world.heap.counted[:]
    await taken_up(world, "r1", range(1, 105_001))
    asked_s = world.clock.monotonic_s()
    assert await world.run(40, lambda: rows_of_others(world) == 5_000)
    for n in range(105_001, 105_011):
        world.append([track(n, "hot")])
        assert await world.run(2.0, lambda n=n: n in world.store.outcomes_of_now())
    await world.run(600)
    hot = sum(users["hot"] for _, _, users in world.heap.counted)
    assert hot >= 0.9 * 1_000 * (world.clock.monotonic_s() - asked_s) / 60
    assert world.heap.most_in_a_minute(user="hot") <= 1_000
    assert world.delivery.status()[0].drain_s > 80 * 60


def rows_of_others(world: World) -> int:
    """How many rows of all users but the hot one were counted."""
    return sum(users.total() - users["hot"] for _, _, users in world.heap.counted)


async def test_live_messages_have_a_slot_beside_a_slow_replay(worlds: WorldFactory) -> None:
    """Requests of 8 s each: a live message never waits for one of a replay."""
    world = worlds({"heap": {"limits": UNLIMITED}})
    world.start()
    await delivered(world, (track(n, f"user-{n}") for n in range(1, 8_001)))
    await taken_up(world, "r1", range(1, 8_001))
    world.heap._latency = lambda: 8.0
    await world.run(1)
    world.append([track(8_001, "live")])
    assert await world.run(8.2, lambda: world.last_outcomes().get(8_001) == DELIVERED)
    assert world.delivery.status()[0].replaying > 2_000


# order


def troubled(world: World, chance: random.Random) -> None:
    """From now on Heap answers one request in ten with 500, and of one in ten the answer is lost."""
    heap = world.heap.answer

    async def answer(request: Request) -> Answer:
        roll = chance.random()
        if roll < 0.1:
            return Answer(500)
        found = await heap(request)
        return Answer(0, error="reset") if roll < 0.2 else found

    world.answer = answer


def writes(world: World) -> dict[str, list[int]]:
    """Every user's profile writes as they came to Heap."""
    is_write = [message["type"] == "identify" for message in world.messages]
    return {
        user: [n for n in arrived if is_write[n - 1]]
        for user, arrived in world.heap.arrivals.items()
    }


def profiles(messages: list[Message]) -> dict[str, Message]:
    """Every user's profile when all messages have been applied in order."""
    found: dict[str, Message] = {}
    for message in messages:
        if message["type"] == "identify":
            found.setdefault(message["userId"], {}).update(message["traits"])
    return found


def mixed(numbers: range, users: int, chance: random.Random) -> list[Message]:
    """Profile writes of one of three traits, and events."""
    return [
        identify(n, f"user-{chance.randrange(users)}", **{f"k{chance.randrange(3)}": n})
        if chance.random() < 0.6
        else track(n, f"user-{chance.randrange(users)}")
        for n in numbers
    ]


@pytest.mark.parametrize("seed", range(6))
async def test_no_older_value_lands_after_a_newer_one_whenever_the_process_is_killed(
    worlds: WorldFactory, seed: int
) -> None:
    """Two overlapping replays while new writes arrive, Heap fails now and then, kills at random commits."""
    chance = random.Random(seed)
    world = worlds(
        {"heap": {"limits": {"eventsPerMinute": 900, "eventsPerMinutePerUser": 100}}},
        latency=lambda: chance.uniform(0.01, 0.8),
        seed=seed,
    )
    world.start()
    await delivered(world, mixed(range(1, 601), 25, chance))
    troubled(world, chance)
    live = mixed(range(601, 901), 25, chance)
    now_s = world.clock.monotonic_s()
    for at, message in enumerate(live):
        world.at(now_s + at * 0.2, partial(world.append, [message]))
    await world.run(2)
    requests = [world.request("r1", chance.sample(range(1, 601), 150))]
    marks: dict[str, int] = {}
    for life in range(200):
        if life == 3:
            requests.append(world.request("r2", chance.sample(range(1, 601), 150)))
        commits = world.store.commits + chance.randint(1, 40)
        asked = [asyncio.ensure_future(world.delivery.replay(one)) for one in requests]
        await world.run(3_600, lambda: world.store.commits >= commits or is_done(world, 2))
        if not marks and world.store.replays():
            marks = {user: len(arrived) for user, arrived in writes(world).items()}
        if is_done(world, 2):
            break
        await world.kill()
        world.start()
    assert is_done(world, 2)
    assert all(one.done() for one in asked)
    assert life > 5
    for user, arrived in writes(world).items():
        assert len(world.store.replays()) == 2
        for part in parts_between_replays(world, user, arrived, marks.get(user, 0)):
            assert in_order(part)
    assert world.heap.users == profiles(world.messages)
    assert_each_replay_settled_each_message_once(world)
    assert_tallies_are_what_the_facts_add_up_to(world)


def later_writes(messages: list[Message], seqs: Iterable[int]) -> set[int]:
    """The profile writes that come after one of the numbered profile writes of the same user."""
    first: dict[str, int] = {}
    for seq in sorted(seqs):
        if messages[seq - 1]["type"] == "identify":
            first.setdefault(messages[seq - 1]["userId"], seq)
    return {
        seq
        for seq, message in enumerate(messages, 1)
        if message["type"] == "identify" and seq >= first.get(message["userId"], seq + 1)
    }
