"""All couriers together: one per destination that there is or was. Started and woken by the worker.

A removed destination keeps its courier: it settles what was accepted while the destination was there.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

import msgspec

from headgate.clock import Clock
from headgate.delivery.breaker import Breaker, State
from headgate.delivery.budget import Spending, strictest
from headgate.delivery.connection import Connection, Tools
from headgate.delivery.courier import Courier
from headgate.delivery.decoded import DecodedLog
from headgate.delivery.facts import Facts
from headgate.delivery.owing import Owing
from headgate.delivery.progress import Progress
from headgate.delivery.recorder import Recorder
from headgate.delivery.routing import Removed, Router
from headgate.delivery.store import SPENDING_KEPT_MS, DeliveryStore
from headgate.delivery.transport import Transport
from headgate.destinations.interface import Budget
from headgate.destinations.interface import Destination as Kind
from headgate.eventlog.interface import LogReader
from headgate.spec.message import Envelope
from headgate.spec.settings import duration_s
from headgate.workspace.store import DestinationStay
from headgate.workspace.versions import Versions


class DestinationStatus(msgspec.Struct, frozen=True):
    """How one destination is doing."""

    slug: str
    state: str
    trouble: str
    cursor: int
    pending: int


class Delivery:
    """Delivers the log to every destination."""

    def __init__(
        self,
        *,
        log: LogReader,
        store: DeliveryStore,
        versions: Versions,
        history: Callable[[], list[DestinationStay]],
        catalog: Mapping[str, Kind],
        transport: Transport,
        clock: Clock,
        chance: random.Random,
        settled: Callable[[int], None],
        executor: Executor | None = None,
    ) -> None:
        self._log = log
        self._store = store
        self._versions = versions
        self._history = history
        self._owing = Owing(versions)
        self._catalog = catalog
        self._settled = settled
        self._recorder = Recorder(store, clock, self._recorded, executor)
        self._tools = Tools(DecodedLog(log), self._recorder, transport, clock, chance)
        self._spending: dict[str, Spending] = {}
        self._couriers: dict[int, Courier] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def start(self) -> None:
        """Takes up delivery where the last process left it."""
        self._remember_spending()
        self.reconfigure()

    def wake(self) -> None:
        """There are new messages in the log."""
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

    def status(self) -> list[DestinationStatus]:
        """How every destination of the current workspace is doing."""
        return [
            DestinationStatus(
                slug=courier.name,
                state=_state(courier),
                trouble=courier.breaker.trouble or self._recorder.trouble,
                cursor=courier.progress.cursor,
                pending=courier.progress.pending,
            )
            for courier in self._couriers.values()
            if not courier.connection.is_removed
        ]

    def settled_to(self) -> int:
        """Every message up to this number is settled for every destination."""
        cursors = [courier.progress.cursor for courier in self._couriers.values()]
        return min(cursors, default=self._log.last_seq())

    def counts(self) -> list[tuple[str, str, str, int]]:
        """(destination, outcome, reason, messages), from the facts on disk."""
        counted: Counter[tuple[str, str, str]] = Counter()
        for one in self._store.tallies():
            if one.destination in self._couriers:
                counted[self._couriers[one.destination].name, one.outcome, one.reason] += (
                    one.recorded
                )
        return [(*key, n) for key, n in counted.items()]

    async def stop(self, within_s: float) -> None:
        """Starts nothing new, gives what is in flight `within_s` seconds, records what came of it.

        What is cut off is sent again after the next start, under the same idempotency keys.
        """
        await asyncio.gather(*(courier.stop(within_s) for courier in self._couriers.values()))
        await self._recorder.close()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._tools.transport.close()
        self._log.close()

    def _recorded(self) -> None:
        self._settled(self.settled_to())

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
        retries = {
            seq: retry
            for seq, retry in self._store.retries_above(connection.id, cursor).items()
            if not progress.is_settled(seq)
        }
        standing = self._store.standings().get(connection.id)
        breaker = Breaker(State(standing.state) if standing else State.CLOSED)
        courier = Courier(connection, self._tools, progress, retries, breaker)
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


def _state(courier: Courier) -> str:
    """The breaker's state; failing, too, while the last answer was a failure."""
    is_in_trouble = courier.breaker.trouble and not courier.breaker.is_open
    return (State.FAILING if is_in_trouble else courier.breaker.state).value
