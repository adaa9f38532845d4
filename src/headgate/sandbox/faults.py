"""The fault plan: scripted misbehaviour of the local Heap, chosen by rules. Pure but for its counters.

A plan is a list of rules; the first rule that fits a request and has plays left decides. A rule counts
the requests that fit it (`nth` picks among them, from 1), plays at most `times`, and with a
`probability` draws from its own seeded generator, so a run can be repeated.

    {"match": {"path": "/api/track", "nth": [2, 3]}, "answer": {"status": 503}}
    {"match": {"identity": "user-1"}, "times": 1, "answer": {"connection": "reset", "store": true}}
    {"probability": 0.1, "seed": 7, "answer": {"status": 429, "headers": {"Retry-After": "soon"}}}

A match names any of path (may end in `*`), app_id, identity, event, nth. An answer names any of

    status 200-599, headers, body, body_bytes (padded to that size), encoding (plain, chunked, gzip)
    delay_s (before the headers), drip_s (between bytes)
    connection: keep-alive, close, half-close, reset, reset-mid-reply, hang
    read: false answers before the body is read
    store: whether the request takes effect; by default when the answer is a success

A rule whose answer does not read the body (`"read": false`) is looked at before the others and can
match on the path only.
"""

import random
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from headgate.sandbox import rows

Status = Annotated[int, Meta(ge=200, le=599)]
Seconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]
Connection = Literal["keep-alive", "close", "half-close", "reset", "reset-mid-reply", "hang"]
Encoding = Literal["plain", "chunked", "gzip"]

NEVER_ANSWERS = frozenset({"reset", "hang"})


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is played instead of, or around, Heap's own reply.

    `status` and `body` None leave Heap's own. `store` None means: store when the answer is a success.
    `delay_s` waits before the headers, `drip_s` between single bytes of the body, `body_bytes` pads the
    body with spaces to that size.
    """

    status: Status | None = None
    headers: dict[str, str] = {}
    body: str | None = None
    body_bytes: Annotated[int, Meta(ge=0)] = 0
    encoding: Encoding = "plain"
    delay_s: Seconds = 0.0
    drip_s: Seconds = 0.0
    connection: Connection = "keep-alive"
    read: bool = True
    store: bool | None = None

    @property
    def stores(self) -> bool:
        """Whether the request takes effect although the sender may never learn it."""
        if self.store is not None:
            return self.store and self.read
        if not self.read or self.connection in NEVER_ANSWERS:
            return False
        return self.status is None or self.status < 300

    @property
    def replaces_reply(self) -> bool:
        """Whether the sender sees something other than Heap's own reply."""
        cut = self.connection in NEVER_ANSWERS or self.connection == "reset-mid-reply"
        return cut or self.status is not None or self.body is not None


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which requests a rule is about; what is left out fits all. A path may end in `*`."""

    path: str | None = None
    app_id: str | None = None
    identity: str | None = None
    event: str | None = None
    nth: Count | list[Count] | None = None

    @property
    def looks_inside(self) -> bool:
        """Whether the body is needed to decide."""
        return not (self.app_id is None and self.identity is None and self.event is None)

    def fits(self, path: str, body: Callable[[], Any]) -> bool:
        """Whether the request fits, `nth` aside."""
        if self.path is not None and not path_fits(self.path, path):
            return False
        return not self.looks_inside or self._fits_body(body())

    def picks(self, seen: int) -> bool:
        """Whether the `seen`-th fitting request is meant."""
        if self.nth is None:
            return True
        return seen in self.nth if isinstance(self.nth, list) else seen == self.nth

    def _fits_body(self, body: Any) -> bool:
        if self.app_id is not None and rows.app_id(body) != self.app_id:
            return False
        found = rows.rows(body)
        return (self.identity is None or any(row.user == self.identity for row in found)) and (
            self.event is None or any(row.event == self.event for row in found)
        )


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line of the plan."""

    answer: Answer
    match: Match = Match()
    times: Count | None = None
    probability: Annotated[float, Meta(ge=0, le=1)] | None = None
    seed: int = 0


class PlanError(ValueError):
    """A plan that cannot be played; the text says where and why."""


class _Script(msgspec.Struct, forbid_unknown_fields=True):
    rules: list[Rule]


def parse_plan(text: bytes) -> list[Rule]:
    """The rules of a posted plan: `{"rules": [...]}`. Raises PlanError."""
    try:
        found = msgspec.json.decode(text, type=_Script).rules
    except (msgspec.MsgspecError, ValueError) as error:
        raise PlanError(f"{error}; expected {{'rules': [{{'match', 'answer', ...}}]}}") from error
    for index, rule in enumerate(found):
        if not rule.answer.read and rule.match.looks_inside:
            raise PlanError(f"rules[{index}]: an answer that does not read can match the path only")
    return found


def path_fits(pattern: str, path: str) -> bool:
    """Equal, or beginning alike when the pattern ends in `*`."""
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


class _Running:
    """A rule and its counters."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.matched = 0
        self.played = 0
        self._random = random.Random(rule.seed)

    def try_play(self, path: str, body: Callable[[], Any]) -> bool:
        rule = self.rule
        if self.played == rule.times or not rule.match.fits(path, body):
            return False
        self.matched += 1
        lucky = rule.probability is None or self._random.random() < rule.probability
        if not lucky or not rule.match.picks(self.matched):
            return False
        self.played += 1
        return True


class FaultPlan:
    """The plan in force and how often each rule has been met."""

    def __init__(self) -> None:
        self._running: list[_Running] = []

    def set(self, plan: Sequence[Rule]) -> None:
        """Replace the plan; counters and generators start afresh."""
        self._running = [_Running(rule) for rule in plan]

    def choose(self, path: str, body: Callable[[], Any], *, read: bool) -> Answer | None:
        """The answer to play for this request, None for Heap's own.

        `read` False asks the rules that answer before the body is read, True the others.
        """
        for running in self._running:
            if running.rule.answer.read is read and running.try_play(path, body):
                return running.rule.answer
        return None

    def report(self) -> list[dict[str, Any]]:
        """The rules with `matched` and `played` counts."""
        return [
            msgspec.to_builtins(running.rule)
            | {"matched": running.matched, "played": running.played}
            for running in self._running
        ]
