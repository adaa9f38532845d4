"""The event log after crashes and on disks that lie: what was acknowledged is there, or its loss is told.

A log is written once; every example then puts its files into a state that a crash, a bad sector or a
disk that never synced may leave, and opens it.
"""

import asyncio
import os
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from crash_states import (
    DAMAGINGS,
    Damaging,
    Files,
    copied,
    crashed_between,
    damaged,
    flipped,
    laid_out,
)
from hypothesis import given
from hypothesis import strategies as st

from depth import search
from factories import NOW_MS, arrival
from headgate.clock import ManualClock
from headgate.eventlog.log import BlockLog
from headgate.eventlog.sealing import seal
from headgate.eventlog.sqlite import SqliteStorage, sqlite_reader
from headgate.eventlog.survey import Damage, survey
from simulation import World, track

SEGMENT_MESSAGES = 12
GROUPS = [[f"{n}-{at}" for at in range(1 + n % 4)] for n in range(16)]
CHECKPOINTED = 9  # this group is so large that SQLite moves its journal into the database


class Written(NamedTuple):
    """A log's files after each group was acknowledged, and the groups' raw messages."""

    states: list[Files]
    raws: list[list[bytes]]

    def __repr__(self) -> str:
        return f"{len(self.raws)} groups"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Sixteen groups over several segments."""
    directory = tmp_path_factory.mktemp("written") / "log"
    states, raws = [], []
    with closing(opened(directory)) as log:
        states.append(copied(directory))
        for n, ids in enumerate(GROUPS):
            one = arrival(*ids, context=os.urandom(4_500_000 if n == CHECKPOINTED else 10))
            log.append([one])
            raws.append(one.raws)
            states.append(copied(directory))
    return Written(states, raws)


def opened(directory: Path) -> BlockLog:
    """The log for its writer."""
    clock = ManualClock(NOW_MS)
    return BlockLog(SqliteStorage(directory, clock, max_segment_messages=SEGMENT_MESSAGES), clock)


@contextmanager
def on_disk(files: Files) -> Iterator[Path]:
    """The files as a log's directory, for one example."""
    with tempfile.TemporaryDirectory(prefix="headgate-torn-") as home:
        yield laid_out(files, Path(home) / "log")


def read(directory: Path) -> tuple[dict[int, bytes], set[int]]:
    """What can be read, by number, and the numbers that are told to be damaged."""
    held: dict[int, bytes] = {}
    named: set[int] = set()
    for one in survey(directory):
        if isinstance(one, Damage):
            named |= set(range(one.first_seq, one.last_seq + 1))
        else:
            held |= {entry.seq: entry.raw for entry in one.entries()}
    return held, named


def numbered(groups: list[list[bytes]]) -> dict[int, bytes]:
    """The messages by the numbers that they were given."""
    return dict(enumerate((raw for group in groups for raw in group), 1))


def assert_goes_on(directory: Path, acknowledged: int) -> None:
    """New messages are taken, under numbers that nobody was given before, and are read back."""
    with closing(opened(directory)) as log:
        [answer] = log.append([arrival("new-1", "new-2")])
        assert min(answer) > acknowledged
        assert [log.find("website", one) for one in ("new-1", "new-2")] == [[one] for one in answer]


@given(group=st.integers(0, len(GROUPS) - 1), seed=st.integers(0, 2**32))
@search(25)
def test_a_crash_in_the_middle_of_a_group_costs_nothing_that_was_acknowledged(
    written: Written, group: int, seed: int
) -> None:
    """The group is there as a whole or not at all; sent again, each of its messages is there once."""
    before, after = written.states[group], written.states[group + 1]
    acknowledged = numbered(written.raws[:group])
    whole = numbered(written.raws[: group + 1])
    with on_disk(crashed_between(before, after, random.Random(seed))) as directory:
        held, named = read(directory)
        assert held in (acknowledged, whole)
        assert named <= whole.keys() - held.keys()  # a witness may have been faster than its block
        with closing(opened(directory)) as log:
            log.append([arrival(*GROUPS[group])])
            for message_id in GROUPS[group]:
                assert len(log.find("website", message_id)) == 1
        assert_goes_on(directory, len(acknowledged))


@given(
    group=st.integers(0, len(GROUPS) - 1),
    kind=st.sampled_from(DAMAGINGS),
    where=st.floats(0, 1, exclude_max=True),
)
@search(25)
def test_what_a_lying_disk_takes_from_the_journal_is_told(
    written: Written, group: int, kind: Damaging, where: float
) -> None:
    """SQLite drops a broken tail in silence; the witness and the chain of checksums do not."""
    files = Files(written.states[group + 1])
    [journal] = [name for name in files if name.endswith("-wal")]
    files[journal] = damaged(files[journal], kind, where)
    acknowledged = numbered(written.raws[: group + 1])
    with on_disk(files) as directory:
        held, named = read(directory)
        assert held.items() <= acknowledged.items()
        assert acknowledged.keys() - held.keys() <= named
        with closing(opened(directory)) as log:
            told = {seq for first, last in log.lost() for seq in range(first, last + 1)}
        assert acknowledged.keys() - held.keys() <= told
        assert_goes_on(directory, len(acknowledged))


@given(age=st.integers(1, 3))
@search(25)
def test_an_old_witness_is_no_loss(written: Written, age: int) -> None:
    """It is not synced, and may be behind the log after a loss of power."""
    files = Files(written.states[-1], witness=written.states[-1 - age]["witness"])
    with on_disk(files) as directory:
        assert read(directory) == (numbered(written.raws), set())
        assert_goes_on(directory, len(numbered(written.raws)))


@pytest.fixture(scope="module", params=["as written", "sealed"])
def at_rest(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A stopped gateway's log of small blocks, as its worker finds it."""
    directory = tmp_path_factory.mktemp("at-rest") / "log"
    world = World()
    world.log = opened(directory)
    for first in range(1, 41, 4):
        world.append(track(n, f"user-{n % 5}") for n in range(first, first + 4))
    world.log.close()
    if request.param == "sealed":
        for first_seq in (1, 13, 25):
            seal(directory, first_seq)
    return copied(directory)


@given(where=st.floats(0, 1, exclude_max=True), at_segment=st.integers(0, 3))
@search(25)
def test_a_flipped_bit_is_told_and_costs_no_other_segment(
    at_rest: Files, where: float, at_segment: int
) -> None:
    """Wherever it is: a message is what it was, or it is in a range that is named."""
    with on_disk(at_rest) as directory:
        original, named = read(directory)
        assert named == set()
    segment, others, files = _flip(at_rest, at_segment, where)
    with on_disk(files) as directory:
        held, named = read(directory)
        assert held.items() <= original.items()
        assert original.keys() - held.keys() <= named
        assert others <= held.keys(), segment
        assert_goes_on(directory, len(original))


def test_a_schema_that_is_no_text_any_more_is_told(at_rest: Files) -> None:
    """SQLite quotes the broken statement in its error, which Python then cannot decode."""
    name = next(name for name in at_rest if name.endswith(".db"))
    broken = at_rest[name].replace(b"CREATE TABLE", b"CREATE\xcdTABLE")
    with on_disk(Files(at_rest, **{name: broken})) as directory:
        held, named = read(directory)
        assert named >= set(range(1, 13))
        assert held.keys() == set(range(13, 41))
        assert_goes_on(directory, 40)


@given(where=st.floats(0, 1, exclude_max=True), at_segment=st.integers(0, 3))
@search(25)
def test_delivery_goes_on_behind_a_flipped_bit(
    at_rest: Files, where: float, at_segment: int
) -> None:
    """Every message is delivered as it was, or has failed as unreadable; what nobody can know of is told."""
    _, others, files = _flip(at_rest, at_segment, where)
    with on_disk(files) as directory:
        held, named = read(directory)
        outcomes, arrived = asyncio.run(_delivered(directory))
    assert arrived == {seq for seq, one in outcomes.items() if one == ("delivered", "")}
    assert held.keys() <= arrived
    failed = outcomes.keys() - arrived
    assert {outcomes[seq] for seq in failed} <= {("failed", "unreadable_message")}
    assert failed <= named
    assert others <= arrived


async def _delivered(directory: Path) -> tuple[dict[int, tuple[str, str]], set[int]]:
    """The outcomes of a worker that finds this log, and what reached Heap."""
    world = World()
    with closing(sqlite_reader(directory)) as reader:
        world.log = reader  # type: ignore[assignment]
        world.start()
        await world.run(60.0)
        outcomes = world.outcomes()
        await world.kill()
    return outcomes, {n for arrived in world.heap.arrivals.values() for n in arrived}


def _flip(files: Files, at_segment: int, where: float) -> tuple[str, set[int], Files]:
    """One bit of a segment changed; the segment's name, and the numbers that are in others."""
    names = [name for name in files if name.endswith(".db")]
    name = names[at_segment]
    firsts = [*(int(one[:16]) for one in names), 41]
    own = set(range(firsts[at_segment], firsts[at_segment + 1]))
    changed = flipped(files[name], int(where * 8 * len(files[name])))
    return name, set(range(1, 41)) - own, Files(files, **{name: changed})
