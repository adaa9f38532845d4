"""What makes files outlive a loss of power."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Returns once the file's content, or the directory's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory: Path) -> None:
    """The same for everything in a directory, and for itself."""
    for path in directory.rglob("*"):
        sync(path)
    sync(directory)
