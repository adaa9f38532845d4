"""Backfill: `python -m headgate.engage.history.backfill DATA_DIR`, a selection as JSON on stdin.

Writes the messages that a new computation has missed into a file, one JSON object a line, profile by
profile, for `chunks.py` to read. The file is whole or absent. Prints {"messages": N}.
"""

import os
import sys
from collections.abc import Collection
from pathlib import Path

import msgspec

from headgate.engage.history.duck import quoted
from headgate.engage.history.view import View, opened
from headgate.eventlog.segments import sync_directory

_COLUMNS = "seq, profile, message_id, source, at_ms, received_at_ms, name"


class Selection(msgspec.Struct, frozen=True):
    """The events of these names, of the messages up to a number, and the file to write them into."""

    names: list[str]
    up_to_seq: int
    into: str


def select(view: View, names: Collection[str], up_to_seq: int, into: Path) -> int:
    """Writes the file, durably; how many messages are in it."""
    unfinished = into.with_name(f"{into.name}.unfinished")
    listed = ", ".join(map(quoted, names)) or "NULL"
    view.rows(
        f"COPY (SELECT {_COLUMNS}, properties::JSON AS properties, context::JSON AS context"
        f" FROM event WHERE name IN ({listed}) AND seq <= {up_to_seq:d} ORDER BY profile, seq)"
        f" TO {quoted(str(unfinished))} (FORMAT json)"
    )
    ((messages,),) = view.rows(
        f"SELECT count(*) FROM event WHERE name IN ({listed}) AND seq <= {up_to_seq:d}"
    )
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(into)
    sync_directory(into.parent)
    return int(messages)


def main() -> None:
    """What Engage starts: DATA_DIR."""
    (data_dir,) = sys.argv[1:]
    said = sys.stdin.buffer.read()
    if not said:
        sys.exit(1)  # whoever started this has died
    asked = msgspec.json.decode(said, type=Selection)
    with opened(Path(data_dir)) as view:
        messages = select(view, asked.names, asked.up_to_seq, Path(asked.into))
    sys.stdout.buffer.write(msgspec.json.encode({"messages": messages}) + b"\n")


if __name__ == "__main__":
    main()
