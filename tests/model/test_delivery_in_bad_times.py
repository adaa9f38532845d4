"""Delivery through a day without Heap, and through clocks that are set while messages wait."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from simulation import Message, World, identify, in_order, track

USERS = 1_000
DAY_S = 24 * 3_600
PER_MIN = 120

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


async def test_after_a_day_without_heap_a_thousand_users_have_their_newest_values(
    worlds: WorldFactory,
) -> None:
    """A message every 16 s, profile writes and events in turn, and a process that is killed every 6 h."""
    world = worlds(seed=7)
    messages = [
        (identify if n // USERS % 2 else track)(n, f"user-{n % USERS}") for n in range(1, 5_401)
    ]
    world.heap.down = True
    world.start()
    for hour in range(24):
        new = messages[hour * 225 : (hour + 1) * 225]
        world.at(hour * 3_600.0, partial(world.append, new))
    for _ in range(4):
        await world.run(DAY_S / 4)
        await world.kill()
        world.start()
    world.heap.down = False
    await world.run_until_settled()
    outcomes = world.outcomes()
    failed = [seq for seq, (outcome, _) in outcomes.items() if outcome == "failed"]
    assert len(failed) <= 20  # probes
    assert len(outcomes) == len(messages)
    assert all(map(in_order, world.heap.arrivals.values()))
    for user, traits in _newest(messages, failed).items():
        assert world.heap.users[user] == traits


@pytest.mark.parametrize("hours", [-24, 24])
async def test_a_clock_that_is_set_while_messages_wait_changes_nothing(
    worlds: WorldFactory, hours: int
) -> None:
    """Waits and budgets go by the time that has passed, not by the calendar."""
    limits = {"eventsPerMinute": PER_MIN, "eventsPerMinutePerUser": 20}
    chance = random.Random(3)
    world = worlds({"heap": {"limits": limits}}, latency=lambda: chance.uniform(0.01, 0.8))
    world.start()
    scripts = ("", "", "500,200", "429;40,200", "lost-after-storing,200")
    world.append(track(n, f"user-{n % 40}", chance.choice(scripts)) for n in range(1, 601))
    for at_s in (20.0, 90.0):
        world.at(at_s, partial(world.clock.jump, hours * 3_600.0))
    await world.run_until_settled(1_200.0)
    assert Counter(world.outcomes().values()) == {("delivered", ""): 600}
    assert all(map(in_order, world.heap.arrivals.values()))
    assert world.heap.most_in_a_minute() <= PER_MIN


def _newest(messages: list[Message], failed: list[int]) -> dict[str, Message]:
    """Every user's profile when all but the failed messages have been applied in order."""
    profiles: dict[str, Message] = {}
    for seq, message in enumerate(messages, 1):
        if message["type"] == "identify" and seq not in failed:
            profiles.setdefault(message["userId"], {}).update(message["traits"])
    return profiles
