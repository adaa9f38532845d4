"""kill -9 at random instants: what was answered with 200 reaches Heap once, whatever dies."""

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from heap_view import Heap, attempts_by_key
from house import WRITE_KEY
from kills import KilledGateway, Victim, assert_exactly_once
from load import Load

_SLOW = {
    "match": {"path": "/api/*"},
    "answer": {"delay_s": 0.04},
}  # so that kills find much in flight
_VICTIMS = [
    *(Victim.GATEWAY, Victim.WORKER, Victim.BOTH, Victim.GATEWAY, Victim.BOTH),
    *(Victim.WORKER, Victim.GATEWAY, Victim.BOTH, Victim.WORKER, Victim.GATEWAY),
]


async def test_ten_kills_under_load_lose_nothing_and_double_nothing(
    heap: Heap, config: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Every acknowledged message is held once, in its user's order, also when all are sent again later."""
    heap.play(_SLOW)
    killed = KilledGateway(tmp_path / "data", config)
    load = Load(killed.now.url, WRITE_KEY)
    try:
        async with load.running():
            await killed.kill_at_random(_VICTIMS, load)
        await assert_exactly_once(load, heap, tmp_path / "data")
        record_property("accepted", len(load.accepted))
        record_property("posts cut off", len(load.unanswered))

        before = attempts_by_key(await asyncio.to_thread(heap.journal))
        record_property("events sent again after a kill", before.total() - len(before))
        await killed.kill(Victim.BOTH, load)
        await load.post_again()
        last = {"type": "track", "userId": "last", "event": "Last", "messageId": "last"}
        assert await load.post(last) is None
        await assert_exactly_once(load, heap, tmp_path / "data")
        assert attempts_by_key(await asyncio.to_thread(heap.journal)) == before + Counter(["last"])
    finally:
        await asyncio.to_thread(killed.close)
