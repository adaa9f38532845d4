"""The doors refuse what suppressed users send, and nothing of it stays on disk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from factories import NOW_MS, batch, message, source, workspace
from headgate.clock import ManualClock
from headgate.eventlog.group_commit import GroupCommit
from headgate.eventlog.log import BlockLog
from headgate.eventlog.refused import RefusedRing, refusal_counts, refusals_of
from headgate.eventlog.sqlite import SqliteStorage, sqlite_reader
from headgate.gateway.connection import DoorServer
from headgate.gateway.doors import Doors
from headgate.spec.message import normalize
from peers import Reply, connected, http, listen

SUCCESS = b'{"success": true}'
SECRET = "a-secret-of-theirs"


class House:
    """The doors over a log and a ring in a directory; nobody is suppressed at first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.suppressed: frozenset[str] = frozenset()
        clock = ManualClock(NOW_MS)
        log = BlockLog(SqliteStorage(directory / "log", clock), clock)
        self.commits = GroupCommit(log, RefusedRing(directory / "refused.db"), lambda seq: None)
        now = (7, workspace(source(), source("old", enabled=False)))
        doors = Doors(self.commits, lambda: now, clock, lambda: self.suppressed)
        self.server = DoorServer(doors, request_deadline_s=30.0)

    async def start(self) -> None:
        listener, self.port = listen()
        await self.server.start(listener)

    async def stop(self) -> None:
        await self.server.stop(1)
        await self.commits.close()

    async def post(self, path: str, body: bytes) -> Reply:
        async with connected(self.port) as peer:
            peer.send(http("POST", path, body))
            return await peer.reply()

    def held(self) -> list[str]:
        """The messageIds in the log."""
        reader = sqlite_reader(self.directory / "log")
        entries = [entry for block in reader.blocks(0) for entry in block.entries()]
        reader.close()
        return [normalize(one.raw, one.envelope, one.given_id)["messageId"] for one in entries]

    def refused(self) -> dict[tuple[str, int], int]:
        """How many messages were refused, by reason and answer."""
        counts = refusal_counts(self.directory / "refused.db")
        return {(reason, answered): n for _, reason, answered, n in counts}

    def bytes_on_disk(self) -> bytes:
        """Everything in every file of the directory."""
        files = [path for path in self.directory.rglob("*") if path.is_file()]
        return b"".join(path.read_bytes() for path in files)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Open doors."""
    made = House(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_a_suppressed_user_is_answered_like_anybody_and_leaves_nothing(house: House) -> None:
    """200, counted, found by its messageId, without a byte of what was in it."""
    house.suppressed = frozenset({"ann"})
    body = message("m-1", writeKey="wk_website", properties={"note": SECRET})
    reply = await house.post("/v1/track", body)
    assert (reply.status, reply.body) == (200, SUCCESS)
    [refusal] = refusals_of(house.directory / "refused.db", "m-1")
    assert (refusal.reason, refusal.source, refusal.body) == ("suppressed", "website", b"")
    assert house.refused() == {("suppressed", 200): 1}
    assert house.held() == []
    assert SECRET.encode() not in house.bytes_on_disk()


async def test_neighbours_in_a_batch_are_unharmed(house: House) -> None:
    """Numbers name users as their text does."""
    house.suppressed = frozenset({"42"})
    notes = {"properties": {"note": SECRET}}
    items = [message("a"), message("b", userId=42, **notes), message("c", userId="42", **notes)]
    assert (await house.post("/v1/batch", batch(*items, message("d")))).body == SUCCESS
    assert house.held() == ["a", "d"]
    assert house.refused() == {("suppressed", 200): 2}
    assert SECRET.encode() not in house.bytes_on_disk()


@pytest.mark.parametrize(
    ("fields", "reason", "status"),
    [
        ({"event": None}, "no_event_name", 200),
        ({"writeKey": "wk_nobody"}, "unknown_write_key", 200),
        ({"writeKey": "wk_old"}, "source_disabled", 200),
        ({"traits": {"x": "x" * 40_000}}, "message_too_large", 400),
    ],
    ids=["no event", "an unknown key", "a disabled source", "too large"],
)
async def test_a_message_that_is_refused_anyway_leaves_no_body_either(
    house: House, fields: dict[str, object], reason: str, status: int
) -> None:
    """The answer is the one that anybody gets."""
    house.suppressed = frozenset({"ann"})
    body = message("m-1", **({"writeKey": "wk_website", "properties": {"n": SECRET}} | fields))
    assert (await house.post("/v1/track", body)).status == status
    assert house.refused() == {(reason, status): 1}
    assert SECRET.encode() not in house.bytes_on_disk()


async def test_what_changes_holds_for_the_next_request(house: House) -> None:
    """Suppressed, and taken in again."""
    for suppressed in (frozenset({"ann"}), frozenset[str]()):
        house.suppressed = suppressed
        await house.post("/v1/batch", batch(message(f"m-{len(suppressed)}")))
    assert house.held() == ["m-0"]
