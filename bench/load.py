"""A load generator: keep-alive connections that post one request after the other, as fast as answers come.

Runs as a process of its own on a core of its own (`python -m bench.load`), prints one JSON line. Bodies
are built ahead but for the messageIds, so that it costs the machine as little as possible.
"""

import asyncio
import json
import os
import sys
import time
from itertools import count
from typing import cast

import msgspec
import uvloop

_ID = b"00000000-0000-0000-0000-000000000000"
_ANSWERED = b"HTTP/1.1 200"


class Plan(msgspec.Struct):
    """What to post: to which port and path, over how many connections, for how long."""

    port: int
    path: str
    template: str  # a body with _ID wherever a new messageId goes
    connections: int
    seconds: float


class Result(msgspec.Struct):
    """What came of it."""

    requests: int
    failures: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Requests answered with 200 per second."""
        return self.requests / self.seconds


class _Connection(asyncio.Protocol):
    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._post()

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        run = self._run
        if data.startswith(_ANSWERED):
            run.latencies.append(now - self._sent_at)
        else:
            run.failures += 1
        if now < run.until:
            self._post()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.open -= 1
        if self._run.open == 0:
            self._run.over.set()

    def _post(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._run.request())


class _Run:
    def __init__(self, plan: Plan) -> None:
        body = plan.template.encode()
        head = (
            f"POST {plan.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Authorization: Basic d2tfYmVuY2g6\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        self._pieces = (head + body).split(_ID)
        self._run_id = os.urandom(6).hex()
        self._numbers = count()
        self.latencies: list[float] = []
        self.failures = 0
        self.open = plan.connections
        self.over = asyncio.Event()
        self.until = time.perf_counter() + plan.seconds

    def request(self) -> bytes:
        parts = [self._pieces[0]]
        for piece in self._pieces[1:]:
            parts.append(b"%s-%023d" % (self._run_id.encode(), next(self._numbers)))
            parts.append(piece)
        return b"".join(parts)


async def _load(plan: Plan) -> Result:
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    run = _Run(plan)
    for _ in range(plan.connections):
        await loop.create_connection(lambda: _Connection(run), "127.0.0.1", plan.port)
    await run.over.wait()
    ordered = sorted(run.latencies)
    return Result(
        requests=len(ordered),
        failures=run.failures,
        seconds=time.perf_counter() - started,
        p50_ms=ordered[len(ordered) // 2] * 1000 if ordered else 0.0,
        p99_ms=ordered[len(ordered) * 99 // 100] * 1000 if ordered else 0.0,
    )


def message_id_slot() -> str:
    """What to put into a template where every message gets its own id."""
    return _ID.decode()


if __name__ == "__main__":
    result = uvloop.run(_load(msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)))
    print(json.dumps(msgspec.to_builtins(result)))
