"""`python -m bench [--quick] [--json]`: every figure once, with its yardstick from the same minute."""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from bench import pages
from bench.load import Plan, message_id_slot
from bench.processes import (
    WRITE_KEY,
    bare_uvicorn,
    cpu_s,
    family,
    headgate,
    load,
    pss_mb,
    wake_ups,
)
from headgate.clock import SystemClock
from headgate.destinations.catalog import CATALOG
from headgate.destinations.heap.mapping import map_message
from headgate.sandbox.traffic import Traffic
from headgate.spec.settings import with_defaults

_WORKSPACE = f"sources:\n  - {{slug: bench, type: server, writeKeys: [{WRITE_KEY}]}}\n"
_MESSAGE_BYTES = 1024


class Figure(msgspec.Struct):
    """One line of the table."""

    what: str
    value: str
    yardstick: str = ""
    ratio: str = ""
    goal: str = ""


class Bench:
    """The figures, one method each. `scale` shortens or lengthens every run."""

    def __init__(self, seconds: float, rounds: int) -> None:
        self._seconds = seconds
        self._rounds = rounds
        self._directory = Path(tempfile.mkdtemp(prefix="headgate-bench-"))

    def single_posts(self) -> Iterator[Figure]:
        plan = Plan(0, "/v1/track", _message(), 256, self._seconds)
        with self._server("single") as (_, port), bare_uvicorn() as bare_port:
            pairs = [
                (
                    load(msgspec.structs.replace(plan, port=port)),
                    load(msgspec.structs.replace(plan, port=bare_port)),
                )
                for _ in range(self._rounds)
            ]
        ours = statistics.median(one.per_second for one, _ in pairs)
        bare = statistics.median(other.per_second for _, other in pairs)
        ratio = statistics.median(one.per_second / other.per_second for one, other in pairs)
        yield Figure(
            "single posts, 256 connections, one core",
            f"{ours:,.0f}/s, p99 {pairs[-1][0].p99_ms:.1f} ms",
            f"bare uvicorn {bare:,.0f}/s",
            f"{ratio:.2f}",
            "0.60",
        )

    def batches(self) -> Iterator[Figure]:
        body = '{"batch":[' + ",".join([_message()] * 100) + "]}"
        plan = Plan(0, "/v1/batch", body, 16, self._seconds)
        with self._server("batches") as (pid, port):
            runs = []
            for _ in range(self._rounds):
                before = cpu_s([pid])
                run = load(msgspec.structs.replace(plan, port=port))
                runs.append((run.per_second * 100, (cpu_s([pid]) - before) / run.requests * 1e4))
        rate = statistics.median(rate for rate, _ in runs)
        yield Figure(
            "batches of 100, one core",
            f"{rate:,.0f} messages/s, {statistics.median(cpu for _, cpu in runs):.1f} CPU s per million",
            goal="90,000/s",
        )

    def mapping(self) -> Iterator[Figure]:
        heap = CATALOG["heap"]
        settings = with_defaults(heap.settings, {"appId": "1535634150"})
        traffic = Traffic(clock=SystemClock(), rng=random.Random(1), users=range(1000))
        tracks = [one for one in traffic.take(4000) if one["type"] == "track" and one.get("userId")]
        messages = [one | {"timestamp": "2026-11-23T18:24:00.123Z"} for one in tracks]
        best = min(
            _timed(lambda: [map_message(one, settings) for one in messages]) for _ in range(30)
        )
        size = statistics.mean(len(msgspec.json.encode(one)) for one in messages)
        yield Figure(
            "map_message, one core",
            f"{len(messages) / best:,.0f} messages/s of {size:,.0f} bytes",
            goal="200,000/s",
        )

    def device_mode(self) -> Iterator[Figure]:
        gzip, brotli = pages.integration_bytes()
        yield Figure("Heap integration", f"{gzip:,} bytes gzip, {brotli:,} brotli", goal="6,144")
        cpu_us = pages.settings_cpu_s(2_000 * self._rounds) * 1e6
        yield Figure("settings for a page, CPU", f"{cpu_us:.0f} µs", goal="1,000 µs")
        busy_ms = pages.main_thread_ms(2 * self._rounds + 1)
        value = "no Chromium" if busy_ms is None else f"{busy_ms:.1f} ms of CPU"
        yield Figure("page's main thread, load and two calls", value, goal="5 ms")

    def at_rest(self) -> Iterator[Figure]:
        started = time.perf_counter()
        with self._server("rest") as (pid, port):
            body = _message().encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/track",
                body,
                {"Authorization": "Basic d2tfYmVuY2g6", "Content-Type": "application/json"},
            )
            urllib.request.urlopen(request).read()
            first_s = time.perf_counter() - started
            time.sleep(2)
            pids = family(pid)
            before_cpu, before_wakes = cpu_s(pids), wake_ups(pids)
            time.sleep(self._seconds)
            used = (cpu_s(pids) - before_cpu) / self._seconds
            wakes = wake_ups(pids) - before_wakes
            yield Figure("first 200 after start", f"{first_s:.2f} s", goal="1 s")
            yield Figure("idle", f"{used:.2%} of a core, {wakes} wake-ups", goal="about zero")
            yield Figure("memory at rest, all processes", f"{pss_mb(pids):.0f} MB", goal="100 MB")

    def _server(self, name: str):  # type: ignore[no-untyped-def]
        return headgate(self._directory / name, _WORKSPACE)


def _message() -> str:
    """A track message of 1 KB from the ecommerce spec, with a slot for its id."""
    traffic = Traffic(clock=SystemClock(), rng=random.Random(7), users=range(1000))
    fitting = [
        text
        for one in traffic.take(2000)
        if one["type"] == "track" and one.get("userId")
        for text in [msgspec.json.encode(one | {"messageId": message_id_slot()}).decode()]
        if len(text) <= _MESSAGE_BYTES
    ]
    longest = max(fitting, key=len)
    return longest[:-1] + " " * (_MESSAGE_BYTES - len(longest)) + "}"


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def main() -> None:
    """Measures and prints the table."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute, rougher")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    options = parser.parse_args()
    bench = Bench(seconds=2, rounds=1) if options.quick else Bench(seconds=5, rounds=5)
    console = Console(stderr=True)
    figures: list[Figure] = []
    for measure in (
        bench.single_posts,
        bench.batches,
        bench.mapping,
        bench.device_mode,
        bench.at_rest,
    ):
        console.print(f"measuring {measure.__name__.replace('_', ' ')} …")
        figures += measure()
    if options.json:
        print(json.dumps({"machine": _machine(), "figures": msgspec.to_builtins(figures)}))
        return
    table = Table("figure", "value", "yardstick", "ratio", "goal", title=_machine())
    for figure in figures:
        table.add_row(figure.what, figure.value, figure.yardstick, figure.ratio, figure.goal)
    Console(file=sys.stdout).print(table)


if __name__ == "__main__":
    main()
