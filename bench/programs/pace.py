"""A sender that posts at a steady rate, however fast answers come, and notes when each request was accepted.

`python -m bench.programs.pace` reads a plan (msgpack) from stdin and prints one JSON line.
"""

import json
import select
import sys
import time
from collections import deque

import msgspec

from bench.programs.posts import Connection, Requests, Target


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Requests per second, and for how long; one that finds every connection taken goes once one is free."""

    target: Target
    connections: int
    per_second: int
    seconds: float


class Result(msgspec.Struct, frozen=True):
    """When each request was accepted, by its first messageId, on the machine's monotonic clock."""

    accepted_at: dict[str, float]
    failures: int


def run(plan: Plan) -> Result:
    """Posts as planned."""
    requests = Requests(plan.target)
    connections = [Connection(plan.target.port) for _ in range(plan.connections)]
    poll = select.epoll()
    by_number = {one.fileno(): one for one in connections}
    for number in by_number:
        poll.register(number, select.EPOLLIN)
    idle = deque(connections)
    accepted_at: dict[str, float] = {}
    failures = sent = 0
    total = round(plan.per_second * plan.seconds)
    started_at = time.monotonic()
    while sent < total or len(idle) < len(connections):
        due_in_s = started_at + sent / plan.per_second - time.monotonic()
        can_send = sent < total and bool(idle)
        if can_send and due_in_s <= 0:
            connection = idle.popleft()
            request, connection.ids = requests.next()
            connection.send(request)
            sent += 1
            continue
        for number, _ in poll.poll(due_in_s if can_send else None):
            connection = by_number[number]
            is_accepted = connection.read()
            if is_accepted is None:
                continue
            if is_accepted:
                accepted_at[connection.ids[0].decode()] = time.monotonic()
            else:
                failures += 1
            idle.append(connection)
    for one in connections:
        one.close()
    return Result(accepted_at, failures)


if __name__ == "__main__":
    result = run(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Plan))
    print(json.dumps(msgspec.to_builtins(result)))
