"""The delivery store after crashes and on disks that lie: facts are there whole or not at all, and a lost
tail of them means sending again under the same keys, never a lost message.
"""

import asyncio
import random
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from crash_states import DAMAGINGS, Damaging, Files, copied, crashed_between, damaged, laid_out
from hypothesis import given
from hypothesis import strategies as st

from depth import search
from headgate.delivery.facts import DELIVERED, Attempt, Facts, Settled
from headgate.delivery.store import DeliveryStore
from simulation import SnapshotStore, World, identify, in_order, track

COMMITS = 25
USERS = 7


class Recorded(NamedTuple):
    """The store's files after each commit."""

    states: list[Files]

    def __repr__(self) -> str:
        return f"{len(self.states)} states"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """One message delivered per commit, with a request so large that the journal is moved now and then."""
    directory = tmp_path_factory.mktemp("recorded") / "delivery"
    chance = random.Random(1)
    states = []
    with closing(DeliveryStore(directory / "delivery.db")) as store:
        states.append(copied(directory))
        for seq in range(1, COMMITS + 1):
            store.record(_delivered(seq, chance.randbytes(400_000)))
            states.append(copied(directory))
    return Recorded(states)


@contextmanager
def on_disk(files: Files) -> Iterator[Path]:
    """The files as the store's directory, for one example."""
    with tempfile.TemporaryDirectory(prefix="headgate-torn-") as home:
        yield laid_out(files, Path(home) / "delivery") / "delivery.db"


def read(store: DeliveryStore) -> tuple[int, list[int]]:
    """The cursor, and what is settled."""
    settled = [seq for run in store.settled_above(1, 0) for seq in run]
    return store.cursors().get(1, 0), settled


@given(commit=st.integers(0, COMMITS - 1), seed=st.integers(0, 2**32))
@search(20)
def test_a_crash_in_the_middle_of_a_commit_leaves_all_of_it_or_nothing(
    recorded: Recorded, commit: int, seed: int
) -> None:
    """What was durable stays, cursors and outcomes agree, and recording goes on."""
    before, after = recorded.states[commit], recorded.states[commit + 1]
    with (
        on_disk(crashed_between(before, after, random.Random(seed))) as path,
        closing(DeliveryStore(path)) as store,
    ):
        cursor, settled = read(store)
        assert cursor in (commit, commit + 1)
        assert settled == list(range(1, cursor + 1))
        store.record(_delivered(cursor + 1, b"more"))
        assert read(store)[0] == cursor + 1


@given(
    commit=st.integers(1, COMMITS),
    kind=st.sampled_from(DAMAGINGS),
    where=st.floats(0, 1, exclude_max=True),
)
@search(20)
def test_what_a_lying_disk_takes_from_the_journal_is_the_newest_facts_alone(
    recorded: Recorded, commit: int, kind: Damaging, where: float
) -> None:
    """An older state, never a mixed one."""
    files = Files(recorded.states[commit])
    files["delivery.db-wal"] = damaged(files["delivery.db-wal"], kind, where)
    with on_disk(files) as path, closing(DeliveryStore(path)) as store:
        cursor, settled = read(store)
        assert cursor <= commit
        assert settled == list(range(1, cursor + 1))
        store.record(_delivered(cursor + 1, b"more"))


@given(seed=st.integers(0, 2**16), lost_commits=st.integers(1, 30), runs_s=st.floats(0.1, 20))
@search(8)
def test_a_lost_tail_of_facts_is_sent_again_and_loses_nothing(
    seed: int, lost_commits: int, runs_s: float
) -> None:
    """Events keep their keys, so Heap counts each once; profiles end with the newest values."""
    asyncio.run(_lose_a_tail(seed, lost_commits, runs_s))


async def _lose_a_tail(seed: int, lost_commits: int, runs_s: float) -> None:
    chance = random.Random(seed)
    world = World(latency=lambda: chance.uniform(0.01, 0.8), seed=seed)
    saved = _keep_every_state(world.store)
    scripts = ["", "", "500,200", "lost-after-storing,200", "429;3,200"]
    messages = [
        chance.choice([track, identify])(n, f"user-{n % USERS}", chance.choice(scripts))
        for n in range(1, 61)
    ]
    world.append(messages)
    world.start()
    await world.run(runs_s)
    await world.kill()
    world.store = SnapshotStore(saved[max(0, len(saved) - 1 - lost_commits)])
    before = {user: len(arrived) for user, arrived in world.heap.arrivals.items()}
    world.start()
    await world.run_until_settled()
    outcomes = world.outcomes()
    await world.kill()
    assert outcomes == dict.fromkeys(range(1, len(messages) + 1), ("delivered", ""))
    for user, arrived in world.heap.arrivals.items():
        assert in_order(arrived[: before.get(user, 0)])
        assert in_order([n for n in arrived[before.get(user, 0) :] if _is_profile(messages, n)])
        events = [n for n in arrived if not _is_profile(messages, n)]
        assert len(set(events)) == len(events)
    for user, profile in world.heap.users.items():
        theirs = [one["traits"] for one in messages if one["userId"] == user and "traits" in one]
        assert profile["n"] == theirs[-1]["n"]


def _keep_every_state(store: SnapshotStore) -> list[bytes]:
    """What is on disk from now on, after every commit."""
    saved = [store.saved()]
    record = store.record

    def record_and_keep(facts: Facts) -> None:
        record(facts)
        saved.append(store.saved())

    store.record = record_and_keep  # type: ignore[method-assign]
    return saved


def _is_profile(messages: list[dict[str, object]], n: int) -> bool:
    return "traits" in messages[n - 1]


def _delivered(seq: int, request: bytes) -> Facts:
    attempt = Attempt(
        id=seq,
        destination=1,
        started_at_ms=1,
        ended_at_ms=2,
        url="http://heap.test/api/track",
        status=200,
        error="",
        answer=b"{}",
        request=request,
        seqs=[seq],
    )
    settled = Settled(1, DELIVERED, "", "", 2, [seq], seq)
    return Facts(attempts=[attempt], settled=[settled], cursors={1: seq})
