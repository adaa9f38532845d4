"""What Engage says reaches the log once, and nothing of whoever is to be forgotten does."""

import asyncio
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import msgspec

from headgate.channel import Emitted, Taken
from headgate.clock import ManualClock
from headgate.eventlog.group_commit import GroupCommit
from headgate.eventlog.memory import memory_log
from headgate.eventlog.refused import RefusedRing
from headgate.gateway.emitted import take

NOW_MS = 1_700_000_000_000


def emitted(*users: str) -> Emitted:
    """An identify for each user."""
    raws = [b'{"type":"identify","messageId":"p-%d"}' % at for at, _ in enumerate(users)]
    ids = [f"p-{at}" for at, _ in enumerate(users)]
    return Emitted(7, "heap", raws, ids, list(users))


def emitted_behind(*users: str) -> Emitted:
    """The same, for which nobody waits."""
    return msgspec.structs.replace(emitted(*users), behind=True)


def taken(directory: Path, one: Emitted, leaving: Collection[str], times: int = 1) -> list[bytes]:
    """What the log holds after the gateway has taken it so many times, each answered with success."""
    clock = ManualClock(NOW_MS)
    with closing(memory_log(clock)) as log:

        async def take_all() -> None:
            commits = GroupCommit(log, RefusedRing(directory / "refused.db"), lambda seq: None)
            for _ in range(times):
                answer = await take(one, leaving, commits=commits, clock=clock, workspace_version=1)
                assert answer == Taken(7)
            await commits.close()

        asyncio.run(take_all())
        return [entry.raw for block in log.blocks(0) for entry in block.entries()]


def test_what_engage_says_is_in_the_log_once(tmp_path: Path) -> None:
    """However often it says it."""
    one = emitted("ann", "bob")
    assert taken(tmp_path, one, (), times=2) == one.raws


def test_what_is_said_of_users_who_are_to_be_forgotten_is_dropped(tmp_path: Path) -> None:
    """And answered all the same, so that it is not said again; neighbours are taken in."""
    one = emitted("ann", "bob", "ann", "cid")
    assert taken(tmp_path, one, {"ann"}) == [one.raws[1], one.raws[3]]


def test_the_log_knows_what_nobody_waits_for(tmp_path: Path) -> None:
    """Told again as urgent it stays as it was, since it is the same message."""
    clock = ManualClock(NOW_MS)
    with closing(memory_log(clock)) as log:

        async def take_both() -> None:
            commits = GroupCommit(log, RefusedRing(tmp_path / "refused.db"), lambda seq: None)
            for one in (emitted_behind("ann"), emitted("ann"), emitted("ann", "bob")):
                await take(one, (), commits=commits, clock=clock, workspace_version=1)
            await commits.close()

        asyncio.run(take_both())
        entries = [entry for block in log.blocks(0) for entry in block.entries()]
        assert [one.envelope.behind for one in entries] == [True, False]
        assert {one.envelope.source for one in entries} == {"engage/heap"}


def test_nothing_is_written_when_nobody_is_left(tmp_path: Path) -> None:
    """There is no block without messages."""
    assert taken(tmp_path, emitted("ann"), {"ann"}) == []
