"""What the server costs while nothing happens: seconds to the first answer, wake-ups, memory."""

import http.client
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from house import answer_on, send, track

from heap_view import Heap
from processes import Gateway, eventually

STARTS_WITHIN_S = 3.0
IDLE_S = 3.0
MAX_WAKE_UPS = 20
MAX_RESIDENT_MB = 150

Record = Callable[[str, object], None]


def test_the_first_message_is_taken_soon_after_the_start(
    config: Path, tmp_path: Path, record_property: Record
) -> None:
    """From the command to the first 200, on a data directory that is not there yet."""
    started_s = time.monotonic()
    with Gateway(tmp_path / "data", config) as gateway:
        send(gateway, track("u", "first"))
        took_s = time.monotonic() - started_s
    record_property("seconds to the first 200", round(took_s, 2))
    assert took_s < STARTS_WITHIN_S


def test_an_idle_server_sleeps(gateway: Gateway, heap: Heap, record_property: Record) -> None:
    """After a delivery, with a connection still open, neither process wakes up to look around."""
    send(gateway, track("u", "first"))
    heap.until(lambda: heap.event_names("u"))
    line = http.client.HTTPConnection("127.0.0.1", gateway.port)
    line.request("GET", "/health")
    assert answer_on(line).status == 200
    pids = [gateway.pid, gateway.worker()]
    eventually(lambda: _wake_ups(gateway, pids, 0.1).total() == 0, within_s=10)
    woken = _wake_ups(gateway, pids, IDLE_S)
    line.close()
    record_property("wake-ups in 3 idle seconds", woken.total())
    assert woken.total() < MAX_WAKE_UPS, woken


def test_memory_at_rest_is_modest(
    gateway: Gateway, heap: Heap, record_property: Record, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both processes together, after a first delivery; said aloud, since it is worth watching."""
    send(gateway, track("u", "first"))
    heap.until(lambda: heap.event_names("u"))
    resident = {"gateway": _resident_mb(gateway.pid), "worker": _resident_mb(gateway.worker())}
    for name, megabytes in resident.items():
        record_property(f"resident MB, {name}", megabytes)
    with capsys.disabled():
        print(f"\nresident at rest: {resident} MB")
    assert sum(resident.values()) < MAX_RESIDENT_MB


def _wake_ups(gateway: Gateway, pids: list[int], for_s: float) -> Counter[int]:
    """How often each process, in any of its threads, gave up the processor to wait, in so many seconds."""
    before = _switches(pids)
    gateway.stays(for_s)
    return _switches(pids) - before


def _switches(pids: list[int]) -> Counter[int]:
    return Counter({pid: sum(map(_voluntary, Path(f"/proc/{pid}/task").iterdir())) for pid in pids})


def _voluntary(task: Path) -> int:
    fields = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
    return int(fields["voluntary_ctxt_switches"])


def _resident_mb(pid: int) -> int:
    """Memory that is this process's own share, pages shared with others counted in part."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    fields = dict(line.split(":", 1) for line in lines)
    return round(int(fields["Pss"].split()[0]) / 1024)
