"""The demo, as somebody meets it who pastes what it prints."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import pytest
from house import needs_curl

from data_dirs import DataDir, source
from processes import HEADGATE, Child, descendants, eventually, is_running

_CURL = r"^ *(curl http://127\.0\.0\.1:(\d+)/v1/track .*)$"


@pytest.fixture
def taken() -> Iterator[list[int]]:
    """Three ports that somebody else listens on."""
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        yield [server.getsockname()[1] for server in servers]


@pytest.fixture
def demo(taken: list[int], tmp_path: Path) -> Iterator[Child]:
    """A demo that has printed its curl line, on ports next to the taken ones that it was told to use."""
    options = zip(["--port", "--app-port", "--sandbox-port"], map(str, taken), strict=True)
    words = [word for pair in options for word in pair]
    with Child([HEADGATE, "demo", "--data-dir", tmp_path / "data", *words]) as child:
        child.says(_CURL)
        yield child


@needs_curl
def test_the_pasted_line_arrives_at_heap(demo: Child, taken: list[int]) -> None:
    """What is printed works as it stands, on ports that were free, and the arrival is shown."""
    line, port = demo.says(_CURL).groups()
    assert int(port) not in taken
    assert f"http://127.0.0.1:{port}" in demo.out
    assert "wk_demo" in demo.out
    assert "\x1b" not in demo.out
    done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=10, check=False)
    assert (done.returncode, done.stdout) == (0, b'{"success": true}')
    demo.says(r"^Heap .*Order Completed.*: stored$", within_s=5)


def test_the_shop_is_a_page_with_the_snippet(demo: Child) -> None:
    """Its printed address leads to it; its policy lets nothing in but the demo's own two addresses."""
    url = demo.says(r"A shop in device mode +(http://127\.0\.0\.1:\d+/shop)")[1]
    gateway = demo.says(r"Segment libraries send to +(\S+)")[1]
    with urlopen(url, timeout=10) as answer:
        policy, page = answer.headers["content-security-policy"], answer.read().decode()
    nonce = re.search(r'<script nonce="([^"]+)">', page)
    assert nonce and f"'nonce-{nonce[1]}'" in policy
    assert set(re.findall(r"https?://\S+?(?=[;\s]|$)", policy)) == {gateway}
    assert f'var url = "{gateway}";' in page
    with urlopen(url, timeout=10) as again:
        assert nonce[1] not in again.read().decode()


def test_a_workspace_of_ones_own_is_not_replaced(tmp_path: Path) -> None:
    """The demo says so and ends; its own workspace it takes up again."""
    data = DataDir(tmp_path / "data")
    data.use(sources=[source("website")])
    with Child([HEADGATE, "demo", "--data-dir", data.path]) as child:
        assert child.exits(within_s=10.0) == 1
    assert "a workspace of your own" in child.err


@pytest.mark.parametrize("how", ["ctrl-c", "SIGTERM"])
def test_its_end_leaves_nothing_behind(demo: Child, how: str) -> None:
    """Exit status 0; server, worker and sandbox are all gone."""
    family = _family(demo)
    if how == "ctrl-c":
        demo.interrupt()
    else:
        demo.signal(signal.SIGTERM)
    assert demo.exits(within_s=10.0) == 0
    assert not [pid for pid in family if is_running(pid)]
    assert "Traceback" not in demo.err


def test_a_killed_demo_leaves_nothing_behind(demo: Child) -> None:
    """The worker and the sandbox notice that nobody is there any more."""
    family = _family(demo)
    os.kill(demo.pid, signal.SIGKILL)
    demo.process.wait()
    eventually(lambda: not any(map(is_running, family)), within_s=10)


def test_a_second_demo_stands_beside_the_first(demo: Child, tmp_path: Path) -> None:
    """Somebody who forgot the first one gets a second one with addresses of its own."""
    first = demo.says(_CURL)[2]
    with Child([HEADGATE, "demo", "--data-dir", tmp_path / "other", "--port", first]) as second:
        assert second.says(_CURL)[2] != first


def _family(demo: Child) -> list[int]:
    """The demo's worker and sandbox, once both are there."""

    def both() -> list[int]:
        found = list(descendants(demo.pid))
        return found if len(found) == 2 else []

    return eventually(both, within_s=10)
