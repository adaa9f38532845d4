"""Messages that are sent again: order, budgets, live messages beside them, restarts. In simulated time."""

import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from functools import partial
from typing import Any

import msgspec
import pytest

from headgate.delivery import intake, room
from headgate.delivery.answers import Answer
from headgate.delivery.letters import unsealed
from headgate.destinations.interface import Request
from simulation import Message, World, identify, in_order, share, track

DELIVERED = ("delivered", "")
REPLAYED = ("replayed", "")
UNLIMITED = {"eventsPerMinute": 0, "eventsPerMinutePerUser": 0}

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


async def delivered(world: World, messages: Iterable[Message]) -> None:
    """All of them have been delivered, and count against no budget any more."""
    world.append(messages)
    await world.run_until_settled(100_000.0)
    await world.run(62)


async def taken_up(world: World, name: str, seqs: Iterable[int], within_s: float = 30.0) -> None:
    """A replay is asked for, and recorded."""
    asked = world.replay(name, seqs)
    assert await world.run(within_s, asked.done)
    asked.result()


def assert_tallies_are_what_the_facts_add_up_to(world: World) -> None:
    """What stands is each message's last outcome."""
    standing = {
        (one.outcome, one.reason): one.standing for one in world.store.tallies() if one.standing
    }
    assert standing == Counter(world.last_outcomes().values())


async def test_replayed_messages_get_one_more_outcome_and_no_others_do(
    worlds: WorldFactory,
) -> None:
    """Events and profile writes; heap knows the events' keys and the profiles stay as they are."""
    world = worlds()
    delivery = world.start()
    messages = [(identify if n % 3 else track)(n, f"user-{n % 40}") for n in range(1, 1_001)]
    await delivered(world, messages)
    before = {user: dict(traits) for user, traits in world.heap.users.items()}
    wanted = [seq for seq in range(1, 1_001) if seq % 7 == 0]
    again = set(wanted) | later_writes(messages, wanted)
    await taken_up(world, "r1", wanted)
    assert delivery.status()[0].replaying == len(again)
    await world.run_until_settled()
    for seq, outcomes in world.store.outcomes().items():
        assert outcomes == ([DELIVERED, REPLAYED, DELIVERED] if seq in again else [DELIVERED])
    assert world.heap.users == before
    assert_tallies_are_what_the_facts_add_up_to(world)
    (progress,) = world.store.replays()
    assert (progress.total, progress.settled) == (len(again), len(again))
    assert progress.ended_at_ms is not None


async def test_a_replay_is_taken_up_once_and_by_no_destination_that_is_gone(
    worlds: WorldFactory,
) -> None:
    """The same name again changes nothing, also after a restart; nor does one without messages."""
    world = worlds()
    world.start()
    await delivered(world, [track(1), track(2)])
    request = world.request("r1", [1, 2])
    for _ in range(2):
        await world.running.replay(request)
        await world.running.replay(request)
        await world.run_until_settled()
        await world.kill()
        world.start()
    assert world.store.outcomes()[1] == [DELIVERED, REPLAYED, DELIVERED]
    await taken_up(world, "nothing", [])
    assert all(one.ended_at_ms is not None for one in world.store.replays())
    world.configure({})
    await taken_up(world, "r2", [1])
    assert not world.store.knows_replay("r2", 1)


async def test_what_has_no_outcome_yet_is_not_replayed(worlds: WorldFactory) -> None:
    """A message that waits for its retry stays as it is; the request does not settle it twice."""
    world = worlds()
    world.start()
    await delivered(world, [track(1)])
    world.append([track(2, "bob", "503;200,200")])
    await world.run(10)
    await taken_up(world, "r1", [1, 2])
    await world.run(180)
    assert len(world.store.attempts_of(1, 2)) == 1  # Heap had asked for 200 s
    await world.run_until_settled()
    assert world.store.outcomes() == {1: [DELIVERED, REPLAYED, DELIVERED], 2: [DELIVERED]}
    assert world.store.replays()[0].total == 1


async def test_a_replayed_message_is_mapped_by_the_settings_of_today(worlds: WorldFactory) -> None:
    """What was discarded goes, what is not meant to go any more is discarded, its dead letter dropped."""
    world = worlds({"heap": {"junkIdentities": ["ann"]}})
    world.start()
    await delivered(world, [track(1, "ann"), track(2, "bob", "400"), track(3, "bob")])
    assert [letter.seq for letter in world.store.dead_letters()] == [2]
    world.configure({"heap": {"junkIdentities": ["bob"]}})
    await taken_up(world, "r1", [1, 2, 3])
    await world.run_until_settled()
    junk = ("discarded", "junk_identity")
    assert world.last_outcomes() == {1: DELIVERED, 2: junk, 3: junk}
    assert not list(world.store.dead_letters())
    assert_tallies_are_what_the_facts_add_up_to(world)


# live messages and budgets


async def test_a_replay_alone_uses_the_budget_and_never_more(worlds: WorldFactory) -> None:
    """Over 95 % of 3,000 rows a minute for ten minutes."""
    world = worlds({"heap": {"limits": UNLIMITED}})
    world.start()
    await delivered(world, (track(n, f"user-{n % 5_000}") for n in range(1, 40_001)))
    world.configure({"heap": {"limits": {"eventsPerMinute": 3_000}}})
    await taken_up(world, "r1", range(1, 40_001))
    before, start_s = len(world.heap.counted), world.clock.monotonic_s()
    await world.run(660)
    del world.heap.counted[:before]
    counted = sum(users.total() for at_s, _, users in world.heap.counted if at_s - start_s >= 60)
    assert counted >= 0.95 * 3_000 * 10
    assert world.heap.most_in_a_minute() <= 3_000


async def test_live_messages_hardly_notice_a_replay_of_fifty_thousand(
    worlds: WorldFactory,
) -> None:
    """Under a limit of 6,000 a minute, with 20 live messages a second; the budget is never exceeded."""
    world = worlds({"heap": {"limits": UNLIMITED}}, latency=lambda: 0.1)
    delivery = world.start()
    await delivered(world, (track(n, f"user-{n % 5_000}") for n in range(1, 50_001)))
    world.configure({"heap": {"limits": {"eventsPerMinute": 6_000}}})
    del world.heap.counted[:]
    start_s = world.clock.monotonic_s()

    def send(first: int) -> None:
        user = f"live {world.clock.monotonic_s()}"
        world.append(track(n, user) for n in range(first, first + 5))

    for at in range(1_600):
        world.at(start_s + at * 0.25, partial(send, 50_001 + at * 5))
    await world.run(65)
    await taken_up(world, "r1", range(1, 50_001))
    await world.run(335)
    latencies = [
        at_s - float(user.removeprefix("live "))
        for at_s, _, users in world.heap.counted
        for user in users
        if user.startswith("live ")
    ]
    assert len(latencies) > 1_590
    assert share(latencies, 0.5) >= 0.99
    assert max(latencies) < 15  # while the replay is taken up
    assert world.heap.most_in_a_minute() <= 6_000
    sent = 50_000 - delivery.status()[0].replaying
    assert sent >= 0.95 * (0.96 * 6_000 - 20 * 60) * 5


async def test_a_hot_user_s_replay_holds_up_neither_the_others_nor_the_user_s_live_messages(
    worlds: WorldFactory,
) -> None:
    """100,000 replayed events of one user at 1,000 a minute; what is left of the minute is for live ones."""
    world = worlds({"heap": {"limits": UNLIMITED}})
    world.start()
    await delivered(
        world,
        (track(n, "hot" if n <= 100_000 else f"user-{n % 50}") for n in range(1, 105_001)),
    )
    world.configure({"heap": {}})
    del world.heap.counted[:]
    await taken_up(world, "r1", range(1, 105_001))
    asked_s = world.clock.monotonic_s()
    assert await world.run(40, lambda: rows_of_others(world) == 5_000)
    for n in range(105_001, 105_011):
        world.append([track(n, "hot")])
        assert await world.run(2.0, partial(has_outcome, world, n))
    await world.run(600)
    hot = sum(users["hot"] for _, _, users in world.heap.counted)
    assert hot >= 0.9 * 1_000 * (world.clock.monotonic_s() - asked_s) / 60
    assert world.heap.most_in_a_minute(user="hot") <= 1_000
    drain_s = world.running.status()[0].drain_s
    assert drain_s is not None
    assert drain_s > 80 * 60


def has_outcome(world: World, seq: int) -> bool:
    """Whether the message has its outcome."""
    return bool(world.store.outcomes_of(1, seq))


def rows_of_others(world: World) -> int:
    """How many rows of all users but the hot one were counted."""
    return sum(users.total() - users["hot"] for _, _, users in world.heap.counted)


async def test_live_messages_have_a_slot_beside_a_slow_replay(worlds: WorldFactory) -> None:
    """Requests of 8 s each: a live message never waits for one of a replay."""
    world = worlds({"heap": {"limits": UNLIMITED}})
    world.start()
    await delivered(world, (track(n, f"user-{n}") for n in range(1, 8_001)))
    await taken_up(world, "r1", range(1, 8_001))
    world.heap._latency = lambda: 8.0
    await world.run(1)
    world.append([track(8_001, "live")])
    assert await world.run(8.2, lambda: world.last_outcomes().get(8_001) == DELIVERED)
    assert world.running.status()[0].replaying > 2_000


# order


class Trouble:
    """A Heap that answers one request in ten with 500, and of one in ten the answer is lost.

    `writes` are the profile writes as they were sent, by user and by how many replays had been taken up.
    """

    def __init__(self, world: World, chance: random.Random) -> None:
        self.writes: dict[tuple[str, int], list[int]] = {}
        self._world = world
        self._chance = chance
        world.answer = self._answer

    async def _answer(self, request: Request) -> Answer:
        for row in msgspec.json.decode(request.body).get("users", ()):
            key = row["identity"], len(self._world.store.replays())
            self.writes.setdefault(key, []).append(row["properties"]["n"])
        roll = self._chance.random()
        if roll < 0.1:
            return Answer(500)
        found = await self._world.heap.answer(request)
        return Answer(0, error="reset") if roll < 0.2 else found


def profiles(messages: list[Message]) -> dict[str, Message]:
    """Every user's profile when all messages have been applied in order."""
    found: dict[str, Message] = {}
    for message in messages:
        if message["type"] == "identify":
            found.setdefault(message["userId"], {}).update(message["traits"])
    return found


def mixed(numbers: range, users: int, chance: random.Random) -> list[Message]:
    """Profile writes of one of three traits, and events."""

    def trait(n: int) -> dict[str, Any]:
        return {f"k{chance.randrange(3)}": n}

    return [
        identify(n, f"user-{chance.randrange(users)}", **trait(n))
        if chance.random() < 0.6
        else track(n, f"user-{chance.randrange(users)}")
        for n in numbers
    ]


@pytest.mark.parametrize("seed", range(6))
async def test_no_older_value_lands_after_a_newer_one_whenever_the_process_is_killed(
    worlds: WorldFactory, seed: int
) -> None:
    """Two overlapping replays while new writes arrive, Heap fails now and then, kills at random commits."""
    chance = random.Random(seed)
    world = worlds(
        {"heap": {"limits": {"eventsPerMinute": 900, "eventsPerMinutePerUser": 100}}},
        latency=lambda: chance.uniform(0.01, 0.8),
        seed=seed,
    )
    world.start()
    await delivered(world, mixed(range(1, 601), 25, chance))
    trouble = Trouble(world, chance)
    live = mixed(range(601, 901), 25, chance)
    now_s = world.clock.monotonic_s()
    for at, message in enumerate(live):
        world.at(now_s + at * 0.2, partial(world.append, [message]))
    await world.run(2)
    requests = [world.request("r1", chance.sample(range(1, 601), 150))]
    lives = 0
    while not is_done(world, 2):
        lives += 1
        assert lives < 1_000
        if lives == 4:
            requests.append(world.request("r2", chance.sample(range(1, 601), 150)))
        await world.kill()
        world.start()
        for request in requests:
            world.ask(request)
        until = partial(is_done_or_has_lived, world, chance.randint(1, 40))
        await world.run(3_600, until)
    assert lives > 10
    assert len(trouble.writes) > 50
    assert all(map(in_order, trouble.writes.values()))
    assert world.heap.users == profiles(world.messages)
    assert_each_replay_settled_each_message_once(world)
    assert_tallies_are_what_the_facts_add_up_to(world)


async def test_a_live_message_waits_for_its_user_s_replayed_writes_and_hurries_them(
    worlds: WorldFactory,
) -> None:
    """5,000 users' profiles are replayed; the last one's is sent at once when a live message wants to go."""
    world = worlds({"heap": {"limits": UNLIMITED}})
    world.start()
    users = [f"user-{1_500 if n == 4_900 else n}" for n in range(1, 5_001)]
    await delivered(world, (identify(n, user, v=n) for n, user in enumerate(users, 1)))
    world.configure({"heap": {"limits": {"eventsPerMinute": 600}}})
    await taken_up(world, "r1", range(1, 5_001))
    await world.run(5)
    world.append([track(5_001, "user-5000"), identify(5_002, "user-5000", v=0)])
    world.append([track(5_003, "user-1500")])  # of whose writes one has been read
    assert await world.run(2, lambda: all(has_outcome(world, seq) for seq in (5_002, 5_003)))
    assert world.heap.arrivals["user-5000"] == [5_000, 5_000, 5_001, 5_002]
    assert world.heap.arrivals["user-1500"] == [1_500, 4_900, 1_500, 4_900, 5_003]
    assert world.heap.users["user-5000"]["v"] == 0
    assert world.running.status()[0].replaying > 4_000


async def test_live_messages_wait_while_a_replayed_write_of_the_user_waits_for_its_retry(
    worlds: WorldFactory,
) -> None:
    """And its events wait, too, while other users' go."""
    world = worlds()
    world.start()
    script = "200,503;100,503;100,200"
    await delivered(
        world, [identify(1, "ann", script), track(2, "ann"), track(3, "bob"), identify(4, "bob")]
    )
    await taken_up(world, "r1", [2, 3])
    await taken_up(world, "r2", [1, 4])
    await world.run(5)
    world.append([track(5, "ann"), track(6, "bob")])
    await world.run(150)
    assert has_outcome(world, 6)
    assert not has_outcome(world, 5)
    await world.run_until_settled()
    assert world.heap.arrivals["ann"] == [1, 2, 1, 5]
    assert world.heap.arrivals["bob"] == [3, 4, 4, 6]


async def test_events_go_after_the_writes_of_the_same_replay(worlds: WorldFactory) -> None:
    """The user's profile comes first, however long it takes; others' events go at once."""
    world = worlds()
    world.start()
    script = "200,503;100,200"
    await delivered(world, [track(1, "ann"), track(2, "bob"), identify(3, "ann", script)])
    await taken_up(world, "r1", [1, 2, 3])
    await world.run(20)
    assert world.last_outcomes() == {1: REPLAYED, 2: DELIVERED, 3: REPLAYED}
    await world.run_until_settled()
    assert world.last_outcomes()[1] == DELIVERED


async def test_a_newer_write_that_waited_when_the_replay_was_taken_up_stays_the_newest(
    worlds: WorldFactory,
) -> None:
    """A write is pending below one that was discarded; the discarded one is replayed and still lands last."""
    world = worlds({"heap": {"junkIdentities": ["ann"]}})
    world.start()
    await delivered(world, [identify(1, "ann", v=1)])
    world.configure({"heap": {"junkIdentities": []}})
    world.append([identify(2, "ann", "503;60,200", v=2)])
    await world.run(5)
    await taken_up(world, "r1", [1])
    await world.run_until_settled()
    assert world.heap.arrivals["ann"] == [1, 2]
    assert world.heap.users["ann"]["v"] == 2


async def test_a_write_that_is_in_flight_when_a_replay_is_taken_up_stays_the_newest(
    worlds: WorldFactory,
) -> None:
    """Its answer is waited for; then it is one of those that are sent again."""
    world = worlds()
    world.start()
    await delivered(world, [identify(1, v=1)])
    world.heap._latency = lambda: 5.0
    world.append([identify(2, v=2)])
    await world.run(1)
    await taken_up(world, "r1", [1])
    await world.run_until_settled()
    assert world.heap.arrivals["ann"] == [1, 2, 1, 2]
    assert world.heap.users["ann"]["v"] == 2


async def test_what_waited_is_read_as_a_whole_before_any_of_it_is_ordered(
    worlds: WorldFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writes of a user wait, far apart, below a replayed one, and memory is full between them."""
    monkeypatch.setattr(room, "MAX_IN_MEMORY", 10)
    monkeypatch.setattr(intake, "_READ_AGAIN_AT_ONCE", 1)
    world = worlds({"heap": {"consentCategories": ["ads"]}})
    world.start()
    agrees, refuses = (
        {"context": {"consent": {"categoryPreferences": {"ads": ads}}}} for ads in (True, False)
    )
    world.append([identify(1, "ann", "503;60,200", v=1) | agrees])
    world.append([track(n, f"busy-{n}", "503;100,200") | agrees for n in range(2, 9)])
    world.append([identify(9, "ann", v=9) | agrees, identify(10, "ann", v=10) | refuses])
    await world.run(1)
    assert world.last_outcomes() == {10: ("discarded", "consent")}
    world.append([track(n, f"busy-{n}", "503;100,200") | agrees for n in range(11, 14)])
    world.configure({"heap": {}})
    await taken_up(world, "r1", [10])
    await world.run_until_settled()
    assert world.heap.arrivals["ann"] == [1, 9, 10]


async def test_writes_that_came_after_the_plan_are_sent_again_after_the_old_ones(
    worlds: WorldFactory,
) -> None:
    """Planned, then a newer value is delivered, then the replay is taken up."""
    world = worlds()
    world.start()
    await delivered(world, [identify(1, "ann", v=1), identify(2, "bob", v=2)])
    request = world.request("r1", [1])
    await delivered(world, [identify(3, "ann", v=3), identify(4, "bob", v=4)])
    world.ask(request)
    await world.run(1)
    await world.run_until_settled()
    assert world.heap.arrivals == {"ann": [1, 3, 1, 3], "bob": [2, 4]}
    assert world.heap.users["ann"]["v"] == 3


async def test_other_settings_in_the_middle_of_a_replay_change_neither_order_nor_number(
    worlds: WorldFactory,
) -> None:
    """Everything in memory is mapped anew, while writes are in flight and live messages wait for them."""
    chance = random.Random(9)
    world = worlds(latency=lambda: chance.uniform(0.01, 0.8))
    world.start()
    await delivered(world, mixed(range(1, 801), 20, chance))
    trouble = Trouble(world, chance)
    live = mixed(range(801, 1_101), 20, chance)
    now_s = world.clock.monotonic_s()
    for at, message in enumerate(live):
        world.at(now_s + at * 0.1, partial(world.append, [message]))
    for at in range(60):
        settings = {"heap": {"nullTraits": at % 2}}
        world.at(now_s + 1 + at * 0.5, partial(world.configure, settings))
    await taken_up(world, "r1", range(1, 801, 2))
    await world.run(60)
    await world.run_until_settled()
    assert all(map(in_order, trouble.writes.values()))
    assert world.heap.users == profiles(world.messages)
    assert_each_replay_settled_each_message_once(world)
    assert_tallies_are_what_the_facts_add_up_to(world)


# trouble


async def test_a_replay_waits_for_an_outage_to_end(worlds: WorldFactory) -> None:
    """Asked for while Heap is down, with live messages that wait; nothing is lost, probes go on."""
    world = worlds()
    world.start()
    await delivered(world, (track(n, f"user-{n % 300}") for n in range(1, 3_001)))
    world.heap.down = True
    world.append(track(n, f"user-{n % 300}") for n in range(3_001, 3_101))
    await world.run(60)
    await taken_up(world, "r1", range(1, 3_001))
    before = world.heap.requests
    await world.run(6 * 3_600)
    assert world.running.status()[0].state == "failing"
    assert world.heap.requests - before <= 6 * 3_600 / 7
    world.heap.down = False
    await world.run_until_settled()
    assert Counter(world.last_outcomes().values())[DELIVERED] >= 3_095
    assert_each_replay_settled_each_message_once(world)


async def test_a_replay_alone_finds_out_that_heap_is_back(worlds: WorldFactory) -> None:
    """With nothing live that could be the probe."""
    world = worlds()
    world.start()
    await delivered(world, (track(n, f"user-{n}") for n in range(1, 101)))
    world.heap.down = True
    await taken_up(world, "r1", range(1, 101))
    await world.run(300)
    assert world.running.status()[0].state == "failing"
    world.heap.down = False
    await world.run_until_settled(60)


async def test_dead_letters_are_replayed_when_the_log_has_let_go_of_their_messages(
    worlds: WorldFactory,
) -> None:
    """From their own bytes; of what is in neither, the outcome says so. Also after a restart."""
    world = worlds()
    world.start()
    world.answer = lambda request: refuse_odd(world, request)
    await delivered(world, (track(n, f"user-{n}") for n in range(1, 21)))
    world.answer = world.heap.answer
    await delivered(world, (track(n, "later") for n in range(21, 31)))
    letters = [letter.seq for letter in world.store.dead_letters()]
    assert sorted(letters) == list(range(1, 21, 2))
    del world.storage._blocks[0]
    world.running.log_starts_at(21)
    await world.run(5)
    assert not world.store.outcomes_of(1, 1)
    await taken_up(world, "r1", [*range(1, 21, 2)])
    await world.kill()
    world.start()
    await world.run_until_settled()
    assert all(world.heap.arrivals[f"user-{n}"] == [n] for n in range(1, 21))
    assert not list(world.store.dead_letters())
    standing = {(one.outcome, one.reason): one.standing for one in world.store.tallies()}
    assert standing == {DELIVERED: 30, ("failed", "refused"): 0}


async def refuse_odd(world: World, request: Request) -> Answer:
    """Every message with an odd number is refused."""
    rows = msgspec.json.decode(request.body)["events"]
    is_bad = any(row["properties"]["n"] % 2 for row in rows)
    return Answer(400) if is_bad else await world.heap.answer(request)


async def test_what_neither_log_nor_dead_letter_holds_fails_as_unreadable(
    worlds: WorldFactory,
) -> None:
    """Its outcome was known when the replay was taken up; then its block went."""
    world = worlds()
    world.start()
    await delivered(world, [track(1)])
    await delivered(world, [track(2)])
    del world.storage._blocks[0]
    await taken_up(world, "r1", [1, 2])
    await world.run_until_settled()
    assert world.last_outcomes() == {1: ("failed", "unreadable_message"), 2: DELIVERED}


async def test_a_replayed_message_that_fails_again_keeps_its_dead_letter_and_its_bytes(
    worlds: WorldFactory,
) -> None:
    """Refused once more, after the log has let go of it."""
    world = worlds()
    world.start()
    await delivered(world, [track(1, script="400")])
    await delivered(world, [track(2)])
    del world.storage._blocks[0]
    await taken_up(world, "r1", [1])
    await world.run_until_settled()
    (letter,) = world.store.dead_letters()
    kept = unsealed(letter.message)
    assert kept is not None
    assert msgspec.json.decode(kept.raw) == track(1, script="400")
    assert world.store.replays()[0].settled == 1


async def test_a_window_begins_anew_with_a_replay_and_a_restart_does_not_prolong_it(
    worlds: WorldFactory,
) -> None:
    """Failed after ten minutes, replayed, failed after ten minutes more, whatever is restarted between."""
    world = worlds({"heap": {"retryWindow": "10 minutes"}})
    world.start()
    world.append([track(1, script="500")])
    await world.run_until_settled(700.0)
    await taken_up(world, "r1", [1])
    asked_s = world.clock.monotonic_s()
    for n in range(2, 7):
        await world.run(99)
        world.append([track(n, "bob")])
        await world.run(1)
        await world.kill()
        world.start()
    assert world.last_outcomes() == {1: REPLAYED} | dict.fromkeys(range(2, 7), DELIVERED)
    await world.run_until_settled(700.0)
    assert 500 <= world.clock.monotonic_s() - asked_s <= 605
    assert world.last_outcomes()[1] == ("failed", "retry_window_over")


async def test_retention_may_not_take_what_is_being_sent_again(worlds: WorldFactory) -> None:
    """Everything is settled up to the oldest message of an open replay, and no further."""
    world = worlds()
    delivery = world.start()
    await delivered(world, (track(n, f"user-{n}") for n in range(1, 101)))
    world.heap.down = True
    await taken_up(world, "r1", range(40, 101))
    await world.run(60)
    assert delivery.status()[0].cursor == 100
    assert delivery.settled_to() == 39
    world.heap.down = False
    await world.run_until_settled()
    assert delivery.settled_to() == 100


async def test_the_cursor_moves_on_beside_a_long_replay(worlds: WorldFactory) -> None:
    """It is about live messages alone."""
    world = worlds({"heap": {"limits": UNLIMITED}})
    delivery = world.start()
    await delivered(world, (track(n, f"user-{n}") for n in range(1, 5_001)))
    world.configure({"heap": {"limits": {"eventsPerMinute": 600}}})
    await taken_up(world, "r1", range(1, 5_001))
    world.append([track(5_001, "live")])
    await world.run(5)
    assert delivery.status()[0].cursor == 5_001
    assert delivery.status()[0].pending == 0
    assert 4_000 < delivery.status()[0].replaying < 5_000
    assert delivery.status()[0].drain_s == delivery.status()[0].replaying / 600 * 60


def is_done(world: World, replays: int) -> bool:
    """Whether so many replays have come to their end, and everything else is settled."""
    ended = [one for one in world.store.replays() if one.ended_at_ms is not None]
    return len(ended) == replays and world.store.cursors()[1] >= world.log.last_seq()


def is_done_or_has_lived(world: World, commits: int) -> bool:
    """Whether the two replays are done, or the process has recorded so often."""
    return world.store.commits >= commits or is_done(world, 2)


def assert_each_replay_settled_each_message_once(world: World) -> None:
    """Outcome, replayed, outcome, … and as many of each as the replays say."""
    taken_back = 0
    for outcomes in world.store.outcomes().values():
        assert outcomes[1::2] == [REPLAYED] * (len(outcomes) // 2)
        assert REPLAYED not in outcomes[::2]
        assert len(outcomes) % 2
        taken_back += len(outcomes) // 2
    replays = world.store.replays()
    assert sum(one.total for one in replays) == taken_back
    assert all(one.settled == one.total for one in replays)


def later_writes(messages: list[Message], seqs: Iterable[int]) -> set[int]:
    """The profile writes that come after one of the numbered profile writes of the same user."""
    first: dict[str, int] = {}
    for seq in sorted(seqs):
        if messages[seq - 1]["type"] == "identify":
            first.setdefault(messages[seq - 1]["userId"], seq)
    return {
        seq
        for seq, message in enumerate(messages, 1)
        if message["type"] == "identify" and seq >= first.get(message["userId"], seq + 1)
    }


async def test_what_is_withheld_during_a_replay_keeps_the_outcome_it_had(
    worlds: WorldFactory,
) -> None:
    """Heap has taken it once: that it is not sent again does not undo that."""
    withheld: set[str] = set()
    world = worlds(withheld=lambda user, seq: "erased" if user in withheld else "")
    world.start()
    await delivered(world, [track(n, f"user-{n % 2}") for n in range(1, 21)])
    withheld.add("user-0")
    await taken_up(world, "r1", range(1, 21))
    await world.run_until_settled()
    assert set(world.last_outcomes().values()) == {DELIVERED}
    sent = [row["identity"] for request in world.transport.journal for row in rows_of(request)]
    assert Counter(sent) == {"user-0": 10, "user-1": 20}
    assert_tallies_are_what_the_facts_add_up_to(world)


def rows_of(request: Request) -> list[Message]:
    """The events of a request."""
    found: list[Message] = msgspec.json.decode(request.body)["events"]
    return found
