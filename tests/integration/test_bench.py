"""`python -m bench`: rooms that need nothing beside the project, run as a whole, quickly."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def figures(only: str) -> list[dict[str, Any]]:
    """What one room finds."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--json", "--only", only],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["figures"]
    return found


def test_the_log_is_measured_beside_a_plain_file() -> None:
    """The quickest room: no process but its own."""
    found = figures("the log alone")
    assert [one["what"] for one in found] == [
        "the log alone, groups of 100",
        "the log alone, groups of 1,000",
    ]
    assert all(one["ratio"] > 0 and one["cpu_s_per_million"] > 0 for one in found)


def test_latency_is_measured_from_the_door_to_heap() -> None:
    """Gateway, worker, sender and Heap, each a process; every message is found at Heap by its id."""
    median, late = figures("latency")
    assert 0 < median["measured"] <= late["measured"] < 60_000
