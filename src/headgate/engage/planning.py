"""Planning: keeps the plan in step with the workspace, and computations' states with what was read.

Between the workspace's newest version and the engine. What is decided is in Engage's store before the
engine works by it.
"""

import logging
from collections.abc import Callable, Collection, Mapping

import msgspec

from headgate.clock import Clock
from headgate.destinations.interface import Destination as Kind
from headgate.engage.plan import Plan, plan_of
from headgate.engage.reader import Computed
from headgate.engage.registry import Reading, Record, State, compared
from headgate.engage.store import EngageStore
from headgate.workspace.model import Workspace

log = logging.getLogger("headgate.engage")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


class Planning:
    """Makes plans. `log_ends_at` is the number of the newest message."""

    def __init__(
        self,
        store: EngageStore,
        catalog: Mapping[str, Kind],
        clock: Clock,
        log_ends_at: Callable[[], int],
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._clock = clock
        self._log_ends_at = log_ends_at

    def by(self, workspace: Workspace) -> Plan:
        """The plan for this workspace; what it changes is recorded, and brings about a sweep."""
        self._workspace = workspace
        known = records_of(self._store.computations())
        change = compared(workspace.engage, known, self._reading())
        for key in change.refused:
            log.error("the key %s was used by another computation before; choose another", key)
        self._record(known, [self._connected(record) for record in change.records])
        return self._plan()

    def resync(self, keys: Collection[str]) -> Plan:
        """The plan by which destinations are told again of these computations' members and values."""
        known = records_of(self._store.computations())
        now_ms = self._clock.now_ms()
        again = [
            msgspec.structs.replace(record, again_before_ms=now_ms)
            if record.key in keys
            else record
            for record in known
        ]
        self._record(known, again)
        return self._plan()

    def anew(self) -> Plan:
        """The plan by which everything is computed from history once more; what was told stands until then."""
        known = records_of(self._store.computations())
        ends_at_seq = self._log_ends_at()
        again = [
            msgspec.structs.replace(record, state=State.PREPARING, ready_after_seq=ends_at_seq)
            if record.state in (State.LIVE, State.PREPARING)
            else record
            for record in known
        ]
        self._store.drop_leaves(self._store.leaves().values())
        self._record(known, again)
        return self._plan()

    def ready(self, plan: Plan) -> Plan | None:
        """Another plan, once computations that this one prepares have all that they need."""
        if not plan.preparing:
            return None
        known = records_of(self._store.computations())
        read_to = self._store.position().seq
        lacking = frozenset[int]().union(*(one.leaves for one in self._store.backfills()))
        live = [
            msgspec.structs.replace(record, state=State.LIVE)
            if record.state is State.PREPARING
            and read_to >= record.ready_after_seq
            and lacking.isdisjoint(plan.program.leaves_of[record.number])
            else record
            for record in known
        ]
        if live == known:
            return None
        self._record(known, live)
        return self._plan()

    def _record(self, known: list[Record], records: list[Record]) -> None:
        """What differs is saved; the sweep comes first, so that no crash leaves it out."""
        changed = [record for record in records if record not in known]
        if changed:
            self._store.swept_to(0)
            self._store.save_computations([_computed(record) for record in changed])

    def _plan(self) -> Plan:
        """The plan for what is recorded. New leaves are to be given what was read before they were there."""
        known = self._store.leaves()
        read_to = self._store.position().seq
        backfill = (self._store.last_backfill() + 1, read_to) if read_to else None

        def leaf_number(text: str) -> int:
            if text not in known:
                known[text] = self._store.add_leaf(text, backfill)
            return known[text]

        plan = plan_of(
            records_of(self._store.computations()),
            self._workspace.engage,
            self._enabled(),
            leaf_number,
        )
        self._store.drop_leaves(set(known.values()) - plan.program.leaves.keys())
        return plan

    def _connected(self, record: Record) -> Record:
        enabled = self._enabled()
        connected = tuple(slug for slug in record.destinations if slug in enabled)
        places = {
            one.slug: self._catalog[one.metadata_id].budget(one.settings).scope
            for one in self._workspace.destinations
            if one.slug in record.destinations and one.metadata_id in self._catalog
        }
        return record.standing(connected, places, self._clock.now_ms())

    def _enabled(self) -> dict[str, str]:
        """The name of every enabled destination as integrations objects have it, by slug."""
        return {
            one.slug: self._catalog[one.metadata_id].name
            for one in self._workspace.destinations
            if one.enabled and one.metadata_id in self._catalog
        }

    def _reading(self) -> Reading:
        return Reading(
            log_ends_at_seq=self._log_ends_at(),
            at_ms=self._clock.now_ms(),
        )


def records_of(computations: list[Computed]) -> list[Record]:
    """The registry's records of stored computations."""
    return [_decode(one.record) for one in computations]


def _computed(record: Record) -> Computed:
    return Computed(record.number, record.key, record.kind, _encode(record))
