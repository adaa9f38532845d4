"""The messages that fit some criteria, read from the log, and from dead letters where the log has let go.

    windows → survey → _column_fits → _kinds, _owes (envelopes) → outcomes → Says (decoded) → Fit

Each step looks at less than the one before: hashes of ids and users and call types lie beside the
messages, what surrounds them is kept once per request, outcomes are folded for a window of numbers at a
time, and only what is left is decoded. So memory is bounded at any size. For find and replay.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headgate.delivery.owing import Owing
from headgate.delivery.reader import DeliveryReader
from headgate.eventlog.block import Block, Entry, id_hash, user_hashes
from headgate.eventlog.log import BlockReader
from headgate.eventlog.sqlite import MAX_SEGMENT_MESSAGES, segment_paths, sqlite_reader
from headgate.eventlog.survey import survey
from headgate.records.criteria import Criteria
from headgate.records.fit import Fit
from headgate.records.gist import gist
from headgate.records.letters import LetterSearch
from headgate.records.outcomes import Outcomes
from headgate.records.stored import Stored
from headgate.records.stretches import STRETCH, Kinds
from headgate.spec.names import CALL_TYPE_CODES

_FIRST_WINDOW = 4_096

Mask = npt.NDArray[np.bool_]
Window = tuple[int, int]  # the first and the last number


class Selection:
    """One search. `slugs` are the destinations that are looked at, by id.

    `fits` says which outcomes are wanted, by outcome and reason; the criteria do when it is left out.
    Nothing below `first_seq` is looked at.
    """

    def __init__(
        self,
        stored: Stored,
        facts: DeliveryReader | None,
        criteria: Criteria,
        fits: Callable[[str, str], bool] | None = None,
        first_seq: int = 1,
    ) -> None:
        self._stored = stored
        self._facts = facts
        self._criteria = criteria
        self._fits = fits or criteria.fits
        self._outcomes = Outcomes(facts)
        self._kinds = Kinds(criteria.received)
        self._owing = Owing(stored.versions)
        self._says = Says(criteria)
        self._users = np.sort(np.array(user_hashes(criteria.users), np.uint64))
        self._types = np.array([CALL_TYPE_CODES[one] for one in criteria.types], np.uint8)
        self._lost: list[Window] = []
        self._asked_from = first_seq
        with closing(sqlite_reader(stored.log)) as log:
            self._first_held, self._last_held = _held(log, stored.log)
            self._ids = log.find_any(_hashes(stored, criteria.ids)) if criteria.ids else None
        self.slugs = {
            stay.id: stay.slug
            for stay in stored.history
            if not criteria.destinations or stay.slug in criteria.destinations
        }
        self._letters = LetterSearch(self._outcomes, self._first_held)

    @property
    def _first_seq(self) -> int:
        return max(self._asked_from, self._first_held)

    @property
    def last_seq(self) -> int:
        """The last number that is looked at."""
        return self._last_held

    @property
    def bare(self) -> int:
        """How many dead letters were passed over because an older Headgate kept no message in them."""
        return self._letters.bare

    @property
    def lost(self) -> int:
        """How many numbers of the log were passed over because nothing could be read there."""
        return sum(last - first + 1 for first, last in self._lost)

    def oldest_first(self) -> Iterator[list[Fit]]:
        """The fits of a block at a time; those of dead letters that the log has let go at the end."""
        for window in self._ascending():
            yield from self._in_window(window)
        yield from self._in_letters()

    def newest_first(self) -> Iterator[Iterator[list[Fit]]]:
        """The same in windows of numbers, from the newest one down; within one, blocks ascend."""
        yield from map(self._in_window, self._descending())
        yield self._in_letters()

    # windows

    def _ascending(self) -> Iterator[Window]:
        if self._ids is not None:
            yield from ((seq, seq) for seq in self._ids)
            return
        for first in range(self._first_seq, self._last_held + 1, STRETCH):
            yield first, min(first + STRETCH - 1, self._last_held)

    def _descending(self) -> Iterator[Window]:
        """Small ones first: who asks for the newest mostly finds them there."""
        if self._ids is not None:
            yield from ((seq, seq) for seq in reversed(self._ids))
            return
        size, last = _FIRST_WINDOW, self._last_held
        while last >= self._first_seq:
            first = max(self._first_seq, last - size + 1)
            yield first, last
            size, last = min(4 * size, STRETCH), first - 1

    # the log

    def _in_window(self, window: Window) -> Iterator[list[Fit]]:
        codes = {id_: self._outcomes.within(id_, *window) for id_ in self.slugs}
        for block in self._blocks(window):
            first, last = max(block.first_seq, window[0]), min(block.last_seq, window[1])
            here = slice(first - window[0], last + 1 - window[0])
            kinds = self._kinds_among(block)[first - block.first_seq : last + 1 - block.first_seq]
            if kinds.any():
                mine = {id_: codes[id_][here] for id_ in codes}
                yield list(self._fits_of(block, first, kinds, mine))

    def _blocks(self, window: Window) -> Iterator[Block]:
        """The blocks of the window that can be read; the numbers between them are noted as lost."""
        read_to = window[0] - 1
        for item in survey(self._stored.log, read_to):
            if item.first_seq > window[1]:
                break
            if isinstance(item, Block):
                self._note_lost(read_to + 1, item.first_seq - 1)
                read_to = item.last_seq
                yield item
        self._note_lost(read_to + 1, window[1])

    def _note_lost(self, first: int, last: int) -> None:
        if first <= last:
            self._lost.append((first, last))

    def _kinds_among(self, block: Block) -> npt.NDArray[np.int32]:
        """By message: its kind (`stretches.Kinds`); 0 when its columns or its envelope do not fit."""
        fits = self._column_fits(block)
        if not fits.any():
            return np.zeros(block.n, np.int32)
        envelopes, counts = zip(*block.spans(), strict=True)
        kinds = np.fromiter(map(self._kinds.of, envelopes), np.int32, len(envelopes))
        return np.repeat(kinds, counts) * fits

    def _column_fits(self, block: Block) -> Mask:
        """By message: whether it fits as far as its columns tell."""
        fits = np.ones(block.n, np.bool_)
        since_ms = self._criteria.received.from_ms
        if since_ms is not None and block.received_at_ms < since_ms:
            return ~fits
        if len(self._types):
            fits &= np.isin(np.frombuffer(block.types, np.uint8), self._types)
        if len(self._users):
            fits &= _among(self._users, np.asarray(block.user_hashes))
        return fits

    def _fits_of(
        self,
        block: Block,
        first_seq: int,
        kinds: npt.NDArray[np.int32],
        codes: dict[int, npt.NDArray[np.uint16]],
    ) -> Iterator[Fit]:
        for destination, outcomes in codes.items():
            at = np.flatnonzero(self._owes(destination)[kinds])
            for code in np.unique(outcomes[at]).tolist():
                outcome, reason = self._outcomes.kinds[code]
                if self._fits(outcome, reason):
                    found = (at[outcomes[at] == code] + first_seq).tolist()
                    if not self._says.asks_nothing:
                        found = [seq for seq in found if self._says(block.entry(seq))]
                    if found:
                        yield Fit(destination, outcome, reason, found, block)

    def _owes(self, destination: int) -> Mask:
        """By kind: whether the destination owes its messages an outcome, and their source fits."""
        names = self._kinds.names
        return np.fromiter(
            (name is not None and self._owed(destination, *name) for name in names),
            np.bool_,
            len(names),
        )

    def _owed(self, destination: int, version: int, source: str) -> bool:
        if self._criteria.sources and source not in self._criteria.sources:
            return False
        return destination in self._owing.destinations(version, source)

    # dead letters

    def _in_letters(self) -> Iterator[list[Fit]]:
        if self._facts is not None:
            letters = self._facts.dead_letters()
            mine = (
                one for one in letters if one.destination in self.slugs and self._lacks(one.seq)
            )
            yield from self._letters.fits(mine, self._fits, self._fits_whole)

    def _lacks(self, seq: int) -> bool:
        """Whether the log does not hold the message any more, or cannot read it."""
        return self._asked_from <= seq < self._first_held or any(
            first <= seq <= last for first, last in self._lost
        )

    def _fits_whole(self, entry: Entry) -> bool:
        wanted, envelope = self._criteria, entry.envelope
        return (
            wanted.received.holds(envelope.received_at_ms)
            and (not wanted.sources or envelope.source in wanted.sources)
            and self._says(entry)
        )


def _held(log: BlockReader, directory: Path) -> Window:
    """The first and the last number of the log; what a damaged end says of its own length is not believed."""
    segments = segment_paths(directory)
    longest = 2 * MAX_SEGMENT_MESSAGES
    return log.first_seq(), min(log.last_seq(), segments[-1][0] + longest if segments else 0)


def _hashes(stored: Stored, ids: tuple[str, ...]) -> list[int]:
    return [id_hash(source, one) for source in stored.sources for one in ids]


def _among(ascending: npt.NDArray[np.uint64], values: npt.NDArray[np.uint64]) -> Mask:
    """By value: whether it is one of the others, which may be very many."""
    nearest = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    found: Mask = ascending[nearest] == values
    return found


class Says:
    """Whether a message itself says what was asked for: hashes only hint at it."""

    def __init__(self, wanted: Criteria) -> None:
        self._types = frozenset(wanted.types)
        self._users = frozenset(wanted.users)
        self._events = frozenset(wanted.events)
        self._ids = frozenset(wanted.ids)
        # A block's column of call types, unlike its hashes, is exact.
        self.asks_nothing = not (self._users or self._events or self._ids)

    def __call__(self, entry: Entry) -> bool:
        said = gist(entry)
        return (
            (not self._types or said.type in self._types)
            and (not self._users or said.user_id in self._users)
            and (not self._events or said.event in self._events)
            and (not self._ids or said.message_id in self._ids)
        )
