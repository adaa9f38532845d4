"""The block: one group commit on disk. Built by the event log's writer, read by everything after it.

Messages are numbered, not blocks: a block holds `n` messages, `first_seq` and upwards, dense.

    columns  n x u64 id hash | n x u64 user hash | n x u8 call type | n x u32 length | m x u32 messages per envelope
    payload  zstd( u32 length of head | head: msgpack [envelopes, given ids] | the messages as they came )
    crc      crc32 of the numbers, columns and payload, and of the previous block's crc: a chain

All numbers are little-endian. A block is whole or absent; a broken one is never read as a shorter one.
"""

import struct
import sys
import threading
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, islice, pairwise
from typing import NamedTuple

import msgspec
import zstandard
from xxhash import xxh3_64_intdigest

from headgate.spec.message import FORMAT, Envelope

_HEADER = struct.Struct("<qiqiI")
_LENGTH = struct.Struct("<I")
BYTES_PER_MESSAGE = 8 + 8 + 1 + 4  # of the columns
_MAX_PAYLOAD_BYTES = 256 * 1024 * 1024

if sys.byteorder != "little":
    raise ImportError("Headgate's blocks are little-endian; this machine is not")


class BrokenBlock(Exception):
    """Messages whose bytes are not those that were written."""

    def __init__(self, first_seq: int, last_seq: int, why: str) -> None:
        super().__init__(f"block {first_seq} to {last_seq} is broken: {why}")
        self.first_seq = first_seq
        self.last_seq = last_seq
        self.why = why

    def ending_before(self, next_seq: int) -> "BrokenBlock":
        """The same damage, ending before what is known to be another block."""
        if not self.first_seq < next_seq <= self.last_seq:
            return self
        return BrokenBlock(self.first_seq, next_seq - 1, self.why)


class _Head(msgspec.Struct, array_like=True):
    envelopes: list[Envelope]
    given_ids: dict[int, str]


_encode_head = msgspec.msgpack.Encoder().encode
_decode_head = msgspec.msgpack.Decoder(_Head).decode


def id_hash(source: str, message_id: str) -> int:
    """The 64 bits under which a source's messageId is found again."""
    return xxh3_64_intdigest(message_id.encode(), seed=source_seed(source))


def source_seed(source: str) -> int:
    """What makes the hashes of two sources' equal messageIds differ."""
    return xxh3_64_intdigest(source.encode())


def user_hashes(user_ids: Iterable[str]) -> list[int]:
    """The 64 bits under which each user's messages are found; 0 for a message without userId."""
    return [xxh3_64_intdigest(user_id.encode()) if user_id else 0 for user_id in user_ids]


class Seal(NamedTuple):
    """How a sealed segment stands in the chain: its blocks were made anew, so their crcs are their own.

    `prev_crc` and `end_crc` are those that its first and last block had before; `end_crc` is what the
    next segment's first block names. `inner_crc` is that of its last block now.
    """

    first_seq: int
    last_seq: int
    prev_crc: int
    end_crc: int
    inner_crc: int


class StoredBlock(NamedTuple):
    """A block as it lies on disk. The last one of a sealed segment has the segment's seal with it."""

    first_seq: int
    n: int
    received_at_ms: int
    format: int
    prev_crc: int
    crc: int
    columns: bytes
    payload: bytes
    seal: Seal | None = None

    @property
    def last_seq(self) -> int:
        """The number of the last message, as far as the block's own number of messages can be believed.

        Damaged numbers are no larger than the columns allow, so that no damaged block looks endless.
        """
        return min(self.first_seq + max(self.n, 1) - 1, self.largest_last_seq)

    @property
    def largest_last_seq(self) -> int:
        """The number that the last message can have at most, by the length of the columns alone."""
        return self.first_seq + max(len(self.columns) // BYTES_PER_MESSAGE, 1) - 1

    @property
    def next_prev_crc(self) -> int:
        """What the next block in the chain has to name as its `prev_crc`."""
        return self.crc if self.seal is None else self.seal.end_crc

    def chained_to(self, prev_crc: int) -> "StoredBlock":
        """The same messages behind another block."""
        moved = self._replace(prev_crc=prev_crc, seal=None)
        return moved._replace(crc=moved.computed_crc())

    def computed_crc(self) -> int:
        """The crc that these bytes should have."""
        header = _HEADER.pack(
            self.first_seq, self.n, self.received_at_ms, self.format, self.prev_crc
        )
        return zlib.crc32(self.payload, zlib.crc32(self.columns, zlib.crc32(header)))


class Entry(NamedTuple):
    """One message of a block: its number, the bytes as they came, and what surrounds them."""

    seq: int
    raw: bytes
    envelope: Envelope
    given_id: str


class Contents(NamedTuple):
    """What goes into a block; the lists run in step, one item per message."""

    envelopes: list[Envelope]
    counts: list[int]
    raws: list[bytes]
    id_hashes: list[int]
    user_hashes: list[int]
    types: bytearray
    given_ids: dict[int, str]


class BlockWriter:
    """Builds stored blocks. Not for use from two threads at once: it keeps one compressor."""

    def __init__(self, level: int = 1) -> None:
        self._compress = zstandard.ZstdCompressor(level=level).compress

    def build(self, first_seq: int, prev_crc: int, contents: Contents) -> StoredBlock:
        """The block of these messages, numbered from `first_seq` and chained to the block before."""
        raws = contents.raws
        head = _encode_head(_Head(contents.envelopes, contents.given_ids))
        columns = b"".join(
            (
                array("Q", contents.id_hashes).tobytes(),
                array("Q", contents.user_hashes).tobytes(),
                contents.types,
                array("I", map(len, raws)).tobytes(),
                array("I", contents.counts).tobytes(),
            )
        )
        block = StoredBlock(
            first_seq=first_seq,
            n=len(raws),
            received_at_ms=max(envelope.received_at_ms for envelope in contents.envelopes),
            format=FORMAT,
            prev_crc=prev_crc,
            crc=0,
            columns=columns,
            payload=self._compress(b"".join((_LENGTH.pack(len(head)), head, *raws))),
        )
        return block.chained_to(prev_crc)


class _Unpacking(threading.local):
    """One decompressor per thread: making one costs more than unpacking a small block."""

    def __init__(self) -> None:
        self.decompress = zstandard.ZstdDecompressor().decompress


_unpacking = _Unpacking()


class Block:
    """A block opened for reading. Raises BrokenBlock when its bytes are not those that were written."""

    __slots__ = (
        "_counts",
        "_entries",
        "_stored",
        "first_seq",
        "id_hashes",
        "n",
        "received_at_ms",
        "types",
    )

    def __init__(self, stored: StoredBlock) -> None:
        try:
            whole = stored.computed_crc() == stored.crc
        except struct.error:  # a number that no block has
            whole = False
        if not whole:
            raise BrokenBlock(stored.first_seq, stored.last_seq, "the checksum does not match")
        self._stored = stored
        self._entries: list[Entry] = []
        self.first_seq = stored.first_seq
        self.n = stored.n
        self.received_at_ms = stored.received_at_ms
        self.id_hashes = array("Q", stored.columns[: 8 * stored.n])
        self.types = stored.columns[16 * stored.n : 17 * stored.n]
        self._counts = array("I", stored.columns[BYTES_PER_MESSAGE * stored.n :])

    @property
    def last_seq(self) -> int:
        """The number of the block's last message."""
        return self.first_seq + self.n - 1

    @property
    def crc(self) -> int:
        """What the next block in the chain has to name as its `prev_crc`."""
        return self._stored.next_prev_crc

    @property
    def user_hashes(self) -> Sequence[int]:
        """One hash per message; 0 where it has no userId."""
        return array("Q", self._stored.columns[8 * self.n : 16 * self.n])

    def spans(self) -> Iterator[tuple[Envelope, int]]:
        """Every envelope with the number of messages it surrounds, in order; no message is unpacked."""
        with zstandard.ZstdDecompressor().stream_reader(self._stored.payload) as payload:
            head = _decode_head(payload.read(_LENGTH.unpack(payload.read(_LENGTH.size))[0]))
        return zip(head.envelopes, self._counts, strict=True)

    def contents(self) -> Contents:
        """What went into the block."""
        head, body = self._unpacked()
        lengths = array("I", self._stored.columns[17 * self.n : BYTES_PER_MESSAGE * self.n])
        ends = list(accumulate(lengths, initial=0))
        return Contents(
            envelopes=head.envelopes,
            counts=list(self._counts),
            raws=[body[start:end] for start, end in pairwise(ends)],
            id_hashes=list(self.id_hashes),
            user_hashes=list(self.user_hashes),
            types=bytearray(self.types),
            given_ids=head.given_ids,
        )

    def entries(self) -> Iterator[Entry]:
        """Every message of the block, in order."""
        contents = self.contents()
        numbered = enumerate(contents.raws)
        for envelope, count in zip(contents.envelopes, contents.counts, strict=True):
            for at, raw in islice(numbered, count):
                yield Entry(self.first_seq + at, raw, envelope, contents.given_ids.get(at, ""))

    def _unpacked(self) -> tuple[_Head, bytes]:
        """The head, and the messages one behind the other."""
        payload = _unpacking.decompress(self._stored.payload, max_output_size=_MAX_PAYLOAD_BYTES)
        head_end = 4 + _LENGTH.unpack_from(payload)[0]
        return _decode_head(payload[4:head_end]), payload[head_end:]

    def entry(self, seq: int) -> Entry:
        """The message with this number; IndexError when the block does not hold it."""
        if not self.first_seq <= seq <= self.last_seq:
            raise IndexError(f"block {self.first_seq} to {self.last_seq} does not hold {seq}")
        if not self._entries:
            self._entries = list(self.entries())
        return self._entries[seq - self.first_seq]


def opened(stored: Iterable[StoredBlock]) -> Iterator[tuple[StoredBlock, Block | BrokenBlock]]:
    """Blocks in order, opened; a broken one is told as such, and ends before the next one begins."""
    blocks = iter(stored)
    one = next(blocks, None)
    while one is not None:
        try:
            block = Block(one)
        except BrokenBlock as broken:
            try:
                following = next(blocks, None)
            except BrokenBlock as unreadable:
                yield one, broken.ending_before(unreadable.first_seq)
                raise
            yield one, broken if following is None else broken.ending_before(following.first_seq)
        else:
            yield one, block
            following = next(blocks, None)
        one = following
