"""Whoever waits for a commit is answered: with success once it is durable, otherwise with the reason."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from factories import NOW_MS, arrival
from headgate.clock import ManualClock
from headgate.eventlog import group_commit as group_commit_module
from headgate.eventlog.group_commit import GroupCommit, Overloaded
from headgate.eventlog.interface import DUPLICATE, Arrival, LogFull
from headgate.eventlog.log import BlockLog
from headgate.eventlog.memory import MemoryStorage
from headgate.eventlog.refused import Refusal, RefusedRing, refusal_counts
from headgate.eventlog.sqlite import SqliteStorage, segment_paths


class HeldLog(BlockLog):
    """A log in memory whose commits a test can hold back; it remembers its groups."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()
        super().__init__(self.storage, ManualClock(NOW_MS))
        self.groups: list[list[list[str]]] = []
        self.answers: list[list[int]] = []
        self.fault: Exception | None = None
        self.closed = False
        self.free = threading.Event()
        self.free.set()

    def append(self, arrivals: Sequence[Arrival]) -> list[Sequence[int]]:
        self.free.wait(10)
        self.groups.append([one.ids for one in arrivals])
        if self.fault is not None:
            raise self.fault
        answers = super().append(arrivals)
        self.answers += [list(one) for one in answers]
        return answers

    def close(self) -> None:
        self.closed = True


class Bench:
    """A group commit over a held log and a real ring, with everything it announced."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "refused.db"
        self.log = HeldLog()
        self.committed: list[int] = []
        self.commits = GroupCommit(self.log, RefusedRing(self.path), self.committed.append)

    def append(self, *ids: str, refusals: Sequence[Refusal] = ()) -> "asyncio.Future[None]":
        return self.commits.append(arrival(*ids) if ids else None, list(refusals))

    async def hold(self) -> "asyncio.Future[None]":
        """Hold the commit of one message back; whatever comes now has to wait for it."""
        self.log.free.clear()
        first = self.append("first")
        await asyncio.sleep(0)
        return first


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.log.free.set()
    await made.commits.close()


def refusal(reason: str = "no_ids", body: bytes = b"{}") -> Refusal:
    return Refusal(NOW_MS, "website", reason, "m", body)


def kept_ids(log: HeldLog) -> list[str]:
    """messageIds of everything in the log, in order."""
    return [
        entry.raw.partition(b'"messageId":"')[2].partition(b'"')[0].decode()
        for block in log.blocks(0)
        for entry in block.entries()
    ]


async def test_returns_once_the_messages_are_in_the_log(bench: Bench) -> None:
    """And tells the last number to whoever delivers."""
    await bench.append("a", "b")
    assert kept_ids(bench.log) == ["a", "b"]
    await bench.append("c")
    assert bench.committed[-1] == 3


async def test_what_comes_during_a_commit_goes_together(bench: Bench) -> None:
    """One commit for all who waited, in the order in which they came."""
    first = await bench.hold()
    rest = [bench.append(f"m-{n}") for n in range(20)]
    await asyncio.sleep(0)
    assert not first.done()
    bench.log.free.set()
    await asyncio.gather(first, *rest)
    assert bench.log.groups == [[["first"]], [[f"m-{n}"] for n in range(20)]]


async def test_groups_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A group ends with the request that fills it; refusals fill it like messages."""
    monkeypatch.setattr(group_commit_module, "MAX_GROUP_MESSAGES", 3)
    first = await bench.hold()
    rest = [
        bench.append("a", "b"),
        bench.append("c", "d"),
        bench.append("e", refusals=[refusal(), refusal()]),
        bench.append("f"),
    ]
    await asyncio.sleep(0)
    bench.log.free.set()
    await asyncio.gather(first, *rest)
    assert bench.log.groups == [[["first"]], [["a", "b"], ["c", "d"]], [["e"]], [["f"]]]


async def test_a_duplicate_of_a_message_in_flight_waits_for_its_commit(bench: Bench) -> None:
    """Success for the copy means that the original is durable."""
    first = await bench.hold()
    again = bench.append("first")
    await asyncio.sleep(0)
    assert not again.done()
    bench.log.free.set()
    await asyncio.gather(first, again)
    assert bench.log.answers == [[1], [DUPLICATE]]


async def test_more_than_memory_allows_is_refused_at_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that wait are counted, batch context and refused bodies too; the commit makes room again."""
    monkeypatch.setattr(group_commit_module, "MAX_WAITING_BYTES", 1_000)
    first = await bench.hold()
    await asyncio.sleep(0)
    waiting = bench.append("a", refusals=[refusal(body=b"x" * 500)])
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await bench.commits.append(arrival("b", context=b"x" * 450), [])
    bench.log.free.set()
    await asyncio.gather(first, waiting)
    await bench.commits.append(arrival("b", context=b"x" * 450), [])
    assert kept_ids(bench.log) == ["first", "a", "b"]


async def test_a_failure_answers_everybody_in_the_group(bench: Bench) -> None:
    """Nobody is told of success, nothing is recorded, and the next group is a new try."""
    first = await bench.hold()
    rest = [bench.append("a"), bench.append("b", refusals=[refusal()]), bench.append("c")]
    await asyncio.sleep(0)
    bench.log.storage.failure = "the disk is full"
    bench.log.free.set()
    results = await asyncio.gather(first, *rest, return_exceptions=True)
    assert [str(one) for one in results] == ["the disk is full"] * 4
    assert all(isinstance(one, LogFull) for one in results)
    assert bench.committed == []
    assert refusal_counts(bench.path) == []
    bench.log.storage.failure = ""
    await bench.append("a")
    assert kept_ids(bench.log) == ["a"]


async def test_an_unexpected_fault_is_an_answer_too(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """The sender may try again, people find the fault in the server's log, the next group is unharmed."""
    bench.log.fault = ZeroDivisionError("oh")
    with pytest.raises(LogFull, match="ZeroDivisionError: oh"):
        await bench.append("a")
    assert "a group of messages could not be written" in caplog.text
    bench.log.fault = None
    await bench.append("a")


async def test_refusals_are_durable_like_messages(bench: Bench) -> None:
    """A request may bring messages, refusals or both, or nothing at all."""
    await bench.append("a", refusals=[refusal("no_ids")])
    await bench.append(refusals=[refusal("bad_json")])
    await bench.append()
    assert [reason for _, reason, _, _ in refusal_counts(bench.path)] == ["bad_json", "no_ids"]
    assert kept_ids(bench.log) == ["a"]


async def test_refusals_that_cannot_be_recorded_cost_no_neighbour(bench: Bench) -> None:
    """Only who brought refusals is told to try again; delivery still learns of the messages."""
    with sqlite3.connect(bench.path) as db:
        db.execute("DROP TABLE refusal")
    db.close()
    first = await bench.hold()
    refused, clean = bench.append("a", refusals=[refusal()]), bench.append("b")
    await asyncio.sleep(0)
    bench.log.free.set()
    results = await asyncio.gather(first, refused, clean, return_exceptions=True)
    assert [type(one) for one in results] == [type(None), LogFull, type(None)]
    assert "refusals cannot be recorded" in str(results[1])
    assert bench.committed == [1, 3]


async def test_a_sender_that_gave_up_disturbs_nobody(bench: Bench) -> None:
    """A cancelled request is committed with its group, and the others are answered."""
    first = await bench.hold()
    gone, stays = bench.append("gone"), bench.append("stays")
    await asyncio.sleep(0)
    gone.cancel()
    bench.log.free.set()
    await asyncio.gather(first, stays)
    assert kept_ids(bench.log) == ["first", "gone", "stays"]
    assert gone.cancelled()


async def test_close_commits_what_waits(bench: Bench) -> None:
    """Then lets go of log and ring; whoever comes later is refused, closing twice is fine."""
    first = await bench.hold()
    rest = [bench.append(f"m-{n}") for n in range(3)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(bench.commits.close())
    await asyncio.sleep(0)
    with pytest.raises(LogFull, match="closed"):
        await bench.commits.append(arrival("late"), [])
    assert "closed" in await bench.commits.trouble()
    bench.log.free.set()
    await asyncio.gather(first, *rest, closing)
    assert kept_ids(bench.log) == ["first", "m-0", "m-1", "m-2"]
    assert bench.log.closed
    await bench.commits.close()


async def test_the_log_s_trouble_is_told(bench: Bench) -> None:
    """In its words; "" without."""
    assert await bench.commits.trouble() == ""
    bench.log.storage.failure = "the disk is full"
    assert await bench.commits.trouble() == "the disk is full"


async def test_a_segment_is_ended_between_two_commits(tmp_path: Path) -> None:
    """In the log's own thread; once the log is closed nothing happens any more."""
    log = BlockLog(SqliteStorage(tmp_path / "log", ManualClock(NOW_MS)), ManualClock(NOW_MS))
    commits = GroupCommit(log, RefusedRing(tmp_path / "refused.db"), lambda _: None)
    await commits.append(arrival("a"), [])
    await commits.roll()
    await commits.append(arrival("b"), [])
    assert [one for one, _ in segment_paths(tmp_path / "log")] == [1, 2]
    await commits.limit(1)
    assert "retention.maxBytes" in await commits.trouble()
    await commits.close()
    await commits.roll()
    await commits.limit(0)
    assert await commits.erase_refused(["ann"]) == 0


async def test_refusals_are_forgotten_between_two_commits(bench: Bench) -> None:
    """In the ring's own thread."""
    refusal = Refusal(NOW_MS, "website", "no_ids", "m", b'{"userId":"ann"}')
    await bench.append("a", refusals=[refusal])
    assert await bench.commits.erase_refused(["ann"]) == 1
    await bench.commits.close()
