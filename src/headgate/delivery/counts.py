"""Counts by the minute in which messages were received: how many came, and what has become of them.

    log → blocks → Runs → received, by run          settled facts → outcomes, by run

Counting follows behind log and facts, a chunk at a time, off the way of the messages. Its place in both is
recorded together with what it has counted, so that everything counts once, whatever dies in between, and
an older store is caught up with. Readers count what is left for themselves (`count_rest`): their figures
are those of the moment.

Messages are counted by runs: neighbours of one segment that were received within the same minute. Retention
takes whole segments, hence whole runs, and an outcome needs no look at the log to find its minute.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

import msgspec
import numpy as np

from headgate.delivery.facts import REPLAYED
from headgate.delivery.fold import Folded, Seqs
from headgate.delivery.positions import unpack
from headgate.delivery.reader import Counted, DeliveryReader, Run, Uncounted
from headgate.eventlog.block import Block, BrokenBlock
from headgate.eventlog.interface import SegmentedReader

MINUTE_MS = 60_000
_MESSAGES_FOR_READERS = 500_000
_FACTS_FOR_READERS = 50_000


class Counts(msgspec.Struct):
    """What was found between two places: new runs, what was received in runs, and outcomes there.

    `received` is by run, version of the workspace and source, `outcomes` by run, destination, outcome and
    reason; what a replay takes back is subtracted. A run goes by its `first_seq`. `is_all` is unset when
    something was left for another time.
    """

    seq: int
    settled_id: int
    runs: list[Run] = []
    received: Counter[tuple[int, int, str]] = msgspec.field(default_factory=Counter)
    outcomes: Counter[tuple[int, int, str, str]] = msgspec.field(default_factory=Counter)
    is_all: bool = True


class Seen(NamedTuple):
    """A piece of the log: messages of one block, by what is counted of them; None when they are lost."""

    first_seq: int
    last_seq: int
    spans: list[tuple[int, int, str, int]] | None  # minute, version, source, messages


def count_rest(facts: DeliveryReader | None, log: SegmentedReader) -> Counts:
    """What is not counted yet, up to now, as far as that is quick: `is_all` tells.

    With `facts` frozen, facts are as of that moment, and the log reaches at least as far.
    """
    place = facts.counted() if facts else Counted(0, 0, 0, None)
    seen, is_all = _some(log, place.seq, _MESSAGES_FOR_READERS)
    counts = counts_of(place, seen, log.segments())
    counts.is_all = is_all
    if facts:
        count_facts(counts, facts, place, _FACTS_FOR_READERS)
    return counts


def count_facts(counts: Counts, facts: DeliveryReader, place: Counted, most: int) -> None:
    """Adds some of the outcomes that were recorded since, as far as their messages are counted."""
    found = facts.uncounted(place, most)
    inside = list(takewhile(lambda one: one.last_seq <= counts.seq, found))
    counts.is_all &= len(inside) < most
    if not inside:
        return
    first_seq = min(one.first_seq for one in inside)
    starts = [run.first_seq for run in [*facts.runs_from(first_seq), *counts.runs]]
    for one in inside:
        _count_fact(counts, facts, one, starts)
    counts.settled_id = inside[-1].id


# the log


def _some(log: SegmentedReader, after_seq: int, most: int) -> tuple[list[Seen], bool]:
    """About so many messages of the log, and whether there are no others."""
    seen: list[Seen] = []
    for piece in pieces(log, after_seq):
        seen.append(piece)
        if piece.last_seq - after_seq >= most:
            return seen, False
    return seen, True


def pieces(log: SegmentedReader, after_seq: int) -> Iterator[Seen]:
    """The pieces of the log, in order; what retention has taken is none, what is lost in between is."""
    at = max(after_seq, log.first_seq() - 1)
    while True:
        try:
            for block in log.blocks(at):
                if block.first_seq > at + 1:
                    yield Seen(at + 1, block.first_seq - 1, None)
                yield _seen(block, at + 1)
                at = block.last_seq
        except BrokenBlock as broken:
            if broken.last_seq > at:
                yield Seen(at + 1, broken.last_seq, None)
                at = broken.last_seq
                continue
        return


def _seen(block: Block, first_seq: int) -> Seen:
    """The messages of a block from a number on."""
    spans = [
        (
            one.received_at_ms - one.received_at_ms % MINUTE_MS,
            one.workspace_version,
            one.source,
            n,
        )
        for one, n in block.spans()
    ]
    skipped = max(0, first_seq - block.first_seq)
    if skipped:
        spans = list(_without_first(spans, skipped))
    return Seen(block.first_seq + skipped, block.last_seq, spans)


def _without_first(
    spans: list[tuple[int, int, str, int]], n: int
) -> Iterator[tuple[int, int, str, int]]:
    for minute_ms, version, source, messages in spans:
        left = max(0, messages - n)
        n -= messages - left
        if left:
            yield minute_ms, version, source, left


def counts_of(place: Counted, seen: list[Seen], segments: Sequence[int]) -> Counts:
    """The runs of some pieces behind a place, and what was received in them."""
    counts = Counts(seen[-1].last_seq if seen else place.seq, place.settled_id)
    begins = set(segments)
    run = place.run
    at = place.seq
    for piece in seen:
        is_apart = piece.first_seq != at + 1 or piece.first_seq in begins
        at = piece.last_seq
        if piece.spans is None:
            run = Run(piece.first_seq, run.minute_ms if run else 0, True)
            counts.runs.append(run)
            continue
        seq = piece.first_seq
        for minute_ms, version, source, n in piece.spans:
            if run is None or is_apart or run.is_lost or run.minute_ms != minute_ms:
                run = Run(seq, minute_ms)
                counts.runs.append(run)
            counts.received[run.first_seq, version, source] += n
            seq, is_apart = seq + n, False
    return counts


# the facts


def _count_fact(
    counts: Counts, facts: DeliveryReader, one: Uncounted, starts: Sequence[int]
) -> None:
    """Counts an outcome in the runs of its messages; those before the first run are gone."""
    if one.outcome == REPLAYED:
        seqs = _numbers(one)
        before = Folded(seqs, facts.settled_before(one))
        for kind, some in before.groups():
            if kind is not None and kind[0] != REPLAYED:
                _add(counts, one.destination, kind, _by_run(some, starts), -1)
        return
    kind = one.outcome, one.reason
    run = bisect_right(starts, one.first_seq) - 1
    if run >= 0 and run == bisect_right(starts, one.last_seq) - 1:
        counts.outcomes[starts[run], one.destination, *kind] += one.n
    else:
        _add(counts, one.destination, kind, _by_run(_numbers(one), starts), 1)


def _add(
    counts: Counts, destination: int, kind: tuple[str, str], by_run: dict[int, int], sign: int
) -> None:
    for run, n in by_run.items():
        counts.outcomes[run, destination, *kind] += sign * n


def _by_run(seqs: Seqs, starts: Sequence[int]) -> dict[int, int]:
    places = np.searchsorted(np.array(starts, np.int64), seqs, "right") - 1
    found, n = np.unique(places[places >= 0], return_counts=True)
    return {starts[at]: count for at, count in zip(found.tolist(), n.tolist(), strict=True)}


def _numbers(one: Uncounted) -> Seqs:
    return np.fromiter(unpack(one.positions), np.int64)
