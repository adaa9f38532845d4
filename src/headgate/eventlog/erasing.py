"""Forgetting: every message of a user is replaced in closed segments by what its number, id and outcome need.

    python -m headgate.eventlog.erasing LOG_DIR OPEN_FIRST_SEQ  < {"user": last number to forget, ...}

prints {"erased": how many}, and leaves the segment that is open alone: the gateway ends it first. It ends
with status 1 when something was left to do, and can be run again at any time. What is
left of a message is its type and its messageId; of its envelope, what says when and from which source it
came. Whether a message is the user's is decided on the message itself, as the doors do; the hashes in the
columns only say where to look. A damaged block cannot be read by anybody, and stays as it is.
"""

import logging
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from headgate.eventlog.block import Block, Contents, user_hashes
from headgate.eventlog.ids import numbers
from headgate.eventlog.rewriting import NotNow, Unreadable, alone_in, rewrite
from headgate.eventlog.segments import NO_SEGMENT, Segment, open_segment, segment_paths
from headgate.spec.message import Envelope, id_text
from headgate.spec.names import CALL_TYPES
from headgate.spec.repair import DECODE_ERRORS, decode_tolerantly

_NICE = 10
_EVER_MS = -(2**63)
_BLOCKS_AT_ONCE = 4_096

log = logging.getLogger("headgate.eventlog")

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def segments_holding(directory: Path, user_ids: Mapping[str, int]) -> list[int]:
    """The segments that may hold messages of these users up to their numbers, by the columns alone.

    The open one may be among them. A segment that cannot be read holds nothing that could be told.
    """
    wanted = _Wanted(user_ids)
    first_seqs = [first_seq for first_seq, _ in segment_paths(directory)]
    found = []
    for first_seq, next_segment in pairwise([*first_seqs, NO_SEGMENT]):
        try:
            segment = open_segment(directory, first_seq)
            if segment is not None:
                with closing(segment):
                    if wanted.any_in(segment, next_segment):
                        found.append(first_seq)
        except sqlite3.Error as error:
            log.error("the segment %s cannot be searched: %s", first_seq, error)
    return found


def erase(directory: Path, first_seq: int, user_ids: Mapping[str, int]) -> int:
    """Forgets, in one closed segment, every message of these users up to each one's number; how many.

    Durable when it returns. Raises Unreadable, and NotNow when it is to be tried again.
    """
    forgetting = Forgetting(user_ids)
    with alone_in(directory):
        rewrite(directory, first_seq, forgetting)
    return forgetting.erased


def main(arguments: Sequence[str]) -> int:
    """The command line's work; the exit status."""
    os.nice(_NICE)
    directory, open_first_seq = Path(arguments[0]), int(arguments[1])
    user_ids = msgspec.json.decode(sys.stdin.buffer.read(), type=dict[str, int])
    erased = 0
    for first_seq in segments_holding(directory, user_ids):
        if first_seq < open_first_seq:
            try:
                erased += erase(directory, first_seq, user_ids)
            except Unreadable as error:
                log.error("%s; nothing in it could be erased", error)
            except NotNow as error:
                log.error("%s; erasing has to be started again", error)
                return 1
    with suppress(BrokenPipeError):  # whoever asked has died, and asks again
        os.write(1, msgspec.json.encode({"erased": erased}) + b"\n")
    return 0


class _Wanted:
    """Whose messages are looked for, by hash."""

    def __init__(self, user_ids: Mapping[str, int]) -> None:
        self._last_seqs: dict[int, int] = {}
        for hashed, last_seq in zip(user_hashes(user_ids), user_ids.values(), strict=True):
            self._last_seqs[hashed] = max(last_seq, self._last_seqs.get(hashed, 0))
        self._last_seqs.pop(0, None)  # the hash of nobody
        self._hashes = np.array(list(self._last_seqs), np.uint64)

    def places(self, hashes: npt.NDArray[np.uint64]) -> Iterable[int]:
        """Where in a column these users are."""
        places: list[int] = np.flatnonzero(np.isin(hashes, self._hashes)).tolist()
        return places

    def any_in(self, segment: Segment, next_segment: int) -> bool:
        """Whether the segment holds any of their messages up to their numbers."""
        return any(
            seq <= self._last_seqs[hashed]
            for hashes, seqs in _user_columns(segment, next_segment)
            for hashed, seq in ((int(hashes[at]), int(seqs[at])) for at in self.places(hashes))
        )


def _user_columns(
    segment: Segment, next_segment: int
) -> Iterator[tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]]:
    """The user hashes and numbers of the segment, many blocks at a time."""
    rows = (
        (first_seq, n, columns[8 * n : 16 * n])
        for first_seq, n, _, columns in segment.columns(_EVER_MS, next_segment)
        if 0 < n <= len(columns) // 16
    )
    while some := list(islice(rows, _BLOCKS_AT_ONCE)):
        firsts, counts, hashes = zip(*some, strict=True)
        yield np.frombuffer(b"".join(hashes), np.uint64), numbers(firsts, counts)


class Forgetting:
    """Takes the messages of some users, up to each one's number, out of blocks; counts them.

    Called with a block it gives what is to stand in its place, or None when it may stay as it is.
    """

    def __init__(self, user_ids: Mapping[str, int]) -> None:
        self._user_ids = user_ids
        self._wanted = _Wanted(user_ids)
        self.erased = 0

    def __call__(self, block: Block) -> Contents | None:
        places = self._wanted.places(np.asarray(block.user_hashes))
        if not places:
            return None
        contents = block.contents()
        stubs = {
            at: stub
            for at in places
            if (stub := self._stub(contents, at, block.first_seq + at)) is not None
        }
        if not stubs:
            return None
        self.erased += len(stubs)
        return _without(contents, stubs)

    def _stub(self, contents: Contents, at: int, seq: int) -> bytes | None:
        """What is left of a message that is to be forgotten; None when it is not."""
        try:
            message = decode_tolerantly(_decode, contents.raws[at])[0]
        except DECODE_ERRORS:  # no door has let it in like this
            return None
        if seq > self._user_ids.get(id_text(message.get("userId")), 0):
            return None
        message_id = contents.given_ids.get(at) or id_text(message.get("messageId"))
        call_type = CALL_TYPES[contents.types[at]]
        return msgspec.json.encode({"type": call_type, "messageId": message_id})


def _without(contents: Contents, stubs: Mapping[int, bytes]) -> Contents:
    """The contents with stubs in place of messages; their neighbours keep their envelope."""
    envelopes: list[Envelope] = []
    counts: list[int] = []
    for envelope, is_stub, n in _runs(contents, stubs):
        envelopes.append(_bare(envelope) if is_stub else envelope)
        counts.append(n)
    return contents._replace(
        envelopes=envelopes,
        counts=counts,
        raws=[stubs.get(at, raw) for at, raw in enumerate(contents.raws)],
        user_hashes=[
            0 if at in stubs else hashed for at, hashed in enumerate(contents.user_hashes)
        ],
    )


def _runs(contents: Contents, stubs: Mapping[int, bytes]) -> Iterator[tuple[Envelope, bool, int]]:
    """(envelope, whether stubs, how many) of messages side by side that are alike."""
    at = 0
    for envelope, count in zip(contents.envelopes, contents.counts, strict=True):
        for is_stub, alike in groupby(range(at, at + count), stubs.__contains__):
            yield envelope, is_stub, sum(1 for _ in alike)
        at += count


def _bare(envelope: Envelope) -> Envelope:
    return msgspec.structs.replace(
        envelope, sent_at=None, ip="", context=b"", integrations=b"", repairs=(), erased=True
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
