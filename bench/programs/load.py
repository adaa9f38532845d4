"""A sender that posts one request after the other on every connection, as fast as answers come.

`python -m bench.programs.load` reads a plan (msgpack) from stdin and prints one JSON line.
"""

import json
import select
import sys
import time

import msgspec

from bench.programs.posts import Connection, Requests, Target


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Ends after so many seconds, or requests when they are given."""

    target: Target
    connections: int
    seconds: float = float("inf")
    requests: int = sys.maxsize


class Result(msgspec.Struct, frozen=True):
    """What came of it. `busy` is the share of the time that the sender itself was at work.

    Clock times are of the machine's monotonic clock, the same in every process.
    """

    requests: int
    failures: int
    started_at: float
    ended_at: float
    p50_ms: float
    p99_ms: float
    busy: float

    @property
    def per_second(self) -> float:
        """Requests answered with 200 per second."""
        return self.requests / (self.ended_at - self.started_at)


def run(plan: Plan) -> Result:
    """Posts as planned."""
    requests = Requests(plan.target)
    connections = [Connection(plan.target.port) for _ in range(plan.connections)]
    poll = select.epoll()
    by_number = {one.fileno(): one for one in connections}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    latencies_s: list[float] = []
    failures = sent = under_way = 0
    used_s, started_at = time.process_time(), time.monotonic()
    until = started_at + plan.seconds

    def post(connection: Connection) -> int:
        connection.sent_at = time.monotonic()
        connection.send(requests.next()[0])
        return 1

    for one in connections[: plan.requests]:
        sent += post(one)
    under_way = sent
    while under_way:
        for number, _ in poll.poll():
            connection = by_number[number]
            is_accepted = connection.read()
            if is_accepted is None:
                continue
            now = time.monotonic()
            latencies_s.append(now - connection.sent_at)
            failures += not is_accepted
            if now < until and sent < plan.requests:
                sent += post(connection)
            else:
                under_way -= 1
    ended_at = time.monotonic()
    busy = (time.process_time() - used_s) / (ended_at - started_at)
    for one in connections:
        one.close()
    ordered = sorted(latencies_s)
    return Result(
        requests=len(ordered) - failures,
        failures=failures,
        started_at=started_at,
        ended_at=ended_at,
        p50_ms=ordered[len(ordered) // 2] * 1000,
        p99_ms=ordered[len(ordered) * 99 // 100] * 1000,
        busy=busy,
    )


if __name__ == "__main__":
    result = run(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan))
    print(json.dumps(msgspec.to_builtins(result)))
