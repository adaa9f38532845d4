"""What a message takes on disk once it is delivered and sealed, its outcome and its request included.

The messages are all that a shop's visitors send, no two alike: half of them page views and calls of unknown
visitors, which are kept and discarded with a reason, half of them delivered.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bench import goals, messages, usage
from bench.figure import Figure
from bench.gateway import prepare, serving
from bench.heap import heap
from bench.processes import pace
from bench.programs.pace import Plan
from bench.scale import Scale
from headgate.clock import SystemClock
from headgate.delivery.reader import DeliveryReader
from headgate.eventlog.sealing import seal, unsealed
from headgate.eventlog.segments import plain_parts
from headgate.eventlog.sqlite import sqlite_log
from headgate.stores import DELIVERY, LOG

_BATCH = 20  # about what Segment's libraries send at once
_BATCHES_PER_S = 250
_CONNECTIONS = 16


def figures(scale: Scale, place: Path) -> Iterator[Figure]:
    """Both stores after a run at a steady 5,000 messages a second, every segment sealed."""
    spoken = messages.spoken(scale.settled)
    bodies = messages.batch_templates(spoken, _BATCH)
    deliverable = sum(map(messages.is_deliverable, spoken))
    with heap() as target:
        data_dir = prepare(place / "data", [target.port])
        with serving(data_dir) as gateway:
            plan = Plan(
                target=gateway.target("/v1/batch", bodies),
                connections=_CONNECTIONS,
                per_second=_BATCHES_PER_S,
                seconds=len(bodies) / _BATCHES_PER_S,
            )
            pace(plan)
            target.acknowledged(deliverable, within_s=60)
    log_bytes, delivery_bytes = _sealed_bytes(data_dir / LOG), _settled_bytes(data_dir, len(spoken))
    each = (log_bytes + delivery_bytes) / len(spoken)
    yield Figure(
        what=f"disk of a sealed message of {messages.mean_bytes(spoken):,.0f} bytes",
        value=f"{each:.0f} bytes: {log_bytes / len(spoken):.0f} log and ids, "
        f"{delivery_bytes / len(spoken):.0f} outcomes and requests",
        beside=f"of {len(spoken):,}, {deliverable / len(spoken):.0%} delivered, the others discarded",
        measured=each,
        goal=goals.BYTES_PER_MESSAGE,
    )


def _sealed_bytes(directory: Path) -> int:
    """The log once it is sealed, less the segment that is begun for what comes next."""
    with closing(sqlite_log(directory, SystemClock())) as log:
        log.roll()
        open_first_seq = log.open_first_seq()
    for first_seq in unsealed(directory, open_first_seq):
        seal(directory, first_seq)
    begun = plain_parts(directory, open_first_seq)
    return usage.disk_bytes(directory) - sum(one.stat().st_size for one in begun if one.exists())


def _settled_bytes(data_dir: Path, messages_: int) -> int:
    """The store of outcomes; RuntimeError when it does not have them all."""
    path = data_dir / DELIVERY
    with closing(DeliveryReader(path)) as store:
        if store.cursors() != {1: messages_}:
            raise RuntimeError(f"not all of {messages_:,} messages are settled: {store.cursors()}")
    return usage.disk_bytes(path.parent)
