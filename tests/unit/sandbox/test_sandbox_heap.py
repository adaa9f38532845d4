"""The local Heap as a whole, without a network: a request in, a reply and a line in the journal out."""

import base64
from typing import Any

import msgspec
import pytest

from headgate.clock import ManualClock
from headgate.sandbox import checks
from headgate.sandbox.announce import Announcer
from headgate.sandbox.exchange import Reply, Request
from headgate.sandbox.faults import parse_plan
from headgate.sandbox.heap import Sandbox
from headgate.sandbox.journal import Wanted, line
from headgate.sandbox.options import Limits, Options

JSON = (("content-type", "application/json"),)


def make(clock: ManualClock | None = None, **options: Any) -> Sandbox:
    return Sandbox(Options(**options), clock or ManualClock())


def send(
    sandbox: Sandbox,
    body: Any = None,
    path: str = "/api/track",
    method: str = "POST",
    headers: tuple[tuple[str, str], ...] = JSON,
) -> Reply:
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return sandbox.handle(Request(method, path, "", headers, raw, len(raw)))


def event(**fields: Any) -> dict[str, Any]:
    return {"app_id": "1", "identity": "ann", "event": "E", **fields}


def events(count: int, user: str = "ann") -> dict[str, Any]:
    return {"app_id": "1", "events": [{"identity": user, "event": "E"}] * count}


def last_line(sandbox: Sandbox) -> dict[str, Any]:
    *_, entry = sandbox.journal.read(Wanted())
    found: dict[str, Any] = msgspec.json.decode(line(entry))
    return found


def test_a_journal_line_tells_the_whole_request() -> None:
    sandbox = make()
    send(sandbox, event(idempotency_key="k", properties={"vip": True}))
    found = last_line(sandbox)
    assert found == {
        "n": 1,
        "at": "2023-11-14T22:13:20.000Z",
        "method": "POST",
        "path": "/api/track",
        "query": "",
        "app_id": "1",
        "status": 200,
        "verdict": "stored",
        "error": "",
        "fault": None,
        "rows": 1,
        "stored": 1,
        "duplicates": 0,
        "ignored": 0,
        "skipped": 0,
        "undocumented": ["boolean-value"],
        "bytes": 91,
        "headers": {"content-type": "application/json"},
        "body": event(idempotency_key="k", properties={"vip": True}),
        "raw_base64": None,
    }


def test_a_line_stays_one_line_whatever_the_body() -> None:
    sandbox = make()
    send(sandbox, b'{\n "app_id": "1"\r\n}')
    *_, entry = sandbox.journal.read(Wanted())
    assert b"\n" not in line(entry)
    assert last_line(sandbox)["body"] == {"app_id": "1"}
    send(sandbox, b"\xff")
    assert base64.b64decode(last_line(sandbox)["raw_base64"]) == b"\xff"


REFUSALS = [
    pytest.param("GET", "/api/track", b"", 405, "application/json", id="wrong method"),
    pytest.param("OPTIONS", "/api/track", b"", 405, "application/json", id="preflight"),
    pytest.param("POST", "/api/nowhere", b"{}", 404, "application/json", id="unknown path"),
    pytest.param("POST", "/api/identify", b"{}", 404, "application/json", id="the old identify"),
    pytest.param("POST", "/api/track", b"{", 400, "text/plain", id="not JSON"),
    pytest.param("POST", "/api/track", b'{"app_id":"1","x":NaN}', 400, "text/plain", id="NaN"),
    pytest.param("POST", "/api/track", b'{"app_id":"x"}', 400, "text/plain", id="unknown app"),
    pytest.param("POST", "/api/track", b'{"app_id":"1"}', 400, "application/json", id="no event"),
    pytest.param(
        "POST", "/api/add_account_properties", b'{"app_id":"1"}', 400, "text/plain", id="account"
    ),
    pytest.param("POST", "/api/track", b"[" * 200_000, 400, "text/plain", id="too deep"),
    pytest.param("POST", "/api/track", b" " * 1_000_001, 413, "application/json", id="too large"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "content_type"), REFUSALS)
def test_a_refusal_is_answered_and_written_down(
    method: str, path: str, body: bytes, status: int, content_type: str
) -> None:
    sandbox = make()
    reply = send(sandbox, body, path, method)
    assert (reply.status, reply.headers["content-type"]) == (status, content_type)
    assert last_line(sandbox)["verdict"] == "rejected"
    assert last_line(sandbox)["error"]


def test_replies_have_heaps_bodies() -> None:
    sandbox = make()
    assert send(sandbox, event()).body == b"{}"
    account = {"app_id": "1", "account_id": "a"}
    reply = send(sandbox, account, "/api/add_account_properties")
    assert (reply.body, reply.headers["content-type"]) == (b"OK", "text/plain")
    assert send(sandbox, {"app_id": "x"}).body == b"Bad Request"


def test_one_bad_row_refuses_a_bulk_request_or_is_skipped() -> None:
    body = {"app_id": "1", "events": [{"identity": "ann", "event": "E"}, {"event": "E"}]}
    atomic, skipping = make(), make(bulk="skip")
    assert send(atomic, body).status == 400
    assert atomic.store.tally.events == 0
    assert send(skipping, body).status == 200
    assert skipping.store.tally.events == 1
    assert (last_line(skipping)["rows"], last_line(skipping)["skipped"]) == (2, 1)


def test_calls_from_a_browser_or_without_a_json_type_are_flagged() -> None:
    sandbox = make()
    reply = send(sandbox, event(), headers=(("origin", "https://shop.example"),))
    assert reply.status == 200
    assert not any(name.startswith("access-control") for name in reply.headers)
    assert last_line(sandbox)["undocumented"] == ["content-type", "browser-origin"]


def test_breaking_a_limit_refuses_the_whole_request() -> None:
    clock = ManualClock()
    sandbox = make(clock)
    assert send(sandbox, events(1000)).status == 200
    assert send(sandbox, events(1)).status == 429
    assert last_line(sandbox)["verdict"] == "limited"
    assert send(sandbox, events(1, "bob")).status == 200
    clock.advance(60)
    assert send(sandbox, events(1)).status == 200


@pytest.mark.parametrize(
    ("style", "values"),
    [
        pytest.param("alternate", [None, "60"], id="every second time"),
        pytest.param("seconds", ["60", "60"], id="seconds"),
        pytest.param("date", ["Tue, 14 Nov 2023 22:14:20 GMT"] * 2, id="a date"),
        pytest.param("never", [None, None], id="never"),
    ],
)
def test_retry_after_is_written_as_asked(style: Any, values: list[str | None]) -> None:
    sandbox = make(limits=Limits(retry_after=style))
    send(sandbox, events(1000))
    replies = [send(sandbox, events(1)) for _ in values]
    assert [reply.headers.get("retry-after") for reply in replies] == values


def test_single_and_bulk_requests_have_limits_of_their_own() -> None:
    sandbox = make()
    assert [send(sandbox, event()).status for _ in range(31)][-2:] == [200, 429]
    user = {"app_id": "1", "identity": "ann"}
    profile = [send(sandbox, user, "/api/add_user_properties").status for _ in range(31)]
    assert profile[-2:] == [200, 429]
    users = {"app_id": "1", "users": [{"identity": "ann"}] * 1000}
    assert all(send(sandbox, users, "/api/add_user_properties").status == 200 for _ in range(20))
    assert send(sandbox, events(1000)).status == 200


def fault(sandbox: Sandbox, **answer: Any) -> None:
    sandbox.plan.set(parse_plan(msgspec.json.encode({"rules": [{"answer": answer}]})))


@pytest.mark.parametrize(
    ("answer", "status", "verdict", "stored"),
    [
        pytest.param({"status": 503}, 503, "fault", 0, id="an error"),
        pytest.param({"status": 503, "store": True}, 503, "fault", 1, id="an error, but stored"),
        pytest.param({"status": 204}, 204, "fault", 1, id="another success"),
        pytest.param({"body": "<html>"}, 200, "fault", 1, id="another body"),
        pytest.param({"delay_s": 1}, 200, "stored", 1, id="only late"),
        pytest.param({"connection": "hang"}, None, "fault", 0, id="no answer"),
        pytest.param({"connection": "reset", "store": True}, None, "fault", 1, id="stored, cut"),
    ],
)
def test_a_fault_is_played_and_written_down(
    answer: dict[str, Any], status: int | None, verdict: str, stored: int
) -> None:
    sandbox = make()
    fault(sandbox, **answer)
    send(sandbox, event())
    found = last_line(sandbox)
    assert (found["status"], found["verdict"], found["stored"]) == (status, verdict, stored)
    assert found["fault"] == answer
    assert sandbox.store.tally.events == stored


def test_a_scripted_success_does_not_save_a_bad_request() -> None:
    sandbox = make()
    reply = send(sandbox, event(event="", properties={"sandbox_answers": "junk200"}))
    assert reply.status == 400


def test_a_message_scripts_its_own_answers_and_is_stored_as_it_is() -> None:
    sandbox = make()
    body = event(
        idempotency_key="k", properties={"sandbox_answers": "429;retry-after=2,junk200,200"}
    )
    first, second, third = (send(sandbox, body) for _ in range(3))
    assert (first.status, first.headers["retry-after"]) == (429, "2")
    assert (second.status, second.headers["content-type"]) == (200, "text/html")
    assert (third.status, third.body) == (200, b"{}")
    assert sandbox.store.tally.events == 1
    assert sandbox.store.tally.duplicates == 1


def test_a_script_nobody_can_play_is_a_400_that_says_so() -> None:
    sandbox = make()
    assert send(sandbox, event(properties={"sandbox_answers": "5OO"})).status == 400
    assert "5OO" in last_line(sandbox)["error"]


def test_the_journal_is_bounded_in_requests_and_bytes() -> None:
    sandbox = make(journal_requests=3)
    for _ in range(5):
        send(sandbox, event())
    assert [entry.n for entry in sandbox.journal.read(Wanted())] == [3, 4, 5]
    assert sandbox.journal.dropped == 2
    small = make(journal_bytes=1000)
    for _ in range(10):
        send(small, b"x" * 400)
    assert len(small.journal) == 2
    assert small.journal.kept_bytes <= 1000


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param(Wanted(), [1, 2, 3, 4], id="all"),
        pytest.param(Wanted(since=2), [3, 4], id="since"),
        pytest.param(Wanted(path="/api/add_user_properties"), [2], id="path"),
        pytest.param(Wanted(path="/api/t*"), [1, 3, 4], id="path with a star"),
        pytest.param(Wanted(identity="bob"), [3, 4], id="identity"),
        pytest.param(Wanted(key="k"), [4], id="key"),
        pytest.param(Wanted(app_id="2"), [3], id="app"),
        pytest.param(Wanted(identity="bob", since=3), [4], id="both"),
    ],
)
def test_the_journal_is_read_by_what_is_wanted(wanted: Wanted, found: list[int]) -> None:
    sandbox = make()
    send(sandbox, event())
    send(sandbox, {"app_id": "1", "identity": "ann"}, "/api/add_user_properties")
    send(sandbox, event(app_id="2", identity="bob"))
    send(sandbox, {"app_id": "1", "events": [event(), event(identity="bob", idempotency_key="k")]})
    assert [entry.n for entry in sandbox.journal.read(wanted)] == found


def test_reset_forgets_everything_but_the_numbering() -> None:
    sandbox = make()
    fault(sandbox, status=500)
    send(sandbox, event(idempotency_key="k"))
    sandbox.reset()
    assert send(sandbox, event(idempotency_key="k")).status == 200
    assert [entry.n for entry in sandbox.journal.read(Wanted())] == [2]


def test_attempts_tell_the_gaps_and_what_followed_a_final_refusal() -> None:
    clock = ManualClock()
    sandbox = make(clock)
    body = event(idempotency_key="k", properties={"sandbox_answers": "500,400,200"})
    for _ in range(3):
        send(sandbox, body)
        clock.advance(1.5)
    assert checks.attempts(sandbox.journal, Wanted(key="k")) == {
        "attempts": 3,
        "requests": [1, 2, 3],
        "statuses": [500, 400, 200],
        "gaps_s": [1.5, 1.5],
        "after_final_400": 1,
    }


def test_checks_report_suppressed_duplicates_and_order() -> None:
    sandbox = make()
    for sequence in (2, 1):
        send(sandbox, event(properties={"sandbox_sequence": sequence}))
    for _ in range(2):
        send(sandbox, event(idempotency_key="k"))
    once, order = checks.exactly_once(sandbox.store), checks.arrival_order(sandbox.store)
    assert (once["events"], once["duplicates_suppressed"], once["without_key"]) == (3, 1, 2)
    assert (order["ok"], order["checked"], order["fell"]) == (False, 2, 1)


def basic(text: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", "Basic " + base64.b64encode(text.encode()).decode()),)


def bearer(reply: Reply) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {msgspec.json.decode(reply.body)['access_token']}"),)


TOKEN, DELETE = "/api/public/v0/auth_token", "/api/public/v0/user_deletion"


def test_deletion_takes_a_token_a_request_and_a_look() -> None:
    sandbox = make(api_key="secret")
    send(sandbox, event())
    token = bearer(send(sandbox, b"", TOKEN, headers=basic("1:secret")))
    reply = send(sandbox, {"users": [{"identity": "ann"}]}, DELETE, headers=token)
    answer = msgspec.json.decode(reply.body)
    assert (reply.status, answer["status"]) == (201, "pending")
    assert sandbox.store.find("ann") == []
    path = answer["deletion_request_location"]
    looks = [send(sandbox, b"", path, "GET", token) for _ in range(2)]
    assert [msgspec.json.decode(look.body)["status"] for look in looks] == ["pending", "complete"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        pytest.param("1:secret", 200, id="right"),
        pytest.param("1:wrong", 401, id="wrong key"),
        pytest.param("1", 401, id="no key"),
        pytest.param("x:secret", 401, id="no app"),
    ],
)
def test_a_token_needs_the_app_and_its_key(text: str, status: int) -> None:
    assert send(make(api_key="secret"), b"", TOKEN, headers=basic(text)).status == status


def test_a_token_dies_after_five_minutes() -> None:
    clock = ManualClock()
    sandbox = make(clock)
    token = bearer(send(sandbox, b"", TOKEN, headers=basic("1:any")))
    users = {"users": [{"user_id": "7"}]}
    clock.advance(299)
    assert send(sandbox, users, DELETE, headers=token).status == 201
    clock.advance(1)
    assert send(sandbox, users, DELETE, headers=token).status == 401


@pytest.mark.parametrize(
    "users",
    [
        pytest.param([], id="none"),
        pytest.param([{"identity": "a"}] * 10_001, id="more than 10,000"),
        pytest.param([{"identity": "a"}, {}], id="one unnamed"),
        pytest.param([{"identity": 7}], id="a number"),
        pytest.param("ann", id="no array"),
    ],
)
def test_a_deletion_that_names_users_wrongly_is_refused(users: Any) -> None:
    sandbox = make()
    token = bearer(send(sandbox, b"", TOKEN, headers=basic("1:any")))
    assert send(sandbox, {"users": users}, DELETE, headers=token).status == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/js/heap-123.js", 200, id="classic"),
        pytest.param("/config/123/heap_config.js", 200, id="current"),
        pytest.param("/js/heap-abc.js", 404, id="no app id"),
        pytest.param("/js/heap-123/heap_config.js", 404, id="half and half"),
    ],
)
def test_scripts_are_served_for_an_app(path: str, status: int) -> None:
    sandbox = make()
    reply = send(sandbox, b"", path, "GET", (("host", "127.0.0.1:9091"),))
    assert reply.status == status
    if status == 200:
        assert b'"http://127.0.0.1:9091/recorder/123"' in reply.body
        assert last_line(sandbox)["app_id"] == "123"


@pytest.mark.parametrize("path", ["/api/capture/v2/track", "/h"])
def test_what_heaps_own_sdks_send_is_taken_and_flagged(path: str) -> None:
    sandbox = make()
    assert send(sandbox, b"\x01\x02", path).status == 200
    assert last_line(sandbox)["undocumented"] == ["capture-endpoint"]


def test_every_verdict_reaches_the_hook() -> None:
    seen: list[str] = []
    sandbox = Sandbox(Options(), ManualClock(), on_verdict=lambda entry: seen.append(entry.verdict))
    send(sandbox, event())
    send(sandbox, b"{")
    assert seen == ["stored", "rejected"]


def test_the_console_shows_the_first_requests_and_then_a_summary() -> None:
    lines: list[str] = []
    timers: list[Any] = []
    announcer = Announcer(lines.append, lambda delay_s, call: timers.append(call))
    sandbox = Sandbox(Options(), ManualClock(), on_verdict=announcer)
    send(sandbox, event(event="Order Completed", identity="user-1"))
    send(sandbox, {"app_id": "1", "identity": "ann"}, "/api/add_user_properties")
    send(sandbox, events(3))
    send(sandbox, b"", "/js/heap-1.js", "GET")
    send(sandbox, event(identity=""))
    assert lines[:4] == [
        'Heap  track "Order Completed" for user-1: stored',
        "Heap  user properties for ann: stored",
        'Heap  3 events, first track "E" for ann: stored',
        "Heap  GET /js/heap-1.js: served",
    ]
    assert lines[4].startswith('Heap  track "E" for : rejected (identity: ')
    for _ in range(15):
        send(sandbox, events(1))
    assert (len(lines), timers) == (20, [])
    send(sandbox, events(3))
    send(sandbox, events(2))
    assert len(lines) == 20
    [timer] = timers
    timer()
    assert lines[20:] == ["Heap  2 requests: 5 stored"]
    send(sandbox, events(1))
    assert len(timers) == 2


def test_the_console_names_what_a_page_told_heap() -> None:
    lines: list[str] = []
    sandbox = Sandbox(Options(), ManualClock(), on_verdict=Announcer(lines.append))
    for method, args in (
        ("track", ["Product Added", {"price": 39}]),
        ("addUserProperties", [{"plan": "pro"}]),
        ("resetIdentity", []),
    ):
        send(sandbox, {"app_id": "1", "method": method, "args": args}, "/recorder/1")
    assert lines == [
        'Heap  page: heap.track "Product Added": served',
        "Heap  page: heap.addUserProperties: served",
        "Heap  page: heap.resetIdentity: served",
    ]
