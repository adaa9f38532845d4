"""Unpacks a backup: for good, into a data directory, or for a moment, to be read."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from headgate.backup.archive import ArchiveReader, BackupError, Contents, Manifest
from headgate.backup.disk import sync, sync_tree
from headgate.backup.taking import Progress
from headgate.stores import RESTORING, WORKSPACE, HalfRestored, check_versions

_OF_THE_FILE_SYSTEM = "lost+found"


class Unpacked(NamedTuple):
    """What a backup said of itself."""

    manifest: Manifest
    contents: Contents


def restore(file: Path, data_dir: Path, progress: Progress) -> Unpacked:
    """Makes an empty or missing directory the one that was backed up; on disk when it returns.

    Everything is unpacked and checked inside of it first, under a name that keeps every Headgate out,
    and put in place then: a mount point can be restored into, and a restore that is cut off is never
    taken for a whole one. Raises BackupError, UnusableDirectory and OSError, with nothing left behind.
    """
    _refuse_unless_empty(data_dir)
    with _room_in(data_dir) as growing:
        unpacked = unpack(file, growing, progress)
        check_versions(growing)
        sync_tree(growing)
    for path in sorted(growing.iterdir(), key=lambda path: path.name == WORKSPACE):
        path.rename(
            data_dir / path.name
        )  # the workspace last: it makes the directory one of Headgate
    growing.rmdir()
    sync(data_dir)
    return unpacked


def unpack(file: Path, directory: Path, progress: Progress) -> Unpacked:
    """Unpacks into an empty directory; nothing in it may be used when this raises."""
    done, total = 0, file.stat().st_size
    with file.open("rb") as opened:
        archive = ArchiveReader(opened, file)
        for name, content in archive.files():
            with _created(directory / name) as out:
                for chunk in content:
                    out.write(chunk)
                    done += len(chunk)
                    progress(done, total)
        return Unpacked(archive.manifest, archive.contents)


def _refuse_unless_empty(data_dir: Path) -> None:
    if not data_dir.exists():
        return
    names = {path.name for path in data_dir.iterdir()} - {_OF_THE_FILE_SYSTEM}
    if RESTORING in names:
        raise HalfRestored(data_dir)
    if names:
        raise BackupError(
            f"{data_dir} is not empty, nothing was restored: name a new directory with --data-dir,"
            " or move what is in this one away"
        )


@contextmanager
def _room_in(data_dir: Path) -> Iterator[Path]:
    """A directory inside, for its owner alone; goes away with what it holds when something goes wrong."""
    is_new = not data_dir.exists()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    data_dir.chmod(0o700)
    room = data_dir / RESTORING
    room.mkdir(mode=0o700)
    try:
        yield room
    except BaseException:
        shutil.rmtree(data_dir if is_new else room)
        raise


@contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
    """A new file for its owner alone, and the directories it is in."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
