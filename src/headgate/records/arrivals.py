"""The calls of one source as they arrived, and what became of each: newest first, or as they come. For the debugger.

    blocks → envelopes, columns → decoded, words looked for → outcomes → `Call`

Each step looks at less than the one before, as in `selection.py`, which asks about destinations instead: here a
call counts once, whether it has destinations or none.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import closing, nullcontext, suppress
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from headgate.delivery.owing import Owing
from headgate.eventlog.block import Block, BrokenBlock, Entry
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.outcomes import PENDING, Outcomes
from headgate.records.stored import Stored
from headgate.spec.message import id_text
from headgate.spec.names import CALL_TYPE_CODES
from headgate.spec.repair import DECODE_ERRORS, decode_tolerantly

LOOKED_THROUGH = 100_000  # messages at a time; who wants to look further asks again
_BLOCKS_AT_A_TIME = 4_000
_AWAITED = 50_000  # calls whose outcome is waited for
_FIRST_WINDOW, _LARGEST_WINDOW = 128, 32_768
_TERM = re.compile(r'(event|user):(?:"([^"]*)"|(\S*))|"([^"]*)"|(\S+)', re.IGNORECASE)


class Fate(NamedTuple):
    """What became of a call at one destination, by its slug."""

    destination: str
    outcome: str
    reason: str


class Call(NamedTuple):
    """One call. `event` is the name of a page or a screen where there is no event; "" where it does not say.

    `version` is the workspace's when it was accepted.
    """

    seq: int
    at_ms: int
    version: int
    type: str
    event: str
    user_id: str
    anonymous_id: str
    message_id: str
    fates: tuple[Fate, ...] = ()

    @property
    def is_settled(self) -> bool:
        """Whether nothing more becomes of it by itself."""
        return all(fate.outcome != PENDING for fate in self.fates)

    def has(self, outcome: str) -> bool:
        """Whether it has the outcome at a destination."""
        return any(fate.outcome == outcome for fate in self.fates)


class Term(NamedTuple):
    """A word that is looked for: in event names, in users' ids, or, without a kind, in both and the messageId.

    `*` stands for any text where the kind is said; without one a part of the text is enough.
    """

    kind: str
    text: str

    def fits(self, call: Call) -> bool:
        """Whether a call has it."""
        if self.kind == "event":
            return self._is(call.event)
        if self.kind == "user":
            return self._is(call.user_id) or self._is(call.anonymous_id)
        texts = (call.event, call.user_id, call.anonymous_id, call.message_id)
        return any(self.text.lower() in one.lower() for one in texts)

    def _is(self, text: str) -> bool:
        pattern = ".*".join(map(re.escape, self.text.split("*")))
        return re.fullmatch(pattern, text, re.DOTALL) is not None


class Wanted(NamedTuple):
    """Which calls are asked for: those that have all words, and the type and the outcome unless they are ""."""

    words: str = ""
    type: str = ""
    outcome: str = ""

    @property
    def terms(self) -> list[Term]:
        """The words one by one."""
        found = ((kind.lower(), "".join(texts)) for kind, *texts in _TERM.findall(self.words))
        return [Term(kind, text) for kind, text in found if text]

    def fits(self, call: Call) -> bool:
        """Whether a call has the words and the type."""
        return self.type in ("", call.type) and all(term.fits(call) for term in self.terms)


class Found(NamedTuple):
    """Calls, newest first. What lies below `next_seq` was not looked at; 0 when everything was."""

    calls: list[Call]
    next_seq: int


class News(NamedTuple):
    """What has come: how many calls arrived, how many of them fit, and the newest of these, oldest first.

    `missed` numbers were passed over because there were too many.
    """

    arrived: int
    fitting: int
    calls: list[Call]
    missed: int


class _Fields(msgspec.Struct, rename="camel", gc=False):
    type: Any = None
    event: Any = None
    name: Any = None
    user_id: Any = None
    anonymous_id: Any = None
    message_id: Any = None


class _Library(msgspec.Struct):
    name: str
    version: str = ""


class _Context(msgspec.Struct):
    library: _Library


class _OfLibrary(msgspec.Struct):
    context: _Context


_decode_library = msgspec.json.Decoder(_OfLibrary).decode
_decode = msgspec.json.Decoder(_Fields).decode

Seqs = npt.NDArray[np.int64]
_Group = tuple[Block, Seqs]


class Arrivals:
    """The calls of one source. Keeps files open until it is closed; for one thread at a time."""

    def __init__(self, stored: Stored, source: str, wanted: Wanted) -> None:
        self.data_dir = stored.data_dir
        self._stored = stored
        self._source = source
        self._terms = wanted.terms
        self._type = CALL_TYPE_CODES.get(wanted.type)
        self._outcome = wanted.outcome
        self._log = sqlite_reader(stored.log)
        self._owing = Owing(stored.versions)
        self._awaited: list[Call] = []

    def close(self) -> None:
        """Let go of the files."""
        self._log.close()

    def last_seq(self) -> int:
        """Where the log ends now."""
        return self._log.last_seq()

    def before(self, seq: int, limit: int) -> Found:
        """The newest calls that are numbered below `seq`."""
        last, first_held = seq - 1, self._log.first_seq()
        calls: list[Call] = []
        size, numbers, blocks = _FIRST_WINDOW, 0, 0
        while last >= first_held and len(calls) <= limit:
            if numbers >= LOOKED_THROUGH or blocks >= _BLOCKS_AT_A_TIME:
                break
            first = max(first_held, last - size + 1)
            groups = list(self._groups(first, last))
            numbers, blocks = numbers + last - first + 1, blocks + len(groups)
            fitting = (
                self._saying(groups) if self._decides_late else self._newest(groups, limit + 1)
            )
            calls += reversed(self._with_outcome(fitting))
            size, last = min(4 * size, _LARGEST_WINDOW), first - 1
        if len(calls) > limit:
            return Found(self.with_fates(calls[:limit]), calls[limit - 1].seq)
        return Found(self.with_fates(calls), last + 1 if last >= first_held else 0)

    def after(self, seq: int, to_seq: int, limit: int) -> News:
        """What arrived above one number and up to another; a call of a wanted outcome is told once it has it."""
        missed = max(0, to_seq - seq - LOOKED_THROUGH)
        groups = list(self._groups(seq + missed + 1, to_seq))
        arrived = sum(len(seqs) for _, seqs in groups)
        if not self._decides_late:
            fitting = sum(len(self._typed(*group)) for group in groups)
            return News(arrived, fitting, self.with_fates(self._newest(groups, limit)), missed)
        calls = self._saying(groups)
        if self._outcome:
            calls = self._decided(calls)
        return News(arrived, len(calls), self.with_fates(calls[-limit:]), missed)

    def with_fates(self, calls: Iterable[Call]) -> list[Call]:
        """The same calls with what has become of them by now."""
        calls = list(calls)
        owed = [self._owing.destinations(one.version, self._source) for one in calls]
        known = self._outcomes_of(
            {id_ for some in owed for id_ in some}, [one.seq for one in calls]
        )
        return [
            call._replace(
                fates=tuple(Fate(slug, *known[id_, call.seq]) for id_, slug in some.items())
            )
            for call, some in zip(calls, owed, strict=True)
        ]

    def library_of(self, call: Call) -> str:
        """The name and the version of the library that made a call, as it says itself; "" when it does not."""
        entry = self._log.entry(call.seq)
        for text in (entry.raw, b'{"context":%b}' % (entry.envelope.context or b"null")):
            with suppress(*DECODE_ERRORS):
                library = decode_tolerantly(_decode_library, text)[0].context.library
                return f"{library.name} {library.version}".strip()
        return ""

    @property
    def _decides_late(self) -> bool:
        """Whether a message has to be decoded to tell if it fits."""
        return bool(self._terms or self._outcome)

    # the log

    def _groups(self, first: int, last: int) -> Iterator[_Group]:
        """The numbers of the source's messages in a range, by block; what cannot be read is passed over."""
        at = first - 1
        while at < last:
            try:
                for block in self._log.blocks(at):
                    if block.first_seq > last:
                        return
                    yield block, self._of_source(block, first, last)
                return
            except BrokenBlock as broken:
                at = broken.last_seq

    def _of_source(self, block: Block, first: int, last: int) -> Seqs:
        envelopes, counts = zip(*block.spans(), strict=True)
        mine = np.fromiter((one.source == self._source for one in envelopes), np.bool_)
        seqs = block.first_seq + np.flatnonzero(np.repeat(mine, counts))
        within: Seqs = seqs[(seqs >= first) & (seqs <= last)]
        return within

    def _typed(self, block: Block, seqs: Seqs) -> Seqs:
        if self._type is None:
            return seqs
        typed: Seqs = seqs[
            np.frombuffer(block.types, np.uint8)[seqs - block.first_seq] == self._type
        ]
        return typed

    def _newest(self, groups: list[_Group], limit: int) -> list[Call]:
        """The last calls of the groups, ascending."""
        newest: list[Call] = []
        for block, seqs in reversed(groups):
            wanted = self._typed(block, seqs)[::-1][: limit - len(newest)]
            newest += (_call(block.entry(seq)) for seq in wanted.tolist())
        return newest[::-1]

    def _saying(self, groups: list[_Group]) -> list[Call]:
        """The calls that have every word."""
        calls = (
            _call(block.entry(seq))
            for block, seqs in groups
            for seq in self._typed(block, seqs).tolist()
        )
        return [call for call in calls if all(term.fits(call) for term in self._terms)]

    # outcomes

    def _with_outcome(self, calls: list[Call]) -> list[Call]:
        if not self._outcome:
            return calls
        return [one for one in self.with_fates(calls) if one.has(self._outcome)]

    def _decided(self, calls: list[Call]) -> list[Call]:
        """Those with the wanted outcome of new calls and of earlier ones that had none yet."""
        known = self.with_fates([*self._awaited, *calls])
        self._awaited = (
            []
            if self._outcome == PENDING
            else [one for one in known if not one.is_settled and not one.has(self._outcome)][
                -_AWAITED:
            ]
        )
        return [one for one in known if one.has(self._outcome)]

    def _outcomes_of(
        self, destinations: Iterable[int], seqs: list[int]
    ) -> dict[tuple[int, int], tuple[str, str]]:
        """(outcome, reason) by destination and number."""
        ascending = np.unique(np.array(seqs, np.int64))
        facts = self._stored.facts()
        with closing(facts) if facts else nullcontext():
            outcomes = Outcomes(facts)
            return {
                (id_, seq): outcomes.kinds[code]
                for id_ in destinations
                for seq, code in zip(
                    ascending.tolist(), outcomes.of(id_, ascending).tolist(), strict=True
                )
            }


def call_of(
    raw: bytes,
    *,
    seq: int,
    at_ms: int,
    version: int = 0,
    call_type: str = "",
    message_id: str = "",
) -> Call:
    """The call that some bytes are; of bytes that cannot be read, what is said beside them."""
    try:
        fields = decode_tolerantly(_decode, raw)[0]
    except DECODE_ERRORS:
        fields = _Fields()
    return Call(
        seq=seq,
        at_ms=at_ms,
        version=version,
        type=call_type or _text(fields.type),
        event=_text(fields.event) or _text(fields.name),
        user_id=id_text(fields.user_id),
        anonymous_id=id_text(fields.anonymous_id),
        message_id=message_id or id_text(fields.message_id),
    )


def _call(entry: Entry) -> Call:
    envelope = entry.envelope
    return call_of(
        entry.raw,
        seq=entry.seq,
        at_ms=envelope.received_at_ms,
        version=envelope.workspace_version,
        call_type=envelope.call_type,
        message_id=entry.given_id,
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
