"""The first sync of a new audience goes behind live traffic, under Heap's own limits. Real processes."""

import json
import time
from itertools import count
from pathlib import Path
from typing import Any

from house import WRITE_KEY, send, track

from heap_view import Heap
from processes import Gateway, eventually, run

_MEMBERS = 20_000  # more than Heap takes of everybody in a minute
_TOLD_WITHIN_S = 180.0
_LIVE_WITHIN_S = 1.5  # a second, and what this machine takes for the looking


def test_live_messages_are_at_heap_within_a_second_while_everybody_is_told(
    heap: Heap, tmp_path: Path
) -> None:
    """Also those of somebody who is still to be told; in the end everybody was told, once."""
    config, data_dir = tmp_path / "headgate.yaml", tmp_path / "data"
    config.write_text(workspace(heap, "Live"))
    with Gateway(data_dir, config).ready() as gateway:
        send_past(gateway, data_dir, tmp_path / "past.jsonl")
        config.write_text(workspace(heap, "Live", "Past"))
        applied = run("apply", config, "--data-dir", data_dir)
        assert applied.returncode == 0, applied.stderr
        heap.until(lambda: told(heap) > 1_000, _TOLD_WITHIN_S)
        probes = count()
        while told(heap) < 12_000:
            assert_is_live(gateway, heap, f"probe-{next(probes)}")
        assert_is_live(gateway, heap, f"member-{_MEMBERS - 1}")  # who comes last
        assert heap.user(f"member-{_MEMBERS - 1}")["properties"]["past"] is True
        assert told(heap) < _MEMBERS
        n = next(probes)
        for probe in range(n, n + 20):
            assert_is_live(gateway, heap, f"probe-{probe}")
            time.sleep(0.5)
        expected = _MEMBERS + n + 20 + 1  # of `live` that of each probe, and of the last member
        heap.until(lambda: told(heap) >= expected, _TOLD_WITHIN_S)
        members = {user["identity"] for user in heap.users() if user["properties"].get("past")}
        assert members == {f"member-{number}" for number in range(_MEMBERS)}
        assert told(heap) == expected
        verdicts = heap.ask("GET", "/summary")["verdicts"]
        assert set(verdicts) == {"stored"}
        audited = json.loads(run("audit", "--json", "--data-dir", data_dir).stdout)
        assert audited["destinations"]["heap"]["pending"] == 0


def workspace(heap: Heap, *audiences: str) -> str:
    """Of whoever did what the audience is named after; as JSON, which is YAML as well."""
    destination = {
        "slug": "heap",
        "sourceId": "website",
        "settings": {"appId": "1", "apiBaseUrl": heap.url},
    }
    return json.dumps(
        {
            "sources": [{"slug": "website", "type": "server", "writeKeys": [WRITE_KEY]}],
            "destinations": [destination],
            "engage": {
                "audiences": [
                    {
                        "name": name,
                        "definition": f"event('{name}').count() >= 1",
                        "destinations": ["heap"],
                        "includeHistory": True,
                    }
                    for name in audiences
                ]
            },
        }
    )


def send_past(gateway: Gateway, data_dir: Path, file: Path) -> None:
    """Imports what everybody did long ago, which Heap is not told, and waits until Engage knows it."""
    calls = (did("Past", f"member-{n}") for n in range(_MEMBERS))
    file.write_text("".join(json.dumps(one) + "\n" for one in calls))
    imported = run("import", file, "--source", "website", "--data-dir", data_dir, within_s=60.0)
    assert imported.returncode == 0, imported.stderr

    def knows() -> bool:
        said = run("engage", "list", "--json", "--data-dir", data_dir)
        return said.returncode == 0 and json.loads(said.stdout)["behind"] == 0

    eventually(knows, _TOLD_WITHIN_S, "Engage has read the past")


def assert_is_live(gateway: Gateway, heap: Heap, user: str) -> None:
    """What the user does now, and what that makes the user, is at Heap at once."""
    send(gateway, did("Live", user))
    heap.until(lambda: is_known(heap, user), _LIVE_WITHIN_S)


def is_known(heap: Heap, user: str) -> bool:
    found = heap.user(user)
    return "Live" in heap.event_names(user) and found["properties"].get("live") is True


def did(event: str, user: str) -> dict[str, Any]:
    return track(user, f"{event} {user}") | {"event": event}


def told(heap: Heap) -> int:
    """How often Heap was told something of somebody."""
    return int(heap.ask("GET", "/summary")["property_writes"])
