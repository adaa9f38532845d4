"""Users who are forgotten while audiences are computed, and Engage's store when it is damaged: real processes."""

import json
import os
import shutil
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

from house import ask, send, track, workspace_yaml

from headgate.eventlog.sqlite import sqlite_reader
from headgate.stores import ENGAGE
from heap_view import Heap
from processes import Gateway, children, command_line, eventually, run

BUYERS = """\
engage:
  audiences:
    - name: Buyers
      definition: "event('bought').count() >= 1"
      destinations: [heap]
"""
DONE_WITHIN_S = 30.0
MAX_BYTES = 4_000_000
MESSAGE_BYTES = 2_000
BATCH = 50


def with_engage(heap: Heap, directory: Path) -> Path:
    """The file that configures the test's Heap and an audience."""
    config = directory / "with-engage.yaml"
    config.write_text(workspace_yaml(heap) + BUYERS)
    return config


def bought(user: str, message_id: str) -> dict[str, Any]:
    return track(user, message_id) | {"event": "bought"}


def is_buyer(heap: Heap, user: str) -> bool:
    return heap.user(user)["properties"].get("buyers") is True


def told(heap: Heap, user: str) -> int:
    """How many requests have told Heap of the user's membership."""
    return sum(
        user in json.dumps(one["body"]) for one in heap.journal(path="/api/add_user_properties")
    )


def delete(data_dir: Path, user: str) -> None:
    done = run("delete", user, "--yes", "--data-dir", data_dir)
    assert done.returncode == 0, done.stderr


def deletion(data_dir: Path, user: str) -> dict[str, Any]:
    said = run("delete", "--list", user, "--json", "--data-dir", data_dir)
    (found,) = json.loads(said.stdout)["deletions"]
    return dict(found)


def until_erased(data_dir: Path, user: str) -> None:
    """Waits until the user is forgotten everywhere."""

    def is_erased() -> bool:
        found = deletion(data_dir, user)
        return bool(found["logErasedAt"] and found["engageErasedAt"])

    eventually(is_erased, DONE_WITHIN_S, f"{user} is not erased")


def bytes_of_engage(data_dir: Path) -> bytes:
    files = (path for path in (data_dir / "engage").rglob("*") if path.is_file())
    return b"".join(path.read_bytes() for path in files)


def test_a_user_is_forgotten_beside_everything_that_goes_on(heap: Heap, tmp_path: Path) -> None:
    """By Engage, log and delivery; Heap hears nothing more, until the user does something new."""
    with Gateway(tmp_path / "data", with_engage(heap, tmp_path)) as gateway:
        send(gateway, bought("annabelle", "a-1"), bought("bob", "b-1"))
        heap.until(lambda: is_buyer(heap, "annabelle") and is_buyer(heap, "bob"))
        delete(gateway.data_dir, "annabelle")
        until_erased(gateway.data_dir, "annabelle")
        assert b"annabelle" not in bytes_of_engage(gateway.data_dir)
        assert b"bob" in bytes_of_engage(gateway.data_dir)
        assert told(heap, "annabelle") == 1
        send(gateway, bought("annabelle", "a-2"))
        heap.until(lambda: told(heap, "annabelle") == 2)
        assert told(heap, "bob") == 1
        assert run("audit", "--data-dir", gateway.data_dir).returncode == 0


def test_nothing_is_told_of_a_suppressed_user_though_time_goes_on(
    heap: Heap, tmp_path: Path
) -> None:
    """What there was to be told is discarded, with the reason on record."""
    config = with_engage(heap, tmp_path)
    config.write_text(config.read_text().replace("('bought')", "('bought').within(12 seconds)"))
    with Gateway(tmp_path / "data", config) as gateway:
        send(gateway, bought("bob", "b-1"))
        heap.until(lambda: is_buyer(heap, "bob"))
        assert run("suppress", "bob", "--data-dir", gateway.data_dir).returncode == 0
        search = ("find", "--user", "bob", "--reason", "suppressed", "--data-dir", gateway.data_dir)
        eventually(lambda: "personas_" in run(*search).stdout, DONE_WITHIN_S, "nothing discarded")
        assert told(heap, "bob") == 1


def test_a_user_is_forgotten_when_engage_is_not_configured_any_more(
    heap: Heap, config: Path, tmp_path: Path
) -> None:
    """A deletion that was asked for while nothing ran is complete soon after the start."""
    data_dir = tmp_path / "data"
    with Gateway(data_dir, with_engage(heap, tmp_path)) as gateway:
        send(gateway, bought("annabelle", "a-1"), bought("bob", "b-1"))
        heap.until(lambda: is_buyer(heap, "annabelle") and is_buyer(heap, "bob"))
        gateway.signal(signal.SIGTERM)
        gateway.exits()
    delete(data_dir, "annabelle")
    assert deletion(data_dir, "annabelle")["engageErasedAt"] is None
    with Gateway(data_dir, config):
        until_erased(data_dir, "annabelle")
        assert b"annabelle" not in bytes_of_engage(data_dir)
        assert b"bob" in bytes_of_engage(data_dir)


def test_a_damaged_store_of_engage_keeps_nothing_else_from_working(
    heap: Heap, tmp_path: Path
) -> None:
    """It is told; messages are delivered, users are forgotten; without it, everything is made anew."""
    data_dir, config = tmp_path / "data", with_engage(heap, tmp_path)
    with Gateway(data_dir, config) as gateway:
        send(gateway, bought("annabelle", "a-1"), bought("bob", "b-1"))
        heap.until(lambda: is_buyer(heap, "annabelle") and is_buyer(heap, "bob"))
        gateway.signal(signal.SIGTERM)
        gateway.exits()
    for path in (data_dir / "engage").glob("engage.db*"):
        path.unlink()
    (data_dir / ENGAGE).write_bytes(b"nothing of the kind" * 1000)
    with Gateway(data_dir, config) as gateway:
        gateway.says(r"engage\.db is damaged and cannot be read .* move .*/engage away")
        send(gateway, bought("cid", "c-1"))
        heap.until(lambda: heap.event_names("cid") == ["bought"])
        delete(data_dir, "annabelle")
        eventually(lambda: deletion(data_dir, "annabelle")["logErasedAt"], DONE_WITHIN_S)
        assert deletion(data_dir, "annabelle")["engageErasedAt"] is None
        assert run("status", "--data-dir", data_dir).returncode == 0
        assert "engage away" in run("engage", "list", "--data-dir", data_dir).stderr
        gateway.signal(signal.SIGTERM)
        gateway.exits()
    shutil.rmtree(data_dir / "engage")
    with Gateway(data_dir, config):
        heap.until(lambda: is_buyer(heap, "cid"))
        until_erased(data_dir, "annabelle")
        assert b"annabelle" not in bytes_of_engage(data_dir)


def test_messages_that_engage_has_not_read_are_kept_until_it_has_or_is_switched_off(
    heap: Heap, tmp_path: Path
) -> None:
    """A crowded log lets go of what everybody is done with; switched on again, Engage goes on behind the gap."""
    data_dir, config = tmp_path / "data", with_engage(heap, tmp_path)
    retention = f"retention: {{days: 30, maxBytes: {MAX_BYTES}}}\n"
    config.write_text(config.read_text() + retention)
    without = tmp_path / "without-engage.yaml"
    without.write_text(workspace_yaml(heap) + retention)
    with Gateway(data_dir, config) as gateway:
        send(gateway, bought("bob", "b-1"))
        heap.until(lambda: is_buyer(heap, "bob"))
        os.kill(engage_of(gateway), signal.SIGSTOP)
        refused = fill(gateway, "stopped")
        assert first_seq(data_dir) == 1
        assert "retention.maxBytes is reached" in refused
        os.kill(engage_of(gateway), signal.SIGCONT)
        eventually(lambda: first_seq(data_dir) > 1, DONE_WITHIN_S, "what Engage has read stays")
        os.kill(engage_of(gateway), signal.SIGSTOP)
        fill(gateway, "stopped-again")
        before = first_seq(data_dir)
        os.kill(engage_of(gateway), signal.SIGCONT)
        apply(without, data_dir)
        eventually(lambda: first_seq(data_dir) > before, DONE_WITHIN_S, "Engage is off")
        fill(gateway, "off")
        config.write_text(config.read_text().replace("Buyers", "Customers"))
        apply(config, data_dir)
        order = {"batch": [bought("cid", "c-1")]}
        eventually(lambda: ask(gateway, "POST", "/v1/batch", order).status == 200, DONE_WITHIN_S)
        # bob's order has gone from the log, and stands in Engage's history
        heap.until(lambda: heap.user("cid")["properties"].get("customers") is True)
        heap.until(lambda: heap.user("bob")["properties"].get("customers") is True)


def engage_of(gateway: Gateway) -> int:
    """The process that computes."""
    return next(
        pid for pid in children(gateway.pid) if "headgate.engage.process" in command_line(pid)
    )


def apply(config: Path, data_dir: Path) -> None:
    done = run("apply", config, "--data-dir", data_dir)
    assert done.returncode == 0, done.stderr


def first_seq(data_dir: Path) -> int:
    """The oldest message that the log holds."""
    with closing(sqlite_reader(data_dir / "log")) as log:
        return log.first_seq()


def fill(gateway: Gateway, name: str) -> str:
    """Sends as much as the log may hold, and more; the last answer, which may be a refusal."""
    answer = b""
    for n in range(2 * MAX_BYTES // (BATCH * MESSAGE_BYTES)):
        messages = [
            track(f"{name}-{n}", f"{name}-{n}-{at}", text=random_text()) for at in range(BATCH)
        ]
        answer = ask(gateway, "POST", "/v1/batch", {"batch": messages}).body
    return answer.decode()


def random_text() -> str:
    """Text that does not get shorter when it is compressed."""
    return os.urandom(MESSAGE_BYTES // 2).hex()
