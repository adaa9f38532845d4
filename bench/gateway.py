"""Headgate as the thing that is measured: its data directory, and its two processes on their cores."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench import usage
from bench.computations import engage
from bench.processes import GATEWAY_CORE, OTHER_CORE, child_of, program
from bench.programs.posts import Target
from headgate.clock import SystemClock
from headgate.destinations.catalog import CATALOG
from headgate.workspace.document import checked
from headgate.workspace.sqlite_store import SqliteWorkspaceStore

WRITE_KEY = "wk_bench"
SOURCE = "bench"
APP_ID = "1535634150"

_SETTINGS = {name: destination.settings for name, destination in CATALOG.items()}


class Gateway(msgspec.Struct, frozen=True):
    """A running server: its processes and its public port."""

    pid: int
    worker_pid: int
    port: int

    @property
    def pids(self) -> list[int]:
        """Both processes."""
        return [self.pid, self.worker_pid]

    def target(self, path: str, bodies: list[bytes]) -> Target:
        """Where a sender posts these bodies."""
        return Target(self.port, path, WRITE_KEY, bodies)

    def cpu_s(self) -> float:
        """Processor seconds that both processes have used so far."""
        return usage.cpu_s(self.pids)

    def pss_mb(self) -> float:
        """Memory of both processes, shared pages counted once."""
        return usage.pss_mb(self.pids)


def prepare(data_dir: Path, heap_ports: Sequence[int] = (), *, computes: bool = False) -> Path:
    """Makes a data directory with one source that feeds a Heap on each of these ports, limits lifted.

    `computes`: Engage has its fifty computations, of which all of these are told.
    """
    data_dir.mkdir(parents=True)
    destinations = [_heap(number, port) for number, port in enumerate(heap_ports)]
    source = {"slug": SOURCE, "type": "server", "writeKeys": [WRITE_KEY]}
    whole: dict[str, Any] = {"sources": [source], "destinations": destinations}
    if computes:
        whole["engage"] = engage([one["slug"] for one in destinations])
    document = checked(whole, catalog=_SETTINGS, environment={})
    with closing(SqliteWorkspaceStore(data_dir / "workspace.db", SystemClock())) as store:
        store.commit(document, actor="bench")
    return data_dir


@contextmanager
def serving(data_dir: Path) -> Iterator[Gateway]:
    """A server on a prepared directory: the gateway on its core, the worker on the other one."""
    with program("serve", str(data_dir), core=GATEWAY_CORE) as (pid, port):
        worker_pid = child_of(pid, "headgate.worker")
        os.sched_setaffinity(worker_pid, {OTHER_CORE})  # at once, while it has only one thread
        yield Gateway(pid, worker_pid, port)


def _heap(number: int, port: int) -> dict[str, Any]:
    settings = {
        "appId": str(int(APP_ID) + number),
        "apiBaseUrl": f"http://127.0.0.1:{port}",
        "limits": {"eventsPerMinute": 0, "eventsPerMinutePerUser": 0},
    }
    return {"slug": f"heap-{number}", "sourceId": SOURCE, "settings": settings}
