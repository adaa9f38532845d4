"""kill -9 in the middle of Engage: whatever dies, every change is told once, in order, and none is lost.

Engage's process dies at each of its commit points, with it those that write and read history for it, and the
gateway as it takes over what Engage says. Meanwhile computations come and go, so that backfills are under way.
"""

import asyncio
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from house import WRITE_KEY
from kills import KILLED, Serving, meanwhile
from load import Load

from crashing.director import Director
from crashing.plan import ENGAGE_MANNERS, Plan
from crashing.points import ENGAGE_POINTS
from headgate.eventlog.sqlite import sqlite_reader
from headgate.spec.names import engage_source
from heap_view import Heap
from processes import HEADGATE, Child, eventually, run

_KILLS = 60
_KILLED_WITHIN_S = 240.0
_SETTLED_WITHIN_S = 60.0
_APPLY_ENDS_WITHIN_S = 30.0
_GROWS_WITHIN_S = 120.0
_MESSAGES_BETWEEN_APPLIES = 150
_WINDOW_S = 3
_SEED = int(os.environ.get("SWEEP_SEED", "0"))

# What takes many messages or an hour elsewhere has to happen within seconds.
_CONSTANTS = [
    ("headgate.keeper", "_STARTS_AT_MOST_EVERY_S", 0.0),
    ("headgate.engage.archivist", "_MESSAGES", 100),
    ("headgate.engage.archivist", "_AT_MOST_EVERY_S", 0.5),
    ("headgate.engage.archivist", "_AFTER_FAILURE_S", 0.5),
    ("headgate.engage.backfiller", "_AFTER_FAILURE_S", 0.5),
]

_Told = dict[str, dict[str, list[Any]]]  # by user and key, the values in the order of the log


async def test_kills_in_the_middle_of_engage_lose_no_change_and_repeat_none(
    heap: Heap, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Also for a computation that came while everything died; the second opinion agrees with all of it."""
    data_dir, config, changed = (tmp_path / name for name in ("data", "headgate.yaml", "next.yaml"))
    config.write_text(workspace(heap))
    plan = Plan(_SEED, ENGAGE_POINTS, ENGAGE_MANNERS)
    async with Director(plan, _CONSTANTS) as director:
        with closing(Serving(data_dir, config, director)) as serving:
            load = Load(serving.url, WRITE_KEY, seed=_SEED, lanes=3)
            async with meanwhile(serving.keep(load)):
                async with load.running():
                    async with meanwhile(keep_applying(heap, changed, data_dir, director, load)):
                        await director.until_killed(_KILLS, _KILLED_WITHIN_S)
                    director.end()
                await asyncio.to_thread(finish, heap, changed, data_dir)
                await asyncio.to_thread(assert_told_once, load, heap, data_dir)
    for role, times in Counter(role for role, _ in director.deaths).items():
        record_property(f"kills of {role}", times)
    record_property("messages", len(load.accepted))


def workspace(heap: Heap, version: int = 0) -> str:
    """Three computations that stay, and one that is another in each version; as JSON, which is YAML as well."""
    destination = {
        "slug": "heap",
        "sourceId": "website",
        "settings": {"appId": "1", "apiBaseUrl": heap.url},
    }
    lately = f"event('Counted').within({_WINDOW_S} seconds).count() >= 1"
    audiences = [("Lately", lately), ("Thrice", "event('Counted').count() >= 3")]
    traits = [("Total", "event('Counted').count()"), extra(version)]
    return json.dumps(
        {
            "sources": [{"slug": "website", "type": "server", "writeKeys": [WRITE_KEY]}],
            "destinations": [destination],
            "engage": {"audiences": described(audiences), "computedTraits": described(traits)},
        }
    )


def described(computations: list[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "definition": definition, "destinations": ["heap"]}
        for name, definition in computations
    ]


def extra(version: int) -> tuple[str, str]:
    """A trait that shares nothing with others, so that it needs the past."""
    return (
        f"Extra {version}",
        f"event('Counted').where(property('sandbox_sequence') > {-version}).count()",
    )


async def keep_applying(
    heap: Heap, file: Path, data_dir: Path, director: Director, load: Load
) -> None:
    """Replaces a computation now and then, until it is cancelled."""
    for version in count(1):
        await load.grows_by(_MESSAGES_BETWEEN_APPLIES, within_s=_GROWS_WITHIN_S)
        text = workspace(heap, version)
        await asyncio.to_thread(apply, text, file, data_dir, director.environment)


def apply(text: str, file: Path, data_dir: Path, environment: dict[str, str]) -> None:
    """Stored, refused in words because the server has just died, or killed."""
    file.write_text(text)
    with Child([HEADGATE, "apply", file, "--data-dir", data_dir], **environment) as child:
        assert child.exits(_APPLY_ENDS_WITHIN_S) in (0, 1, KILLED), child.err
    assert "Traceback" not in child.err, child.err


def finish(heap: Heap, file: Path, data_dir: Path) -> None:
    """Nobody dies any more: one last computation, then everything is computed, told and delivered."""
    file.write_text(workspace(heap, 1_000))
    applied = eventually(lambda: applied_by(file, data_dir), _SETTLED_WITHIN_S, "the last one")
    assert applied
    eventually(lambda: is_settled(data_dir), _SETTLED_WITHIN_S, "Engage has more to do")


def applied_by(file: Path, data_dir: Path) -> bool:
    return run("apply", file, "--data-dir", data_dir).returncode == 0


def is_settled(data_dir: Path) -> bool:
    """Everything is read and with Heap, and the windows of everybody have passed."""
    listed = run("engage", "list", "--json", "--data-dir", data_dir)
    if listed.returncode:
        return False
    found = json.loads(listed.stdout)
    waiting = [one["waiting"] + one["pending"] for one in found["destinations"]]
    computed = {one["key"]: one for one in found["computations"]}
    is_busy = found["behind"] or any(waiting) or found["sweepPercent"] is not None
    is_preparing = any(one["state"] == "preparing" for one in computed.values())
    return not (is_busy or is_preparing or computed["lately"]["members"])


def assert_told_once(load: Load, heap: Heap, data_dir: Path) -> None:
    """By the log, what was told; by the sandbox, what Heap holds at the end; by the product, that it agrees."""
    assert run("audit", "--data-dir", data_dir).returncode == 0
    verified = run("engage", "verify", "--data-dir", data_dir, within_s=60.0)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    done = Counter(
        message["userId"] for message in load.accepted.values() if message["type"] == "track"
    )
    told = told_by(data_dir)
    held = {one["identity"]: one["properties"] for one in heap.users()}
    last = f"extra_{1_000}"
    assert done
    for user, total in done.items():
        of_user = told[user]
        assert is_rising(of_user["total"]), (user, of_user["total"])
        assert of_user["thrice"] == ([True] if total >= 3 else []), user
        assert of_user["lately"] == [True, False] * (len(of_user["lately"]) // 2), user
        assert of_user[last] == [total], user
        expected = {"total": total, last: total, "lately": False}
        assert {key: held[user][key] for key in expected} == expected
        assert held[user].get("thrice") == (True if total >= 3 else None)


def is_rising(values: list[int]) -> bool:
    return all(earlier < later for earlier, later in pairwise(values))


def told_by(data_dir: Path) -> _Told:
    """What Engage has said of everybody."""
    told: _Told = defaultdict(lambda: defaultdict(list))
    for message in emitted(data_dir):
        for key, value in message["traits"].items():
            told[message["userId"]][key].append(value)
    return told


def emitted(data_dir: Path) -> Iterator[dict[str, Any]]:
    """Engage's own messages, in the order of the log."""
    with closing(sqlite_reader(data_dir / "log")) as log:
        for block in log.blocks(0):
            for entry in block.entries():
                if entry.envelope.source == engage_source("heap"):
                    yield json.loads(entry.raw)
