"""Reducers as folds: events into one value, one at a time, in any order, with the same result.

A fold's state is plain data, part of the profile's record. A row is what a fold wants to know of an event:
its instant first. Rows with None where a value should be are never made.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from math import fsum
from typing import Any, Protocol

import msgspec

from headgate.engage.computation import exact
from headgate.engage.computation.kept import (
    MOST_KEPT,
    json_text,
    kept,
    number,
    scalar_text,
)
from headgate.engage.computation.moment import FOREVER
from headgate.engage.observed import Observed
from headgate.language.tree import Reduced

Row = list[Any]
Read = Callable[[Observed], Any]


class Fold(Protocol):
    """A way to make one value of many events. `width`: how many values a row has behind its instant."""

    width: int

    def row(self, observed: Observed) -> Row | None:
        """What is kept of an event; None when it has nothing to give."""

    def empty(self) -> Any:
        """The state of no events."""

    def add(self, state: Any, row: Row) -> Any:
        """The state with one more event; the one given may be used up."""

    def join(self, state: Any, other: Any) -> Any:
        """The state of both; the ones given may be used up."""

    def result(self, state: Any) -> Any:
        """The value."""

    def over(self, rows: Sequence[Row]) -> Any:
        """The value of some rows, all at once."""

    def dropped(self, state: Any) -> int:
        """How often something was left out because there was too much."""


def fold_of(reduced: Reduced, read: Read) -> Fold:
    """The fold of a reducer over the property that `read` reads."""
    match reduced.reducer:
        case "count":
            return Count()
        case "sum":
            return Sum(read)
        case "avg":
            return Average(read)
        case "min" | "max":
            return Extreme(read, reduced.reducer == "max", reduced.read_as == "string")
        case "mode":
            return Mode(read, reduced.minimum, reduced.read_as == "array")
        case "first" | "last":
            return End(read, reduced.reducer == "last")
        case "unique":
            return Unique(read, reduced.counted)


class _Folded:
    """What most folds have in common."""

    width = 1

    def over(self: Any, rows: Sequence[Row]) -> Any:
        state = self.empty()
        for row in rows:
            state = self.add(state, row)
        return self.result(state)

    def dropped(self, state: Any) -> int:
        return 0


class Count(_Folded):
    """How many events."""

    width = 0

    def row(self, observed: Observed) -> Row:
        return [observed.at_ms]

    def empty(self) -> int:
        return 0

    def add(self, state: int, row: Row) -> int:
        return state + 1

    def join(self, state: int, other: int) -> int:
        return state + other

    def result(self, state: int) -> int:
        return state

    def over(self, rows: Sequence[Row]) -> int:
        return len(rows)


class Sum(_Folded):
    """The sum of numbers; 0 without any."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def row(self, observed: Observed) -> Row | None:
        value = number(self._read(observed))
        return None if value is None else [observed.at_ms, value]

    def empty(self) -> list[float]:
        return []

    def add(self, state: list[float], row: Row) -> list[float]:
        exact.add(state, float(row[1]))
        return state

    def join(self, state: list[float], other: list[float]) -> list[float]:
        for partial in other:
            exact.add(state, partial)
        return state

    def result(self, state: list[float]) -> float | int:
        return _plain(fsum(state))

    def over(self, rows: Sequence[Row]) -> float | int | None:
        return _plain(fsum([row[1] for row in rows]))


class Average(Sum):
    """The average of numbers; null without any. The state is their exact sum, and how many they are."""

    def empty(self) -> list[Any]:
        return [[], 0]

    def add(self, state: list[Any], row: Row) -> list[Any]:
        exact.add(state[0], float(row[1]))
        state[1] += 1
        return state

    def join(self, state: list[Any], other: list[Any]) -> list[Any]:
        return [super().join(state[0], other[0]), state[1] + other[1]]

    def result(self, state: list[Any]) -> float | int | None:  # type: ignore[override]
        return _plain(fsum(state[0]) / state[1]) if state[1] else None

    def over(self, rows: Sequence[Row]) -> float | int | None:
        return _plain(fsum([row[1] for row in rows]) / len(rows)) if rows else None


class Extreme(_Folded):
    """The least or greatest number, or text by the order of its characters; null without any."""

    def __init__(self, read: Read, greatest: bool, as_text: bool) -> None:
        self._read = read
        self._better = max if greatest else min
        self._usable = scalar_text if as_text else number

    def row(self, observed: Observed) -> Row | None:
        value = self._usable(self._read(observed))
        return None if value is None else [observed.at_ms, value]

    def empty(self) -> None:
        return None

    def add(self, state: Any, row: Row) -> Any:
        return row[1] if state is None else self._better(state, row[1])

    def join(self, state: Any, other: Any) -> Any:
        if state is None or other is None:
            return other if state is None else state
        return self._better(state, other)

    def result(self, state: Any) -> Any:
        return state


class End(_Folded):
    """The first or last value that is there, of the events by instant, arrival and id; null without any."""

    width = 3

    def __init__(self, read: Read, last: bool) -> None:
        self._read = read
        self._last = last

    def row(self, observed: Observed) -> Row | None:
        value = kept(self._read(observed))
        if value is None:
            return None
        return [observed.at_ms, observed.received_at_ms, observed.message_id, value]

    def empty(self) -> None:
        return None

    def add(self, state: Row | None, row: Row) -> Row:
        if state is None:
            return row
        return row if (row[:3] > state[:3]) is self._last else state

    def join(self, state: Row | None, other: Row | None) -> Row | None:
        return state if other is None else self.add(state, other)

    def result(self, state: Row | None) -> Any:
        return None if state is None else state[3]


class Mode(_Folded):
    """The value seen most often, if often enough; of several the first by alphabet.

    Values with the same text are one value, of the JSON type that it was seen with most often, a text
    before others. The state counts them by their JSON, the first 10,000 of these by alphabet, and how
    often one was left out. Lists are values only where they are asked for.
    """

    def __init__(self, read: Read, minimum: int, lists: bool) -> None:
        self._read = read
        self._minimum = minimum
        self._lists = lists

    def row(self, observed: Observed) -> Row | None:
        value = kept(self._read(observed))
        if value is None or type(value) is dict or (type(value) is list and not self._lists):
            return None
        return [observed.at_ms, json_text(value)]

    def empty(self) -> list[Any]:
        return [{}, 0]

    def add(self, state: list[Any], row: Row) -> list[Any]:
        self._count(state, row[1], 1)
        return state

    def join(self, state: list[Any], other: list[Any]) -> list[Any]:
        for text, n in other[0].items():
            self._count(state, text, n)
        state[1] += other[1]
        return state

    def result(self, state: list[Any]) -> Any:
        variants: dict[str, list[tuple[int, str]]] = {}
        for text, n in state[0].items():
            variants.setdefault(_plain_text(text), []).append((-n, text))
        seen = {plain: -sum(n for n, _ in counts) for plain, counts in variants.items()}
        most = max(seen.values(), default=0)
        if most < self._minimum or not most:
            return None
        often = min(plain for plain, n in seen.items() if n == most)
        return msgspec.json.decode(min(variants[often])[1])

    def dropped(self, state: list[Any]) -> int:
        return int(state[1])

    def _count(self, state: list[Any], text: str, n: int) -> None:
        counts = state[0]
        counts[text] = counts.get(text, 0) + n
        if len(counts) > MOST_KEPT:
            state[1] += counts.pop(max(counts))


class Unique(_Folded):
    """The different values as texts, by alphabet, or how many there are. Lists are no values.

    The state is the list, and how often a value was left out: the first 10,000 by alphabet are kept.
    """

    def __init__(self, read: Read, counted: bool) -> None:
        self._read = read
        self._counted = counted

    def row(self, observed: Observed) -> Row | None:
        text = scalar_text(self._read(observed))
        return None if text is None else [observed.at_ms, text]

    def empty(self) -> list[Any]:
        return [[], 0]

    def add(self, state: list[Any], row: Row) -> list[Any]:
        self._note(state, row[1])
        return state

    def join(self, state: list[Any], other: list[Any]) -> list[Any]:
        for text in other[0]:
            self._note(state, text)
        state[1] += other[1]
        return state

    def result(self, state: list[Any]) -> list[str] | int:
        return len(state[0]) if self._counted else list(state[0])

    def dropped(self, state: list[Any]) -> int:
        return int(state[1])

    def _note(self, state: list[Any], text: str) -> None:
        texts = state[0]
        at = bisect_left(texts, text)
        if at < len(texts) and texts[at] == text:
            return
        texts.insert(at, text)
        if len(texts) > MOST_KEPT:
            texts.pop()
            state[1] += 1


def _plain_text(text: str) -> str:
    """The text of a value that is given as JSON."""
    return str(msgspec.json.decode(text)) if text.startswith('"') else text


def _plain(number_: float) -> float | int:
    """A whole number as an integer, so that a sum of integers is one."""
    return int(number_) if number_.is_integer() and abs(number_) < FOREVER else number_
