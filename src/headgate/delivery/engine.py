"""All couriers together: one per destination that there is or was. Started and woken by the worker.

A removed destination keeps its courier: it settles what was accepted while the destination was there.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor

import msgspec

from headgate.clock import Clock
from headgate.delivery.breaker import State
from headgate.delivery.budget import Spending, strictest
from headgate.delivery.connection import Connection, Tools
from headgate.delivery.counting import Counting
from headgate.delivery.courier import Courier
from headgate.delivery.erasing import Without
from headgate.delivery.facts import REPLAYED, Facts, Outcome, Standing
from headgate.delivery.letters import unsealed
from headgate.delivery.owing import Owing
from headgate.delivery.progress import Progress
from headgate.delivery.recorder import Recorder
from headgate.delivery.replays import ReplayRequest
from headgate.delivery.routing import Removed, Router
from headgate.delivery.shared_log import Logged, SharedLog
from headgate.delivery.store import SPENDING_KEPT_MS, DeliveryStore
from headgate.delivery.taking_up import reopened
from headgate.delivery.transport import LONGEST_ATTEMPT_S, Transport
from headgate.destinations.interface import Budget
from headgate.destinations.interface import Destination as Kind
from headgate.eventlog.interface import SegmentedReader
from headgate.spec.message import Envelope
from headgate.spec.settings import duration_s
from headgate.workspace.store import DestinationStay
from headgate.workspace.versions import Versions

_NEVER_IN_TROUBLE = Standing(State.CLOSED.value, "", 0)
_BETWEEN_FORGETTING_S = 0.1

log = logging.getLogger("headgate.delivery")


class DestinationStatus(msgspec.Struct, frozen=True):
    """How one destination is doing.

    `pending` messages were read, `unread` ones are still to be looked at, `replaying` are sent again.
    `drain_s` is how long all of them take under the budget, with those of the destinations that share it;
    None when nothing limits it.
    """

    slug: str
    state: str
    trouble: str
    since_ms: int
    cursor: int
    pending: int
    unread: int
    replaying: int
    drain_s: float | None


class Delivery:
    """Delivers the log to every destination."""

    def __init__(
        self,
        *,
        log: SegmentedReader,
        store: DeliveryStore,
        versions: Versions,
        history: Callable[[], list[DestinationStay]],
        catalog: Mapping[str, Kind],
        transport: Transport,
        clock: Clock,
        chance: random.Random,
        settled: Callable[[int], None],
        withheld: Callable[[str, int], str] = lambda user_id, seq: "",
        executor: Executor | None = None,
    ) -> None:
        self._log = log
        self._store = store
        self._versions = versions
        self._history = history
        self._owing = Owing(versions)
        self._catalog = catalog
        self._settled = settled
        self._settled_to = 0
        self._recorder = Recorder(store, clock, self._closed_to, self._recorded, executor)
        self._tools = Tools(
            log=SharedLog(log),
            recorder=self._recorder,
            transport=transport,
            clock=clock,
            chance=chance,
            letter=self._letter,
            outcome_before=self._outcome_before,
            withheld=withheld,
        )
        self._counting = Counting(log, self._recorder, clock)
        self._spending: dict[str, Spending] = {}
        self._arriving: dict[str, dict[str, int]] = {}  # by scope and user: until when
        self._couriers: dict[int, Courier] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._on_the_side: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Takes up delivery where the last process left it."""
        self._remember_spending()
        self.reconfigure()
        self._counting.start()

    def wake(self) -> None:
        """There are new messages in the log."""
        self._counting.wake()
        for courier in self._couriers.values():
            courier.wake()

    def reconfigure(self) -> None:
        """Brings couriers in line with the current version of the workspace."""
        stays = {stay.id: stay for stay in self._history()}
        found = {number: self._connection(stay) for number, stay in stays.items()}
        connections = [connection for connection in found.values() if connection is not None]
        self._share_budgets(connections)
        for connection in connections:
            courier = self._couriers.get(connection.id)
            if courier is None:
                self._start_courier(connection, stays[connection.id].first_version)
            elif courier.connection.router != connection.router:
                courier.reconnect(connection)
        self.wake()

    def try_again(self) -> None:
        """What waits for its next attempt is attempted now, whatever a destination asked for."""
        for courier in self._couriers.values():
            courier.try_again()

    def withhold(self) -> None:
        """The list of users whose messages must not go has changed, or messages of the log were erased."""
        self._tools.log.forget()
        for courier in self._couriers.values():
            courier.look_again()

    async def replay(self, request: ReplayRequest) -> None:
        """Takes up a replay, unless it is known by its name; returns when it is recorded."""
        couriers = [
            courier for id_ in request.destinations if (courier := self._to_replay(request, id_))
        ]
        tasks = [self._aside(courier.replay(request)) for courier in couriers]
        await asyncio.gather(*tasks)

    async def landed(self) -> None:
        """Returns when what was in flight has been answered, and what came of it is recorded."""
        await asyncio.gather(*(courier.landed() for courier in self._couriers.values()))

    def kind_of(self, destination: int) -> Kind | None:
        """The kind of a destination that there is or was."""
        courier = self._couriers.get(destination)
        return courier.connection.kind if courier else None

    async def erase_users(self, cutoffs: Mapping[str, int], without: Without) -> None:
        """Erases what is recorded of users' messages up to their cutoffs; durable when it returns."""
        for courier in self._couriers.values():
            courier.breaker.trouble = courier.breaker.trouble.partition(":")[0]
        await self._recorder.run(lambda store: store.erase_users(cutoffs))
        at: int | None = 0
        while at is not None:
            at = await self._recorder.run(_erase_some(at, max(cutoffs.values()), without))
            await self._tools.clock.wait(asyncio.Event(), _BETWEEN_FORGETTING_S)
        await self._recorder.run(DeliveryStore.wipe)

    def log_starts_at(self, first_seq: int) -> None:
        """The log has let go of what is below: what became of it is forgotten, bit by bit, when there is time."""
        self._aside(self._forget_before(first_seq))

    def status(self) -> list[DestinationStatus]:
        """How every destination of the current workspace is doing."""
        return [
            self._status(courier)
            for courier in self._couriers.values()
            if not courier.connection.is_removed
        ]

    def settled_to(self) -> int:
        """Every message up to this number is settled for every destination, on disk, and not being sent again."""
        if not self._recorder.is_behind:
            self._settled_to = self._closed_to()
        return self._settled_to

    def _closed_to(self) -> int:
        """The same, whether or not it is on disk yet."""
        ends = [courier.progress.cursor for courier in self._couriers.values()]
        replayed = (courier.replays.oldest_seq() for courier in self._couriers.values())
        ends += [seq - 1 for seq in replayed if seq is not None]
        return min(ends, default=self._log.last_seq())

    def counts(self) -> list[tuple[str, str, str, int]]:
        """(destination, outcome, reason, messages), from the facts on disk."""
        counted: Counter[tuple[str, str, str]] = Counter()
        for (destination, outcome, reason), n in self._recorder.counts.items():
            if destination in self._couriers:
                counted[self._couriers[destination].name, outcome, reason] += n
        return [(*key, n) for key, n in counted.items()]

    async def stop(self, within_s: float) -> None:
        """Starts nothing new, gives what is in flight `within_s` seconds, records what came of it.

        What is cut off is sent again after the next start, under the same idempotency keys.
        """
        await asyncio.gather(*(courier.stop(within_s) for courier in self._couriers.values()))
        await self._counting.stop()
        await self._recorder.close()
        tasks = [*self._tasks.values(), *self._on_the_side]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._tools.transport.close()
        self._log.close()

    def _recorded(self, settled_to: int) -> None:
        self._settled_to = settled_to
        self._settled(settled_to)
        self._counting.wake()

    def _start_courier(self, connection: Connection, first_version: int) -> None:
        """Starts where its last process stood; a new destination where its first message may be."""
        cursor = self._store.cursors().get(connection.id)
        if cursor is None:
            cursor = self._tools.log.end_before(first_version)
            self._recorder.record(Facts(cursors={connection.id: cursor}))
        progress = Progress(
            cursor=cursor,
            settled_above=self._store.settled_above(connection.id, cursor),
            owes=self._owes(connection.id),
        )
        open_replays = [
            replay for replay in self._store.open_replays() if replay.destination == connection.id
        ]
        replays, retries = reopened(self._store, connection.id, open_replays)
        retries |= {
            seq: retry
            for seq, retry in self._store.retries_above(connection.id, cursor).items()
            if not progress.is_settled(seq)
        }
        standing = self._store.standings().get(connection.id, _NEVER_IN_TROUBLE)
        courier = Courier(connection, self._tools, progress, replays, retries, standing)
        courier.expect(self._arriving.get(connection.spending.budget.scope, {}))
        self._couriers[connection.id] = courier
        self._tasks[connection.id] = asyncio.get_running_loop().create_task(
            courier.run(), name=f"courier {connection.destination.slug}"
        )

    def _connection(self, stay: DestinationStay) -> Connection | None:
        """A destination as it is now, or as it last was; None when its kind is not in the catalog."""
        version = self._versions.current() if stay.last_version is None else None
        workspace = (version or self._versions.at(stay.last_version or 0)).workspace
        found = [one for one in workspace.destinations if one.slug == stay.slug]
        if not found or found[0].metadata_id not in self._catalog:
            return None
        destination = found[0]
        kind = self._catalog[destination.metadata_id]
        return Connection(
            id=stay.id,
            destination=destination,
            kind=kind,
            router=Router(destination, kind, workspace) if version else Removed(),
            retry_window_s=duration_s(destination.settings["retryWindow"]),
            spending=self._spending_of(kind.budget(destination.settings).scope),
        )

    def _owes(self, destination_id: int) -> Callable[[Envelope], bool]:
        """Whether the destination was connected to a message's source when the message was accepted."""

        owed = self._owing.destinations
        return lambda envelope: destination_id in owed(envelope.workspace_version, envelope.source)

    def _share_budgets(self, connections: list[Connection]) -> None:
        """Destinations of one scope share its budget; where they name different limits, the lower ones hold."""
        budgets: dict[str, Budget] = {}
        for connection in connections:
            if not connection.is_removed:
                budget = connection.kind.budget(connection.destination.settings)
                shared = budgets.get(budget.scope, budget)
                budgets[budget.scope] = strictest(shared, budget)
        for scope, budget in budgets.items():
            self._spending_of(scope).budget = budget

    def _spending_of(self, scope: str) -> Spending:
        spending = self._spending.get(scope)
        if spending is None:
            spending = self._spending[scope] = Spending(Budget(scope, 0, 0))
        return spending

    def _remember_spending(self) -> None:
        """What was sent shortly before the start still counts against the budgets."""
        now_ms, now_s = self._tools.clock.now_ms(), self._tools.clock.monotonic_s()
        for spent in self._store.spending_since(now_ms - SPENDING_KEPT_MS):
            ended_s = now_s - max(0, now_ms - spent.ended_at_ms) / 1000
            self._spending_of(spent.scope).remember(spent.rows, ended_s)
            if spent.writes_profiles and spent.ended_at_ms > now_ms:
                until_ms = min(spent.ended_at_ms, now_ms + round(LONGEST_ATTEMPT_S * 1000))
                arriving = self._arriving.setdefault(spent.scope, {})
                arriving |= {user: max(until_ms, arriving.get(user, 0)) for user in spent.rows}

    def _letter(self, destination: int, seq: int) -> Logged | None:
        """The message as a dead letter kept it."""
        letter = unsealed(self._store.dead_letter_message(destination, seq))
        return Logged(seq, letter.envelope, letter.raw, letter.given_id) if letter else None

    def _outcome_before(self, destination: int, seq: int) -> tuple[Outcome, str, str] | None:
        """What had become of a message before it was to be sent again."""
        found = self._store.outcomes_of(destination, seq)
        before = [one for one in found if one.outcome != REPLAYED]
        return (before[-1].outcome, before[-1].reason, before[-1].detail) if before else None

    def _to_replay(self, request: ReplayRequest, destination: int) -> Courier | None:
        """The courier for a destination of the request, if it has something to do."""
        courier = self._couriers.get(destination)
        if courier is None or courier.connection.is_removed:
            log.warning(
                "replay %s: destination %s is gone; nothing is sent again",
                request.name,
                destination,
            )
            return None
        return None if self._store.knows_replay(request.name, destination) else courier

    def _aside(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Something that ends at the latest with delivery."""
        task = asyncio.get_running_loop().create_task(work)
        self._on_the_side.add(task)
        task.add_done_callback(self._on_the_side.discard)
        return task

    async def _forget_before(self, first_seq: int) -> None:
        await self._recorder.run(lambda store: store.forget_counts_before(first_seq))
        for courier in list(self._couriers.values()):
            oldest = courier.replays.oldest_seq()
            first = first_seq if oldest is None else min(first_seq, oldest)
            while not await self._forget_some(courier.connection.id, first):
                await self._tools.clock.wait(asyncio.Event(), _BETWEEN_FORGETTING_S)

    async def _forget_some(self, destination: int, first_seq: int) -> bool:
        await self._recorder.quiet()
        return await self._recorder.run(lambda store: store.forget_before(destination, first_seq))

    def _status(self, courier: Courier) -> DestinationStatus:
        progress, replays = courier.progress, courier.replays
        return DestinationStatus(
            slug=courier.name,
            state=courier.standing.state,
            trouble=courier.breaker.trouble or self._recorder.trouble,
            since_ms=courier.standing.since_ms,
            cursor=progress.cursor,
            pending=_pending(courier),
            unread=self._unread(courier),
            replaying=replays.left,
            drain_s=self._drain_s(courier.connection.spending),
        )

    def _drain_s(self, spending: Spending) -> float | None:
        """How long everything takes that goes out of one budget, whichever destination it is for."""
        sharing = [
            one
            for one in self._couriers.values()
            if one.connection.spending is spending and not one.connection.is_removed
        ]
        rows = (_pending(one) + self._unread(one) + one.replays.left for one in sharing)
        longest = max((one.progress.parked.longest() for one in sharing), default=0)
        return spending.drain_s(sum(rows), longest)

    def _unread(self, courier: Courier) -> int:
        return max(0, self._log.last_seq() - courier.progress.read_to)


def _pending(courier: Courier) -> int:
    """Live messages that were read; what is sent again counts elsewhere."""
    return courier.progress.pending - courier.replays.being_sent


def _erase_some(
    after_id: int, to_seq: int, without: Without
) -> Callable[[DeliveryStore], int | None]:
    return lambda store: store.erase_from_requests(after_id, to_seq, without)
