"""The messages of the log that fit some criteria, newest first, a page at a time. For the app's list and exports.

    windows → columns (types, users) → candidates → blocks: envelopes, text → outcomes → Seen

Unlike `find`, which tells of a message once for each destination, and of no message without one, this tells of
every message once. Each step looks at less than the one before. A search that finds little looks through all of
the log, so it can be told when it is enough: then it says how far it came, and goes on from there when asked.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from headgate.delivery.facts import REPLAYED
from headgate.delivery.owing import Owing
from headgate.delivery.reader import DeliveryReader
from headgate.eventlog.block import (
    BYTES_PER_MESSAGE,
    Block,
    BrokenBlock,
    Entry,
    id_hash,
    user_hashes,
)
from headgate.eventlog.segments import NO_SEGMENT, open_segment, segment_paths
from headgate.eventlog.sqlite import SqliteReadStorage, sqlite_reader
from headgate.records.criteria import Criteria
from headgate.records.gist import gist
from headgate.records.outcomes import BROKEN, PENDING, Outcomes
from headgate.records.selection import Says
from headgate.records.stored import Stored
from headgate.records.stretches import Kinds
from headgate.spec.message import Envelope
from headgate.spec.names import CALL_TYPE_CODES
from headgate.spec.timestamps import iso_ms

_FIRST_WINDOW, _LARGEST_WINDOW = 4_096, 1 << 16
_CHUNK, _LARGEST_CHUNK = 512, 8_192  # candidates that are looked at before anybody may say enough
_CLUSTER_GAP = 1_024  # numbers further apart are looked up one by one
_FEW = 100_000  # messages, whose numbers are held in memory
_EVER_MS = 2**62

Seqs = npt.NDArray[np.int64]
_NONE = np.zeros(0, np.int64)
Enough = Callable[[], bool]


class Standing(NamedTuple):
    """Where a message stands with a destination."""

    destination: str
    outcome: str
    reason: str


class Seen(msgspec.Struct, frozen=True, rename="camel"):
    """One message, `raw` as it came. `event` and `user_id` are "" where it has none."""

    position: int
    received_at: str
    message_id: str
    source: str
    type: str
    event: str
    user_id: str
    outcomes: list[Standing]
    raw: bytes


class Page(NamedTuple):
    """Newest first. `before` is where the next page begins, None at the end of the log.

    `is_full`: there are as many as were asked for; otherwise the search stopped at `searched_to`, when it was
    enough, or at the end. `lost` messages could not be read.
    """

    messages: list[Seen]
    before: int | None
    is_full: bool
    searched_to: str | None
    lost: int


class Count(NamedTuple):
    """How many fit. `is_all` is false when it was enough before the end."""

    messages: int
    is_all: bool


def browse(
    stored: Stored, criteria: Criteria, before: int | None, limit: int, enough: Enough
) -> Page:
    """The newest `limit` messages numbered below `before`; raises `criteria.Unknown`."""
    criteria.check(stored)
    with closing(_Browsing(stored, criteria)) as browsing:
        found: list[Seen] = []
        for some in browsing.down_from(before):
            found += islice(browsing.told(some), limit - len(found))
            if len(found) == limit:
                return Page(found, found[-1].position, True, None, browsing.lost)
            if enough():
                searched_to = browsing.received_at(browsing.reached)
                return Page(found, browsing.reached, False, searched_to, browsing.lost)
        return Page(found, None, False, None, browsing.lost)


def count(stored: Stored, criteria: Criteria, most: int | None, enough: Enough) -> Count:
    """How many messages fit, up to `most` and a few; raises `criteria.Unknown`."""
    criteria.check(stored)
    with closing(_Browsing(stored, criteria, tells=False)) as browsing:
        found = 0
        for some in browsing.down_from(None):
            found += len(some)
            if enough() or (most is not None and found > most):
                return Count(found, False)
        return Count(found, True)


def every(stored: Stored, criteria: Criteria) -> Iterator[Seen]:
    """All that fit, newest first, in little memory; raises `criteria.Unknown`."""
    criteria.check(stored)
    with closing(_Browsing(stored, criteria)) as browsing:
        for some in browsing.down_from(None):
            yield from browsing.told(some)


class _Some(NamedTuple):
    """Messages that fit, ascending, with the blocks that hold them, and the codes of outcomes by destination.

    A code of -1 is of a destination that owes the message nothing.
    """

    seqs: Seqs
    blocks: list[Block]
    codes: dict[int, npt.NDArray[np.int32]]

    def __len__(self) -> int:
        return len(self.seqs)

    def chosen(self, which: npt.NDArray[np.bool_]) -> "_Some":
        """Those at the chosen places."""
        codes = {id_: one[which] for id_, one in self.codes.items()}
        return _Some(self.seqs[which], self.blocks, codes)

    def entry(self, seq: int) -> Entry:
        """One of them."""
        at = bisect_right(self.blocks, seq, key=lambda block: block.first_seq) - 1
        return self.blocks[at].entry(seq)


class _Browsing:
    """One search. `reached`: everything from this number on was looked at. `lost` could not be read.

    Unless it `tells` of messages, outcomes are looked up only when they are asked for.
    """

    def __init__(self, stored: Stored, criteria: Criteria, *, tells: bool = True) -> None:
        self._criteria = criteria
        self._asks = bool(criteria.destinations or criteria.outcomes or criteria.reasons)
        self._needs_codes = tells or self._asks
        self._says = Says(criteria)
        self._owing = Owing(stored.versions)
        self._kinds = Kinds(criteria.received)
        self._facts = stored.facts()
        if self._facts is not None:
            self._facts.freeze()
        self._outcomes = Outcomes(self._facts)
        self._log = sqlite_reader(stored.log)
        self._columns = _Columns(stored, criteria)
        self._slugs = {stay.id: stay.slug for stay in stored.history}
        self._names = [one.encode() for one in criteria.events]
        self.reached = self._log.last_seq() + 1
        self.lost = 0
        self._hints = _hints(self._facts, criteria, set(self._slugs_wanted()), self.reached)

    def close(self) -> None:
        """Lets go of the files."""
        self._log.close()
        if self._facts is not None:
            self._facts.close()

    def down_from(self, before: int | None) -> Iterator[_Some]:
        """What fits, newer ones before older ones; now and then nothing, when much was looked at."""
        end = self.reached if before is None else min(before, self.reached)
        size = _CHUNK
        for first, candidates in self._columns.down_from(end, self._hints):
            while len(candidates):
                candidates, some = candidates[:-size], candidates[-size:]
                found = self._fitting(some)
                self.reached = int(some[0])
                yield found
                size = _CHUNK if len(found) else min(2 * size, _LARGEST_CHUNK)
            self.reached = first

    def told(self, some: _Some) -> Iterator[Seen]:
        """Messages in words, newest first."""
        for at in range(len(some) - 1, -1, -1):
            seq = int(some.seqs[at])
            entry = some.entry(seq)
            said, envelope = gist(entry), entry.envelope
            codes = ((id_, int(one[at])) for id_, one in some.codes.items())
            yield Seen(
                position=seq,
                received_at=iso_ms(envelope.received_at_ms),
                message_id=said.message_id,
                source=envelope.source,
                type=said.type,
                event=said.event,
                user_id=said.user_id,
                outcomes=[
                    Standing(self._slugs[id_], *self._outcomes.kinds[code])
                    for id_, code in codes
                    if code >= 0
                ],
                raw=entry.raw,
            )

    def received_at(self, seq: int) -> str | None:
        """When a message was received; None when that cannot be read."""
        try:
            return iso_ms(self._log.entry(seq).envelope.received_at_ms)
        except (KeyError, BrokenBlock):
            return None

    def _slugs_wanted(self) -> dict[int, str]:
        """The destinations whose outcomes are looked at."""
        wanted = self._criteria.destinations
        return {id_: slug for id_, slug in self._slugs.items() if not wanted or slug in wanted}

    def _fitting(self, candidates: Seqs) -> _Some:
        blocks, seqs, kinds = [], [_NONE], [_NONE]
        for block, mine in self._blocks_of(candidates):
            of_block = self._kinds_in(block)[mine - block.first_seq]
            mine, of_block = mine[of_block > 0], of_block[of_block > 0]
            says = self._says_in(block, mine)
            if says.any():
                blocks.append(block)
                seqs.append(mine[says])
                kinds.append(of_block[says])
        found = np.concatenate(seqs)
        codes = self._codes(found, np.concatenate(kinds)) if self._needs_codes else {}
        some = _Some(found, blocks, codes)
        return some.chosen(self._has_outcome(some)) if self._asks else some

    def _blocks_of(self, seqs: Seqs) -> Iterator[tuple[Block, Seqs]]:
        """The blocks that hold the numbers, which ascend; what cannot be read is counted as lost."""
        while len(seqs):
            try:
                block = next(self._log.blocks(int(seqs[0]) - 1))
            except StopIteration:
                self.lost += len(seqs)
                return
            except BrokenBlock as broken:
                at = int(np.searchsorted(seqs, broken.last_seq, "right"))
                self.lost += at
                seqs = seqs[at:]
                continue
            first, end = np.searchsorted(seqs, (block.first_seq, block.last_seq + 1))
            self.lost += int(first)
            yield block, seqs[first:end]
            seqs = seqs[end:]

    def _kinds_in(self, block: Block) -> Seqs:
        """By message: its kind (`stretches.Kinds`); 0 when what surrounds it does not fit."""
        envelopes, counts = zip(*block.spans(), strict=True)
        return np.repeat([self._kind_of(one) for one in envelopes], counts)

    def _says_in(self, block: Block, seqs: Seqs) -> npt.NDArray[np.bool_]:
        """By number: whether the message itself says what is asked for."""
        if self._says.asks_nothing or not len(seqs):
            return np.ones(len(seqs), np.bool_)
        numbers = seqs.tolist()
        may = set(numbers)
        if self._names:
            raws = block.contents().raws
            may = {seq for seq in numbers if self._may_name(raws[seq - block.first_seq])}
        return np.array([seq in may and self._says(block.entry(seq)) for seq in numbers])

    def _kind_of(self, envelope: Envelope) -> int:
        wanted = self._criteria.sources
        return self._kinds.of(envelope) if not wanted or envelope.source in wanted else 0

    def _may_name(self, raw: bytes) -> bool:
        """Whether one of the events can be named in there: plainly, or in whatever way with escapes."""
        return b"\\" in raw or any(name in raw for name in self._names)

    def _codes(self, seqs: Seqs, kinds: npt.NDArray[np.int64]) -> dict[int, npt.NDArray[np.int32]]:
        names = {kind: self._kinds.names[kind] for kind in set(kinds.tolist())}
        owed = {kind: self._owing.destinations(*name) for kind, name in names.items() if name}
        codes: dict[int, npt.NDArray[np.int32]] = {}
        for id_ in dict.fromkeys(id_ for ids in owed.values() for id_ in ids):
            at = np.flatnonzero(np.isin(kinds, [kind for kind, ids in owed.items() if id_ in ids]))
            codes[id_] = np.full(len(seqs), -1, np.int32)
            for some in np.split(at, np.flatnonzero(np.diff(seqs[at]) > _CLUSTER_GAP) + 1):
                codes[id_][some] = self._outcomes.of(id_, seqs[some])
        return codes

    def _has_outcome(self, some: _Some) -> npt.NDArray[np.bool_]:
        kinds = self._outcomes.kinds
        fitting = [code for code, kind in enumerate(kinds) if self._criteria.fits(*kind)]
        fits = np.zeros(len(some), np.bool_)
        for id_ in self._slugs_wanted().keys() & some.codes.keys():
            fits |= np.isin(some.codes[id_], fitting)
        return fits


class _Columns:
    """The numbers of messages that fit as far as columns tell, which lie beside the messages: types and hashes."""

    def __init__(self, stored: Stored, criteria: Criteria) -> None:
        self._directory = stored.log
        self._types = [np.uint8(CALL_TYPE_CODES[one]) for one in criteria.types]
        self._users = [np.uint64(one) for one in user_hashes(criteria.users)]
        self._since_ms = criteria.received.from_ms or 0
        ids = {id_hash(source, one) for source in stored.sources for one in criteria.ids}
        self._ids = ids if criteria.ids else None

    def down_from(self, end: int, hints: Seqs | None) -> Iterator[tuple[int, Seqs]]:
        """(first number, candidates) of windows that lie below `end`, the newest first."""
        segments = [first_seq for first_seq, _ in segment_paths(self._directory)]
        if not segments:
            return
        if self._ids is not None:
            with closing(sqlite_reader(self._directory)) as log:
                hints = np.array(log.find_any(self._ids), np.int64)
        if hints is not None and not self._asks:
            yield segments[0], hints[(hints >= segments[0]) & (hints < end)]
            return
        for segment, following in reversed([*pairwise([*segments, NO_SEGMENT])]):
            for first, last in self._windows(segment, min(following, end) - 1):
                seqs = self._within(first, last, segment, following)
                yield first, seqs if hints is None else np.intersect1d(seqs, hints)

    def _windows(self, segment: int, last: int) -> Iterator[tuple[int, int]]:
        """Small ones first, since who asks for the newest mostly finds them there."""
        size = _FIRST_WINDOW
        while last >= segment:
            first = max(segment, last - size + 1)
            yield first, last
            last, size = first - 1, NO_SEGMENT if self._asks else min(4 * size, _LARGEST_WINDOW)

    def _within(self, first: int, last: int, segment: int, following: int) -> Seqs:
        """The numbers of a window whose columns fit. Much is read without what it surrounds, and unchecked."""
        if not self._asks:
            return np.arange(first, last + 1)
        if last - first < _FIRST_WINDOW:
            columns = _columns_of_blocks(self._directory, first, last)
        else:
            columns = _columns_of_segment(self._directory, segment, following)
        parts = [self._fitting(*block) for block in columns]
        seqs = np.concatenate([_NONE, *parts])
        return seqs[(seqs >= first) & (seqs <= last)]

    @property
    def _asks(self) -> bool:
        return bool(self._types or self._users or self._since_ms)

    def _fitting(self, first_seq: int, n: int, received_at_ms: int, columns: bytes) -> Seqs:
        if received_at_ms < self._since_ms or not 0 < n <= len(columns) // BYTES_PER_MESSAGE:
            return _NONE
        fits = np.ones(n, np.bool_)
        if self._types:
            types = np.frombuffer(columns, np.uint8, n, 16 * n)
            fits &= np.logical_or.reduce([types == one for one in self._types])
        if self._users:
            users = np.frombuffer(columns, np.uint64, n, 8 * n)
            fits &= np.logical_or.reduce([users == one for one in self._users])
        return np.flatnonzero(fits) + first_seq


_BlockColumns = tuple[int, int, int, bytes]  # first number, messages, receivedAt, columns


def _columns_of_blocks(directory: Path, first: int, last: int) -> Iterator[_BlockColumns]:
    with closing(SqliteReadStorage(directory)) as storage, suppress(BrokenBlock):
        for block in storage.blocks(first - 1):
            if block.first_seq > last:
                break
            yield block.first_seq, block.n, block.received_at_ms, block.columns


def _columns_of_segment(directory: Path, segment: int, following: int) -> Iterator[_BlockColumns]:
    found = open_segment(directory, segment)
    if found is not None:
        with closing(found):
            yield from found.columns(0, following)


def _hints(
    facts: DeliveryReader | None, criteria: Criteria, destinations: set[int], end: int
) -> Seqs | None:
    """Where the outcomes that are asked for can be, when that is at few messages; None: anywhere."""
    if facts is None or not (criteria.outcomes or criteria.reasons):
        return None
    if BROKEN in criteria.outcomes:
        return None
    recorded = {
        (one.destination, one.outcome, one.reason): one.recorded
        for one in facts.tallies()
        if one.destination in destinations and criteria.fits(one.outcome, one.reason)
    }
    if criteria.fits(PENDING, REPLAYED) and facts.open_replays():
        totals = [(replay.destination, replay.total) for replay in facts.replays()]
        recorded |= {
            (id_, REPLAYED, ""): sum(total for one, total in totals if one == id_)
            for id_ in destinations
        }
    cursors = facts.cursors()
    cursor = min((cursors.get(one, 0) for one in destinations), default=0)
    unsettled = range(cursor + 1, end) if criteria.fits(PENDING, "") else range(0)
    if len(unsettled) + sum(recorded.values()) > _FEW:
        return None
    runs = [
        run
        for kind in recorded
        for _, _, some in facts.settled_for(*kind, 0, _EVER_MS)
        for run in some
    ]
    numbers = [np.arange(run.start, run.stop) for run in (unsettled, *runs)]
    return np.unique(np.concatenate(numbers)).astype(np.int64)
