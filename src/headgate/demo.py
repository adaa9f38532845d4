"""The demo that `make run` starts: a server, the sandbox Heap, and a workspace that connects them.

Everything is real but Heap. Whatever is posted to the printed address shows up as a line when it
arrives at the sandbox.
"""

import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headgate.server import ServeOptions, listen, serve

WRITE_KEY = "wk_demo"
_STARTS_WITHIN_S = 20.0

_WORKSPACE = """\
sources:
  - {{slug: demo, name: Demo, type: server, writeKeys: [{write_key}]}}
destinations:
  - slug: heap-sandbox
    name: Heap (sandbox)
    metadataId: heap
    sourceId: demo
    settings:
      appId: "1535634150"
      apiBaseUrl: {sandbox_url}
"""


def run_demo(data_dir: Path, host: str, port: int, app_port: int, sandbox_port: int) -> int:
    """Runs until SIGTERM or SIGINT; the exit status. Taken ports are passed over for the next free ones."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with _sandbox(_free_port("127.0.0.1", sandbox_port)) as sandbox_url:
            return _serve(data_dir, host, port, app_port, sandbox_url)
    except KeyboardInterrupt:
        return 0


def _serve(data_dir: Path, host: str, port: int, app_port: int, sandbox_url: str) -> int:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix="headgate-demo-") as config:
        config.write(_WORKSPACE.format(write_key=WRITE_KEY, sandbox_url=sandbox_url))
        config.flush()
        options = ServeOptions(
            data_dir=data_dir,
            config=Path(config.name),
            host=host,
            port=_free_port(host, port),
            app_port=_free_port("127.0.0.1", app_port),
        )
        return serve(options, lambda public, private: _welcome(public, private, sandbox_url))


def _free_port(host: str, wanted: int) -> int:
    """The first port from `wanted` on that nobody listens on."""
    for port in range(wanted, min(wanted + 100, 65_536)):
        try:
            listen(host, port).close()
        except OSError:
            continue
        return port
    raise OSError(f"no free port from {wanted} to {wanted + 99} on {host}")


@contextmanager
def _sandbox(port: int) -> Iterator[str]:
    """The address of a sandbox in a process of its own, which says on stdout what it receives.

    It is in a session of its own, so that Ctrl-C reaches the server first and Heap stays up meanwhile.
    """
    here, there = socket.socketpair()
    with here:
        with there:
            process = subprocess.Popen(
                [sys.executable, "-m", "headgate.sandbox", str(port), str(there.fileno())],
                pass_fds=(there.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            here.settimeout(_STARTS_WITHIN_S)
            if not here.recv(16):
                raise OSError(f"the sandbox did not start on port {port}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _welcome(public: str, private: str, sandbox_url: str) -> None:
    body = '{"userId": "user-1", "event": "Order Completed", "properties": {"total": 42.5}}'
    curl = f"curl {public}/v1/track -u {WRITE_KEY}: -H 'Content-Type: application/json' -d '{body}'"
    print(
        f"""
Headgate is running.

  Segment libraries send to   {public}   (write key {WRITE_KEY})
  Private port                {private}
  Heap, played by a sandbox   {sandbox_url}   (what it holds: {sandbox_url}/users)

Send a first message from another terminal:

  {curl}

Or a stream of them:

  .venv/bin/headgate send --url {public} --rate 5 --seconds 10

What arrives at Heap is shown below. Ctrl-C stops everything.
""",
        flush=True,
    )
