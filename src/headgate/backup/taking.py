"""Takes a backup: written aside, read back, and given its name once it is whole."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from headgate import __version__
from headgate.backup.archive import (
    FORMAT,
    Advance,
    ArchiveReader,
    ArchiveWriter,
    BackupError,
    Contents,
    Manifest,
)
from headgate.backup.disk import sync
from headgate.backup.snapshot import MESSAGES, OUTCOMES, Part, snapshot
from headgate.clock import Clock
from headgate.locks import Locked, hold
from headgate.spec.timestamps import iso_ms
from headgate.stores import WORKSPACE, check_versions

Progress = Callable[[int, int], None]  # bytes done, bytes in all as far as that is known


def take(
    data_dir: Path, file: Path, clock: Clock, *, replace: bool = False, progress: Progress
) -> Contents:
    """Makes `file` a backup of the data directory, beside a running server or without one.

    It grows as FILE.part, which one that was cut off leaves behind and the next one overwrites; when
    this returns, the file is whole, read back, and on disk. Beside it there has to be room for the
    backup and for its largest database once more. Raises BackupError, UnusableDirectory, OSError, and
    sqlite3.Error when a database cannot be read.
    """
    if not (data_dir / WORKSPACE).exists():
        raise BackupError(f"{data_dir} is no data directory of Headgate: it has no {WORKSPACE}")
    check_versions(data_dir)
    if file.exists() and not replace:
        raise BackupError(f"{file} is there already: name another, or replace it with --force")
    manifest = Manifest(FORMAT, __version__, iso_ms(clock.now_ms()), data_dir.resolve().name)
    with _growing(file) as growing, snapshot(data_dir) as parts:
        contents = _write(growing, manifest, parts, file.parent, progress)
        _read_back(growing, file, contents, progress)
    return contents


@contextmanager
def _growing(file: Path) -> Iterator[BinaryIO]:
    """FILE.part, empty; it becomes FILE at the end, or goes away when that is not reached."""
    part = file.with_name(f"{file.name}.part")
    try:
        lock = hold(part, 0)
    except Locked:
        raise BackupError(f"another backup is being written to {part}; let it finish") from None
    with lock, os.fdopen(os.dup(lock.descriptor), "r+b") as growing:
        growing.truncate(0)
        try:
            yield growing
            part.rename(file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        sync(file.parent)


def _write(
    file: BinaryIO, manifest: Manifest, parts: list[Part], folder: Path, progress: Progress
) -> Contents:
    advance = _advance(progress, 0, 2 * sum(part.size for part in parts))
    counts = {MESSAGES: 0, OUTCOMES: 0}
    unreadable = []
    archive = ArchiveWriter(file, manifest)
    for part in parts:
        with part.copied(folder) as copy:
            archive.add(part.name, copy.file, advance)
        if part.counts:
            counts[part.counts] += copy.counted
        if not copy.is_readable:
            unreadable.append(part.name)
    contents = archive.finish(
        messages=counts[MESSAGES], outcomes=counts[OUTCOMES], unreadable=unreadable
    )
    file.flush()
    os.fsync(file.fileno())
    return contents


def _read_back(file: BinaryIO, path: Path, contents: Contents, progress: Progress) -> None:
    """From the disk rather than from memory, where the system lets us choose."""
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    file.seek(0)
    archive = ArchiveReader(file, path)
    size = sum(content.size for content in contents.files)
    advance = _advance(progress, size, 2 * size)
    for _, content in archive.files():
        for chunk in content:
            advance(len(chunk))


def _advance(progress: Progress, done: int, total: int) -> Advance:
    def advance(n: int) -> None:
        nonlocal done
        done += n
        progress(done, total)

    return advance
