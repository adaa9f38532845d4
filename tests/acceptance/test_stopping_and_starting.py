"""Signals, deaths and second servers: what was taken in is answered and kept, and one process writes."""

import http.client
import json
import os
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest
from house import answer_on, ask, headers, send, track

from heap_view import Heap, attempts_by_key
from processes import Gateway, descendants, eventually, free_port, is_running, run

_HANG_ONCE = {"match": {"path": "/api/*"}, "times": 1, "answer": {"connection": "hang"}}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_requests_in_flight_are_answered_and_kept(
    gateway: Gateway, heap: Heap, config: Path, number: signal.Signals
) -> None:
    """Whoever has sent its request, or half of it, on an open connection gets its 200 before the end."""
    lines = [http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10) for _ in range(21)]
    *whole, half = lines
    for n, line in enumerate(lines):
        line.request("POST", "/v1/batch", _batch(f"before-{n}"), headers())
        assert answer_on(line).status == 200
    body = _batch("half").encode()
    half.putrequest("POST", "/v1/batch")
    for name, value in {**headers(), "Content-Length": str(len(body))}.items():
        half.putheader(name, value)
    half.endheaders(body[:30])
    for n, line in enumerate(whole):
        line.request("POST", "/v1/batch", _batch(f"meanwhile-{n}"), headers())

    gateway.signal(number)
    half.send(body[30:])
    answers = [answer_on(line).status for line in lines]
    for line in lines:
        line.close()
    assert answers == [200] * 21
    assert gateway.exits(within_s=10.0) == 0

    with Gateway(gateway.data_dir, config):
        heap.until(lambda: len(heap.event_names("u")) == 42)
    assert set(attempts_by_key(heap.journal()).values()) == {1}


def test_a_hanging_heap_does_not_hold_up_the_end(
    gateway: Gateway, heap: Heap, config: Path
) -> None:
    """Exit status 0 within 10 s; the next server, started meanwhile, waits and sends it again."""
    heap.play(_HANG_ONCE)
    send(gateway, track("u", "kept"))
    heap.until(heap.journal)
    gateway.signal(signal.SIGTERM)
    with Gateway(gateway.data_dir, config) as following:
        assert gateway.exits(within_s=0.5) == 0, "both were running at once"
        heap.until(lambda: heap.event_names("u") == ["kept"])
        assert ask(following, "GET", "/health").status == 200


def test_ctrl_c_ends_everything(gateway: Gateway) -> None:
    """Also right after the start: the terminal's interrupt ends both processes, with status 0, in silence."""
    worker = gateway.worker()
    gateway.interrupt()
    assert gateway.exits(within_s=10.0) == 0
    assert "Traceback" not in gateway.err
    assert not is_running(worker)


def test_a_second_server_on_the_same_data_is_refused(gateway: Gateway, config: Path) -> None:
    """At once, and in words; the first one is not disturbed."""
    ports = ["--port", str(free_port()), "--app-port", str(free_port())]
    second = run("serve", "--config", config, "--data-dir", gateway.data_dir, *ports, within_s=5)
    assert second.returncode == 1
    assert f"another server runs on {gateway.data_dir}" in second.stderr
    assert "Traceback" not in second.stderr
    assert ask(gateway, "GET", "/health").status == 200


@pytest.mark.parametrize("option", ["--port", "--app-port"])
def test_a_taken_port_is_named(config: Path, tmp_path: Path, option: str) -> None:
    """The refusal says which address is taken and what to type instead."""
    ports = {"--port": str(free_port()), "--app-port": str(free_port())}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports[option] = str(taken.getsockname()[1])
        words = [word for pair in ports.items() for word in pair]
        ended = run("serve", "--config", config, "--data-dir", tmp_path / "data", *words)
    assert ended.returncode == 1
    assert f"127.0.0.1:{ports[option]}: Address already in use" in ended.stderr
    assert option in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_worker_of_a_killed_gateway_gives_way_before_the_next_one_writes(
    gateway: Gateway, heap: Heap, config: Path
) -> None:
    """A server started at once on the same ports waits for the old worker: never two of them deliver."""
    heap.play(_HANG_ONCE)
    send(gateway, track("u", "kept"))
    heap.until(heap.journal)
    orphan = gateway.worker()
    gateway.kill()
    facts = gateway.data_dir / "delivery" / "delivery.db"

    def next_one_writes() -> bool:
        writers = holders(facts)
        assert len(writers) <= 1, f"{writers} write {facts} at the same time"
        return bool(writers - {orphan})

    following = Gateway(gateway.data_dir, config, port=gateway.port, app_port=gateway.app_port)
    with closing(following):
        eventually(next_one_writes, within_s=20)
        eventually(lambda: not is_running(orphan), within_s=2)
        following.ready()
        heap.until(lambda: heap.event_names("u") == ["kept"])


def test_a_killed_worker_is_started_again_behind_open_doors(gateway: Gateway, heap: Heap) -> None:
    """Every post meanwhile is accepted, and all of it is delivered by the next worker."""
    killed = gateway.worker()
    os.kill(killed, signal.SIGKILL)
    posted: list[str] = []

    def next_worker_runs() -> bool:
        posted.append(f"post-{len(posted)}")
        send(gateway, track("u", posted[-1]))
        assert ask(gateway, "GET", "/health").status == 200
        return any(pid != killed and is_running(pid) for pid in descendants(gateway.pid))

    eventually(next_worker_runs, within_s=10)
    heap.until(lambda: heap.event_names("u") == posted)


def holders(path: Path) -> set[int]:
    """The processes that have the file open."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(fd.readlink() == path for fd in (process / "fd").iterdir()):
                found.add(int(process.name))
        except OSError:
            continue
    return found


def _batch(message_id: str) -> str:
    return json.dumps({"batch": [track("u", message_id)]})
