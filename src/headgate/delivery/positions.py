"""Sets of message numbers as bytes: runs of neighbours, each as two varints (gap, length). 2 bytes for most."""

from collections.abc import Iterable, Iterator


def pack(seqs: Iterable[int]) -> bytes:
    """The numbers, which must ascend, as bytes."""
    out = bytearray()
    start = end = -1  # the run being grown: start..end inclusive
    previous_end = 0
    for seq in seqs:
        if seq == end + 1 and start >= 0:
            end = seq
            continue
        if start >= 0:
            _put(out, start - previous_end)
            _put(out, end - start)
            previous_end = end
        start = end = seq
    if start >= 0:
        _put(out, start - previous_end)
        _put(out, end - start)
    return bytes(out)


def runs(packed: bytes) -> Iterator[range]:
    """The runs of neighbouring numbers, ascending."""
    numbers = _numbers(packed)
    end = 0
    for gap in numbers:
        start = end + gap
        end = start + next(numbers)
        yield range(start, end + 1)


def unpack(packed: bytes) -> Iterator[int]:
    """The numbers, ascending."""
    for run in runs(packed):
        yield from run


def holds(packed: bytes, seq: int) -> bool:
    """Whether the number is among them."""
    return any(seq in run for run in runs(packed))


def count(packed: bytes) -> int:
    """How many numbers they are."""
    return sum(len(run) for run in runs(packed))


def _put(out: bytearray, number: int) -> None:
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


def _numbers(packed: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
        else:
            yield number
            number = shift = 0
