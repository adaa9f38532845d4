"""Users are deleted at Heap over HTTP: the sandbox plays Heap, and whatever Heap may do instead."""

import base64
import logging
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headgate.clock import ManualClock
from headgate.delivery import transport as transports
from headgate.delivery.remote_deletion import RemoteDeletions, accounts_of
from headgate.delivery.transport import HttpTransport
from headgate.destinations.catalog import CATALOG
from headgate.destinations.heap.deletion import HeapUserDeletion
from headgate.destinations.interface import Request
from headgate.sandbox import server
from headgate.sandbox.faults import Answer as Fault
from headgate.sandbox.faults import Match, Rule
from headgate.sandbox.heap import Sandbox
from headgate.sandbox.journal import Entry, Wanted
from headgate.sandbox.options import Options
from headgate.sandbox.server import serving
from headgate.workspace.document import as_workspace, checked
from headgate.workspace.model import Workspace
from headgate.workspace.privacy import RemoteDeletion
from headgate.workspace.sqlite_privacy import SqlitePrivacyStore

KEY = "the-key-of-main-production"
SETTINGS = {name: kind.settings for name, kind in CATALOG.items()}
TOKEN = "/api/public/v0/auth_token"
DELETION = "/api/public/v0/user_deletion"
STATUS = "/api/public/v0/deletion_status/"


def workspace(*destinations: dict[str, Any]) -> Workspace:
    """A workspace whose destinations have these settings."""
    found = [
        {"slug": f"heap-{n}", "metadataId": "heap", "sourceId": "web", "settings": settings}
        for n, settings in enumerate(destinations)
    ]
    source = {"slug": "web", "type": "website", "writeKeys": ["wk"]}
    document = checked(
        {"sources": [source], "destinations": found}, catalog=SETTINGS, environment={}
    )
    return as_workspace(document, catalog=SETTINGS, environment={})


class House:
    """One worker's asking, and the Heap that it asks."""

    def __init__(self, directory: Path, url: str, sandbox: Sandbox, clock: ManualClock) -> None:
        self.path = directory / "workspace.db"
        self.url = url
        self.heap = sandbox
        self.clock = clock
        self.transport = HttpTransport()
        self.privacy = SqlitePrivacyStore(self.path, clock)
        self.configure(self.settings())
        self.restart()

    def settings(self, **given: Any) -> dict[str, Any]:
        """Those of a destination with a key."""
        return {"appId": "1", "apiBaseUrl": self.url, "deletionApiKey": KEY} | given

    def configure(self, *destinations: dict[str, Any]) -> None:
        """Makes these the destinations."""
        self.accounts = accounts_of(workspace(*destinations), CATALOG)

    def restart(self) -> None:
        """Another process goes on with what is on disk."""
        self.privacy.close()
        self.privacy = SqlitePrivacyStore(self.path, self.clock)
        self.remote = RemoteDeletions(
            privacy=self.privacy,
            accounts=lambda: self.accounts,
            transport=self.transport,
            clock=self.clock,
            chance=random.Random(1),
        )

    def delete(self, *users: str) -> None:
        """Delivery is through with these users."""
        deletions = [self.privacy.delete(user, actor="root") for user in users]
        ids = [one.id for one in deletions]
        self.privacy.facts_erased(ids, self.remote.asks(deletions))

    def standing(self) -> list[tuple[str, str]]:
        """(user, state) of every deletion at every account."""
        return [(one.user_id, one.state.value) for one in self.privacy.remote_deletions()]

    def last(self) -> RemoteDeletion:
        return self.privacy.remote_deletions()[-1]

    def play(self, path: str, times: int | None = None, **fault: Any) -> None:
        """Heap answers requests to this path in another way."""
        self.heap.plan.set([Rule(Fault(**fault), Match(path=path), times)])

    def asked(self, path: str = "") -> list[Entry]:
        return list(self.heap.journal.read(Wanted(path=path)))

    async def run_until_final(self) -> list[float]:
        """Asks whenever something is due; the pauses between."""
        pauses = []
        while (due_s := await self.remote.ask()) is not None:
            pauses.append(due_s)
            assert len(pauses) < 1_000, "it never ends"
            self.clock.advance(due_s)
        return pauses


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """A Heap that takes one key, and nothing to be deleted yet."""
    monkeypatch.setattr(server, "GRACE_S", 0.0)
    clock = ManualClock()
    sandbox = Sandbox(Options(api_key=KEY), clock)
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(sandbox, port=0))
        made = House(tmp_path, url, sandbox, clock)
        yield made
        await made.transport.close()
        made.privacy.close()


async def test_users_are_deleted_and_followed_until_it_is_done(house: House) -> None:
    """A token, one request for all of them, and their status a minute later and again."""
    await track(house, "ann", "bob")
    house.delete("ann", "nobody")
    assert await house.remote.ask() == 60.0
    assert house.standing() == [("ann", "pending"), ("nobody", "pending")]
    assert [user.identity for user in house.heap.store.users.values()] == ["bob"]
    [asked] = house.asked(DELETION)
    assert msgspec.json.decode(asked.body) == {
        "users": [{"identity": "ann"}, {"identity": "nobody"}]
    }
    house.clock.advance(60.0)
    assert await house.remote.ask() == 120.0
    assert house.standing() == [("ann", "pending"), ("nobody", "pending")]
    house.clock.advance(120.0)
    assert await house.remote.ask() is None
    assert house.standing() == [("ann", "complete"), ("nobody", "complete")]
    assert [entry.method for entry in house.asked(f"{STATUS}*")] == ["GET", "GET"]


async def test_nothing_is_asked_before_it_is_due(house: House) -> None:
    """Waking up early costs nothing."""
    house.delete("ann")
    await house.remote.ask()
    before = house.heap.journal.last
    house.clock.advance(59.0)
    assert await house.remote.ask() == 1.0
    assert house.heap.journal.last == before


async def test_pauses_grow_to_an_hour_while_heap_is_not_done(house: House) -> None:
    """For as long as it takes."""
    house.delete("ann")
    house.play(f"{STATUS}*", 8, status=200, body='{"status":"pending"}')
    pauses = await house.run_until_final()
    minutes = [pause / 60 for pause in pauses]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert house.standing() == [("ann", "complete")]


async def test_each_account_is_asked_once(house: House) -> None:
    """Several destinations may share one; the one with a key speaks for all."""
    house.configure(
        house.settings(deletionApiKey=None),
        house.settings(),
        house.settings(retryWindow="1 hour"),
        house.settings(appId="2"),
    )
    house.delete("ann")
    await house.remote.ask()
    assert [one.scope for one in house.privacy.remote_deletions()] == [
        f"{house.url} 1",
        f"{house.url} 2",
    ]
    assert len(house.asked(DELETION)) == 2


async def test_without_a_key_nobody_is_asked_until_there_is_one(house: House) -> None:
    """It is recorded as such, and no timer runs."""
    house.configure(house.settings(deletionApiKey=None))
    house.delete("ann")
    assert await house.remote.ask() is None
    assert house.standing() == [("ann", "no key")]
    assert house.heap.journal.last == 0
    house.configure(house.settings())
    await house.run_until_final()
    assert house.standing() == [("ann", "complete")]


async def test_a_key_that_is_taken_away_and_an_account_that_is_gone_are_told(house: House) -> None:
    """Nothing hangs for ever."""
    house.delete("ann")
    await house.remote.ask()
    house.configure(house.settings(deletionApiKey=None))
    assert await house.remote.ask() is None
    assert house.standing() == [("ann", "no key")]
    house.configure(house.settings(appId="2"))
    assert await house.remote.ask() is None
    assert house.standing() == [("ann", "failed")]
    assert house.last().answer == "no destination of the workspace sends there any more"


async def test_as_many_users_travel_together_as_one_request_takes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest after them, with the same token."""
    monkeypatch.setattr(HeapUserDeletion, "max_users", 3)
    house.delete("a", "b", "c", "d")
    await house.remote.ask()
    asked = [len(msgspec.json.decode(entry.body)["users"]) for entry in house.asked(DELETION)]
    assert asked == [3, 1]
    assert len(house.asked(TOKEN)) == 1


async def test_one_user_whom_heap_refuses_keeps_nobody_else(house: House) -> None:
    """Found by halves; final for that one."""
    house.delete("a", "b", "", "c", "d")
    await house.remote.ask()
    assert house.standing() == [
        ("a", "pending"),
        ("b", "pending"),
        ("", "failed"),
        ("c", "pending"),
        ("d", "pending"),
    ]
    refused = house.privacy.remote_deletions()[2]
    assert refused.answer.startswith("answered 400: ")


async def test_a_wrong_key_is_tried_for_the_whole_window_and_then_given_up(house: House) -> None:
    """With pauses like those of deliveries; shown as what Heap said; asked again by a new deletion."""
    house.configure(house.settings(deletionApiKey="wrong", retryWindow="10 minutes"))
    house.delete("ann")
    pauses = await house.run_until_final()
    assert 540 <= sum(pauses) <= 600
    assert all(later <= 60.0 for later in pauses)
    assert house.standing() == [("ann", "failed")]
    assert house.last().answer.startswith("answered 401: ")
    assert house.asked(DELETION) == []
    house.configure(house.settings())
    assert await house.remote.ask() is None
    house.delete("ann")
    await house.run_until_final()
    assert house.standing() == [("ann", "failed"), ("ann", "complete")]


ODD: dict[str, tuple[dict[str, Any], str]] = {
    "401": ({"status": 401, "body": '{"err":"no"}'}, "answered 401: "),
    "404": ({"status": 404, "body": ""}, "answered 404"),
    "429": ({"status": 429, "body": "slow"}, "answered 429: slow"),
    "500": ({"status": 500, "body": "<html>oops</html>"}, "answered 500: <html>oops</html>"),
    "HTML": ({"status": 200, "body": "<html>"}, "answered 200, expected a JSON object with "),
    "empty": ({"status": 204, "body": ""}, "answered 204, expected a JSON object with "),
    "junk": ({"status": 200, "body": '{"a":1}'}, "answered 200, expected a JSON object with "),
    "huge": (
        {"status": 200, "body": "x", "body_bytes": 1_000_000},
        "answered 200, expected a JSON object with ",
    ),
    "gzip": (
        {"status": 200, "body": "{}", "encoding": "gzip"},
        "answered 200, expected a JSON object with ",
    ),
    "redirect": (
        {"status": 307, "body": "", "headers": {"Location": "http://127.0.0.1:9/steal"}},
        "answered 307",
    ),
    "reset": ({"connection": "reset"}, "the connection "),
    "timeout": ({"connection": "hang"}, "no answer within 0.2 s"),
}


@pytest.mark.parametrize("path", [TOKEN, DELETION, f"{STATUS}*"], ids=["token", "asking", "status"])
@pytest.mark.parametrize(("fault", "words"), ODD.values(), ids=ODD)
async def test_whatever_heap_says_instead_is_shown_and_tried_again(
    house: House,
    path: str,
    fault: dict[str, Any],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At each step; afterwards it ends well.

    Twice, since a connection that is cut when it is used again hides the first time.
    """
    monkeypatch.setattr(transports, "ATTEMPT_TIMEOUT_S", 0.2)
    house.delete("ann")
    if path.startswith(STATUS):
        await house.remote.ask()
        house.clock.advance(60.0)
    house.play(path, 2, **fault)
    state = house.last().state
    due_s = await house.remote.ask()
    assert due_s is not None
    assert due_s > 0
    assert house.last().state == state
    assert house.last().answer.startswith(words)
    house.clock.advance(due_s)
    await house.run_until_final()
    assert house.standing() == [("ann", "complete")]
    assert house.last().answer == ""


async def test_a_status_that_is_told_again_ends_the_trouble(house: House) -> None:
    """What was said then is forgotten; the next trouble is one of its own."""
    house.configure(house.settings(retryWindow="1 minute"))
    house.delete("ann")
    for _ in range(30):  # an hour and more each time, far longer than a status is tried for
        house.clock.advance(await house.remote.ask() or 0.0)
        house.play(f"{STATUS}*", 1, status=503, body="")
        house.clock.advance(await house.remote.ask() or 0.0)
        assert (house.last().state, house.last().answer) == ("pending", "answered 503")
        house.play(f"{STATUS}*", 1, status=200, body='{"status":"pending"}', store=False)
        house.clock.advance(await house.remote.ask() or 0.0)
        assert (house.last().state, house.last().answer) == ("pending", "")
        house.play(f"{STATUS}*", status=200, body='{"status":"pending"}', store=False)


async def test_a_status_that_nobody_tells_any_more_is_given_up_after_a_day(house: House) -> None:
    """However short the retry window is: the request was taken up."""
    house.configure(house.settings(retryWindow="1 minute"))
    house.delete("ann")
    await house.remote.ask()
    house.play(f"{STATUS}*", status=404, body="")
    house.clock.advance(60.0)
    pauses = await house.run_until_final()
    assert 22.0 <= sum(pauses) / 3600 <= 24.0
    assert house.standing() == [("ann", "failed")]
    assert (house.last().answer, house.last().request_id) == ("answered 404", "1")


async def test_a_pause_that_heap_asks_for_is_kept(house: House) -> None:
    """Within bounds."""
    house.delete("ann")
    house.play(TOKEN, 1, status=429, body="", headers={"Retry-After": "200"})
    assert await house.remote.ask() == 200.0
    house.clock.advance(200.0)
    house.play(TOKEN, 1, status=429, body="", headers={"Retry-After": "99999"})
    assert await house.remote.ask() == 300.0


@pytest.mark.parametrize(
    "steps", [0, 1, 2, 3], ids=["to be asked", "failing", "pending", "almost done"]
)
async def test_a_restart_goes_on_where_it_was(house: House, steps: int) -> None:
    """Nothing is asked twice but what was not recorded."""
    house.delete("ann")
    house.play(TOKEN, 1, status=503, body="")
    for _ in range(steps):
        house.clock.advance(await house.remote.ask() or 0.0)
    before = house.privacy.remote_deletions()
    house.restart()
    assert house.privacy.remote_deletions() == before
    await house.run_until_final()
    assert house.standing() == [("ann", "complete")]
    assert len(house.asked(DELETION)) == 1


async def test_a_clock_that_was_set_back_keeps_nothing_waiting(house: House) -> None:
    """A time further away than any pause counts as due."""
    house.delete("ann")
    await house.remote.ask()
    house.clock.jump(-86_400)
    assert await house.remote.ask() == 120.0
    assert len(house.asked(f"{STATUS}*")) == 1


async def test_no_secret_is_recorded_or_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """Not the key, not a token, not a header, though Heap repeats them all in its answers."""
    caplog.set_level(logging.DEBUG)
    pair = base64.b64encode(f"1:{KEY}".encode()).decode()
    house.delete("ann")
    house.play(TOKEN, 1, status=500, body=f"you sent Basic {pair} which is {KEY}")
    house.clock.advance(await house.remote.ask() or 0.0)
    assert house.last().answer == "answered 500: you sent Basic [hidden] which is [hidden]"
    house.play(DELETION, 1, status=401, body="Bearer sandbox-token-1 is no good")
    house.clock.advance(await house.remote.ask() or 0.0)
    assert house.last().answer == "answered 401: Bearer [hidden] is no good"
    await house.run_until_final()
    stored = b"".join(path.read_bytes() for path in house.path.parent.iterdir())
    for secret in (KEY, pair, "sandbox-token"):
        assert secret.encode() not in stored
        assert secret not in caplog.text
    assert "ann" not in caplog.text


async def test_a_redirect_takes_no_secret_elsewhere(house: House) -> None:
    """Wherever Heap points to."""
    async with serving(elsewhere := Sandbox(Options(), ManualClock()), port=0) as other_url:
        house.delete("ann")
        for path in (TOKEN, DELETION):
            house.play(path, 1, status=308, body="", headers={"Location": f"{other_url}{path}"})
            house.clock.advance(await house.remote.ask() or 0.0)
            assert house.last().answer == "answered 308"
        assert elsewhere.journal.last == 0


async def track(house: House, *users: str) -> None:
    """Heap knows these users."""
    rows = [{"identity": user, "event": "E", "idempotency_key": f"key-{user}"} for user in users]
    body = msgspec.json.encode({"app_id": "1", "events": rows})
    headers = {"Content-Type": "application/json"}
    answer = await house.transport.send(Request(f"{house.url}/api/track", headers, body))
    assert answer.status == 200
