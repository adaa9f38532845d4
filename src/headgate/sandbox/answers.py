"""Answers that travel in the message: what `sandbox_answers` among its properties asks for.

An event or user property named `sandbox_answers` scripts how the requests that carry it are answered:
the n-th time a request with that row arrives, the n-th answer of the comma-separated list is played for
the whole request, and the last one repeats. A row is known by its idempotency_key, and by user and the
property's text when it has none (profile writes). In a bulk request the first row whose turn is
something other than a plain 200 decides. The property is stored like any other.

    200                     Heap's own answer
    500, 429, 302, 204 ...  that status; stored only when it is a 2xx; 3xx point to /redirected
    junk200                 that status with an HTML page for a body (any status)
    reset                   connection reset, nothing stored
    reset-after-storing     stored, then reset without a reply
    reset-mid-reply         stored, then reset in the middle of the reply
    timeout                 nothing stored, no reply, ever
    timeout-after-storing   stored, no reply, ever
    close, half-close       Heap's own answer, then the connection closes (or only our half)

Each may be followed by `;retry-after=TEXT`, `;location=URL` and `;delay=SECONDS` (before the reply):
`"429;retry-after=2,200"`, `"500,500,200"`, `"timeout-after-storing,200"`.
"""

from collections.abc import Sequence
from typing import Any

from headgate.sandbox.faults import Answer
from headgate.sandbox.rows import Row

PROPERTY = "sandbox_answers"
JUNK = "<html><body><h1>Not what you asked for</h1></body></html>"
WORDS: dict[str, dict[str, Any]] = {
    "reset": {"connection": "reset"},
    "reset-after-storing": {"connection": "reset", "store": True},
    "reset-mid-reply": {"connection": "reset-mid-reply"},
    "timeout": {"connection": "hang"},
    "timeout-after-storing": {"connection": "hang", "store": True},
    "close": {"connection": "close"},
    "half-close": {"connection": "half-close"},
}


class AnswerError(ValueError):
    """A script nobody can play; the text says which word."""


class Scripts:
    """How often each scripted row has come by."""

    def __init__(self) -> None:
        self._arrivals: dict[tuple[str, ...], int] = {}

    def choose(self, app_id: str, found: Sequence[Row]) -> Answer | None:
        """The answer this request has to get, None for Heap's own. Every row's turn is counted.

        Raises AnswerError.
        """
        turns = [self._turn(app_id, row) for row in found if PROPERTY in row.properties]
        return next((turn for turn in turns if turn != Answer()), None)

    def clear(self) -> None:
        """Forget every arrival."""
        self._arrivals.clear()

    def _turn(self, app_id: str, row: Row) -> Answer:
        text = str(row.properties[PROPERTY])
        script = parse_script(text)
        known_by = (app_id, row.key) if row.key else (app_id, row.user, text)
        arrival = self._arrivals.get(known_by, 0)
        self._arrivals[known_by] = arrival + 1
        return script[min(arrival, len(script) - 1)]


def parse_script(text: str) -> list[Answer]:
    """The answers of a script, in order. Raises AnswerError."""
    return [_parse_answer(part.strip()) for part in text.split(",")]


def _parse_answer(text: str) -> Answer:
    word, *extras = (part.strip() for part in text.split(";"))
    fields = _fields(word)
    headers = fields.pop("headers", {})
    for extra in extras:
        name, _, value = extra.partition("=")
        if name in ("retry-after", "location"):
            headers[name] = value
        elif name == "delay" and value.replace(".", "", 1).isdigit():
            fields["delay_s"] = float(value)
        else:
            raise AnswerError(f"{PROPERTY}: {extra!r} in {text!r} is no known extra")
    return Answer(headers=headers, **fields)


def _fields(word: str) -> dict[str, Any]:
    if word in WORDS:
        return dict(WORDS[word])
    number = word.removeprefix("junk")
    if not (number.isascii() and number.isdigit() and 200 <= int(number) <= 599):
        raise AnswerError(
            f"{PROPERTY}: {word!r} is neither a status from 200 to 599 nor a known word"
        )
    status = int(number)
    headers = {"location": "/redirected"} if 300 <= status < 400 else {}
    if word != number:
        headers["content-type"] = "text/html"
        return {"status": status, "body": JUNK, "headers": headers}
    return {"headers": headers} if status == 200 else {"status": status, "headers": headers}
