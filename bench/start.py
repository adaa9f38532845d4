"""A start with much behind it: seconds to the first 200, and what an id costs that duplicates are looked for in.

The ids lie in sealed segments of messages that were delivered today, the pending messages in the open one.
Their blocks are made up, ids and numbers without their text, since nothing but those is read of them.
"""

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

import numpy as np

from bench import goals, messages, usage
from bench.delivery import write_backlog
from bench.figure import Figure
from bench.gateway import SOURCE, WRITE_KEY, prepare, serving
from bench.heap import REFUSES, heap
from bench.processes import GATEWAY_CORE, load, program
from bench.programs.load import Plan
from bench.programs.posts import Connection, Requests, Target
from bench.scale import Scale
from headgate.clock import SystemClock
from headgate.delivery.facts import Facts
from headgate.delivery.store import DeliveryStore
from headgate.eventlog.block import BlockWriter, Contents
from headgate.eventlog.sealing import seal, unsealed
from headgate.eventlog.sqlite import SqliteStorage
from headgate.spec.message import Envelope
from headgate.stores import DELIVERY

_IDS_PER_BLOCK = 5_000
_LOOKED_UP = 20_000
_BATCH = 100


def figures(scale: Scale, place: Path) -> Iterator[Figure]:
    """Starts in turn with a start on an empty directory, and the memory of both after the same posts."""
    with heap(REFUSES) as target:
        empty = prepare(place / "empty", [target.port])
        full = prepare(place / "full", [target.port])
        _know_ids(full, scale.known_ids)
        write_backlog(full, scale.pending)
        first_200s = [(_first_200_s(full), _first_200_s(empty)) for _ in range(scale.rounds)]
        full_mb, full_anonymous_mb = _memory_mb(full)
        empty_mb, empty_anonymous_mb = _memory_mb(empty)
    start_s = median(one for one, _ in first_200s)
    empty_s = median(other for _, other in first_200s)
    yield Figure(
        what=f"start, {scale.pending:,} pending, {scale.known_ids:,} ids to look for duplicates in",
        value=f"first 200 after {start_s:.2f} s",
        beside=f"nothing there: {empty_s:.2f} s",
        ratio=start_s / empty_s,
        measured=start_s,
        goal=goals.START_S,
    )
    ids = scale.known_ids + scale.pending
    bytes_per_id = (full_mb - empty_mb) * 2**20 / ids
    own = (full_anonymous_mb - empty_anonymous_mb) * 2**20 / ids
    yield Figure(
        what=f"memory of an id, of {ids:,}, after {_LOOKED_UP:,} were looked for",
        value=f"{bytes_per_id:.1f} bytes (PSS); {max(0.0, own):.1f} of them not mapped files",
        beside="the gateway with no ids there, taken off",
        measured=bytes_per_id,
        goal=goals.BYTES_PER_ID,
    )


def _know_ids(data_dir: Path, count: int) -> None:
    """Sealed segments of so many messages, all settled."""
    directory = data_dir / "log"
    random = np.random.default_rng(1)
    writer = BlockWriter()
    with closing(SqliteStorage(directory, SystemClock())) as storage:
        for _ in range(count // _IDS_PER_BLOCK):
            hashes = random.integers(0, 2**64, _IDS_PER_BLOCK, np.uint64).tolist()
            first_seq = storage.last_seq() + 1
            storage.write(writer.build(first_seq, storage.last_crc(), _contents(hashes)))
        storage.roll()
        last_seq, open_first_seq = storage.last_seq(), storage.open_first_seq()
    for first_seq in unsealed(directory, open_first_seq):
        seal(directory, first_seq)
    with closing(DeliveryStore(data_dir / DELIVERY)) as store:
        store.record(Facts(cursors={1: last_seq}))


def _contents(hashes: list[int]) -> Contents:
    n = len(hashes)
    envelope = Envelope(source=SOURCE, received_at_ms=SystemClock().now_ms(), workspace_version=1)
    return Contents([envelope], [n], [b"{}"] * n, hashes, [0] * n, bytearray(n), {})


def _first_200_s(data_dir: Path) -> float:
    """From starting the server to its first 200."""
    tracks = messages.tracks(1)
    started = time.monotonic()
    with program("serve", str(data_dir), core=GATEWAY_CORE) as (_, port):
        track = Requests(Target(port, "/v1/track", WRITE_KEY, messages.templates(tracks)))
        connection = Connection(port)
        connection.send(track.next()[0])
        while (is_accepted := connection.read()) is None:
            continue
        seconds = time.monotonic() - started
        connection.close()
    if not is_accepted:
        raise RuntimeError("the first post was not answered with 200")
    return seconds


def _memory_mb(data_dir: Path) -> tuple[float, float]:
    """Of the gateway, once new ids were looked for among the known: all of it, and without mapped files."""
    with serving(data_dir) as gateway:
        bodies = messages.batch_templates(messages.tracks(1_000), _BATCH)
        target = gateway.target("/v1/batch", bodies)
        load(Plan(target=target, connections=4, requests=_LOOKED_UP // _BATCH))
        return usage.pss_mb([gateway.pid]), usage.pss_mb([gateway.pid], "Pss_Anon")
