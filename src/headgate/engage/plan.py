"""The plan: what is computed at the moment, and which destinations are told of it.

Made from the registry's records whenever the workspace or a computation's state changes; the engine works
by one plan at a time.
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from headgate.engage.computation.program import Program
from headgate.engage.definitions import computation_of
from headgate.engage.identifies import Told, computation_id
from headgate.engage.registry import Record, State
from headgate.engage.rules import Rules, rules_of
from headgate.workspace.model import Engage


class Plan(msgspec.Struct, frozen=True):
    """What the engine works by. Computations that are not live keep what they need, and say nothing."""

    program: Program
    live: frozenset[int]
    preparing: bool
    audiences: frozenset[int]
    told: tuple[Told, ...]
    rules: Rules
    sync_interval_ms: int


def plan_of(
    records: Iterable[Record],
    engage: Engage,
    destinations: Mapping[str, str],
    leaf_number: Callable[[str], int],
) -> Plan:
    """The plan for these computations. `destinations`: the name in integrations objects, by slug, of each
    destination that is enabled.
    """
    there = [record for record in records if record.state is not State.REMOVED]
    live = [record for record in there if record.state is State.LIVE]
    return Plan(
        program=Program([computation_of(record) for record in there], leaf_number),
        live=frozenset(record.number for record in live),
        preparing=any(record.state is State.PREPARING for record in there),
        audiences=frozenset(record.number for record in there if record.is_audience),
        told=tuple(
            _told(record, slug, destinations[slug])
            for record in live
            for slug in record.destinations
            if slug in destinations
        ),
        rules=rules_of({name: one.limit for name, one in engage.identity.items()}),
        sync_interval_ms=engage.sync_interval * 1000,
    )


def _told(record: Record, destination: str, name: str) -> Told:
    return Told(
        number=record.number,
        key=record.key,
        is_audience=record.is_audience,
        computation_id=computation_id(
            record.key, is_audience=record.is_audience, created_at_ms=record.created_at_ms
        ),
        destination=destination,
        destination_name=name,
        again_before_ms=max(record.again_before_ms, record.moved_at_ms.get(destination, 0)),
    )
