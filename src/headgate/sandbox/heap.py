"""The local Heap itself: a request in, a reply and a line in the journal out. No I/O, nothing waits.

In order: the fault plan, answers scripted in the message, then Heap's own way: path and method, body,
rules, limits, store. A fault that stores still goes Heap's way first; one that does not never gets
there.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from math import ceil
from typing import Any

import msgspec

from headgate.clock import Clock
from headgate.sandbox import recorder, rows
from headgate.sandbox.answers import PROPERTY, AnswerError, Scripts
from headgate.sandbox.deletion import ROOT, Deletions
from headgate.sandbox.exchange import HEAPS_OWN, Outcome, Reply, Request
from headgate.sandbox.faults import NEVER_ANSWERS, Answer, FaultPlan
from headgate.sandbox.journal import Entry, Journal, Moment
from headgate.sandbox.limits import Limiter
from headgate.sandbox.options import Options
from headgate.sandbox.rules import ENDPOINTS, Accepted, Refused, app_id_is_known, judge
from headgate.sandbox.state import Arrival, Store
from headgate.sandbox.writes import SetUserProperties, TrackEvent

# Where Heap's SDKs send: https://github.com/heap/heap-swift-core-sdk
CAPTURE_PATHS = ("/api/capture/v2/", "/h")
ACCOUNTS_PATH = "/api/add_account_properties"
JSON = "application/json"


class Sandbox:
    """A Heap of one's own: state, journal, faults. `on_verdict` is called with each new entry."""

    def __init__(
        self,
        options: Options,
        clock: Clock,
        *,
        on_verdict: Callable[[Entry], None] | None = None,
    ) -> None:
        self.options = options
        self.clock = clock
        self.store = Store(options)
        self.journal = Journal(options.journal_requests, options.journal_bytes)
        self.plan = FaultPlan()
        self._scripts = Scripts()
        self._deletions = Deletions(self.store, clock, options.api_key)
        self._limiter = Limiter(options.limits)
        self._refusals = 0
        self._on_verdict = on_verdict

    def reset(self) -> None:
        """Forget everything: state, journal, faults, budgets. Numbers in the journal go on."""
        self.store.clear()
        self.journal.clear()
        self.plan.set(())
        self._scripts.clear()
        self._deletions.clear()
        self._limiter = Limiter(self.options.limits)
        self._refusals = 0

    def before_reading(self, request: Request) -> Reply | None:
        """The reply when a fault answers before the body has been read, None to go on."""
        answer = self.plan.choose(request.path, lambda: None, read=False)
        if answer is None:
            return None
        return self._finish(request, _fault_outcome(answer, request, None), answer)

    def handle(self, request: Request) -> Reply:
        """Take a whole request."""
        body = rows.decode(request.body)
        try:
            answer = self._scripted(request, body)
        except AnswerError as error:
            return self._finish(request, Outcome.refused(400, str(error)), HEAPS_OWN)
        if answer is not HEAPS_OWN and not answer.stores:
            return self._finish(request, _fault_outcome(answer, request, body), answer)
        outcome = self._process(request, body)
        if answer.replaces_reply and outcome.status < 300:
            outcome = _overridden(outcome, answer)
        return self._finish(request, outcome, answer)

    def _scripted(self, request: Request, body: Any) -> Answer:
        """What a fault or the message itself asks for."""
        planned = self.plan.choose(request.path, lambda: body, read=True)
        if planned is not None:
            return planned
        if PROPERTY.encode() not in request.body:
            return HEAPS_OWN
        return self._scripts.choose(rows.app_id(body), rows.rows(body)) or HEAPS_OWN

    def _process(self, request: Request, body: Any) -> Outcome:
        """Heap's own way."""
        if request.path in ENDPOINTS:
            return self._ingest(request, body)
        if request.path.startswith(ROOT):
            return self._deletions.handle(request, body)
        if request.path.startswith(recorder.POST_PATH) and request.method == "POST":
            return Outcome(204, "served", b"", app_id=rows.app_id(body))
        if request.path.startswith(CAPTURE_PATHS[0]) or request.path == CAPTURE_PATHS[1]:
            return Outcome(200, "served", undocumented=("capture-endpoint",))
        return _script(request) or Outcome.refused(404, f"no such path: {request.path}")

    def _ingest(self, request: Request, body: Any) -> Outcome:
        if request.method != "POST":
            return Outcome.refused(405, f"{request.method} is not allowed here")
        if request.size_bytes > self.options.max_body_bytes:
            text = f"body: {request.size_bytes} bytes, at most {self.options.max_body_bytes}"
            return Outcome.refused(413, text)
        judgement = judge(request.path, body, self.options)
        if isinstance(judgement, Refused):
            outcome = _bad_request(request, body, judgement, self.options)
        else:
            outcome = self._admit(request, judgement)
        outcome.app_id = outcome.app_id or rows.app_id(body)
        outcome.undocumented += _undocumented_headers(request)
        return outcome

    def _admit(self, request: Request, accepted: Accepted) -> Outcome:
        wait_s = self._wait_s(request.path, accepted)
        if wait_s:
            return self._limited(accepted, wait_s)
        now_ms = self.clock.now_ms()
        arrival = Arrival(self.journal.last + 1, iso(now_ms), now_ms)
        applied = self.store.apply(accepted.app_id, accepted.writes, arrival)
        is_text = request.path == ACCOUNTS_PATH
        return Outcome(
            200,
            "stored",
            body=b"OK" if is_text else b"{}",
            content_type="text/plain" if is_text else JSON,
            app_id=accepted.app_id,
            rows=len(accepted.writes) + accepted.skipped,
            stored=applied.stored,
            duplicates=applied.duplicates,
            ignored=applied.ignored,
            skipped=accepted.skipped,
            undocumented=accepted.undocumented,
        )

    def _wait_s(self, path: str, accepted: Accepted) -> float:
        """Seconds until the request fits Heap's documented limits; it is counted when it does."""
        limits = self.options.limits
        now_s = self.clock.monotonic_s()
        first = accepted.writes[0] if accepted.writes else None
        if path == "/api/track" and accepted.bulk:
            if not limits.events_per_min and not limits.events_per_min_per_user:
                return 0.0
            users = Counter(w.who.name for w in accepted.writes if isinstance(w, TrackEvent))
            return self._limiter.admit_bulk(accepted.app_id, users, now_s)
        if not accepted.bulk and isinstance(first, TrackEvent | SetUserProperties):
            return self._limiter.admit_single(path, accepted.app_id, first.who.name, now_s)
        return 0.0

    def _limited(self, accepted: Accepted, wait_s: float) -> Outcome:
        self._refusals += 1
        style = self.options.limits.retry_after
        if style == "alternate":
            style = "never" if self._refusals % 2 else "seconds"
        seconds = max(1, ceil(wait_s))
        headers = {}
        if style == "seconds":
            headers["retry-after"] = str(seconds)
        elif style == "date":
            headers["retry-after"] = http_date(self.clock.now_ms() + seconds * 1000)
        return Outcome(
            429,
            "limited",
            headers=headers,
            app_id=accepted.app_id,
            error=f"over Heap's documented limits for another {wait_s:.3f} s",
            rows=len(accepted.writes),
            undocumented=accepted.undocumented,
        )

    def _finish(self, request: Request, outcome: Outcome, answer: Answer) -> Reply:
        """Write the journal and hand out the reply."""
        now_ms = self.clock.now_ms()
        is_cut = answer.connection in NEVER_ANSWERS
        is_fault = answer is not HEAPS_OWN
        fault = msgspec.json.encode(answer).decode() if is_fault else ""
        status = None if is_cut else outcome.status
        if is_cut:
            outcome.verdict = "fault"
        entry = self.journal.record(request, outcome, Moment(iso(now_ms), now_ms, status, fault))
        if self._on_verdict is not None:
            self._on_verdict(entry)
        headers = {"content-type": outcome.content_type} | outcome.headers
        return Reply(outcome.status, headers | _lower(answer.headers), outcome.body, answer)


def iso(unix_ms: int) -> str:
    """A moment as people and Heap write it: UTC, milliseconds, Z."""
    seconds, ms = divmod(unix_ms, 1000)
    return f"{_utc(seconds):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def http_date(unix_ms: int) -> str:
    """A moment as HTTP headers write it."""
    return format_datetime(_utc(unix_ms // 1000), usegmt=True)


def _utc(unix_s: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=unix_s)


def _fault_outcome(answer: Answer, request: Request, body: Any) -> Outcome:
    """A fault that never reaches Heap."""
    outcome = Outcome(200, "fault", app_id=rows.app_id(body), rows=len(rows.rows(body)))
    return _overridden(outcome, answer)


def _overridden(outcome: Outcome, answer: Answer) -> Outcome:
    """The outcome with the reply a fault asks for."""
    outcome.verdict = "fault"
    if answer.status is not None:
        outcome.status = answer.status
    if answer.body is not None:
        outcome.body = answer.body.encode()
    return outcome


def _bad_request(request: Request, body: Any, refused: Refused, options: Options) -> Outcome:
    """A 400 in one of the shapes Heap has: plain for accounts and unknown apps, JSON elsewhere."""
    outcome = Outcome.refused(400, refused.error)
    outcome.rows = len(rows.rows(body))
    outcome.undocumented = refused.undocumented
    if not app_id_is_known(body, options):
        outcome.body, outcome.content_type = b"Bad Request", "text/plain"
    elif request.path == ACCOUNTS_PATH:
        outcome.body, outcome.content_type = refused.error.encode(), "text/plain"
    return outcome


def _script(request: Request) -> Outcome | None:
    origin = f"http://{request.header('host')}"
    found = recorder.script(request.path, origin) if request.method in ("GET", "HEAD") else None
    if found is None:
        return None
    app_id, text = found
    return Outcome(200, "served", text, "text/javascript; charset=utf-8", app_id=app_id)


def _undocumented_headers(request: Request) -> tuple[str, ...]:
    """Heap documents a JSON content type, and no calls from browsers."""
    words = []
    if request.header("content-type").partition(";")[0].strip().lower() != JSON:
        words.append("content-type")
    if request.header("origin"):
        words.append("browser-origin")
    return tuple(words)


def _lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
