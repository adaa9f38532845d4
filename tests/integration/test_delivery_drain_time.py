"""How long delivery says that what is pending takes, where destinations share Heap's limits."""

from simulation import Message, World, track

LIMITED: Message = {"limits": {"eventsPerMinute": 600, "eventsPerMinutePerUser": 0}}


async def test_what_is_pending_of_one_app_drains_together() -> None:
    """Each of its destinations is told the time of all; another app's has its own, a removed one none."""
    ours = {"heap": LIMITED, "other": LIMITED | {"appId": "99"}}
    world = World(ours | {"second": LIMITED, "gone": LIMITED})
    world.heap.down = True
    delivery = world.start()
    world.append(track(n, f"user-{n}") for n in range(1, 601))
    await world.run(1)
    world.configure(ours | {"second": LIMITED})
    assert {one.slug: one.drain_s for one in delivery.status()} == {
        "heap": 120.0,
        "second": 120.0,
        "other": 60.0,
    }
    await world.kill()
