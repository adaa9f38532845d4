"""Trying definitions that nobody has saved yet, and what events and properties there are to choose from.

    somebody who writes a definition → `Trials` → a process of its own (`trial.py`) → history

History is read by short-lived processes, since DuckDB is large. Somebody who asks again takes back what they
asked before, and all together run a few at most: whoever types must not slow down those who deliver.
"""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from headgate.clock import Clock

_PROCESS = "headgate.records.trial"
_AT_ONCE = 2
_ANSWER_WITHIN_S = 60.0
_WAIT_FOR_ROOM_S = 1.0  # for one that was taken back to end
_SEEN_FOR_MS = 60_000


class Question(msgspec.Struct, frozen=True):
    """A definition to try, as the workspace has it. `against`: the key of what it would replace, "" of nothing.

    Without a `kind`, what has been seen is asked for.
    """

    kind: str = ""
    definition: str = ""
    include_history: bool | str = True
    include_anonymous: bool = False
    wait: bool = False
    against: str = ""
    sample: int = 10


class Person(msgspec.Struct, frozen=True):
    """Somebody of the sample, by all identifiers: pairs of type and value."""

    identifiers: list[tuple[str, str]]
    value: Any


class Top(msgspec.Struct, frozen=True):
    """A value, and how many people have it."""

    value: Any
    people: int


class Tried(msgspec.Struct, frozen=True, tag=True):
    """What a definition comes to at `at_ms`, for `known` people.

    `people` are in the audience or have a value; `deliverable` of these have a userId, for which `calls`
    identify calls would tell each destination. `entering` and `leaving` are against what it would replace.
    `least`, `greatest` and `top` are a computed trait's.
    """

    at_ms: int
    known: int
    people: int
    deliverable: int
    calls: int
    sample: list[Person]
    entering: int | None = None
    leaving: int | None = None
    least: float | None = None
    greatest: float | None = None
    top: list[Top] = []


class Field(msgspec.Struct, frozen=True):
    """A property or trait by its path, and in how many of the messages looked at it was."""

    path: str
    messages: int


class Event(msgspec.Struct, frozen=True):
    """Events of one name: how many, and the properties of some of the newest, the most frequent first."""

    name: str
    messages: int
    properties: list[Field]


class Seen(msgspec.Struct, frozen=True, tag=True):
    """The events there are, the most frequent first, and the traits of some of the newest identify calls."""

    events: list[Event]
    traits: list[Field]


class Untold(msgspec.Struct, frozen=True, tag=True):
    """There is no answer; the text says why."""

    why: str


class TakenBack(Exception):
    """The same person has asked something newer meanwhile."""


Answer = TypeVar("Answer", Tried, Seen)


class Trials:
    """The trials of one data directory. `asker` is whoever may take back what they asked."""

    def __init__(self, data_dir: Path, clock: Clock) -> None:
        self._data_dir = data_dir
        self._clock = clock
        self._room = threading.BoundedSemaphore(_AT_ONCE)
        self._lock = threading.Lock()
        self._running: dict[str, _Run] = {}
        self._seen_lock = threading.Lock()
        self._seen: tuple[int, Seen | Untold] | None = None

    def tried(self, asker: str, question: Question) -> Tried | Untold:
        """What the definition comes to; raises TakenBack."""
        with self._newest_of(asker) as run:
            return self._answer(run, question, Tried)

    def seen(self) -> Seen | Untold:
        """What has been seen, up to a minute ago; nobody waits for what somebody else is already asking."""
        if not self._seen_lock.acquire(blocking=False):
            return Untold("the names are still being looked for")
        try:
            now_ms = self._clock.now_ms()
            if self._seen is None or not 0 <= now_ms - self._seen[0] < _SEEN_FOR_MS:
                self._seen = now_ms, self._answer(_Run(), Question(), Seen)
            return self._seen[1]
        finally:
            self._seen_lock.release()

    def seen_before(self) -> Seen | None:
        """What was seen when somebody asked last; None when nobody has, or there was no answer."""
        kept = self._seen[1] if self._seen else None
        return kept if isinstance(kept, Seen) else None

    def _answer(self, run: "_Run", question: Question, kind: type[Answer]) -> Answer | Untold:
        if not self._room.acquire(timeout=_WAIT_FOR_ROOM_S):
            return Untold("others are counting at the moment")
        try:
            with tempfile.TemporaryDirectory(prefix="headgate-trial-") as scratch:
                said = run.ask(self._data_dir, Path(scratch), question)
        finally:
            self._room.release()
        return said if isinstance(said, Untold) else msgspec.json.decode(said, type=kind | Untold)

    @contextmanager
    def _newest_of(self, asker: str) -> Iterator["_Run"]:
        run = _Run()
        with self._lock:
            before, self._running[asker] = self._running.get(asker), run
        if before is not None:
            before.take_back()
        try:
            yield run
        finally:
            with self._lock:
                if self._running.get(asker) is run:
                    del self._running[asker]


class _Run:
    """One question on its way, which can be taken back at any time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_taken_back = False

    def ask(self, data_dir: Path, scratch: Path, question: Question) -> bytes | Untold:
        """What the process says; raises TakenBack."""
        words = [sys.executable, "-m", _PROCESS, str(data_dir), str(scratch)]
        with self._lock:
            self._check()
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe)
        with self._process as process:
            try:
                said, complaint = process.communicate(
                    msgspec.json.encode(question), _ANSWER_WITHIN_S
                )
            except subprocess.TimeoutExpired:
                process.kill()
                return Untold(f"it was not counted within {_ANSWER_WITHIN_S:g} s")
        self._check()
        if process.returncode:
            last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
            return Untold(f"history cannot be read: {last}")
        return said

    def take_back(self) -> None:
        """Nobody waits for the answer any more."""
        with self._lock:
            self._is_taken_back = True
            if self._process is not None:
                self._process.kill()

    def _check(self) -> None:
        if self._is_taken_back:
            raise TakenBack
