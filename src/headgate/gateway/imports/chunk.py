"""A chunk of an archive, looked at as the doors look at a request: what may enter the log, what not and why.

Between `lines` and the search for known ids. Pure. A message without a messageId is given one that is made
of its own bytes, so that the same archive, imported again, says nothing new.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import msgspec
from xxhash import xxh3_128_hexdigest

from headgate.control import Import
from headgate.eventlog.interface import Arrival
from headgate.eventlog.refused import Refusal
from headgate.gateway.imports.lines import Lines
from headgate.gateway.imports.own_time import WITHOUT_SENT_AT, at_its_own_time, own_time_ms
from headgate.gateway.post import Post
from headgate.gateway.sift import sift
from headgate.spec.limits import MAX_BATCH_MESSAGES
from headgate.spec.message import Envelope

_NOBODYS = Envelope(source="", received_at_ms=0, workspace_version=0)


class BadLine(NamedTuple):
    """A line that is no message which could be taken in. `reason` is as at the doors (`spec.reasons`)."""

    line: int
    reason: str


class Chunk(msgspec.Struct):
    """What is in some lines: messages as they may be taken in, and, in step, the field that each has its time from."""

    lines: int
    messages: Import
    places: list[str]
    bad: list[BadLine]


def chunk_of(lines: Lines, *, source: str, deliver: bool) -> Chunk:
    """The messages of some lines; blank lines count for nothing."""
    numbered = list(enumerate(lines.texts, lines.first))
    bad = [BadLine(number, "message_too_large") for number, text in numbered if text is None]
    filled = [(number, text) for number, text in numbered if text and not text.isspace()]
    n = len(bad) + len(filled)
    messages = Import(source, deliver, [], [], [], b"", [], ())
    for at in range(0, len(filled), MAX_BATCH_MESSAGES):
        part = filled[at : at + MAX_BATCH_MESSAGES]
        arrival, refusals = _sifted([text for _, text in part])
        if refusals:
            bad += _bad_lines(part)
        _append(messages, arrival)
    return Chunk(n, messages, _own_times(messages), sorted(bad))


def without(messages: Import, left_out: Collection[int]) -> Import:
    """The messages without those at these positions."""
    if not left_out:
        return messages
    left = [at for at in range(len(messages.ids)) if at not in left_out]
    given = set(messages.given)
    return msgspec.structs.replace(
        messages,
        raws=[messages.raws[at] for at in left],
        ids=[messages.ids[at] for at in left],
        users=[messages.users[at] for at in left],
        types=bytes(messages.types[at] for at in left),
        given=[new for new, at in enumerate(left) if at in given],
    )


def of_forgotten(messages: Import, forgotten: Mapping[str, int]) -> set[int]:
    """The positions of what users sent before they asked to be forgotten: no archive brings that back.

    `forgotten` says when each asked, in Unix milliseconds; a message without a time counts as sent before.
    """
    if not forgotten:
        return set()
    return {
        at
        for at, user in enumerate(messages.users)
        if user in forgotten and (own_time_ms(messages.raws[at]) or 0) <= forgotten[user]
    }


def _sifted(texts: list[bytes]) -> tuple[Arrival, list[Refusal]]:
    return sift(Post("", texts), _NOBODYS)


def _bad_lines(part: list[tuple[int, bytes]]) -> Iterator[BadLine]:
    """Which of the lines are refused; looked at one by one, since sifting does not tell which."""
    for number, text in part:
        for refusal in _sifted([text])[1]:
            yield BadLine(number, refusal.reason)


def _append(messages: Import, arrival: Arrival) -> None:
    """Adds what a sifting has let through."""
    first = len(messages.ids)
    for at in arrival.given:
        arrival.ids[at] = f"import-{xxh3_128_hexdigest(arrival.raws[at])}"
        messages.given.append(first + at)
    messages.raws += arrival.raws
    messages.ids += arrival.ids
    messages.users += arrival.users
    messages.types += arrival.types
    messages.repairs = tuple(dict.fromkeys(messages.repairs + arrival.envelope.repairs))


def _own_times(messages: Import) -> list[str]:
    """Makes every message's own time count; from which field each has it."""
    timed = [at_its_own_time(raw) for raw in messages.raws]
    raws = [raw for raw, _ in timed]
    if raws != messages.raws:
        messages.raws = raws
        messages.repairs += (WITHOUT_SENT_AT,)
    return [place for _, place in timed]
