"""Every request the local Heap has seen, in order, bounded in number and in bytes.

Verdicts: `stored` (accepted, with effect or not), `rejected` (refused by a rule), `limited` (over a
documented limit), `fault` (a scripted answer was played instead of Heap's own), `served` (a script, a
token, a status). `n` starts at 1 and never restarts while the process lives, so a gap means entries
were dropped or cleared.

A line stays one line for every reader: JSON text may hold U+0085, U+2028 and U+2029 as they are, but
Python's `str.splitlines` and others break lines there, so they are escaped.
"""

import asyncio
import base64
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import msgspec

from headgate.sandbox import rows
from headgate.sandbox.exchange import Outcome, Request
from headgate.sandbox.faults import path_fits

# In UTF-8; inside valid UTF-8 these bytes are never part of anything else.
_LINE_BREAKS = (
    (b"\xc2\x85", rb"\u0085"),
    (b"\xe2\x80\xa8", rb"\u2028"),
    (b"\xe2\x80\xa9", rb"\u2029"),
)


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One request and its verdict. `status` None: the connection was cut before any answer.

    `headers` is their JSON object, encoded so that a long journal stays small.
    """

    n: int
    at: str
    at_ms: int
    method: str
    path: str
    query: str
    headers: bytes
    body: bytes
    size_bytes: int
    app_id: str
    status: int | None
    verdict: str
    error: str
    fault: str
    rows: int
    stored: int
    duplicates: int
    ignored: int
    skipped: int
    undocumented: tuple[str, ...]

    @property
    def weight_bytes(self) -> int:
        """What it counts against the journal's bound."""
        return len(self.body) + len(self.headers)


class Moment(msgspec.Struct, frozen=True):
    """When a request arrived, what answered it, and which fault was played (its JSON, or "")."""

    at: str
    at_ms: int
    status: int | None
    fault: str = ""


class Wanted(msgspec.Struct, frozen=True):
    """Which entries a reader asks for; an empty field asks for all. A path may end in `*`."""

    since: int = 0
    path: str = ""
    identity: str = ""
    key: str = ""
    app_id: str = ""

    def fits(self, entry: Entry) -> bool:
        """Whether the entry is wanted; the body is read only when it has to be."""
        if self.path and not path_fits(self.path, entry.path):
            return False
        if self.app_id and self.app_id != entry.app_id:
            return False
        if not self.identity and not self.key:
            return True
        found = rows.rows(rows.decode(entry.body))
        return (not self.identity or any(row.user == self.identity for row in found)) and (
            not self.key or any(row.key == self.key for row in found)
        )


class Journal:
    """The entries still kept, and how many were not."""

    def __init__(self, max_requests: int, max_bytes: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._entries: deque[Entry] = deque()
        self._grown = asyncio.Event()
        self.kept_bytes = 0
        self.dropped = 0
        self.last = 0
        self.verdicts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    def record(self, request: Request, outcome: Outcome, moment: Moment) -> Entry:
        """Write an entry down and wake whoever follows the journal."""
        entry = _entry(self.last + 1, request, outcome, moment)
        self.last = entry.n
        self.verdicts[entry.verdict] += 1
        self._entries.append(entry)
        self.kept_bytes += entry.weight_bytes
        while len(self._entries) > self._max_requests or self.kept_bytes > self._max_bytes:
            self.kept_bytes -= self._entries.popleft().weight_bytes
            self.dropped += 1
        self._grown.set()
        return entry

    def clear(self) -> None:
        """Forget the entries; numbering goes on."""
        self._entries.clear()
        self.kept_bytes = 0
        self.dropped = 0
        self.verdicts.clear()

    def read(self, wanted: Wanted) -> Iterator[Entry]:
        """The wanted entries in order, up to the latest of now."""
        n, until = wanted.since, self.last
        while self._entries and n < until:
            n = max(n + 1, self._entries[0].n)
            entry = self._entries[n - self.last - 1]
            if wanted.fits(entry):
                yield entry

    async def beyond(self, n: int) -> None:
        """Wait until there is an entry later than `n`."""
        while self.last <= n:
            self._grown.clear()
            await self._grown.wait()


def _entry(n: int, request: Request, outcome: Outcome, moment: Moment) -> Entry:
    headers: dict[str, str] = {}
    for name, value in request.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Entry(
        n=n,
        at=moment.at,
        at_ms=moment.at_ms,
        method=request.method,
        path=request.path,
        query=request.query,
        headers=msgspec.json.encode(headers),
        body=request.body,
        size_bytes=request.size_bytes,
        app_id=outcome.app_id,
        status=moment.status,
        verdict=outcome.verdict,
        error=outcome.error,
        fault=moment.fault,
        rows=outcome.rows,
        stored=outcome.stored,
        duplicates=outcome.duplicates,
        ignored=outcome.ignored,
        skipped=outcome.skipped,
        undocumented=outcome.undocumented,
    )


class _Line(msgspec.Struct):
    n: int
    at: str
    method: str
    path: str
    query: str
    app_id: str
    status: int | None
    verdict: str
    error: str
    fault: msgspec.Raw
    rows: int
    stored: int
    duplicates: int
    ignored: int
    skipped: int
    undocumented: tuple[str, ...]
    bytes: int
    headers: msgspec.Raw
    body: Any
    raw_base64: str | None


def line(entry: Entry) -> bytes:
    """An entry as one line of JSON. A body that is not JSON is null, its bytes in `raw_base64`."""
    body = rows.decode(entry.body)
    is_json = body is not None or entry.body.strip() == b"null"
    one_line = is_json and b"\n" not in entry.body and b"\r" not in entry.body
    encoded = msgspec.json.encode(
        _Line(
            n=entry.n,
            at=entry.at,
            method=entry.method,
            path=entry.path,
            query=entry.query,
            app_id=entry.app_id,
            status=entry.status,
            verdict=entry.verdict,
            error=entry.error,
            fault=msgspec.Raw(entry.fault.encode() or b"null"),
            rows=entry.rows,
            stored=entry.stored,
            duplicates=entry.duplicates,
            ignored=entry.ignored,
            skipped=entry.skipped,
            undocumented=entry.undocumented,
            bytes=entry.size_bytes,
            headers=msgspec.Raw(entry.headers),
            body=msgspec.Raw(entry.body) if one_line else body,
            raw_base64=None if is_json else base64.b64encode(entry.body).decode(),
        )
    )
    for character, escaped in _LINE_BREAKS:
        encoded = encoded.replace(character, escaped)
    return encoded
