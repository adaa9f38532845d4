"""A gateway under load that is killed at random instants and started again on the same data directory.

`KilledGateway` does the killing, `Load` remembers what was acknowledged, `assert_exactly_once` judges.
"""

import asyncio
import json
import os
import random
import signal
import time
from enum import Enum
from pathlib import Path
from typing import Any

from heap_view import Heap, rows_of
from load import Load

from processes import Gateway, eventually, run

EVERYTHING_ARRIVES_WITHIN_S = 60.0
RECORDED_WITHIN_S = 5.0


class Victim(Enum):
    """Which of the two processes SIGKILL is for."""

    GATEWAY = "the gateway"
    WORKER = "the worker"
    BOTH = "both"


class KilledGateway:
    """A gateway on fixed ports, so that clients find the next one where the last one was."""

    def __init__(self, data_dir: Path, config: Path, *, seed: int = 0) -> None:
        self._data_dir = data_dir
        self._config = config
        self._rng = random.Random(seed)
        self._past: list[Gateway] = []
        self.now = Gateway(data_dir, config).ready()

    def close(self) -> None:
        """Ends every process of every life."""
        for gateway in (*self._past, self.now):
            gateway.close()

    async def kill_at_random(self, victims: list[Victim], load: Load) -> None:
        """One kill after the other, each at an instant that nobody chose."""
        for victim in victims:
            await load.grows_by(self._rng.randrange(200, 700), within_s=20.0)
            await asyncio.sleep(self._rng.uniform(0, 0.05))  # anywhere between two answers
            await self.kill(victim, load)

    async def kill(self, victim: Victim, load: Load) -> None:
        """SIGKILL, and whatever is needed for the doors to be open again."""
        worker = await asyncio.to_thread(self.now.worker)
        if victim is Victim.WORKER:
            os.kill(worker, signal.SIGKILL)
            await asyncio.to_thread(self.now.worker, worker)
            return
        load.up.clear()
        if victim is Victim.BOTH:
            os.kill(worker, signal.SIGKILL)
        self.now.kill()
        self._past.append(self.now)
        port, app_port = self.now.port, self.now.app_port
        self.now = Gateway(self._data_dir, self._config, port=port, app_port=app_port)
        await asyncio.to_thread(self.now.ready)
        load.up.set()


async def assert_exactly_once(load: Load, heap: Heap, data_dir: Path) -> None:
    """Whatever was answered with 200 is in Heap's effective store, once, and has its one outcome."""
    await asyncio.to_thread(_everything_arrives, load, heap)
    await asyncio.to_thread(_assert_held_once, load, heap)
    account = await asyncio.to_thread(_settled_account, data_dir)
    assert account["broken"] == []
    assert account["accepted"] == len(load.accepted)


def _everything_arrives(load: Load, heap: Heap) -> None:
    """Reads along with Heap until nothing is missing."""
    missing = load.tracks() | {trait for names in load.traits().values() for trait in names}
    deadline = time.monotonic() + EVERYTHING_ARRIVES_WITHIN_S
    for request in heap.requests(deadline, since=0):
        if request and request["verdict"] == "stored":
            for row in rows_of(request):
                missing.discard(row.get("idempotency_key", ""))
                missing -= row["properties"].keys()
        if not missing:
            return
    raise AssertionError(
        f"{len(missing)} acknowledged messages never arrived: {sorted(missing)[:5]}"
    )


def _assert_held_once(load: Load, heap: Heap) -> None:
    held = [event["idempotency_key"] for event in heap.events()]
    assert len(held) == len(set(held)), "Heap holds an event twice"
    assert set(held) == load.tracks()
    properties = {user["identity"]: user["properties"] for user in heap.users()}
    for user, names in load.traits().items():
        assert names <= properties[user].keys(), f"{user} lacks {names - properties[user].keys()}"
    order = heap.ask("GET", "/checks")["order"]
    assert order["ok"], order


def _settled_account(data_dir: Path) -> dict[str, Any]:
    """The audit once nothing is pending: outcomes are on disk shortly after Heap's answer."""

    def account() -> dict[str, Any] | None:
        found: dict[str, Any] = json.loads(run("audit", "--json", "--data-dir", data_dir).stdout)
        return None if found["pending"] else found

    return eventually(account, RECORDED_WITHIN_S, "messages stay pending")
