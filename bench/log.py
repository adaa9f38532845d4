"""The log alone: messages that are sliced and checked already, made durable in groups, in one thread."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench import messages
from bench.figure import Figure
from bench.gateway import SOURCE
from bench.scale import Scale
from headgate.clock import SystemClock
from headgate.eventlog.interface import Arrival
from headgate.eventlog.sqlite import sqlite_log
from headgate.spec.message import Envelope

_GROUPS = (100, 1_000)
_TEMPLATES = 5_000


class _Run(NamedTuple):
    messages: int
    seconds: float
    cpu_s: float


def figures(scale: Scale, place: Path) -> Iterator[Figure]:
    """Groups of two sizes, beside the same messages written to a plain file with the same fsyncs."""
    stream = messages.Stream(messages.spoken(_TEMPLATES))
    with (
        closing(sqlite_log(place / "log", SystemClock())) as log,
        _PlainFile(place / "plain") as plain,
    ):
        for group in _GROUPS:
            pairs = [
                (
                    _appended(lambda one: log.append([one]), stream, group, scale.log_s),
                    _appended(lambda one: plain.append(one.raws), stream, group, scale.log_s),
                )
                for _ in range(scale.rounds)
            ]
            yield _figure(group, pairs)


def _figure(group: int, pairs: list[tuple[_Run, _Run]]) -> Figure:
    ours = [one for one, _ in pairs]
    rate = median(one.messages / one.seconds for one in ours)
    plain = median(other.messages / other.seconds for _, other in pairs)
    return Figure(
        what=f"the log alone, groups of {group:,}",
        value=f"{rate:,.0f} messages/s",
        beside=f"a plain file, one fdatasync a group: {plain:,.0f}/s",
        ratio=median(
            (one.messages / one.seconds) / (other.messages / other.seconds) for one, other in pairs
        ),
        cpu_s_per_million=sum(one.cpu_s for one in ours) / sum(one.messages for one in ours) * 1e6,
    )


def _appended(
    append: Callable[[Arrival], object], stream: messages.Stream, group: int, seconds: float
) -> _Run:
    """Appends group after group; making the messages is not counted."""
    total, spent_s, used_s = 0, 0.0, 0.0
    while spent_s < seconds:
        arrivals = [arrival(stream, group) for _ in range(max(1, 2_000 // group))]
        started, used = time.perf_counter(), time.process_time()
        for one in arrivals:
            append(one)
        spent_s += time.perf_counter() - started
        used_s += time.process_time() - used
        total += group * len(arrivals)
    return _Run(total, spent_s, used_s)


def arrival(stream: messages.Stream, count: int) -> Arrival:
    """A request of so many new messages, as the doors hand it over."""
    raws, ids, users, types = stream.take(count)
    envelope = Envelope(source=SOURCE, received_at_ms=SystemClock().now_ms(), workspace_version=1)
    return Arrival(envelope, raws, ids, users, types)


class _PlainFile:
    """Appends to a file and does nothing else."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "_PlainFile":
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def append(self, raws: list[bytes]) -> None:
        os.write(self._file, b"".join(raws))
        os.fdatasync(self._file)
