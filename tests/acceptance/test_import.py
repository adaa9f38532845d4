"""History import with real processes: beside a server, cut off half-way, seen by Engage, delivered when asked."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from house import House, send, track, workspace_yaml

from headgate.eventlog.sqlite import sqlite_reader
from headgate.spec.message import normalize
from heap_view import Heap
from processes import HEADGATE, Child, Gateway, eventually, run

THEN = "2019-03-01T10:00:00.000Z"
ENGAGE = """\
engage:
  audiences:
    - name: Ever bought
      definition: "event('Order Completed').count() >= 2"
      includeHistory: true
      destinations: [heap]
    - name: Ever bought elsewhere
      definition: "event('Order Completed').sources(exclude: ['website']).count() >= 1"
      includeHistory: true
      destinations: [heap]
"""


def fill(path: Path, *messages: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in messages))
    return path


def history(n: int, user: str = "ann") -> list[dict[str, Any]]:
    """Track calls of years ago."""
    return [track(user, f"{user}-old-{k}") | {"timestamp": THEN} for k in range(n)]


def importing(data_dir: Path, file: Path, *options: str, within_s: float = 60.0) -> dict[str, Any]:
    """What the command answers to programs; it has to have come to the end."""
    done = run(*_words(data_dir, file), "--json", *options, within_s=within_s)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _words(data_dir: Path, file: Path) -> list[str]:
    return ["import", str(file), "--source", "website", "--data-dir", str(data_dir)]


def held(data_dir: Path) -> Counter[tuple[str, str]]:
    """(source, messageId) of what the log holds."""
    reader = sqlite_reader(data_dir / "log")
    found = Counter(
        (one.envelope.source, normalize(one.raw, one.envelope, one.given_id)["messageId"])
        for block in reader.blocks(0)
        for one in block.entries()
    )
    reader.close()
    return found


def audited(data_dir: Path) -> dict[str, Any]:
    done = run("audit", "--json", "--data-dir", data_dir, within_s=60.0)
    assert done.returncode == 0, done.stdout
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_imported_messages_go_to_nobody_and_live_ones_go_on(house: House, tmp_path: Path) -> None:
    """Beside a server: what it has taken in live is a duplicate; a live message behind them is delivered."""
    data_dir = house.gateway.data_dir
    send(house.gateway, track("imp-1", "imp-1-live"))
    archive = fill(
        tmp_path / "a.jsonl", track("imp-1", "imp-1-live"), *history(3_000, user="imp-1")
    )
    told = importing(data_dir, archive)
    assert (told["accepted"], told["duplicates"]) == (3_000, 1)
    assert importing(data_dir, archive)["duplicates"] == 3_001
    send(house.gateway, track("imp-1", "imp-1-behind"))
    house.heap.until(lambda: len(house.heap.event_names("imp-1")) == 2)
    assert house.heap.event_names("imp-1") == ["imp-1-live", "imp-1-behind"]
    assert audited(data_dir)["brokenCount"] == 0


def test_with_deliver_every_message_is_delivered_once(house: House, tmp_path: Path) -> None:
    """At its own time; also when it is imported again."""
    archive = fill(tmp_path / "a.jsonl", *history(50, user="imp-2"))
    assert importing(house.gateway.data_dir, archive, "--deliver")["accepted"] == 50
    assert importing(house.gateway.data_dir, archive, "--deliver")["duplicates"] == 50
    send(house.gateway, track("imp-2", "imp-2-behind"))
    house.heap.until(lambda: "imp-2-behind" in house.heap.event_names("imp-2"))
    house.heap.until(lambda: len(house.heap.event_names("imp-2")) >= 51)
    events = house.heap.user("imp-2")["events"]
    assert Counter(one["event"] for one in events) == Counter(
        [f"imp-2-old-{k}" for k in range(50)] + ["imp-2-behind"]
    )
    assert {one["timestamp"] for one in events if "old" in one["event"]} == {THEN}


def wait_for_some(data_dir: Path) -> None:
    """Waits until messages have been taken in."""
    with closing(sqlite_reader(data_dir / "log")) as reader:
        eventually(lambda: reader.last_seq() > 1_000, 20.0, "nothing was taken in")


@contextmanager
def half_way(data_dir: Path, lines: list[bytes], pipe: Path) -> Iterator[Child]:
    """An import that has taken in a part of the lines, and waits for the rest."""
    os.mkfifo(pipe)
    with Child([HEADGATE, *_words(data_dir, pipe)]) as child, pipe.open("wb") as end:
        end.write(b"".join(lines))
        end.flush()
        wait_for_some(data_dir)
        yield child


def test_an_import_that_was_killed_is_simply_run_again(gateway: Gateway, tmp_path: Path) -> None:
    """Every message is there once, whatever of it was there when it died."""
    messages = [one | {"properties": {"text": "x" * 300}} for one in history(20_000)]
    archive = fill(tmp_path / "a.jsonl", *messages)
    lines = archive.read_bytes().splitlines(keepends=True)
    with half_way(gateway.data_dir, lines[:15_000], tmp_path / "pipe") as child:
        child.kill()
    taken = len(held(gateway.data_dir))
    assert 0 < taken < 20_000
    told = importing(gateway.data_dir, archive)
    assert (told["accepted"], told["duplicates"]) == (20_000 - taken, taken)
    assert held(gateway.data_dir) == Counter(
        ("import/website", one["messageId"]) for one in messages
    )


def test_an_import_whose_server_died_goes_on_without_one(gateway: Gateway, tmp_path: Path) -> None:
    """It says so at once; run again, it writes the log itself, and the next server serves it."""
    messages = [one | {"properties": {"text": "x" * 300}} for one in history(20_000)]
    archive = fill(tmp_path / "a.jsonl", *messages)
    lines = archive.read_bytes().splitlines(keepends=True)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Child([HEADGATE, *_words(gateway.data_dir, pipe)]) as child:
        with suppress(BrokenPipeError), pipe.open("wb") as end:
            end.write(b"".join(lines[:10_000]))
            end.flush()
            wait_for_some(gateway.data_dir)
            gateway.kill()
            end.write(b"".join(lines[10_000:]))
        assert child.exits(20.0) == 1
        assert "run the same import again" in child.err
    importing(gateway.data_dir, archive)
    assert held(gateway.data_dir) == Counter(
        ("import/website", one["messageId"]) for one in messages
    )
    with Gateway(gateway.data_dir):
        assert audited(gateway.data_dir)["brokenCount"] == 0


def test_ctrl_c_ends_an_import_with_what_it_has_done(gateway: Gateway, tmp_path: Path) -> None:
    """Counted, and run again it goes on."""
    lines = fill(tmp_path / "a.jsonl", *history(20_000)).read_bytes().splitlines(keepends=True)
    with half_way(gateway.data_dir, lines[:15_000], tmp_path / "pipe") as child:
        child.signal(signal.SIGINT)
        assert child.exits(20.0) == 1
    assert "interrupted; run the same import again" in child.err
    taken = len(held(gateway.data_dir))
    assert taken
    assert f"{taken:,} accepted" in child.out


def test_audiences_hold_whom_imported_history_puts_in_them(heap: Heap, tmp_path: Path) -> None:
    """Two orders of years ago, one of them live, make a member; Heap is told of that and of no order.

    They count as messages of the source that they were imported for.
    """
    config = tmp_path / "headgate.yaml"
    config.write_text(workspace_yaml(heap) + ENGAGE)
    orders = [
        track(user, f"{user}-{k}") | {"event": "Order Completed", "timestamp": THEN}
        for user, n in (("ann", 2), ("bob", 1), ("eve", 1))
        for k in range(n)
    ]
    archive = fill(tmp_path / "a.jsonl", *orders)
    with Gateway(tmp_path / "data", config) as gateway:
        told = importing(gateway.data_dir, archive)
        assert told["accepted"] == 4
        send(gateway, track("eve", "eve-live") | {"event": "Order Completed"})

        def members() -> set[str]:
            return {
                user
                for user in ("ann", "bob", "eve")
                if heap.user(user)["properties"].get("ever_bought") is True
            }

        heap.until(lambda: members() == {"ann", "eve"})
        assert heap.event_names("ann") == []
        assert heap.event_names("eve") == ["Order Completed"]
        assert heap.user("bob")["properties"] == {}
        assert "ever_bought_elsewhere" not in heap.user("ann")["properties"]
