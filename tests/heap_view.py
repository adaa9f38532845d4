"""Heap as the acceptance tests see it: a sandbox in a process of its own, asked over HTTP."""

import http.client
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

from processes import HEADGATE, Child, free_port

SETTLES_WITHIN_S = 20.0

Row = dict[str, Any]


class Heap(Child):
    """`headgate sandbox` on a free port, and what it tells about itself."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__([HEADGATE, "sandbox", "--port", str(self.port)])

    def __enter__(self) -> "Heap":
        try:
            self.says(re.escape(self.url))
        except AssertionError:
            self.close()
            raise
        return self

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer; None for 404."""
        status, text = self._exchange(method, path, body)
        if status == 404:
            return None
        assert status < 300, f"{method} {path}: {status} {text!r}"
        return json.loads(text) if text else None

    def play(self, *rules: dict[str, Any]) -> None:
        """Replaces the faults by these rules; none at all ends them."""
        self.ask("POST", "/faults", {"rules": list(rules)})

    def user(self, identity: str) -> dict[str, Any]:
        """What Heap holds of a user: properties, and events in order of arrival."""
        empty: dict[str, Any] = {"properties": {}, "events": [], "events_total": 0}
        return self.ask("GET", f"/users/{quote(identity, safe='')}") or empty

    def users(self) -> Iterator[dict[str, Any]]:
        """Everybody, with properties."""
        after = 0
        while after is not None:
            page = self.ask("GET", f"/users?after={after}&limit=1000")
            yield from page["users"]
            after = page["after"]

    def events(self) -> Iterator[dict[str, Any]]:
        """Every event that Heap has kept, in order of arrival."""
        after = 0
        while after is not None:
            page = self.ask("GET", f"/events?after={after}&limit=5000")
            yield from page["events"]
            after = page["after"]

    def event_names(self, identity: str) -> list[str]:
        """The names of a user's events, in order of arrival."""
        return [event["event"] for event in self.user(identity)["events"]]

    def journal(self, **wanted: str | int) -> list[dict[str, Any]]:
        """The requests that Heap has seen."""
        _, text = self._exchange("GET", f"/journal?{urlencode(wanted)}")
        return [json.loads(line) for line in text.splitlines()]

    def until(self, condition: Callable[[], object], within_s: float = SETTLES_WITHIN_S) -> None:
        """Waits for a condition on what Heap holds, looked at after each request that Heap receives."""
        deadline = time.monotonic() + within_s
        for _ in self.requests(deadline):
            if condition():
                return
        seen = [(one["path"], one["status"], one["verdict"]) for one in self.journal()[-10:]]
        raise AssertionError(f"not within {within_s:g} s: {condition}; Heap saw last {seen}")

    def requests(self, deadline: float, since: int | None = None) -> Iterator[dict[str, Any]]:
        """An empty one at once, then each request as Heap receives it; ends at the deadline."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5.0)
        try:
            line.request("GET", "/journal/stream" + ("" if since is None else f"?since={since}"))
            stream = line.getresponse()
            stream.readline()  # the greeting: from here on nothing is missed
            yield {}
            while (left_s := deadline - time.monotonic()) > 0:
                line.sock.settimeout(left_s)
                text = stream.readline()
                if text.startswith(b"data: "):
                    yield json.loads(text.removeprefix(b"data: "))
        except TimeoutError:
            return
        finally:
            line.close()

    def _exchange(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10.0)
        try:
            line.request(method, path, None if body is None else json.dumps(body))
            answer = line.getresponse()
            return answer.status, answer.read()
        finally:
            line.close()


def rows_of(request: dict[str, Any]) -> list[Row]:
    """The events or users of a request in the journal."""
    body = request.get("body") or {}
    found: list[Row] = body.get("events") or body.get("users") or []
    return found


def attempts_by_key(journal: list[dict[str, Any]]) -> Counter[str]:
    """How often each idempotency key was sent, whatever became of it."""
    return Counter(
        row["idempotency_key"]
        for request in journal
        for row in rows_of(request)
        if "idempotency_key" in row
    )
