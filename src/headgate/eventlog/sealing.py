"""Sealing: a closed segment becomes a smaller file of larger blocks, with its sorted ids beside it.

    python -m headgate.eventlog.sealing LOG_DIR OPEN_FIRST_SEQ

seals every segment before the open one and prints nothing. It runs beside the gateway, in a process of its
own, so that the doors never feel it; what it cannot seal stays as it is, and is listed again by `unsealed`.
"""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from headgate.eventlog.block import Block
from headgate.eventlog.ids import ids_path, read_ids
from headgate.eventlog.rewriting import NotNow, Unreadable, alone_in, rewrite
from headgate.eventlog.segments import plain_parts, sealed_path, segment_paths

_NICE = 10

log = logging.getLogger("headgate.eventlog")


def unsealed(directory: Path, open_first_seq: int) -> list[int]:
    """The closed segments, all that begin before the open one, that are not sealed or not wholly so."""
    return [
        first_seq
        for first_seq, _ in segment_paths(directory)
        if first_seq < open_first_seq and not _is_sealed(directory, first_seq)
    ]


def seal(directory: Path, first_seq: int) -> None:
    """Seals one closed segment, or finishes what a crash has interrupted.

    Raises Unreadable, when it has to stay as it is, and NotNow, when it is to be tried again.
    """
    with alone_in(directory):
        rewrite(directory, first_seq, _unchanged)


def main(arguments: Sequence[str]) -> int:
    """The command line's work; the exit status."""
    os.nice(_NICE)
    directory, open_first_seq = Path(arguments[0]), int(arguments[1])
    for first_seq in unsealed(directory, open_first_seq):
        try:
            seal(directory, first_seq)
        except Unreadable as error:
            log.error("%s; it stays unsealed", error)
        except NotNow as error:
            log.info("%s; it is sealed later", error)
    return 0


def _is_sealed(directory: Path, first_seq: int) -> bool:
    return (
        sealed_path(directory, first_seq).exists()
        and read_ids(ids_path(directory, first_seq)) is not None
        and not any(part.exists() for part in plain_parts(directory, first_seq))
    )


def _unchanged(_: Block) -> None:
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
