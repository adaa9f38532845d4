"""Segment's own libraries, unmodified: what they are told is what Heap holds, exactly once.

The same again while the front door fails as front doors do: nothing is lost, nothing is doubled.
"""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from front_door import Fault, FrontDoor
from house import WRITE_KEY, House
from segment_clients import (
    CLIENTS,
    EVENTS,
    ORDER_PROPERTIES,
    ORDERED_AT,
    USER_PROPERTIES,
    SegmentClient,
)

from heap_view import Heap, attempts_by_key, rows_of

_CLOCKS_AGREE_WITHIN = timedelta(seconds=3)

every_client = pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.slug)
every_fault = pytest.mark.parametrize("fault", Fault, ids=str)


@every_client
def test_what_a_library_is_told_is_what_heap_holds(house: House, client: SegmentClient) -> None:
    """Types, names, dates and ids reach Heap as the mapping promises, and only what Heap can take."""
    gateway, heap = house
    messages = client.make_calls(gateway.url, WRITE_KEY, client.slug)
    user = _settled(heap, client.slug)

    assert user["properties"] == USER_PROPERTIES | {"segment_library": client.library}
    assert Counter(event["event"] for event in user["events"]) == Counter(EVENTS)
    [order] = (event for event in user["events"] if event["event"] == "Order Completed")
    assert order["properties"] == ORDER_PROPERTIES | {"segment_library": client.library}
    late_by = datetime.fromisoformat(order["timestamp"]) - datetime.fromisoformat(ORDERED_AT)
    assert timedelta(0) <= late_by < _CLOCKS_AGREE_WITHIN
    _assert_sent_once(heap, client.slug, user, messages)


@every_fault
@every_client
async def test_a_failing_front_door_neither_loses_nor_doubles(
    house: House, client: SegmentClient, fault: Fault
) -> None:
    """A library tries again after any of these, and Heap gets each message once all the same."""
    gateway, heap = house
    user_id = f"{client.slug} {fault}"
    async with FrontDoor(gateway.port, [fault]) as door:
        messages = await asyncio.to_thread(client.make_calls, door.url, WRITE_KEY, user_id)
    user = await asyncio.to_thread(_settled, heap, user_id)

    assert door.played == [fault]
    assert user["properties"] == USER_PROPERTIES | {"segment_library": client.library}
    _assert_sent_once(heap, user_id, user, messages)


def _settled(heap: Heap, user_id: str) -> dict[str, Any]:
    """The user once the last event and the last traits are there."""

    def everything_is_there() -> bool:
        user = heap.user(user_id)
        return user["events_total"] >= len(EVENTS) and "last" in user["properties"]

    heap.until(everything_is_there)
    return heap.user(user_id)


def _assert_sent_once(
    heap: Heap, user_id: str, user: dict[str, Any], messages: list[dict[str, Any]]
) -> None:
    """Each track that Heap is to have went out once, under its messageId; no other call went out."""
    for_heap = [
        one["messageId"]
        for one in messages
        if one["type"] == "track" and one["event"] != "Not For Heap"
    ]
    assert len(set(for_heap)) == len(EVENTS)
    assert sorted(event["idempotency_key"] for event in user["events"]) == sorted(for_heap)
    journal = heap.journal(identity=user_id)
    of_user = [row for one in journal for row in rows_of(one) if row["identity"] == user_id]
    paths = {one["path"] for one in journal}
    assert paths == {"/api/track", "/api/add_user_properties"}
    assert {row["event"] for row in of_user if "event" in row} == set(EVENTS)
    tries = attempts_by_key(journal)
    assert {tries[key] for key in for_heap} == {1}
