"""Per-user order: every user has a lane, and at most one request at a time carries messages of a lane.

Between reading the log and making requests, for one destination. Pure bookkeeping, no I/O, no clock.
A lane's head is either one profile write, which goes alone because the next one must not be sent before
its outcome is durable, or a run of events, which keep their order inside one request.

Lanes of replayed messages stand behind the others: they are asked for apart. A user's replayed events have
a lane of their own, since they are not ordered against what is live.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from headgate.destinations.interface import Endpoint, Row

Lane = str | tuple[str]  # the user's; or, in brackets, that of the user's replayed events


def user_of(lane: Lane) -> str:
    """Whose lane it is."""
    return lane if isinstance(lane, str) else lane[0]


class Pending(msgspec.Struct, gc=False):
    """A message on its way: its number, its row, and what has been tried so far."""

    seq: int
    row: Row
    message_id: str
    attempts: int = 0
    first_attempt_ms: int = 0


class Run(msgspec.Struct):
    """Neighbouring messages of one lane that go into one request, in order."""

    lane: Lane
    messages: list[Pending]

    @property
    def identity(self) -> str:
        """Whose messages they are."""
        return user_of(self.lane)


class Batch(msgspec.Struct):
    """What one request carries: runs of different lanes, all for one endpoint."""

    endpoint: str
    runs: list[Run]

    def messages(self) -> Iterator[Pending]:
        """Every message, in the order of the request."""
        for run in self.runs:
            yield from run.messages

    def __len__(self) -> int:
        return sum(len(run.messages) for run in self.runs)

    @property
    def seqs(self) -> list[int]:
        """The numbers of the messages, ascending."""
        return sorted(message.seq for message in self.messages())

    @property
    def lanes(self) -> list[Lane]:
        """The lanes that are held for it."""
        return [run.lane for run in self.runs]

    @property
    def identities(self) -> list[str]:
        """Whose messages it carries."""
        return [run.identity for run in self.runs]

    def rows_by_user(self) -> dict[str, int]:
        """How many rows of each user it carries."""
        rows: Counter[str] = Counter()
        for run in self.runs:
            rows[run.identity] += len(run.messages)
        return rows

    @property
    def oldest(self) -> Pending:
        """The message with the smallest number."""
        return min((run.messages[0] for run in self.runs), key=lambda message: message.seq)


class Lanes:
    """The messages of one destination that wait for their turn, by user."""

    def __init__(self, endpoints: Mapping[str, Endpoint]) -> None:
        self._endpoints = endpoints
        self._queues: dict[Lane, deque[Pending]] = {}
        self._held: set[Lane] = set()
        self._behind: dict[Lane, None] = {}
        self._ready: dict[bool, dict[str, dict[Lane, None]]] = {
            behind: {name: {} for name in endpoints} for behind in (False, True)
        }
        self._size = 0

    def __len__(self) -> int:
        """How many messages wait, those of held lanes included; those in a batch are not counted."""
        return self._size

    def add(self, message: Pending, lane: Lane | None = None, *, behind: bool = False) -> None:
        """Put a message at the end of a lane, which is its user's own if none is named.

        A lane stands behind the others as long as each of its messages does.
        """
        if lane is None:
            lane = message.row.identity
        if not behind:
            self.bring_forward(lane)
        elif self.is_idle(lane):
            self._behind[lane] = None
        queue = self._queues.get(lane)
        if queue is None:
            queue = self._queues[lane] = deque()
        queue.append(message)
        self._size += 1
        if len(queue) == 1 and lane not in self._held:
            self._is_ready(lane)

    def hold(self, lane: Lane, *, behind: bool = False) -> bool:
        """Hold a lane in which nothing waits; False when it is held already or not empty."""
        if not self.is_idle(lane):
            return False
        self._held.add(lane)
        if behind:
            self._behind[lane] = None
        return True

    def bring_forward(self, lane: Lane) -> None:
        """The lane stands behind the others no more."""
        if lane not in self._behind:
            return
        del self._behind[lane]
        for ready in self._ready[True].values():
            if lane in ready:
                del ready[lane]
                self._is_ready(lane)
                return

    def is_behind(self, lane: Lane) -> bool:
        """Whether the lane stands behind the others."""
        return lane in self._behind

    def stands_behind(self, batch: Batch) -> bool:
        """Whether each of the batch's lanes does."""
        return all(lane in self._behind for lane in batch.lanes)

    def next_endpoint(self, *, behind: bool = False) -> str | None:
        """The endpoint of the message that has been ready longest; None when no lane is ready."""
        oldest: tuple[int, str] | None = None
        for endpoint, ready in self._ready[behind].items():
            if ready:
                head = self._queues[next(iter(ready))][0]
                oldest = min(oldest, (head.seq, endpoint)) if oldest else (head.seq, endpoint)
        return oldest[1] if oldest else None

    def take(
        self,
        endpoint: str,
        max_rows: int,
        room: Callable[[str, int], int],
        *,
        behind: bool = False,
    ) -> Batch:
        """The next batch for an endpoint: at most `max_rows` and what the endpoint's body takes.

        `room(identity, n)` says how many of `n` rows the user's budget allows; lanes without room are
        passed over and stay ready. The lanes of the batch are held until `release` or `put_back`.
        """
        limits = self._endpoints[endpoint]
        rows_left, bytes_left = min(max_rows, limits.max_rows), limits.max_body_bytes
        ready = self._ready[behind][endpoint]
        batch = Batch(endpoint, [])
        for lane in ready:
            if rows_left <= 0:
                break
            queue = self._queues[lane]
            most = 1 if limits.writes_profile else min(rows_left, len(queue))
            allowed = room(user_of(lane), most)
            if allowed <= 0:
                continue
            run, used_bytes = self._run(queue, endpoint, allowed, bytes_left, first=not batch.runs)
            if not run:
                break
            batch.runs.append(Run(lane, run))
            rows_left -= len(run)
            bytes_left -= used_bytes
        for taken in batch.runs:
            del ready[taken.lane]
            self._held.add(taken.lane)
        self._size -= len(batch)
        return batch

    def release(self, lanes: Iterable[Lane]) -> None:
        """The lanes' messages in flight are settled: whoever waits behind them may go."""
        for lane in lanes:
            self._held.discard(lane)
            if self._queues.get(lane):
                self._is_ready(lane)
            else:
                self._queues.pop(lane, None)
                self._behind.pop(lane, None)

    def put_back(self, lane: Lane, messages: list[Pending]) -> None:
        """Return messages of a held lane to its front, in order. The lane stays held."""
        self._queues.setdefault(lane, deque()).extendleft(reversed(messages))
        self._size += len(messages)

    def is_idle(self, lane: Lane) -> bool:
        """Whether nothing of the lane is under way or waits in memory."""
        return lane not in self._held and not self._queues.get(lane)

    def shorten(self, keep: int, *, only_behind: bool = False) -> dict[Lane, list[Pending]]:
        """Takes out, by lane, every waiting message behind the lane's first `keep`."""
        tails: dict[Lane, list[Pending]] = {}
        for lane in self._behind if only_behind else self._queues:
            if len(self._queues.get(lane, ())) > keep:
                tails[lane] = self._tail(lane, keep)
        if not keep:
            self._drop(tails)
        return tails

    def _tail(self, lane: Lane, keep: int) -> list[Pending]:
        queue = self._queues[lane]
        tail = [queue.pop() for _ in range(len(queue) - keep)][::-1]
        self._size -= len(tail)
        return tail

    def _drop(self, lanes: Iterable[Lane]) -> None:
        """The lanes are empty."""
        for lane in lanes:
            del self._queues[lane]
            for by_endpoint in self._ready.values():
                for ready in by_endpoint.values():
                    ready.pop(lane, None)
            if lane not in self._held:
                self._behind.pop(lane, None)

    def _is_ready(self, lane: Lane) -> None:
        self._ready[lane in self._behind][self._queues[lane][0].row.endpoint][lane] = None

    def _run(
        self, queue: deque[Pending], endpoint: str, most: int, bytes_left: int, *, first: bool
    ) -> tuple[list[Pending], int]:
        """The head of a queue as far as it fits; a message too large for any request still goes, alone."""
        run: list[Pending] = []
        used = 0
        while queue and len(run) < most and queue[0].row.endpoint == endpoint:
            size = len(queue[0].row.encoded) + 1
            if used + size > bytes_left and not (first and not run):
                break
            run.append(queue.popleft())
            used += size
        return run, used


def split(batch: Batch) -> tuple[Batch, Batch | None, Run | None]:
    """Two halves of a batch of several messages, to find out which of them is refused.

    The first half always; then either the other half, when it holds other lanes, or, when the batch is
    one lane, the rest of that lane's run, which must wait until the first half is settled.
    """
    if len(batch.runs) > 1:
        middle = len(batch.runs) // 2
        first, other = batch.runs[:middle], batch.runs[middle:]
        return Batch(batch.endpoint, first), Batch(batch.endpoint, other), None
    run, rest = _cut(batch.runs[0], len(batch) // 2)
    return Batch(batch.endpoint, [run]), None, rest


def first_message(batch: Batch) -> tuple[Batch, Batch | None, Run | None]:
    """The batch's oldest message alone, the other lanes' runs, and the rest of its own lane's run."""
    oldest = batch.oldest
    head = next(run for run in batch.runs if run.messages[0] is oldest)
    others = [run for run in batch.runs if run is not head]
    alone, rest = _cut(head, 1)
    return (
        Batch(batch.endpoint, [alone]),
        Batch(batch.endpoint, others) if others else None,
        rest,
    )


def affordable(
    batch: Batch, max_rows: int, room: Callable[[str, int], int]
) -> tuple[Batch | None, Batch | None, list[Run]]:
    """What of a batch may go now, the runs that have to wait, and the rests of runs of which a part may go.

    `room` as in `Lanes.take`.
    """
    now: list[Run] = []
    later: list[Run] = []
    rests: list[Run] = []
    for run in batch.runs:
        allowed = room(run.identity, min(max_rows, len(run.messages)))
        if allowed <= 0:
            later.append(run)
            continue
        part, rest = _cut(run, allowed)
        now.append(part)
        max_rows -= allowed
        if rest is not None:
            rests.append(rest)
    return (
        Batch(batch.endpoint, now) if now else None,
        Batch(batch.endpoint, later) if later else None,
        rests,
    )


def partition(
    batch: Batch, chosen: Callable[[Pending], bool]
) -> tuple[list[Pending], Batch | None]:
    """The chosen messages, and a batch of the others."""
    taken = [message for message in batch.messages() if chosen(message)]
    runs = [
        Run(run.lane, [message for message in run.messages if not chosen(message)])
        for run in batch.runs
    ]
    others = [run for run in runs if run.messages]
    return taken, Batch(batch.endpoint, others) if others else None


def _cut(run: Run, n: int) -> tuple[Run, Run | None]:
    if n >= len(run.messages):
        return run, None
    return Run(run.lane, run.messages[:n]), Run(run.lane, run.messages[n:])
