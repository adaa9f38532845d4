"""A gateway under load that is killed again and again on one data directory, and the judgement afterwards.

`Serving` starts the gateway whenever it was killed, `keep_applying` and `keep_auditing` run commands
beside it, `assert_exactly_once` judges. Who dies when is the director's business (`crashing`).
"""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path
from typing import Any

from house import WRITE_KEY
from load import Load

from crashing.director import Director
from headgate.eventlog.sqlite import sqlite_reader
from heap_view import Heap
from processes import HEADGATE, Child, Gateway, eventually, free_port, run

SETTLED_WITHIN_S = 60.0
KILLED = -signal.SIGKILL
_GROWS_WITHIN_S = 180.0
_APPLY_ENDS_WITHIN_S = 30.0
_MESSAGES_BETWEEN_APPLIES = 250
_MESSAGES_BETWEEN_AUDITS = 1500

STEADY, FLAKY, FLEETING = "1000", "2000", "3000"  # App IDs


def workspace_yaml(heap: Heap, version: int = 0) -> str:
    """Two destinations that stay; odd versions have a third, and each fourth changes a setting."""
    window = "3 hours" if version % 4 > 1 else "4 hours"
    destinations = {"steady": STEADY, "flaky": FLAKY} | (
        {"fleeting": FLEETING} if version % 2 else {}
    )
    return f"""\
sources:
  - {{slug: website, name: Website, type: server, writeKeys: [{WRITE_KEY}]}}
retention: {{days: 30, maxBytes: 1000000}}
destinations:
""" + "".join(
        f"""\
  - slug: {slug}
    name: {slug}
    metadataId: heap
    sourceId: website
    settings: {{appId: "{app_id}", apiBaseUrl: "{heap.url}", retryWindow: {window}}}
"""
        for slug, app_id in destinations.items()
    )


class Serving:
    """The gateway's lives: each is started when the last one was killed, on the same ports."""

    def __init__(self, data_dir: Path, config: Path, director: Director) -> None:
        self._data_dir = data_dir
        self._config = config
        self._director = director
        self._port, self._app_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.lives: list[Gateway] = []

    async def keep(self, load: Load) -> None:
        """Runs until it is cancelled; `load.up` tells whether the doors are open."""
        while True:
            gateway = self._start()
            if await asyncio.to_thread(_is_ready, gateway):
                load.up.set()
            status = await asyncio.to_thread(gateway.process.wait)
            load.up.clear()
            assert status == KILLED, gateway.err
            assert "Traceback" not in gateway.err, gateway.err

    def close(self) -> None:
        """Ends every process of every life."""
        for gateway in self.lives:
            gateway.close()

    def _start(self) -> Gateway:
        gateway = Gateway(
            self._data_dir,
            self._config,
            port=self._port,
            app_port=self._app_port,
            environment=self._director.environment,
        )
        self.lives.append(gateway)
        return gateway


def _is_ready(gateway: Gateway) -> bool:
    try:
        gateway.says("takes messages")
    except AssertionError:
        return False
    return True


@asynccontextmanager
async def meanwhile(*work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Has the work done beside the body, and cancelled after it; what goes wrong there ends the body."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in work]
        yield
        for task in tasks:
            task.cancel()


async def keep_applying(
    heap: Heap, file: Path, data_dir: Path, director: Director, load: Load
) -> None:
    """Changes the workspace now and then, until it is cancelled; some of the commands are killed, too."""
    for version in count(1):
        await load.grows_by(_MESSAGES_BETWEEN_APPLIES, within_s=_GROWS_WITHIN_S)
        text = workspace_yaml(heap, version)
        await asyncio.to_thread(_apply, text, file, data_dir, director.environment)


def _apply(text: str, file: Path, data_dir: Path, environment: dict[str, str]) -> None:
    """Stored, refused in words because the server has just died, or killed."""
    file.write_text(text)
    with Child([HEADGATE, "apply", file, "--data-dir", data_dir], **environment) as child:
        assert child.exits(_APPLY_ENDS_WITHIN_S) in (0, 1, KILLED), child.err
    assert "Traceback" not in child.err, child.err


async def keep_auditing(data_dir: Path, load: Load) -> None:
    """Audits beside whatever is running or dying, until it is cancelled: nothing is ever broken."""
    while True:
        await load.grows_by(_MESSAGES_BETWEEN_AUDITS, within_s=_GROWS_WITHIN_S)
        account = await asyncio.to_thread(_account, data_dir)
        assert (account["problems"], account["damaged"]) == ([], []), account


async def assert_exactly_once(load: Load, heap: Heap, data_dir: Path) -> None:
    """Whatever was answered with 200 is in Heap's effective store, once, and has its one outcome."""
    account = await asyncio.to_thread(_settled_account, data_dir)
    await asyncio.to_thread(_assert_accounted, account, load, data_dir)
    await asyncio.to_thread(_assert_held_once, load, heap)


def _settled_account(data_dir: Path) -> dict[str, Any]:
    """The audit once nothing is pending."""

    def account() -> dict[str, Any] | None:
        found = _account(data_dir)
        return None if found["pending"] else found

    return eventually(account, SETTLED_WITHIN_S, "messages stay pending")


def _account(data_dir: Path) -> dict[str, Any]:
    audit = run("audit", "--json", "--data-dir", data_dir)
    assert audit.stdout, audit.stderr
    account: dict[str, Any] = json.loads(audit.stdout)
    return account


def _assert_accounted(account: dict[str, Any], load: Load, data_dir: Path) -> None:
    """Every message has one number in the log, and each that is still there one outcome."""
    assert (account["problems"], account["damaged"]) == ([], [])
    with closing(sqlite_reader(data_dir / "log")) as log:
        first_seq, last_seq = log.first_seq(), log.last_seq()
    assert last_seq == len(load.accepted)
    assert account["messages"] >= last_seq - first_seq + 1  # more may have been retired since
    for slug in ("steady", "flaky"):
        counts = account["destinations"][slug]
        assert counts["accepted"] == account["messages"]
        assert counts["delivered"] + counts["discarded"] == counts["accepted"], counts
        assert counts["reasons"].keys() <= {"unsupported_type"}, counts
    # A post that was cut off is counted again when it is repeated: nothing of it is in the log.
    assert account["destinations"]["-"]["accepted"] >= len(load.discarded)


def _assert_held_once(load: Load, heap: Heap) -> None:
    events = list(heap.events())
    times = Counter((event["app_id"], event["idempotency_key"]) for event in events)
    assert {one: n for one, n in times.items() if n > 1} == {}, "Heap holds an event twice"
    for app_id in (STEADY, FLAKY):
        held = {key for app, key in times if app == app_id}
        assert held - load.tracks() == set()
        assert load.tracks() - held == set(), "acknowledged, and never arrived"
        assert dict(_stale(app_id, load, heap)) == {}
    order = heap.ask("GET", "/checks")["order"]
    assert order["ok"], order


def _stale(app_id: str, load: Load, heap: Heap) -> Iterator[tuple[str, dict[str, Any]]]:
    """By user, the properties that are missing or do not have their newest value."""
    held = {one["identity"]: one["properties"] for one in heap.users() if one["app_id"] == app_id}
    for user, newest in load.profiles().items():
        of_user = held.get(user, {})
        wrong = {name: value for name, value in newest.items() if of_user.get(name) != value}
        if wrong:
            yield user, wrong
