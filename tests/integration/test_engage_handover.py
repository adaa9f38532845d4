"""The handover empties the outbox into the log: what is urgent first. With a gateway that only answers."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headgate.channel import Channel, Emitted, Message, Taken, channel_pair
from headgate.clock import ManualClock
from headgate.engage.batch import Batch, Changes
from headgate.engage.handover import Handover
from headgate.engage.identifies import Identify
from headgate.engage.store import EngageStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EngageStore]:
    """An empty one."""
    with closing(EngageStore(tmp_path / "engage.db")) as one:
        yield one


def say(store: EngageStore, *users: str, destination: str = "heap", behind: bool = False) -> None:
    """A message for each of these users, whose id is the user's name."""
    outbox = [Identify(destination, user, user, b"{}") for user in users]
    store.commit(Batch(0, 0, Changes(), outbox=outbox, behind=behind))


def handed_over(
    store: EngageStore, meanwhile: Callable[[int], None] = lambda number: None
) -> list[tuple[str, bool, list[str]]]:
    """(destination, behind, ids) of each portion; `meanwhile` is called before each is answered."""
    portions: list[tuple[str, bool, list[str]]] = []

    async def hand_over() -> None:
        ours, theirs = channel_pair()
        is_empty = asyncio.Event()

        def answer(message: Message) -> None:
            assert isinstance(message, Emitted)
            portions.append((message.destination, message.behind, message.message_ids))
            meanwhile(message.number)
            gateway.send(Taken(message.number))

        def answered(message: Message) -> None:
            assert isinstance(message, Taken)
            handover.answered(message)

        gateway = Channel(theirs, answer, is_empty.set)
        channel = Channel(ours, answered, is_empty.set)
        handover = Handover(store, channel, ManualClock())
        running = asyncio.create_task(handover.run())
        async with asyncio.timeout(10):
            while store.outbox_count():  # noqa: ASYNC110
                await asyncio.sleep(0)
        running.cancel()
        channel.close()
        gateway.close()

    asyncio.run(hand_over())
    return portions


def test_what_is_urgent_goes_before_what_stands_behind(store: EngageStore) -> None:
    """Each destination's apart."""
    say(store, "a", "b", behind=True)
    say(store, "c")
    say(store, "d", destination="other")
    assert handed_over(store) == [
        ("heap", False, ["c"]),
        ("other", False, ["d"]),
        ("heap", True, ["a", "b"]),
    ]


def test_what_is_urgent_overtakes_everything_but_its_own_user_s(store: EngageStore) -> None:
    """It comes while a portion is on its way, and goes with the next one."""
    users = [f"user {n}" for n in range(450)]
    say(store, *users, behind=True)

    def meanwhile(number: int) -> None:
        if number == 1:
            say(store, "user 449", "new")

    first, second, *rest = handed_over(store, meanwhile)
    assert first == ("heap", True, users[:200])
    assert second == ("heap", False, ["user 449", "user 449", "new"])
    assert [user for _, behind, ids in rest for user in ids if behind] == users[200:449]
