"""The demo that `make run` starts: a server, the sandbox Heap, a shop, a workspace that connects them.

Everything is real but Heap. Whatever is posted to the printed address shows up as a line when it
arrives at the sandbox; the shop is a page in device mode that shows what it sends.
"""

import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from headgate import shop
from headgate.server import ServeOptions, listen, serve
from headgate.workspace.errors import WorkspaceError
from headgate.workspace.sqlite_store import SqliteWorkspaceReader

WRITE_KEY = "wk_demo"
_STARTS_WITHIN_S = 20.0

_WORKSPACE = """\
sources:
  - {{slug: demo, name: Demo, type: server, writeKeys: [{write_key}]}}
  - {{slug: shop, name: Demo shop, type: website, writeKeys: [{shop_key}]}}
destinations:
  - slug: heap-sandbox
    name: Heap (sandbox)
    metadataId: heap
    sourceId: demo
    settings:
      appId: "1535634150"
      apiBaseUrl: {sandbox_url}
  - slug: heap-in-the-shop
    name: Heap (sandbox), in the shop's page
    metadataId: heap
    sourceId: shop
    connectionMode: device
    settings:
      appId: "1535634150"
      apiBaseUrl: {sandbox_url}
      scriptHost: {sandbox_host}
"""


def run_demo(data_dir: Path, host: str, port: int, app_port: int, sandbox_port: int) -> int:
    """Runs until SIGTERM or SIGINT; the exit status. Taken ports are passed over for the next free ones."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        ports = _free_ports((host, port), ("127.0.0.1", app_port), ("127.0.0.1", sandbox_port))
        _refuse_foreign_workspace(data_dir)
        with _sandbox(ports[2], _local_url(host, ports[0])) as sandbox_url:
            return _serve(data_dir, host, ports[0], ports[1], sandbox_url)
    except KeyboardInterrupt:
        return 0
    except (OSError, WorkspaceError) as error:
        print(f"headgate: {error}", file=sys.stderr)
        return 1


def _refuse_foreign_workspace(data_dir: Path) -> None:
    """The demo never replaces a workspace that somebody has made."""
    path = data_dir / "workspace.db"
    if not path.exists():
        return
    with closing(SqliteWorkspaceReader(path)) as store:
        sources = store.current().document["sources"]
    ours = {WRITE_KEY, shop.WRITE_KEY}
    if any(ours.isdisjoint(source.get("writeKeys", ())) for source in sources):
        raise OSError(
            f"{data_dir} holds a workspace of your own, which the demo would replace; "
            "call it with another directory, for example --data-dir ./headgate-demo"
        )


def _serve(data_dir: Path, host: str, port: int, app_port: int, sandbox_url: str) -> int:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix="headgate-demo-") as config:
        config.write(
            _WORKSPACE.format(
                write_key=WRITE_KEY,
                shop_key=shop.WRITE_KEY,
                sandbox_url=sandbox_url,
                sandbox_host=sandbox_url.removeprefix("http://"),
            )
        )
        config.flush()
        options = ServeOptions(
            data_dir=data_dir,
            config=Path(config.name),
            host=host,
            port=port,
            app_port=app_port,
        )
        return serve(options, lambda public, private: _welcome(public, private, sandbox_url))


def _free_ports(*wanted: tuple[str, int]) -> list[int]:
    """For each host and port the first one from there on that nobody listens on, all different."""
    with ExitStack() as held:
        return [
            held.enter_context(_listen_from(host, port)).getsockname()[1] for host, port in wanted
        ]


def _listen_from(host: str, first: int) -> socket.socket:
    for port in range(first, min(first + 100, 65_536)):
        with suppress(OSError):
            return listen(host, port)
    raise OSError(f"no free port from {first} to {first + 99} on {host}")


def _local_url(host: str, port: int) -> str:
    """Where a browser on this machine reaches a server that listens there."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


@contextmanager
def _sandbox(port: int, gateway_url: str) -> Iterator[str]:
    """The address of a sandbox and the shop, in a process that says on stdout what Heap receives.

    It is in a session of its own, so that Ctrl-C reaches the server first and Heap stays up meanwhile.
    """
    here, there = socket.socketpair()
    with here:
        with there:
            process = subprocess.Popen(
                [sys.executable, "-m", shop.__name__, str(port), str(there.fileno()), gateway_url],
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
  Heap, played by a sandbox   {sandbox_url}
    what the server sent it   {sandbox_url}/users
    what pages told it        {sandbox_url}/journal
  A shop in device mode       {sandbox_url}{shop.PATH}   (open it in a browser)

Send a first message from another terminal:

  {curl}

Or a stream of them:

  .venv/bin/headgate send --url {public} --rate 5 --seconds 10

What arrives at Heap is shown below. Ctrl-C stops everything.
""",
        flush=True,
    )
