"""Messages that nobody waits for go behind live traffic: order, budgets, restarts, changes. In simulated time."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from headgate.delivery import room
from simulation import Message, World, identify, in_order, track

DELIVERED = ("delivered", "")
DISABLED = ("discarded", "destination_disabled")
SYNC = 30_000
SCRIPTS = (*[""] * 8, "500,500,200", "400", "429;7,200", "lost-after-storing,200", "lost,200")

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


def everybody(users: int = SYNC) -> list[Message]:
    """A profile write for each of some users."""
    return [identify(n, f"user-{n}") for n in range(1, users + 1)]


def sent(world: World, user: str) -> bool:
    """Whether Heap has anything of the user."""
    return user in world.heap.arrivals


# beside live traffic


async def test_live_messages_hardly_notice_that_everybody_is_told_something(
    worlds: WorldFactory,
) -> None:
    """Twenty a second under Heap's usual limits, which are never exceeded; each is there within a second."""
    world = worlds(latency=lambda: 0.1)
    world.start()

    def send(n: int) -> None:
        world.append([track(n, f"live {world.clock.monotonic_s()}")])

    start_s = world.clock.monotonic_s()
    world.append(everybody(), behind=True)
    for at in range(3_600):
        world.at(start_s + at * 0.05, partial(send, SYNC + 1 + at))
    await world.run(181)
    latencies = [
        at_s - float(user.removeprefix("live "))
        for at_s, _, users in world.heap.counted
        for user in users
        if user.startswith("live ")
    ]
    assert len(latencies) == 3_600
    assert max(latencies) < 1
    assert world.heap.most_in_a_minute() <= 15_000
    assert_all_delivered_in_order(world)


async def test_a_fifth_of_each_minute_is_left_for_live_messages(worlds: WorldFactory) -> None:
    """Even when nothing live came before."""
    world = worlds()
    world.start()
    world.append(everybody(), behind=True)
    await world.run(100)
    before = len(world.heap.counted)
    assert world.heap.most_in_a_minute() <= 0.8 * 15_000 * 61 / 60
    world.append(track(SYNC + n, f"live {n}") for n in range(1, 2_701))
    assert await world.run(1, lambda: all(sent(world, f"live {n}") for n in range(1, 2_701)))
    assert {user[:4] for _, _, users in world.heap.counted[before:] for user in users} == {"live"}
    await world.run_until_settled()
    assert_all_delivered_in_order(world)


async def test_telling_everybody_uses_what_live_messages_leave(worlds: WorldFactory) -> None:
    """30,000 at 12,000 a minute: in a third minute, and not much later."""
    world = worlds()
    world.start()
    world.append(everybody(), behind=True)
    await world.run_until_settled(135)
    assert_all_delivered_in_order(world)


async def test_a_live_message_takes_along_what_waits_of_its_user_and_goes_after_it(
    worlds: WorldFactory,
) -> None:
    """Of users whose message is not read yet, is in memory, and is in flight."""
    world = worlds(latency=lambda: 0.1)
    world.start()
    world.append(everybody(), behind=True)
    await world.run(10)
    first_held = next(n for n in range(1, SYNC) if not sent(world, f"user-{n}"))
    waiting = [SYNC, first_held, first_held + 2_500]
    for at, user in enumerate(waiting):
        world.append([identify(SYNC + 1 + at, f"user-{user}")])
    assert await world.run(1, lambda: sent(world, f"user-{SYNC}"))
    await world.run(1)
    for at, user in enumerate(waiting):
        assert world.heap.arrivals[f"user-{user}"] == [user, SYNC + 1 + at]
    assert not sent(world, f"user-{SYNC - 1}")
    await world.run_until_settled()
    assert_all_delivered_in_order(world)


async def test_only_numbers_are_kept_of_what_waits(worlds: WorldFactory) -> None:
    """However many there are; and more is read while they wait."""
    world = worlds()
    delivery = world.start()
    world.append(everybody(), behind=True)
    await world.run(10)
    progress = delivery._couriers[1].progress
    assert progress.open_count == 0
    assert 0 < progress.behind_count <= room.MAX_BEHIND_IN_MEMORY + room.BEHIND_AT_ONCE
    assert progress.pending == delivery.status()[0].pending == SYNC - world.settled_to
    assert delivery.status()[0].cursor == world.settled_to
    assert delivery.status()[0].unread == 0


async def test_what_waits_goes_on_when_no_more_numbers_can_be_kept(
    worlds: WorldFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then reading waits, too."""
    monkeypatch.setattr(room, "MAX_PARKED", 10_000)
    world = worlds()
    delivery = world.start()
    world.append(everybody(), behind=True)
    await world.run(10)
    assert delivery.status()[0].unread > 0
    await world.run_until_settled()
    assert_all_delivered_in_order(world)


# trouble


@pytest.mark.parametrize("seed", range(6))
async def test_whenever_the_process_is_killed_each_user_is_served_in_order_and_everything_settled_once(
    worlds: WorldFactory, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live and deferred messages of the same users in turn, while Heap fails now and then."""
    monkeypatch.setattr(room, "MAX_BEHIND_IN_MEMORY", 30)
    monkeypatch.setattr(room, "BEHIND_AT_ONCE", 20)
    chance = random.Random(seed)
    world = worlds(
        {"heap": {"limits": {"eventsPerMinute": 300, "eventsPerMinutePerUser": 60}}},
        latency=lambda: chance.uniform(0.01, 0.8),
        seed=seed,
    )
    arrive(world, chance)
    lives = 0
    while lives < 1_000:
        lives += 1
        world.start()
        commits = chance.randint(1, 40)
        assert await world.run(7_200, partial(is_done_or_has_lived, world, commits))
        if is_done(world):
            break
        await world.kill()
    assert lives > 10
    assert_settled_once_and_in_order(world)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_else_changes_each_user_is_served_in_order_and_everything_settled_once(
    worlds: WorldFactory, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other settings, again and again: what is in memory is mapped anew."""
    monkeypatch.setattr(room, "MAX_BEHIND_IN_MEMORY", 30)
    monkeypatch.setattr(room, "BEHIND_AT_ONCE", 20)
    chance = random.Random(seed)
    limits = {"eventsPerMinute": 300, "eventsPerMinutePerUser": 60}
    world = worlds(
        {"heap": {"limits": limits}}, latency=lambda: chance.uniform(0.01, 0.8), seed=seed
    )
    world.start()
    arrive(world, chance)
    for at in range(60):
        settings = {"heap": {"nullTraits": at % 2, "limits": limits}}
        world.at(1 + at * 2.5, partial(world.configure, settings))
    await world.run(152)
    await world.run_until_settled()
    assert_settled_once_and_in_order(world)


async def test_a_disabled_destination_discards_what_waits_at_once(worlds: WorldFactory) -> None:
    """And takes what comes when it is enabled again."""
    world = worlds()
    delivery = world.start()
    world.append(everybody(), behind=True)
    await world.run(10)
    world.configure({"heap": {"_enabled": False}})
    await world.run(1)
    assert delivery.status()[0].pending == 0
    world.configure({"heap": {}})
    world.append([identify(SYNC + 1, "ann")], behind=True)
    await world.run_until_settled(62)
    outcomes = Counter(world.outcomes().values())
    assert outcomes[DELIVERED] + outcomes[DISABLED] == SYNC + 1
    assert outcomes[DISABLED] > SYNC / 2
    assert sent(world, "ann")


async def test_replayed_writes_go_before_what_is_deferred_of_the_same_users(
    worlds: WorldFactory,
) -> None:
    """Whether it had been read or not when the replay was asked for."""
    world = worlds()
    world.start()
    users = 4_000
    world.append(everybody(users))
    await world.run_until_settled()
    world.append((identify(users + n, f"user-{n}") for n in range(1, users + 1)), behind=True)
    asked = world.replay("again", range(1, users + 1))
    assert await world.run(30, asked.done)
    await world.run_until_settled()
    for n in range(1, users + 1):
        assert world.heap.arrivals[f"user-{n}"] in (
            [n, n, users + n],
            [n, users + n, n, users + n],
        )
        assert world.heap.users[f"user-{n}"]["n"] == users + n


async def test_an_outage_fails_nothing_that_waits(worlds: WorldFactory) -> None:
    world = worlds()
    world.start()
    world.append(everybody(5_000), behind=True)
    world.heap.down = True
    await world.run(3_600)
    world.heap.down = False
    await world.run_until_settled()
    assert_all_delivered_in_order(world)


def arrive(world: World, chance: random.Random) -> None:
    """Messages of 30 users, now and within two minutes, some of which nobody waits for."""
    numbers = iter(range(1, 1_201))
    for at in range(60):
        of_user = chance.sample(range(30), 20)
        kind = identify if (behind := chance.random() < 0.6) else chance.choice((track, identify))
        some = [
            kind(n, f"user-{user}", chance.choice(SCRIPTS))
            for user, n in zip(of_user, numbers, strict=False)
        ]
        if at < 10:
            world.append(some, behind=behind)
        else:
            world.at(at * 2.0, partial(world.append, some, behind=behind))


def is_done(world: World) -> bool:
    return len(world.messages) == 1_200 and world.running.settled_to() == 1_200


def is_done_or_has_lived(world: World, commits: int) -> bool:
    return is_done(world) or world.store.commits >= commits


def assert_all_delivered_in_order(world: World) -> None:
    """Everything that was sent was delivered once, each user's in order."""
    assert world.outcomes() == dict.fromkeys(range(1, len(world.messages) + 1), DELIVERED)
    assert_settled_once_and_in_order(world)


def assert_settled_once_and_in_order(world: World) -> None:
    """Heap has what was delivered, each user's in order, and the newest profiles."""
    outcomes = world.outcomes()
    assert sorted(outcomes) == list(range(1, len(world.messages) + 1))
    profiles: dict[str, Message] = {}
    delivered: dict[str, set[int]] = {}
    for seq, message in enumerate(world.messages, 1):
        if outcomes[seq] == DELIVERED:
            delivered.setdefault(message["userId"], set()).add(seq)
            if message["type"] == "identify":
                profiles.setdefault(message["userId"], {}).update(message["traits"])
    assert {user: set(arrived) for user, arrived in world.heap.arrivals.items()} == delivered
    assert all(map(in_order, world.heap.arrivals.values()))
    assert world.heap.users == profiles
    standing = {(one.outcome, one.reason): one.standing for one in world.store.tallies()}
    assert standing == Counter(outcomes.values())
