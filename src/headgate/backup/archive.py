"""The backup file: a tar archive that can be written and read in one go, and that proves itself whole.

    manifest.json        format, version, when and of what: known before anything is copied
    the files            under their names in the data directory, in the order of `snapshot.py`
    contents.json        name, size and SHA-256 of each of them: known when all are written

`tar tf` lists it. Read is only what is written here: plain files with plain names, each once. Links,
directories, long names and extended headers are refused, so nothing can lie outside of the directory that
it is unpacked into, nor be larger than the archive itself. A file without its contents.json was cut off.
"""

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

FORMAT = 1

_CHUNK_BYTES = 1024 * 1024
_MANIFEST = "manifest.json"
_CONTENTS = "contents.json"
_MAX_JSON_BYTES = 16 * 1024 * 1024
_BLOCK_BYTES = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK_BYTES)
_NAME = re.compile(r"\w[\w.-]*(/\w[\w.-]*)*", re.ASCII)


class BackupError(Exception):
    """A backup cannot be made or read; its text says why."""


class NotABackup(BackupError):
    """The file is something else."""


class BrokenBackup(BackupError):
    """The file is not as it was written."""


class NewerBackup(BackupError):
    """The file has a format that this Headgate does not know."""


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """What is known before anything is copied. `source` is the data directory's name."""

    format: int
    headgate: str
    created_at: str
    source: str


class Content(msgspec.Struct, frozen=True):
    """One file of the archive."""

    name: str
    size: int
    sha256: str


class Contents(msgspec.Struct, frozen=True):
    """What is known at the end. `unreadable`: files that SQLite cannot read, which are copied all the same."""

    messages: int
    outcomes: int
    unreadable: list[str]
    files: list[Content]


class _Format(msgspec.Struct):
    format: int


Advance = Callable[[int], None]  # told of every so many bytes


class ArchiveWriter:
    """Writes a backup from its manifest to its contents."""

    def __init__(self, file: BinaryIO, manifest: Manifest) -> None:
        self._file = file
        self._contents: list[Content] = []
        self._add_json(_MANIFEST, manifest)

    def add(self, name: str, content: BinaryIO, advance: Advance) -> None:
        """Adds all that `content` holds from its beginning on."""
        size = content.seek(0, 2)
        content.seek(0)
        digest = hashlib.sha256()
        self._begin(name, size)
        for chunk in _chunks(content, size):
            digest.update(chunk)
            self._file.write(chunk)
            advance(len(chunk))
        self._file.write(bytes(_padding(size)))
        self._contents.append(Content(name, size, digest.hexdigest()))

    def finish(self, *, messages: int, outcomes: int, unreadable: list[str]) -> Contents:
        """Closes the archive with its table of contents; the file is the caller's to close."""
        contents = Contents(messages, outcomes, unreadable, self._contents)
        self._add_json(_CONTENTS, contents)
        self._file.write(_END)
        return contents

    def _add_json(self, name: str, value: Manifest | Contents) -> None:
        encoded = msgspec.json.format(msgspec.json.encode(value), indent=1)
        self._begin(name, len(encoded))
        self._file.write(encoded + bytes(_padding(len(encoded))))

    def _begin(self, name: str, size: int) -> None:
        header = tarfile.TarInfo(name)
        header.size = size
        header.mode = 0o600
        self._file.write(header.tobuf(tarfile.GNU_FORMAT))


class ArchiveReader:
    """Reads a backup. Opening raises NotABackup or NewerBackup."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._found: list[Content] = []
        self.manifest = self._read_manifest()

    def files(self) -> Iterator[tuple[str, Iterator[bytes]]]:
        """(name, content) of every file in order; a content is to be read before the next is asked for.

        BrokenBackup comes at the latest after the last one, so nothing may be used before the end.
        """
        while True:
            name, size = self._header()
            if name == _CONTENTS:
                self.contents = self._read_contents(size)
                return
            yield name, self._content(name, size)

    def _content(self, name: str, size: int) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in self._chunks(size):
            digest.update(chunk)
            yield chunk
        self._found.append(Content(name, size, digest.hexdigest()))

    def _read_manifest(self) -> Manifest:
        try:
            name, size = self._header()
            if name != _MANIFEST:
                raise NotABackup(self._no_backup())
            encoded = self._read_json(size)
            found = msgspec.json.decode(encoded, type=_Format).format
            if found > FORMAT:
                raise NewerBackup(
                    f"{self._path} was made by a newer Headgate: expected format {FORMAT}, found"
                    f" {found}; use that Headgate"
                )
            return msgspec.json.decode(encoded, type=Manifest)
        except (BrokenBackup, msgspec.DecodeError):
            raise NotABackup(self._no_backup()) from None

    def _no_backup(self) -> str:
        return f"{self._path} is no backup of Headgate: name a file that headgate backup has made"

    def _read_contents(self, size: int) -> Contents:
        try:
            contents = msgspec.json.decode(self._read_json(size), type=Contents)
        except msgspec.DecodeError as error:
            raise self._broken(f"its table of contents cannot be read: {error}") from None
        for found, written in zip(self._found, contents.files, strict=False):
            if found != written:
                raise self._broken(f"{found.name} is not as it was written")
        if len(self._found) != len(contents.files):
            raise self._broken(f"expected {len(contents.files)} files, found {len(self._found)}")
        return contents

    def _header(self) -> tuple[str, int]:
        """Name and size of the next file."""
        block = self._file.read(_BLOCK_BYTES)
        if len(block) < _BLOCK_BYTES or not any(block):
            raise self._broken("it was cut off")
        try:
            header = tarfile.TarInfo.frombuf(block, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError):
            raise self._broken("a header in it is damaged") from None
        known = [content.name for content in self._found]
        if header.type != tarfile.REGTYPE or not _NAME.fullmatch(header.name):
            raise self._broken(f"{header.name!r} does not belong into a backup")
        if header.size < 0 or header.name in known:
            raise self._broken(f"{header.name} stands in it twice or has no size")
        return header.name, header.size

    def _read_json(self, size: int) -> bytes:
        if size > _MAX_JSON_BYTES:
            raise self._broken(f"its description has {size:,} bytes")
        return b"".join(self._chunks(size))

    def _chunks(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes, and past what fills up their last block."""
        left = size
        for chunk in _chunks(self._file, size):
            left -= len(chunk)
            yield chunk
        if left:
            raise self._broken("it was cut off")
        self._file.read(_padding(size))

    def _broken(self, why: str) -> BrokenBackup:
        return BrokenBackup(f"{self._path} is damaged: {why}; take another backup")


def _chunks(file: BinaryIO, size: int) -> Iterator[bytes]:
    """The next `size` bytes, or what there is of them."""
    left = size
    while left and (chunk := file.read(min(left, _CHUNK_BYTES))):
        left -= len(chunk)
        yield chunk


def _padding(size: int) -> int:
    return -size % _BLOCK_BYTES
