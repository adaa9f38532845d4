"""A line on the console for each request, for people watching: the first messages one by one, then at
most one summary a second. The timer runs only while there is something to say.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

from headgate.sandbox import rows
from headgate.sandbox.journal import Entry
from headgate.sandbox.recorder import POST_PATH

FIRST_LINES = 20
SUMMARY_S = 1.0
KINDS = {"track": "events", "user": "user properties", "account": "account properties"}

Later = Callable[[float, Callable[[], None]], object]


def _call_later(delay_s: float, callback: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(delay_s, callback)


def _print(text: str) -> None:
    print(text, flush=True)


class Announcer:
    """Use as a sandbox's `on_verdict`. `later` arms the timer, `write` takes the lines."""

    def __init__(self, write: Callable[[str], None] = _print, later: Later = _call_later) -> None:
        self._write = write
        self._later = later
        self._shown = 0
        self._requests = 0
        self._rows: Counter[str] = Counter()

    def __call__(self, entry: Entry) -> None:
        if self._shown < FIRST_LINES:
            self._shown += 1
            self._write(describe(entry))
            return
        if not self._requests:
            self._later(SUMMARY_S, self._summarise)
        self._requests += 1
        self._rows[entry.verdict] += entry.rows or 1

    def _summarise(self) -> None:
        parts = ", ".join(f"{count:,} {verdict}" for verdict, count in self._rows.items())
        self._write(f"Heap  {self._requests:,} requests: {parts}")
        self._requests = 0
        self._rows.clear()


def describe(entry: Entry) -> str:
    """One request in one line: what it was, for whom, what became of it."""
    verdict = f"{entry.verdict} ({entry.error})" if entry.error else entry.verdict
    return f"Heap  {_content(entry)}: {verdict}"


def _content(entry: Entry) -> str:
    body = rows.decode(entry.body)
    if entry.path.startswith(POST_PATH) and isinstance(body, dict):
        return f"page: heap.{body.get('method')}{_first_text(body.get('args'))}"
    found = [row for row in rows.rows(body) if row.user or row.event]
    if not found:
        return f"{entry.method} {entry.path}"
    first = found[0]
    what = f'track "{first.event}"' if first.kind == "track" else KINDS[first.kind]
    if len(found) == 1:
        return f"{what} for {first.user}"
    return f"{len(found):,} {KINDS[first.kind]}, first {what} for {first.user}"


def _first_text(args: object) -> str:
    """The event's name or the identity, behind a method's name."""
    first = args[0] if isinstance(args, list) and args else None
    return f' "{first}"' if isinstance(first, str) else ""
