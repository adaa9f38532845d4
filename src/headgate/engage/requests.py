"""What commands have asked of Engage: files in `DIR/engage/requests/`, until the store knows of them.

Written by `headgate engage resync`, taken up by Engage's process when it starts and when it is told of a
new one. The file goes once the request is recorded, so whatever dies in between, it is not forgotten.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from headgate.eventlog.segments import sync_directory

_SUFFIX = ".resync"
_MOST_CHARACTERS = 1_000


class Requests:
    """The requests of a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._directory = data_dir / "engage" / "requests"

    def ask(self, name: str, key: str) -> None:
        """Has destinations told again of the computation with this key; durable when it returns."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        growing = self._directory / f"{name}.part"
        descriptor = os.open(growing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        growing.replace(growing.with_suffix(_SUFFIX))
        sync_directory(self._directory)

    def waiting(self) -> dict[Path, str]:
        """The key that each request names, by its file. One that is done meanwhile may be left out."""
        found = {}
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            with contextlib.suppress(FileNotFoundError):
                found[path] = path.read_text(errors="replace")[:_MOST_CHARACTERS]
        return found

    def done(self, paths: Iterable[Path]) -> None:
        """These requests are recorded."""
        for path in paths:
            path.unlink(missing_ok=True)
