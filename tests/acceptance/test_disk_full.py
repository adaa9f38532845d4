"""A disk that fills up: refused with a reason, recovered without a restart, nothing acknowledged lost."""

import contextlib
import json
import os
import random
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from house import ask, send, track

from heap_view import Heap
from processes import Gateway, eventually, run

_DISK_MB = 64
_BALLAST_MB = 28
_BYTES_A_MESSAGE = 20_000
_MESSAGES_A_POST = 20

cannot_mount = os.geteuid() != 0 and "CI" not in os.environ


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, small enough to fill."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs"]
    subprocess.run(["mount", *options, mounted], check=True)
    yield mounted
    subprocess.run(["umount", "--lazy", mounted], check=True)


@pytest.mark.skipif(cannot_mount, reason="only root can mount a small disk")
def test_a_full_disk_refuses_and_recovers(heap: Heap, config: Path, disk: Path) -> None:
    """503 with Retry-After and /health with the reason while it is full; 200 again once there is room."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(_BALLAST_MB << 20))
    rng = random.Random(7)
    accepted: list[str] = []
    with Gateway(disk / "data", config) as gateway:
        for post in count():
            batch = [_large(f"{post}-{n}", rng) for n in range(_MESSAGES_A_POST)]
            refused = ask(gateway, "POST", "/v1/batch", {"batch": batch})
            if refused.status != 200:
                break
            accepted += [message["messageId"] for message in batch]
        assert refused.status == 503
        assert 1 <= int(refused.headers["retry-after"]) <= 300
        assert json.loads(refused.body)["success"] is False

        health = ask(gateway, "GET", "/health")
        assert health.status == 503
        assert "the disk is full" in json.loads(health.body)["message"]

        _fill(disk / "the rest")
        assert ask(gateway, "POST", "/v1/batch", {"batch": batch}).status == 503

        (disk / "the rest").unlink()
        ballast.unlink()
        assert ask(gateway, "GET", "/health").status == 200
        send(gateway, *batch)
        accepted += [message["messageId"] for message in batch]

        heap.until(lambda: heap.ask("GET", "/summary")["events"] >= len(accepted))
        assert sorted(event["event"] for event in heap.events()) == sorted(accepted)
        account = eventually(lambda: _settled(gateway), within_s=10)
        assert account["broken"] == []
        assert account["delivered"] == len(accepted)
        assert gateway.process.poll() is None


def _fill(path: Path) -> None:
    """Takes every byte that is left."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def _large(name: str, rng: random.Random) -> dict[str, Any]:
    """A message that no compression makes small."""
    return track(
        "u" + name.partition("-")[0], name, noise=rng.randbytes(_BYTES_A_MESSAGE // 2).hex()
    )


def _settled(gateway: Gateway) -> dict[str, Any] | None:
    account: dict[str, Any] = json.loads(
        run("audit", "--json", "--data-dir", gateway.data_dir).stdout
    )
    return None if account["pending"] else account
