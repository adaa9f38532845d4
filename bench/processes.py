"""Starts what is measured, on the cores it is meant to have, and reads what it used."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.load import Plan, Result

SERVER_CORE = 0
LOAD_CORE = 1
WRITE_KEY = "wk_bench"

_BARE = """
import sys, uvicorn
async def app(scope, receive, send):
    await receive()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"17")]})
    await send({"type": "http.response.body", "body": b'{"success": true}'})
config = uvicorn.Config(app, port=0, access_log=False, log_level="error", lifespan="off", ws="none",
                        server_header=False, date_header=False)
sock = config.bind_socket()
print(sock.getsockname()[1], flush=True)
uvicorn.Server(config).run([sock])
"""

_SERVE = """
import os, sys
from pathlib import Path
from headgate.server import ServeOptions, serve
def started(public, private):
    print(public.rpartition(":")[2], flush=True)
options = ServeOptions(Path(sys.argv[1]), Path(sys.argv[2]), "127.0.0.1", 0, 0)
sys.exit(serve(options, started))
"""


def pinned(core: int) -> None:
    """In a child that is about to start: only this core."""
    os.sched_setaffinity(0, {core})


@contextmanager
def python(code: str, *arguments: str, core: int) -> Iterator[tuple[int, int]]:
    """A Python program on one core; (its process id, the port it printed)."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: pinned(core),
    )
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def bare_uvicorn() -> Iterator[int]:
    """The port of a uvicorn that answers every request with success and does nothing else."""
    with python(_BARE, core=SERVER_CORE) as (_, port):
        yield port


@contextmanager
def headgate(data_dir: Path, workspace: str) -> Iterator[tuple[int, int]]:
    """A server on this data directory; (its process id, its public port).

    The gateway has the server's core; its worker is moved to the other one.
    """
    config = data_dir.with_suffix(".yaml")
    config.write_text(workspace)
    with python(_SERVE, str(data_dir), str(config), core=SERVER_CORE) as (pid, port):
        for worker in children(pid):
            os.sched_setaffinity(worker, {LOAD_CORE})
        yield pid, port


def load(plan: Plan) -> Result:
    """Runs the load generator on its core."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=msgspec.json.encode(plan),
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: pinned(LOAD_CORE),
    )
    return msgspec.json.decode(done.stdout, type=Result)


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def family(pid: int) -> list[int]:
    """A process and those it has started."""
    return [pid, *children(pid)]


def cpu_s(pids: list[int]) -> float:
    """Processor seconds that processes have used so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mb(pids: list[int]) -> float:
    """Memory of processes together, shared pages counted once."""
    total_kb = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total_kb += int(line.split()[1])
    return total_kb / 1024


def wake_ups(pids: list[int]) -> int:
    """Times that processes, all their threads counted, went to sleep and were woken."""
    total = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            for line in status.read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches:"):
                    total += int(line.split()[1])
    return total
