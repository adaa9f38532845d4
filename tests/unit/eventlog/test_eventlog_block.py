"""A block gives back exactly what went into it, or says that it is broken."""

import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factories import NOW_MS, envelope
from headgate.eventlog.block import (
    Block,
    BlockWriter,
    BrokenBlock,
    Contents,
    StoredBlock,
    id_hash,
    opened,
    source_seed,
    user_hashes,
)
from headgate.spec.message import Envelope

PACKED = {
    "first_seq": "<q",
    "n": "<i",
    "received_at_ms": "<q",
    "format": "<i",
    "prev_crc": "<I",
    "crc": "<I",
}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
hashes = st.integers(0, 2**64 - 1)
envelopes = st.builds(
    Envelope,
    source=texts,
    received_at_ms=st.integers(0, 2**62),
    workspace_version=st.integers(0, 2**62),
    call_type=st.sampled_from(["", "track"]),
    sent_at=st.none() | texts | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    client_side=st.booleans(),
    ip=texts,
    context=st.binary(max_size=40),
    integrations=st.binary(max_size=40),
    repairs=st.lists(texts, max_size=2).map(tuple),
)


@st.composite
def contents(draw: st.DrawFn) -> Contents:
    """What a group commit may hand over: one or more requests with one or more messages each."""
    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    n = sum(counts)
    return Contents(
        envelopes=[draw(envelopes) for _ in counts],
        counts=counts,
        raws=draw(st.lists(st.binary(max_size=50), min_size=n, max_size=n)),
        id_hashes=draw(st.lists(hashes, min_size=n, max_size=n)),
        user_hashes=draw(st.lists(hashes, min_size=n, max_size=n)),
        types=bytearray(draw(st.binary(min_size=n, max_size=n))),
        given_ids=draw(st.dictionaries(st.integers(0, n - 1), texts.filter(bool))),
    )


def stored(first_seq: int = 1, prev_crc: int = 0) -> StoredBlock:
    """A block of two requests with three messages in all."""
    return BlockWriter().build(
        first_seq,
        prev_crc,
        Contents(
            envelopes=[envelope(), envelope(source="shop", received_at_ms=NOW_MS + 1)],
            counts=[2, 1],
            raws=[b'{"a":1}', b"", b'{"c":3}'],
            id_hashes=[1, 2, 3],
            user_hashes=[4, 0, 5],
            types=bytearray([0, 1, 5]),
            given_ids={1: "given"},
        ),
    )


@settings(deadline=None)
@given(contents(), st.integers(1, 2**62), st.integers(0, 2**32 - 1))
def test_what_went_in_comes_out(content: Contents, first_seq: int, prev_crc: int) -> None:
    """Every message with its bytes, its envelope and its given id; every column as it was."""
    block = Block(BlockWriter().build(first_seq, prev_crc, content))
    entries = list(block.entries())
    surrounding = [
        one
        for one, count in zip(content.envelopes, content.counts, strict=True)
        for _ in range(count)
    ]
    assert [entry.seq for entry in entries] == list(range(first_seq, first_seq + block.n))
    assert [entry.raw for entry in entries] == content.raws
    assert [entry.envelope for entry in entries] == surrounding
    assert [entry.given_id for entry in entries] == [
        content.given_ids.get(at, "") for at in range(block.n)
    ]
    assert list(block.id_hashes) == content.id_hashes
    assert list(block.user_hashes) == content.user_hashes
    assert block.types == bytes(content.types)
    assert list(block.spans()) == list(zip(content.envelopes, content.counts, strict=True))
    assert block.received_at_ms == max(one.received_at_ms for one in content.envelopes)
    assert [block.entry(entry.seq) for entry in entries] == entries


def replaced(block: StoredBlock, field: str, value: Any) -> StoredBlock:
    return StoredBlock(**(block._asdict() | {field: value}))


def flips() -> Iterator[tuple[str, StoredBlock]]:
    """The block with one byte flipped, for each of its bytes."""
    whole = stored(first_seq=7, prev_crc=9)
    for field, form in PACKED.items():
        packed = struct.pack(form, getattr(whole, field))
        for at in range(len(packed)):
            changed = bytearray(packed)
            changed[at] ^= 0x40
            (value,) = struct.unpack(form, changed)
            yield f"{field}[{at}]", replaced(whole, field, value)
    for field in ("columns", "payload"):
        content = getattr(whole, field)
        for at in range(len(content)):
            changed = bytearray(content)
            changed[at] ^= 0x40
            yield f"{field}[{at}]", replaced(whole, field, bytes(changed))


def test_every_flipped_byte_is_noticed() -> None:
    """No byte of the row, numbers included, can change without the block being called broken."""
    read = []
    for where, broken in flips():
        try:
            Block(broken)
        except BrokenBlock:
            continue
        read.append(where)
    assert read == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("n", 2**31, id="a count that needs more bits"),
        pytest.param("prev_crc", -1, id="a negative checksum"),
        pytest.param("columns", b"", id="columns cut off"),
        pytest.param("payload", b"", id="payload cut off"),
    ],
)
def test_a_mangled_row_is_a_broken_block(field: str, value: Any) -> None:
    """Whatever a damaged file holds in place of a block, the error is always the same."""
    with pytest.raises(BrokenBlock) as broken:
        Block(replaced(stored(first_seq=7), field, value))
    assert broken.value.first_seq == 7


def test_a_broken_block_tells_its_numbers() -> None:
    """Whoever reads on knows where."""
    with pytest.raises(BrokenBlock, match="block 7 to 9 is broken") as broken:
        Block(stored(first_seq=7)._replace(crc=0))
    assert (broken.value.first_seq, broken.value.last_seq) == (7, 9)


def many_requests(first_seq: int) -> StoredBlock:
    """A block of eight requests with a message each, whose columns could hold nine messages."""
    contents = Contents(
        envelopes=[envelope()] * 8,
        counts=[1] * 8,
        raws=[b"{}"] * 8,
        id_hashes=[*range(8)],
        user_hashes=[0] * 8,
        types=bytearray(8),
        given_ids={},
    )
    return BlockWriter().build(first_seq, 0, contents)


def test_a_broken_block_ends_before_the_next_one_begins() -> None:
    """Whatever its number of messages has become; nothing of the next one is called broken."""
    blocks = [many_requests(7)._replace(n=2**30), stored(first_seq=15), stored(first_seq=18)]
    broken, *whole = [block for _, block in opened(blocks)]
    assert isinstance(broken, BrokenBlock)
    assert (broken.first_seq, broken.last_seq) == (7, 14)
    assert [one.first_seq for one in whole] == [15, 18]


def test_a_broken_block_is_told_before_what_cannot_be_read_at_all() -> None:
    """Each range once, in order."""

    def unreadable() -> Iterator[StoredBlock]:
        yield many_requests(7)._replace(n=2**30)
        raise BrokenBlock(15, 20, "the segment cannot be read")

    told: list[tuple[int, int]] = []
    with pytest.raises(BrokenBlock, match="15 to 20"):
        told.extend((block.first_seq, block.last_seq) for _, block in opened(unreadable()))
    assert told == [(7, 14)]


def test_contents_are_those_that_went_in() -> None:
    """So that a block can be made anew."""
    assert Block(stored()).contents() == Block(stored(prev_crc=9)).contents()
    rebuilt = BlockWriter().build(1, 0, Block(stored()).contents())
    assert rebuilt == stored()


def test_a_block_is_chained_to_the_one_before() -> None:
    """The same messages behind another block have another checksum."""
    first, second = stored(prev_crc=1), stored(prev_crc=2)
    assert first.payload == second.payload
    assert first.crc != second.crc


@pytest.mark.parametrize("seq", [6, 10], ids=["before", "behind"])
def test_a_number_of_another_block_is_an_index_error(seq: int) -> None:
    """A block of 7, 8 and 9 has nothing to say about its neighbours'."""
    with pytest.raises(IndexError, match=f"does not hold {seq}"):
        Block(stored(first_seq=7)).entry(seq)


@settings(deadline=None)
@given(texts, texts, texts)
def test_an_id_has_another_hash_in_another_source(source: str, other: str, message_id: str) -> None:
    """The source seeds the hash of its ids."""
    assert (id_hash(source, message_id) == id_hash(other, message_id)) == (source == other)
    assert (source_seed(source) == source_seed(other)) == (source == other)


def test_only_a_missing_user_has_the_hash_0() -> None:
    """Zero stands for nobody."""
    assert user_hashes(["", "ann", ""])[::2] == [0, 0]
    assert user_hashes(["ann"]) == user_hashes(["bob", "ann"])[1:]
