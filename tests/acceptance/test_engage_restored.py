"""A backup beside a server that computes audiences, with real processes: what is restored agrees with itself."""

import json
import threading
from pathlib import Path
from typing import Any

from house import send, track, workspace_yaml

from heap_view import Heap
from processes import Gateway, eventually, run

ENGAGE = """\
engage:
  audiences:
    - name: Buyers
      definition: "event('bought').count() >= 2"
      destinations: [heap]
  computedTraits:
    - name: Bought
      definition: "event('bought').count()"
      destinations: [heap]
"""
USERS = 40
DONE_WITHIN_S = 30.0


class Traffic(threading.Thread):
    """People who go on buying until they are told to stop."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__()
        self._gateway = gateway
        self._enough = threading.Event()
        self.n = 0

    def run(self) -> None:
        while not self._enough.is_set():
            users = range(USERS)
            send(self._gateway, *(bought(f"u-{at}", f"{self.n}-{at}") for at in users))
            self.n += 1

    def stop(self) -> None:
        """Returns when everything is sent."""
        self._enough.set()
        self.join()


def bought(user: str, message_id: str) -> dict[str, Any]:
    return track(user, message_id) | {"event": "bought"}


def test_a_backup_beside_a_server_that_computes_is_restored_to_what_agrees(
    heap: Heap, tmp_path: Path
) -> None:
    """Log, outcomes, people and history: audit and second opinion find nothing, and nobody is counted twice."""
    config, file, back = tmp_path / "c.yaml", tmp_path / "a.backup", tmp_path / "back"
    config.write_text(workspace_yaml(heap) + ENGAGE)
    with Gateway(tmp_path / "data", config) as gateway:
        traffic = Traffic(gateway)
        traffic.start()
        eventually(lambda: traffic.n > 20, DONE_WITHIN_S)
        taken = run("backup", file, "--data-dir", gateway.data_dir, within_s=60.0)
        traffic.stop()
        assert taken.returncode == 0, taken.stderr
    restored = run("restore", file, "--data-dir", back, within_s=60.0)
    assert restored.returncode == 0, restored.stderr
    with Gateway(back) as gateway:
        send(gateway, bought("u-0", "afterwards"))
        eventually(lambda: has_read_on(back), DONE_WITHIN_S, "Engage reads on")
        verified = run("engage", "verify", "--data-dir", back, within_s=60.0)
        assert verified.returncode == 0, verified.stdout + verified.stderr
    assert run("audit", "--data-dir", back, within_s=60.0).returncode == 0


def has_read_on(data_dir: Path) -> bool:
    """Whether Engage has read everything, and the log has taken everything that it says."""
    listed = run("engage", "list", "--json", "--data-dir", data_dir)
    if listed.returncode:
        return False
    found = json.loads(listed.stdout)
    return found["behind"] == 0 and not any(one["waiting"] for one in found["destinations"])
