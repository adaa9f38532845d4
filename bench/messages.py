"""The messages that are measured with: a web shop's, about 1 KB each, from some thousand people.

They are `headgate.sandbox.traffic`'s, so no two are alike. Where many times as many are wanted as
were made, they come again with other messageIds: such a message is a template with a slot for its id.
"""

import os
import random
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from typing import Any

import msgspec

from headgate.clock import SystemClock
from headgate.sandbox.traffic import Message, Traffic
from headgate.spec.names import CALL_TYPE_CODES, IDENTIFY, TRACK

ID_SLOT = b"00000000-0000-0000-0000-000000000000"
_PEOPLE = 5_000


def spoken(count: int) -> list[Message]:
    """What a shop's visitors send, everything."""
    return _traffic().take(count)


def deliverable(count: int) -> list[Message]:
    """That part of it which Heap gets: identify and track calls of known users."""
    return list(islice(filter(is_deliverable, _traffic()), count))


def is_deliverable(message: Message) -> bool:
    """Whether Heap gets the message."""
    return message["type"] in (IDENTIFY, TRACK) and "userId" in message


def tracks(count: int) -> list[Message]:
    """Track calls of known users alone."""
    return [one for one in deliverable(count * 2) if one["type"] == TRACK][:count]


def templates(messages: Sequence[Message]) -> list[bytes]:
    """The messages as JSON, with a slot for the messageId."""
    slot = ID_SLOT.decode()
    return [msgspec.json.encode(one | {"messageId": slot}) for one in messages]


def batch_templates(messages: Sequence[Message], size: int) -> list[bytes]:
    """Bodies for /v1/batch of `size` messages each, with their slots."""
    texts = templates(messages)
    return [
        b'{"batch":[' + b",".join(texts[at : at + size]) + b"]}"
        for at in range(0, len(texts) - size + 1, size)
    ]


def mean_bytes(messages: Sequence[Message]) -> float:
    """How long the messages are as JSON, on average."""
    return sum(map(len, templates(messages))) / len(messages)


def fresh_ids(count: int) -> list[bytes]:
    """New ids that fit the slot; no two are ever the same, and none compresses."""
    width = len(ID_SLOT)
    text = os.urandom(count * width // 2).hex().encode()
    return [text[at : at + width] for at in range(0, len(text), width)]


class Stream:
    """Messages without end, as the log takes them: text, id, user and type of each."""

    def __init__(self, messages: Sequence[Message]) -> None:
        split = [text.split(ID_SLOT) for text in templates(messages)]
        users = [str(one.get("userId", "")) for one in messages]
        types = [CALL_TYPE_CODES[one["type"]] for one in messages]
        self._rest: Iterator[Any] = cycle(zip(split, users, types, strict=True))

    def take(self, count: int) -> tuple[list[bytes], list[str], list[str], bytearray]:
        """The next messages: their texts, ids, users and type codes."""
        taken = list(islice(self._rest, count))
        ids = fresh_ids(count)
        raws = [
            before + one + after for ((before, after), _, _), one in zip(taken, ids, strict=True)
        ]
        users = [user for _, user, _ in taken]
        return raws, [one.decode() for one in ids], users, bytearray(code for _, _, code in taken)


def _traffic() -> Traffic:
    return Traffic(clock=SystemClock(), rng=random.Random(7), users=range(_PEOPLE))
