"""Deleted users are forgotten step by step, each once the one before is done, and across restarts."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping

import msgspec
import pytest

from headgate.clock import ManualClock
from headgate.delivery.answers import Answer
from headgate.delivery.erasing import Without
from headgate.delivery.forgetting import Forgetting
from headgate.delivery.remote_deletion import Account, RemoteDeletions
from headgate.delivery.transport import FakeTransport
from headgate.delivery.withheld import Withheld
from headgate.destinations.heap.deletion import HeapUserDeletion
from headgate.destinations.heap.destination import HEAP
from headgate.destinations.heap.settings import SETTINGS
from headgate.destinations.interface import Destination as Kind
from headgate.destinations.interface import Request
from headgate.spec.settings import with_defaults
from headgate.workspace.memory_privacy import MemoryPrivacyStore
from headgate.workspace.privacy import Deletion
from simulation import quiet

HEAP_ID = 1
GONE_ID = 2


def request(*users: str) -> bytes:
    """A recorded request with an event of each of these users."""
    return msgspec.json.encode({"app_id": "1", "events": [{"identity": user} for user in users]})


class Delivery:
    """Stands for delivery: keeps recorded requests, and says in which order it was asked what."""

    def __init__(self) -> None:
        self.said: list[object] = []
        self.in_flight = asyncio.Event()
        self.in_flight.set()
        self.failure: Exception | None = None
        self.requests: dict[int, tuple[int, bytes]] = {}  # by first number: destination, body

    def withhold(self) -> None:
        self.said.append("withhold")

    async def landed(self) -> None:
        self.said.append("landing")
        assert len(self.said) < 20, "it never ends"
        await self.in_flight.wait()

    def kind_of(self, destination: int) -> Kind | None:
        return HEAP if destination == HEAP_ID else None

    async def erase_users(self, cutoffs: Mapping[str, int], without: Without) -> None:
        if self.failure is not None:
            raise self.failure
        self.said.append(("erase", dict(cutoffs)))
        for first_seq, (destination, body) in self.requests.items():
            self.requests[first_seq] = destination, without(destination, first_seq, body)


class World:
    """A worker's forgetting, over a store that outlives it."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.privacy = MemoryPrivacyStore(self.clock)
        self.asked: list[str] = []
        self.told = 0
        self.forgetting: Forgetting | None = None
        settings = with_defaults(SETTINGS, {"appId": "1", "deletionApiKey": "key"})
        self.accounts = {"heap 1": Account("heap 1", HeapUserDeletion(), settings)}

    async def start(self) -> None:
        """A worker starts on what the last one left."""
        await self.stop()
        self.withheld = Withheld(self.privacy)
        self.withheld.read()
        self.delivery = Delivery()
        remote = RemoteDeletions(
            privacy=self.privacy,
            accounts=lambda: self.accounts,
            transport=FakeTransport(self._answer),
            clock=self.clock,
            chance=random.Random(1),
        )
        self.forgetting = Forgetting(
            privacy=self.privacy,
            withheld=self.withheld,
            delivery=self.delivery,
            remote=remote,
            clock=self.clock,
            facts_erased=self._tell,
        )
        self.forgetting.start()

    async def stop(self) -> None:
        if self.forgetting is not None:
            await self.forgetting.stop()

    def look(self) -> None:
        assert self.forgetting is not None
        self.forgetting.look()

    def only(self) -> Deletion:
        [deletion] = self.privacy.deletions()
        return deletion

    def _answer(self, request: Request) -> Answer:
        self.asked.append(request.url.rpartition("/")[2])
        return Answer(200, b'{"access_token":"t","deletion_request_id":"7","status":"complete"}')

    def _tell(self) -> None:
        self.told += 1


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A running worker with nothing to forget."""
    made = World()
    await made.start()
    await quiet()
    yield made
    await made.stop()


async def test_suppression_takes_effect_as_soon_as_it_is_looked_at(world: World) -> None:
    """Before `look` returns; so does its end."""
    world.privacy.suppress("ann", actor="root")
    world.look()
    assert world.withheld.reason("ann", 1) == "suppressed"
    assert world.delivery.said == ["withhold"]
    world.privacy.unsuppress("ann", actor="root")
    world.look()
    assert world.withheld.reason("ann", 1) == ""
    assert world.delivery.said == ["withhold"]


async def test_a_deletion_waits_until_the_gateway_has_taken_it_up(world: World) -> None:
    """Until then nobody knows which messages it is about."""
    world.privacy.delete("ann", actor="root")
    world.look()
    await quiet()
    assert world.delivery.said == []
    world.privacy.take_up(7)
    world.look()
    assert world.delivery.said == ["withhold"]
    assert world.withheld.reason("ann", 7) == "erased"


async def test_a_user_is_forgotten_in_order(world: World) -> None:
    """Withheld, then nothing in flight, then erased, then told; then the destination is asked."""
    world.delivery.in_flight.clear()
    world.privacy.delete("ann", actor="root")
    world.privacy.take_up(7)
    world.look()
    await quiet()
    assert world.delivery.said == ["withhold", "landing"]
    assert (world.told, world.asked) == (0, [])
    world.delivery.in_flight.set()
    await quiet()
    assert world.delivery.said[2:] == [("erase", {"ann": 7})]
    assert world.only().facts_erased_at_ms == world.clock.now_ms()
    assert world.told == 1
    assert world.asked == ["auth_token", "user_deletion"]
    world.clock.advance(60)
    await quiet()
    assert world.asked[2:] == ["auth_token", "7"]
    assert [one.state for one in world.privacy.remote_deletions()] == ["complete"]


async def test_a_user_stays_withheld_until_the_log_has_forgotten(world: World) -> None:
    """Then the log's own mark says that the messages are erased."""
    world.privacy.delete("ann", actor="root")
    world.privacy.take_up(7)
    world.look()
    await quiet()
    assert world.withheld.reason("ann", 7) == "erased"
    world.privacy.log_erased([1])
    world.look()
    assert world.withheld.reason("ann", 7) == ""
    assert world.delivery.said == ["withhold", "landing", ("erase", {"ann": 7}), "withhold"]


async def test_recorded_requests_lose_the_user_and_nobody_else(world: World) -> None:
    """Up to the cutoff; what the user sends later is there."""
    world.delivery.requests = {
        1: (HEAP_ID, request("ann", "bob")),
        2: (HEAP_ID, request("bob")),
        7: (HEAP_ID, request("ann")),
        8: (HEAP_ID, request("ann", "cid")),
    }
    world.privacy.delete("ann", actor="root")
    world.privacy.take_up(7)
    world.privacy.delete("cid", actor="root")
    world.privacy.take_up(9)
    world.look()
    await quiet()
    assert world.delivery.requests == {
        1: (HEAP_ID, request("erased", "bob")),
        2: (HEAP_ID, request("bob")),
        7: (HEAP_ID, request("erased")),
        8: (HEAP_ID, request("ann", "erased")),
    }


async def test_a_request_that_nobody_can_read_is_not_kept(world: World) -> None:
    """Its destination's kind is not there any more; beyond the cutoffs it is left alone."""
    world.delivery.requests = {1: (GONE_ID, request("ann")), 8: (GONE_ID, request("ann"))}
    world.privacy.delete("ann", actor="root")
    world.privacy.take_up(7)
    world.look()
    await quiet()
    assert world.delivery.requests == {1: (GONE_ID, b""), 8: (GONE_ID, request("ann"))}


async def test_what_fails_is_done_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A minute later, in the same order; the destination is not asked before."""
    world.delivery.failure = OSError("disk full")
    world.privacy.delete("ann", actor="root")
    world.privacy.take_up(7)
    world.look()
    await quiet()
    assert "forgetting users stumbled and goes on" in caplog.text
    assert (world.told, world.asked) == (0, [])
    world.delivery.failure = None
    world.clock.advance(60)
    await quiet()
    assert world.told == 1
    assert world.only().facts_erased_at_ms is not None


async def test_a_deletion_that_was_taken_up_is_carried_out_after_a_restart(world: World) -> None:
    """Without anybody having to ask for it."""
    world.privacy.delete("ann", actor="root")
    world.privacy.take_up(7)
    await world.start()
    assert world.withheld.reason("ann", 7) == "erased"
    await quiet()
    assert world.delivery.said == ["landing", ("erase", {"ann": 7})]


async def test_a_restart_while_attempts_are_under_way_erases_afterwards(world: World) -> None:
    """The stop waits for nobody."""
    world.delivery.in_flight.clear()
    world.privacy.delete("ann", actor="root")
    world.privacy.take_up(7)
    world.look()
    await quiet()
    await world.stop()
    assert world.only().facts_erased_at_ms is None
    await world.start()
    await quiet()
    assert world.only().facts_erased_at_ms is not None
    assert world.told == 1


async def test_a_restart_after_the_facts_erases_nothing_twice(world: World) -> None:
    """It withholds until the log is done, and asks where nobody has been asked yet."""
    world.privacy.delete("ann", actor="root")
    world.privacy.take_up(7)
    remote = RemoteDeletions(
        privacy=world.privacy,
        accounts=lambda: world.accounts,
        transport=FakeTransport(lambda request: Answer(500)),
        clock=world.clock,
        chance=random.Random(1),
    )
    world.privacy.facts_erased([1], remote.asks(world.privacy.deletions()))
    await world.start()
    await quiet()
    assert world.withheld.reason("ann", 7) == "erased"
    assert world.delivery.said == []
    assert (world.told, world.asked) == (0, ["auth_token", "user_deletion"])


async def test_what_is_recorded_meanwhile_is_not_overlooked(world: World) -> None:
    """A deletion that is taken up while another one is being erased has its turn."""
    world.delivery.in_flight.clear()
    world.privacy.delete("ann", actor="root")
    world.privacy.take_up(7)
    world.look()
    await quiet()
    world.privacy.delete("bob", actor="root", suppress=True)
    world.privacy.take_up(9)
    world.delivery.in_flight.set()
    await quiet()
    assert world.delivery.said == [
        *("withhold", "landing", ("erase", {"ann": 7})),
        *("withhold", "landing", ("erase", {"bob": 9})),
    ]
    assert world.withheld.reason("bob", 10) == "suppressed"


async def test_deletions_of_one_user_are_erased_as_far_as_the_last_one(world: World) -> None:
    """Both are done at once."""
    world.privacy.delete("ann", actor="root")
    world.privacy.take_up(7)
    world.privacy.delete("ann", actor="root")
    world.privacy.take_up(9)
    world.look()
    await quiet()
    assert world.delivery.said[-1] == ("erase", {"ann": 9})
    assert all(one.facts_erased_at_ms for one in world.privacy.deletions())


async def test_nobody_is_named_in_the_log(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Numbers only."""
    caplog.set_level("DEBUG")
    world.privacy.delete("ann", actor="root")
    world.privacy.take_up(7)
    world.look()
    await quiet()
    assert "deliveries hold nothing of 1 deleted users any more" in caplog.text
    assert "ann" not in caplog.text


async def test_nothing_runs_while_there_is_nothing_to_do(world: World) -> None:
    """No timer, no polling."""
    assert world.clock.next_timer_s() is None
