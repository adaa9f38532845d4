"""One process per role and data directory: a lock file that the system frees when its holder dies."""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Locked(Exception):
    """Another process has the role and keeps it."""


class Lock(NamedTuple):
    """A held lock; it lasts as long as the process, or until `release`."""

    descriptor: int

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Let the next one in."""
        os.close(self.descriptor)


def hold(path: Path, timeout_s: float, hopeless: Callable[[], bool] = lambda: False) -> Lock:
    """Takes the lock. A holder that is about to end gets `timeout_s` seconds for it; then `Locked`.

    `hopeless` is asked now and then whether there is any point in waiting on.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return Lock(descriptor)
        except BlockingIOError:
            if time.monotonic() >= deadline or hopeless():
                os.close(descriptor)
                raise Locked(f"{path} is held by another process") from None
            time.sleep(0.01)


def is_held(path: Path) -> bool:
    """Whether another process has the lock at this moment."""
    try:
        hold(path, 0).release()
    except Locked:
        return True
    return False
