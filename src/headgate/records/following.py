"""What Engage said of a user right after one of their messages. For the message's story.

Engage evaluates many messages at once, so nobody records which one of them changed an audience. What it says
of the user within moments is in the log right behind the message.
"""

from collections.abc import Iterator
from contextlib import closing
from itertools import takewhile
from typing import Any

import msgspec

from headgate.eventlog.block import Block, BrokenBlock, Entry, user_hashes
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.gist import gist
from headgate.records.stored import Stored
from headgate.spec.names import engage_destination
from headgate.spec.repair import DECODE_ERRORS
from headgate.spec.timestamps import iso_ms

WITHIN_MS = 10_000
_LOOKED_THROUGH = 5_000  # messages behind the one
_MOST = 20

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Said(msgspec.Struct, frozen=True, rename="camel"):
    """An audience or a computed trait that a destination was told of."""

    at: str
    destination: str
    key: str
    is_audience: bool
    value: Any
    message_id: str
    position: int


def said_after(stored: Stored, position: int, received_at_ms: int, user_id: str) -> list[Said]:
    """What was said of the user behind the message, within ten seconds; the first twenty."""
    said: list[Said] = []
    if not user_id:
        return said
    (wanted,) = user_hashes([user_id])
    with closing(sqlite_reader(stored.log)) as log:
        behind = takewhile(
            lambda one: one.first_seq <= position + _LOOKED_THROUGH, log.blocks(position)
        )
        try:
            for block in behind:
                said += _said_in(block, position, received_at_ms + WITHIN_MS, user_id, wanted)
                if len(said) >= _MOST or block.received_at_ms > received_at_ms + WITHIN_MS:
                    break
        except BrokenBlock:
            return said
    return said[:_MOST]


def _said_in(
    block: Block, position: int, until_ms: int, user_id: str, wanted: int
) -> Iterator[Said]:
    for at, one in enumerate(block.user_hashes):
        if one != wanted or block.first_seq + at <= position:
            continue
        entry = block.entry(block.first_seq + at)
        destination = engage_destination(entry.envelope.source)
        if destination and entry.envelope.received_at_ms <= until_ms:
            yield from _said(entry, destination, user_id)


def _said(entry: Entry, destination: str, user_id: str) -> Iterator[Said]:
    said = gist(entry)
    try:
        message = _decode(entry.raw)
        personas = message["context"]["personas"]
        key, kind = personas["computation_key"], personas["computation_class"]
        value = message["traits"][key]
    except (*DECODE_ERRORS, KeyError, TypeError):
        return
    if said.user_id == user_id:
        at = iso_ms(entry.envelope.received_at_ms)
        is_audience = kind == "audience"
        yield Said(at, destination, key, is_audience, value, said.message_id, entry.seq)
