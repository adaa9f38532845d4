"""One import from its first line to its last: chunk by chunk, each durable before the next is taken in.

    lines → chunk_of (sift, times) → known ids → way → log

While a chunk is on its way the next one is read and sifted. An import that was cut off, wherever that was,
is run again as a whole: what the log holds is passed over.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import msgspec
from xxhash import xxh3_64_intdigest

from headgate.control import Import
from headgate.eventlog.block import source_seed
from headgate.gateway.imports.chunk import BadLine, Chunk, chunk_of, of_forgotten, without
from headgate.gateway.imports.known import KnownIds
from headgate.gateway.imports.lines import Lines
from headgate.gateway.imports.ways import Way
from headgate.spec.names import import_source

_MAX_NAMED = 20


class Asked(msgspec.Struct, frozen=True):
    """What an import is to do: for which source, whether to deliver, whether to stop at a bad line."""

    source: str
    deliver: bool = False
    strict: bool = False


class Counts(msgspec.Struct, rename="camel"):
    """What became of the lines so far: each was accepted, a duplicate, or refused for a reason.

    `times` says by field where new messages have their time from, "now" for those without any, and
    `without_id` how many of them had no messageId. `bad_lines` names the first lines that were refused for
    what is in them.
    """

    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    bad_lines: list[BadLine] = msgspec.field(default_factory=list)
    times: Counter[str] = msgspec.field(default_factory=Counter)
    without_id: int = 0


class StoppedAt(Exception):
    """A strict import has come upon a bad line; everything before it is taken in, nothing after it."""

    def __init__(self, bad: BadLine) -> None:
        super().__init__(f"line {bad.line}: {bad.reason}")
        self.bad = bad


class Importer:
    """One import. `counts` may be looked at while it runs.

    `forgotten` tells when users asked to be forgotten, in Unix milliseconds.
    """

    def __init__(
        self,
        way: Way,
        known: KnownIds,
        forgotten: Callable[[], Mapping[str, int]],
        asked: Asked,
    ) -> None:
        self._way = way
        self._known = known
        self._forgotten = forgotten
        self._asked = asked
        self._seeds = [source_seed(asked.source), source_seed(import_source(asked.source))]
        self.counts = Counts()

    def run(self, blocks: Iterable[Lines], tell: Callable[[], None]) -> None:
        """To the end of the lines; `tell` is called after every chunk.

        Raises NotTaken, StoppedAt, and whatever reading the lines does. However it ends, what is on its
        way by then is waited for and counted.
        """
        under_way: _UnderWay | None = None
        with ThreadPoolExecutor(1, thread_name_prefix="import") as sender:
            try:
                for lines in blocks:
                    chunk, stop = self._looked_at(lines)
                    self._settle(under_way)
                    under_way = None
                    under_way = self._sent(chunk, sender)
                    tell()
                    if stop is not None:
                        raise StoppedAt(stop)
            finally:
                self._settle(under_way)

    def _looked_at(self, lines: Lines) -> tuple[Chunk, BadLine | None]:
        """The chunk, and the line to stop at; of a strict import nothing behind that one is looked at."""
        chunk = self._chunk(lines)
        if not self._asked.strict or not chunk.bad:
            return chunk, None
        stop = chunk.bad[0]
        return self._chunk(Lines(lines.first, lines.texts[: stop.line - lines.first + 1])), stop

    def _chunk(self, lines: Lines) -> Chunk:
        return chunk_of(lines, source=self._asked.source, deliver=self._asked.deliver)

    def _sent(self, chunk: Chunk, sender: ThreadPoolExecutor) -> "_UnderWay":
        """The chunk with what the log does not hold of it on its way."""
        known = self._duplicates(chunk.messages.ids)
        deleted = of_forgotten(chunk.messages, self._forgotten()) - known
        left_out = known | deleted
        messages = without(chunk.messages, left_out)
        places = [place for at, place in enumerate(chunk.places) if at not in left_out]
        taken = sender.submit(self._take, messages)
        return _UnderWay(chunk, messages, places, len(known), len(deleted), taken)

    def _take(self, messages: Import) -> int:
        return self._way.take(messages) if messages.ids else 0

    def _settle(self, under_way: "_UnderWay | None") -> None:
        """Waits for a chunk, and counts it."""
        if under_way is None:
            return
        suppressed = under_way.suppressed.result()
        chunk, new, counts = under_way.chunk, len(under_way.messages.ids), self.counts
        counts.lines += chunk.lines
        counts.accepted += new - suppressed
        counts.duplicates += under_way.duplicates
        counts.refused.update(bad.reason for bad in chunk.bad)
        counts.refused.update({"suppressed": suppressed} if suppressed else {})
        counts.refused.update({"deleted": under_way.deleted} if under_way.deleted else {})
        counts.bad_lines += chunk.bad[: max(0, _MAX_NAMED - len(counts.bad_lines))]
        counts.times.update(under_way.places)
        counts.without_id += len(under_way.messages.given)

    def _duplicates(self, ids: list[str]) -> set[int]:
        """The positions of messages that the log holds, delivered or imported, or that were there before."""
        self._known.catch_up()
        encoded = [one.encode() for one in ids]
        hashes = [xxh3_64_intdigest(one, seed) for seed in self._seeds for one in encoded]
        held = self._known.hold(hashes).nonzero()[0] % max(1, len(ids))
        found = set(held.tolist())
        if len(set(ids)) < len(ids):
            found |= _repeated(ids)
        return found


class _UnderWay(NamedTuple):
    """A chunk of which the new messages are being taken in; `places` are theirs, `suppressed` comes at the end."""

    chunk: Chunk
    messages: Import
    places: list[str]
    duplicates: int
    deleted: int
    suppressed: Future[int]


def _repeated(ids: list[str]) -> set[int]:
    """The positions of ids that stand there before."""
    seen: set[str] = set()
    found = set()
    for at, one in enumerate(ids):
        if one in seen:
            found.add(at)
        seen.add(one)
    return found
