"""Facts are recorded in groups, in order, and waited for; a disk that refuses is asked again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from headgate.clock import ManualClock
from headgate.delivery.facts import DELIVERED, Facts, Settled
from headgate.delivery.recorder import Recorder
from simulation import InlineExecutor, SnapshotStore, quiet


def settled(*seqs: int) -> Facts:
    """An outcome of some messages."""
    return Facts(settled=[Settled(1, DELIVERED, "", "", 0, list(seqs))])


class Desk:
    """A recorder on a store that can refuse; `told` holds its reports of how far everything is settled."""

    def __init__(self, **options: InlineExecutor) -> None:
        self.clock = ManualClock()
        self.store = SnapshotStore()
        self.told: list[int] = []
        self.settled_to = 0
        self.recorder = Recorder(
            self.store, self.clock, lambda: self.settled_to, self.told.append, **options
        )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A desk without threads, closed afterwards."""
    made = Desk(executor=InlineExecutor())
    yield made
    made.store.failure = None
    await made.recorder.close()


async def test_a_future_is_done_once_its_facts_are_durable(desk: Desk) -> None:
    """Whoever asks in the same moment shares the commit."""
    first, second = desk.recorder.record(settled(1)), desk.recorder.record(settled(2))
    assert not first.done()
    await first
    await second
    assert (desk.store.commits, desk.told) == (1, [0])
    assert sorted(desk.store.outcomes()) == [1, 2]


async def test_what_is_not_on_disk_yet_is_not_told(desk: Desk) -> None:
    """What amounts to more since the commit began is told by the next one."""
    desk.settled_to, desk.store.failure = 1, OSError("disk full")
    first = desk.recorder.record(settled(1))
    await quiet()
    desk.settled_to, desk.store.failure = 2, None
    second = desk.recorder.record(settled(2))
    assert (desk.told, desk.recorder.is_behind) == ([], True)
    desk.clock.advance(1)
    await first
    assert desk.told[0] == 1
    await second
    await quiet()
    assert (desk.told, desk.recorder.is_behind) == ([1, 2], False)


async def test_what_comes_during_a_commit_is_in_the_next(desk: Desk) -> None:
    """In a thread of its own, as in real life: order is kept, nothing is left behind."""
    threaded = Desk()
    futures = []
    for seq in range(1, 101):
        futures.append(threaded.recorder.record(settled(seq)))
        if seq % 10 == 0:
            await asyncio.sleep(0)
    await asyncio.gather(*futures)
    assert list(threaded.store.outcomes()) == list(range(1, 101))
    assert threaded.store.commits < 100
    await threaded.recorder.close()


@pytest.mark.parametrize("failure", [OSError("disk full"), ValueError("a bug")])
async def test_a_refusing_disk_is_asked_again_every_second(desk: Desk, failure: Exception) -> None:
    """Nothing is lost and nobody goes on; the trouble is told as long as it lasts."""
    desk.store.failure = failure
    future = desk.recorder.record(settled(1))
    for _ in range(5):
        await quiet()
        assert not future.done()
        assert str(failure) in desk.recorder.trouble
        desk.clock.advance(1.0)
    later = desk.recorder.record(settled(2))
    desk.store.failure = None
    desk.clock.advance(1.0)
    await later
    assert desk.recorder.trouble == ""
    assert list(desk.store.outcomes()) == [1, 2]


async def test_readers_wait_only_while_the_disk_refuses(desk: Desk) -> None:
    """`keep_up` holds them, so that memory does not fill with outcomes."""
    await desk.recorder.keep_up()
    desk.store.failure = OSError("disk full")
    desk.recorder.record(settled(1))
    await quiet()
    desk.recorder.record(settled(2))
    reader = asyncio.get_running_loop().create_task(desk.recorder.keep_up())
    desk.clock.advance(5.0)
    await quiet()
    assert not reader.done()
    desk.store.failure = None
    desk.clock.advance(1.0)
    await reader


async def test_closing_records_what_is_left() -> None:
    """Also what nobody waits for."""
    desk = Desk(executor=InlineExecutor())
    desk.recorder.record(settled(1))
    await desk.recorder.close()
    assert desk.store.commits == 1


async def test_closing_gives_up_on_a_disk_that_still_refuses() -> None:
    """Whoever waits is released; the next process delivers again."""
    desk = Desk(executor=InlineExecutor())
    desk.store.failure = OSError("disk full")
    future = desk.recorder.record(settled(1))
    await quiet()
    later = desk.recorder.record(settled(2))
    await desk.recorder.close()
    assert future.cancelled()
    assert later.cancelled()


async def test_attempts_are_numbered_on_from_what_was_recorded(desk: Desk) -> None:
    """No number is given twice."""
    assert [desk.recorder.next_attempt_id() for _ in range(3)] == [1, 2, 3]


async def test_what_is_on_disk_is_counted_without_asking_the_disk() -> None:
    """From the start on, and with every commit; a message that is replayed is no outcome."""
    desk = Desk(executor=InlineExecutor())
    await desk.recorder.record(settled(1))
    await desk.recorder.record(settled(2))
    expected = {(one.destination, one.outcome, one.reason): 2 for one in desk.store.tallies()}
    assert desk.recorder.counts == expected
    again = Recorder(desk.store, desk.clock, lambda: 0, desk.told.append)
    assert again.counts == expected
    await desk.recorder.record(Facts(settled=[Settled(1, "replayed", "", "r1", 1, [1])]))
    assert desk.recorder.counts == expected
