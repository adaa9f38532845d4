"""The log in stretches of numbers, each message reduced to its kind: who owes it an outcome, in one integer.

Between the survey of the log and the audit. A stretch is an array of fixed size, so a log of any length is
counted in the same little memory; the names behind the integers are kept once, in `Kinds`.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headgate.eventlog.block import Block
from headgate.eventlog.survey import Damage, survey
from headgate.spec.message import Envelope
from headgate.spec.timestamps import iso_ms

STRETCH = 1 << 20  # numbers

UNASKED = 0  # not in the log, or not in the range that was asked for
UNREADABLE = 1  # damaged: who owed what cannot be told

KindArray = npt.NDArray[np.int32]


class Range(NamedTuple):
    """Half-open, on receivedAt, in Unix milliseconds; None leaves an end open."""

    from_ms: int | None = None
    to_ms: int | None = None

    def holds(self, at_ms: int) -> bool:
        """Whether the moment is in the range."""
        return self.touches(at_ms, at_ms)

    def touches(self, first_ms: int | None, last_ms: int | None) -> bool:
        """Whether anything between two moments, both included, is in the range."""
        if self.from_ms is not None and last_ms is not None and last_ms < self.from_ms:
            return False
        return self.to_ms is None or first_ms is None or first_ms < self.to_ms


class Kinds:
    """The kinds met so far. From 2 upwards they are (workspace version, source)."""

    def __init__(self, wanted: Range) -> None:
        self._wanted = wanted
        self._numbers: dict[tuple[int, str], int] = {}
        self.names: list[tuple[int, str] | None] = [None, None]

    def of(self, envelope: Envelope) -> int:
        """The kind of an envelope's messages."""
        if not self._wanted.holds(envelope.received_at_ms):
            return UNASKED
        name = (envelope.workspace_version, envelope.source)
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
        return number


class Stretch(NamedTuple):
    """`kinds[i]` is the kind of the message numbered `first_seq + i`."""

    first_seq: int
    kinds: KindArray

    @property
    def last_seq(self) -> int:
        """The last number of the stretch."""
        return self.first_seq + STRETCH - 1


def within(surveyed: Iterable[Block | Damage], wanted: Range) -> Iterator[Block | Damage]:
    """The survey without the damage that lies between blocks which are out of the range."""
    since_ms: int | None = None
    found: list[Damage] = []
    for item in surveyed:
        if isinstance(item, Damage):
            found.append(item)
            continue
        if wanted.touches(since_ms, item.received_at_ms):
            yield from found
        found.clear()
        since_ms = item.received_at_ms
        yield item
    if wanted.touches(since_ms, None):
        yield from found


def stretches(
    surveyed: Iterable[Block | Damage], kinds: Kinds, unreadable_to: int
) -> Iterator[Stretch]:
    """The stretches that hold anything, in order. Damage counts up to the number `unreadable_to`.

    No outcome lies above that one, so there is nothing to count in a damaged range beyond it, and a
    checksum error in a number cannot make the log look endless.
    """
    stretch: Stretch | None = None
    for first_seq, piece in _pieces(surveyed, kinds, unreadable_to):
        while len(piece):
            if stretch is None or first_seq > stretch.last_seq:
                if stretch is not None:
                    yield stretch
                stretch = Stretch(_aligned(first_seq), np.zeros(STRETCH, np.int32))
            at = first_seq - stretch.first_seq
            taken = piece[: STRETCH - at]
            stretch.kinds[at : at + len(taken)] = taken
            first_seq, piece = first_seq + len(taken), piece[len(taken) :]
    if stretch is not None:
        yield stretch


def _aligned(seq: int) -> int:
    return seq - (seq - 1) % STRETCH


def _pieces(
    surveyed: Iterable[Block | Damage], kinds: Kinds, unreadable_to: int
) -> Iterator[tuple[int, KindArray]]:
    for item in surveyed:
        if isinstance(item, Block):
            envelopes, counts = zip(*item.spans(), strict=True)
            numbers = np.fromiter(map(kinds.of, envelopes), np.int32, len(envelopes))
            yield item.first_seq, np.repeat(numbers, counts)
        elif not item.readable:
            for first_seq in range(item.first_seq, min(item.last_seq, unreadable_to) + 1, STRETCH):
                n = min(item.last_seq, unreadable_to) + 1 - first_seq
                yield first_seq, np.full(min(n, STRETCH), UNREADABLE, np.int32)


def received_at(log: Path, seq: int) -> str | None:
    """When the first message that can be read from this number on was received."""
    blocks = (item for item in survey(log, seq - 1) if isinstance(item, Block))
    block = next(blocks, None)
    if block is None:
        return None
    return iso_ms(_envelope_of(block, max(seq, block.first_seq)).received_at_ms)


def _envelope_of(block: Block, seq: int) -> Envelope:
    """What surrounds a message of the block; a rewritten block holds those of many requests."""
    spans = block.spans()
    envelope, n = next(spans)
    last_seq = block.first_seq + n - 1
    while last_seq < seq:
        envelope, n = next(spans)
        last_seq += n
    return envelope
