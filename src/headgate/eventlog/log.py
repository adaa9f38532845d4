"""The log itself: numbers messages, drops duplicates, hands blocks to a storage that makes them durable.

Between the doors' group commit (`group_commit.py`) and the disk (`sqlite.py`) or its twin (`memory.py`).
A message is accepted when, and only when, the block that holds it is durable: the dedupe window learns
of it after that, so a group that failed is forgotten whole.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import msgspec
from xxhash import xxh3_64_intdigest

from headgate.clock import Clock
from headgate.eventlog.block import (
    Block,
    BlockWriter,
    BrokenBlock,
    Contents,
    Entry,
    StoredBlock,
    id_hash,
    opened,
    source_seed,
    user_hashes,
)
from headgate.eventlog.ids import IdRun
from headgate.eventlog.interface import DUPLICATE, Arrival
from headgate.eventlog.window import WINDOW_MS, IdWindow
from headgate.spec.message import MessageId, id_text
from headgate.spec.repair import decode_tolerantly

_decode_id = msgspec.json.Decoder(MessageId).decode


class ReadStorage(Protocol):
    """Where blocks lie, for reading."""

    def last_seq(self) -> int:
        """The number of the newest message ever stored, 0 when there was none."""

    def first_seq(self) -> int:
        """The number of the oldest message held; `last_seq() + 1` when none is."""

    def segments(self) -> list[int]:
        """See `interface.SegmentedReader`."""

    def blocks(self, after_seq: int) -> Iterator[StoredBlock]:
        """The blocks that hold messages above `after_seq`, in order.

        Raises BrokenBlock for messages of which not even the block can be read.
        """

    def id_runs(self, since_ms: int, *, whole: bool = False) -> Iterator[IdRun]:
        """The ids of at least everything received from `since_ms` on, oldest first.

        Of messages that are not held any more, too. With `whole`, damaged ids are noticed and read from
        elsewhere, which takes longer.
        """

    def find(self, hashes: Collection[int]) -> Iterator[int]:
        """The numbers of the messages whose ids have these hashes, in any order, of some that are not held too."""

    def close(self) -> None:
        """Let go of every file."""


class Storage(ReadStorage, Protocol):
    """Where blocks lie, for the one writer.

    `lost`: the ranges of numbers that were known to be lost when the storage was opened.
    """

    lost: list[tuple[int, int]]

    def last_crc(self) -> int:
        """The crc that the next block has to be chained to."""

    def write(self, block: StoredBlock) -> None:
        """Returns once the block is durable; LogFull when it could not be made so."""

    def trouble(self) -> str:
        """Why `write` would fail, in words; "" when it would not."""

    def roll(self) -> None:
        """See `interface.EventLog`."""

    def open_first_seq(self) -> int:
        """See `interface.EventLog`."""

    def limit(self, max_bytes: int) -> None:
        """See `interface.EventLog`."""

    def size_bytes(self) -> int:
        """See `interface.EventLog`."""


class BlockReader:
    """Reads messages out of a storage. See `interface.LogReader`."""

    def __init__(self, storage: ReadStorage) -> None:
        self._storage = storage
        self._opened: Block | None = None

    def last_seq(self) -> int:
        return self._storage.last_seq()

    def first_seq(self) -> int:
        return self._storage.first_seq()

    def segments(self) -> list[int]:
        return self._storage.segments()

    def blocks(self, after_seq: int) -> Iterator[Block]:
        for _, block in opened(self._storage.blocks(after_seq)):
            if isinstance(block, BrokenBlock):
                raise block
            yield block

    def entry(self, seq: int) -> Entry:
        if self._opened is None or not self._opened.first_seq <= seq <= self._opened.last_seq:
            self._opened = next(self.blocks(seq - 1), None)
        if self._opened is None or seq < self._opened.first_seq:
            raise KeyError(seq)
        return self._opened.entry(seq)

    def find(self, source: str, message_id: str) -> list[int]:
        return [
            seq
            for seq in self.find_any([id_hash(source, message_id)])
            if self._is_held(seq, source, message_id)
        ]

    def find_any(self, hashes: Collection[int]) -> list[int]:
        first_seq = self.first_seq()
        return sorted({seq for seq in self._storage.find(hashes) if seq >= first_seq})

    def _is_held(self, seq: int, source: str, message_id: str) -> bool:
        try:
            entry = self.entry(seq)
        except (KeyError, BrokenBlock):
            return False
        return entry.envelope.source == source and _message_id(entry) == message_id

    def close(self) -> None:
        self._storage.close()


class BlockLog(BlockReader):
    """The log's one writer. See `interface.EventLog`. Not for use from two threads at once."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        super().__init__(storage)
        self._blocks = storage
        self._clock = clock
        self._writer = BlockWriter()
        self._window = IdWindow()
        self._seeds: dict[str, int] = {}
        self._last_seq = storage.last_seq()
        self._load_window()

    def append(self, arrivals: Sequence[Arrival]) -> list[Sequence[int]]:
        hashes = [self._hashes(arrival) for arrival in arrivals]
        duplicates = self._duplicates(arrivals, hashes)
        first_seq = self._last_seq + 1
        contents, answers = _gather(arrivals, hashes, duplicates, first_seq)
        if contents.raws:
            block = self._writer.build(first_seq, self._blocks.last_crc(), contents)
            self._blocks.write(block)
            self._window.add(contents.id_hashes, first_seq, self._clock.now_ms())
            self._last_seq = first_seq + block.n - 1
        return answers

    def trouble(self) -> str:
        return self._blocks.trouble()

    def lost(self) -> list[tuple[int, int]]:
        return list(self._blocks.lost)

    def roll(self) -> None:
        self._blocks.roll()

    def open_first_seq(self) -> int:
        return self._blocks.open_first_seq()

    def limit(self, max_bytes: int) -> None:
        self._blocks.limit(max_bytes)

    def size_bytes(self) -> int:
        return self._blocks.size_bytes()

    def _hashes(self, arrival: Arrival) -> list[int]:
        source = arrival.envelope.source
        seed = self._seeds.get(source)
        if seed is None:
            seed = self._seeds[source] = source_seed(source)
        return [xxh3_64_intdigest(message_id.encode(), seed) for message_id in arrival.ids]

    def _duplicates(
        self, arrivals: Sequence[Arrival], hashes: list[list[int]]
    ) -> set[tuple[int, int]]:
        """(arrival, position) of every message that the window or the group already holds."""
        flat = [one for each in hashes for one in each]
        suspects = self._window.suspects(flat)
        if not suspects and len(set(flat)) == len(flat):
            return set()
        duplicates = set()
        in_group: set[tuple[str, str]] = set()
        for a, arrival in enumerate(arrivals):
            source = arrival.envelope.source
            for p, message_id in enumerate(arrival.ids):
                known = (source, message_id) in in_group or (
                    hashes[a][p] in suspects and self._holds(hashes[a][p], source, message_id)
                )
                in_group.add((source, message_id))
                if known:
                    duplicates.add((a, p))
        return duplicates

    def _holds(self, hashed: int, source: str, message_id: str) -> bool:
        """Whether one of the messages with this hash is really this one, and within the window."""
        return any(self._is(seq, source, message_id) for seq in reversed(self._window.find(hashed)))

    def _is(self, seq: int, source: str, message_id: str) -> bool:
        try:
            entry = self.entry(seq)
        except (KeyError, BrokenBlock):
            return True  # its segment is gone or broken: 64 equal bits are all the evidence left
        return entry.envelope.source == source and _message_id(entry) == message_id

    def _load_window(self) -> None:
        """Reads back the ids of the last 24 h, so that duplicates are known across restarts."""
        for run in self._blocks.id_runs(self._clock.now_ms() - WINDOW_MS):
            self._window.load(run)


def _message_id(entry: Entry) -> str:
    return entry.given_id or id_text(decode_tolerantly(_decode_id, entry.raw)[0].message_id)


def _gather(
    arrivals: Sequence[Arrival],
    hashes: list[list[int]],
    duplicates: set[tuple[int, int]],
    first_seq: int,
) -> tuple[Contents, list[Sequence[int]]]:
    """The group's new messages as the contents of one block, and the answer for every message."""
    contents = Contents([], [], [], [], [], bytearray(), {})
    answers: list[Sequence[int]] = []
    for a, arrival in enumerate(arrivals):
        n = len(arrival.ids)
        kept = [p for p in range(n) if (a, p) not in duplicates] if duplicates else range(n)
        next_seq = first_seq + len(contents.raws)
        if len(kept) == n:
            answer: Sequence[int] = range(next_seq, next_seq + n)
            _keep_all(contents, arrival, hashes[a])
        else:
            numbers = dict(zip(kept, range(next_seq, next_seq + len(kept)), strict=True))
            answer = [numbers.get(p, DUPLICATE) for p in range(n)]
            _keep_all(contents, _only(arrival, kept), [hashes[a][p] for p in kept])
        contents.given_ids.update(
            (answer[p] - first_seq, arrival.ids[p]) for p in arrival.given if answer[p] > 0
        )
        answers.append(answer)
    return contents, answers


def _only(arrival: Arrival, kept: Sequence[int]) -> Arrival:
    return Arrival(
        envelope=arrival.envelope,
        raws=[arrival.raws[p] for p in kept],
        ids=[arrival.ids[p] for p in kept],
        users=[arrival.users[p] for p in kept],
        types=bytearray(arrival.types[p] for p in kept),
    )


def _keep_all(contents: Contents, arrival: Arrival, hashes: list[int]) -> None:
    if not arrival.raws:
        return
    contents.envelopes.append(arrival.envelope)
    contents.counts.append(len(arrival.raws))
    contents.raws.extend(arrival.raws)
    contents.id_hashes.extend(hashes)
    contents.user_hashes.extend(user_hashes(arrival.users))
    contents.types.extend(arrival.types)
