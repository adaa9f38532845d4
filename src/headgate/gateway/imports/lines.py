"""An archive as lines: a file of JSON lines, gzipped or not, read in little memory whatever its size.

gzip is recognised by its first bytes; several members one behind the other count as one file, so that
archives can be joined by `cat`.
"""

import zlib
from collections.abc import Iterable, Iterator
from io import BufferedIOBase
from typing import NamedTuple

_BLOCK_BYTES = 512 * 1024  # about what a request at the doors may hold
_MAX_LINE_BYTES = 512 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = 31  # zlib's window bits for a gzip wrapper
_BOM = b"\xef\xbb\xbf"


class BrokenArchive(Exception):
    """The file cannot be read to its end; what came before is as it should be."""


class Lines(NamedTuple):
    """Some lines that follow each other, numbered from `first`. None stands for one of more than 512 KiB."""

    first: int
    texts: list[bytes | None]


class Archive:
    """Reads a file once. `done_bytes` have been read so far, as they lie in the file."""

    def __init__(self, file: BufferedIOBase) -> None:
        self._file = file
        self.done_bytes = 0

    def lines(self) -> Iterator[Lines]:
        """All lines in order. Raises BrokenArchive where gzip data is damaged or ends early."""
        blocks = self._blocks()
        begin = next(blocks, b"")
        if begin.startswith(_GZIP_MAGIC):
            return _lines(_gunzipped(_chained(begin, blocks)))
        return _lines(_chained(begin, blocks))

    def _blocks(self) -> Iterator[bytes]:
        while block := self._block():
            self.done_bytes += len(block)
            yield block

    def _block(self) -> bytes:
        """As much as there is of a block. Read piece by piece: Ctrl-C is heard between two of them."""
        pieces: list[bytes] = []
        missing = _BLOCK_BYTES
        while missing and (piece := self._file.read1(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)


def _chained(begin: bytes, blocks: Iterable[bytes]) -> Iterator[bytes]:
    if begin:
        yield begin
    yield from blocks


def _gunzipped(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """A little at a time, so that a bomb costs no memory."""
    member = zlib.decompressobj(_GZIP)
    begun = False
    for block in blocks:
        rest = block
        while rest:
            begun = True
            try:
                yield member.decompress(rest, _BLOCK_BYTES)
            except zlib.error as error:
                raise BrokenArchive(f"the gzip data is damaged: {error}") from error
            rest = member.unconsumed_tail
            if member.eof:
                rest = member.unused_data.lstrip(b"\0")
                member, begun = zlib.decompressobj(_GZIP), False
    if begun:
        raise BrokenArchive("the gzip data ends early")


def _lines(blocks: Iterable[bytes]) -> Iterator[Lines]:
    number, rest, is_cut = 1, b"", False
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        texts: list[bytes | None] = [*whole]
        if is_cut and texts:
            texts[0], is_cut = None, False
        if is_cut or len(rest) > _MAX_LINE_BYTES:
            rest, is_cut = b"", True
        if texts:
            yield _without_mark(Lines(number, texts))
            number += len(texts)
    if rest or is_cut:
        yield _without_mark(Lines(number, [None if is_cut else rest]))


def _without_mark(lines: Lines) -> Lines:
    """Without the byte order mark that may begin a file."""
    if lines.first == 1 and lines.texts[0]:
        lines.texts[0] = lines.texts[0].removeprefix(_BOM)
    return lines
