"""What waits for its next attempt is attempted when somebody says so."""

from simulation import World


async def test_trying_again_does_not_wait_for_the_time_the_destination_asked_for() -> None:
    """It asked for five minutes, and is back after two seconds."""
    world = World()
    world.start()
    message = {"type": "track", "event": "E", "userId": "ann", "messageId": "m1"}
    world.append([message | {"properties": {"n": 1, "script": "503;300,200"}}])
    assert not await world.run(2.0, lambda: bool(world.store.outcomes()))
    world.running.try_again()
    assert await world.run(1.0, lambda: bool(world.store.outcomes()))
    assert world.store.outcomes() == {1: [("delivered", "")]}
    await world.stop()


async def test_trying_again_leaves_a_destination_alone_that_has_nothing_to_do() -> None:
    """No request is made for the sake of it."""
    world = World()
    world.start()
    world.running.try_again()
    await world.run(60.0)
    assert world.heap.requests == 0
    await world.stop()
