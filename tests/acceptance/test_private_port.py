"""The private port of a running server tells what became of messages."""

import urllib.request

from house import ask, send, track

from heap_view import Heap
from processes import Gateway, eventually

COUNTED_WITHIN_S = 10.0


def metrics(gateway: Gateway) -> set[str]:
    """The lines of /metrics."""
    with urllib.request.urlopen(f"{gateway.app_url}/metrics") as answer:
        return set(answer.read().decode().splitlines())


def test_metrics_count_outcomes_and_refusals(gateway: Gateway, heap: Heap) -> None:
    """What was delivered, discarded and refused at the doors, each with its reason."""
    send(gateway, track("u", "first"), track("guest", "second"))
    assert ask(gateway, "POST", "/v1/track", track("u", "third"), key="unknown").status == 200
    expected = {
        'headgate_messages_total{destination="heap",outcome="delivered",reason=""} 1',
        'headgate_messages_total{destination="heap",outcome="discarded",reason="junk_identity"} 1',
        'headgate_refused_total{source="",reason="unknown_write_key",status="200"} 1',
        'headgate_pending{destination="heap"} 0',
        'headgate_destination_up{destination="heap"} 1',
    }
    eventually(lambda: expected <= metrics(gateway), COUNTED_WITHIN_S)
    assert heap.event_names("u") == ["first"]
