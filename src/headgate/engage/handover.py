"""Hands the outbox over to the gateway, which takes it into the log: exactly once, whatever dies between.

Between Engage's store and the channel. One portion is on its way at a time; a row leaves the outbox when
the gateway has said that it is durable, and the log drops what it was told twice. What everybody's destination
is told at once goes when nothing else waits.
"""

import asyncio
import logging

from headgate.channel import Channel, Emitted, Taken
from headgate.clock import Clock
from headgate.engage.reader import OutboxRow
from headgate.engage.store import EngageStore

_MOST_ROWS = 200
_MOST_BYTES = 60_000
_ANSWER_WITHIN_S = 10.0
_AGAIN_AFTER_S = 1.0
_CROWDED_S = 0.01

log = logging.getLogger("headgate.engage")


class Handover:
    """Empties the outbox whenever something is in it."""

    def __init__(self, store: EngageStore, channel: Channel, clock: Clock) -> None:
        self._store = store
        self._channel = channel
        self._clock = clock
        self._filled = asyncio.Event()
        self._answered = asyncio.Event()
        self._answer: Taken | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._number = 0

    def filled(self) -> None:
        """There is something in the outbox."""
        self._filled.set()

    def answered(self, taken: Taken) -> None:
        """The gateway has answered."""
        if taken.number == self._number:
            self._answer = taken
            self._answered.set()
            self._idle.set()

    async def idle(self) -> None:
        """Returns once the gateway has answered whatever was on its way to it."""
        await self._idle.wait()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self._filled.clear()
            while rows := _portion(self._store.outbox(_MOST_ROWS)):
                if not await self._hand_over(rows):
                    await self._clock.wait(asyncio.Event(), _AGAIN_AFTER_S)
            await self._filled.wait()

    async def _hand_over(self, rows: list[OutboxRow]) -> bool:
        """Whether to go on at once: with the next rows, or with the same when the line was crowded."""
        self._number += 1
        self._answer = None
        self._answered.clear()
        is_sent = self._channel.send(
            Emitted(
                number=self._number,
                destination=rows[0].destination,
                raws=[row.raw for row in rows],
                message_ids=[row.message_id for row in rows],
                user_ids=[row.user_id for row in rows],
                behind=rows[0].behind,
            )
        )
        if not is_sent:
            await self._clock.wait(asyncio.Event(), _CROWDED_S)
            return True
        self._idle.clear()
        await self._clock.wait(self._answered, _ANSWER_WITHIN_S)
        if trouble := self._trouble():
            log.warning("identify messages are not in the log yet, tried again: %s", trouble)
            return False
        self._store.taken([row.number for row in rows])
        return True

    def _trouble(self) -> str:
        return self._answer.trouble if self._answer else "the gateway does not answer"


def _portion(rows: list[OutboxRow]) -> list[OutboxRow]:
    """The first rows of one destination, alike in urgency, that fit into one message to the gateway."""
    portion: list[OutboxRow] = []
    size = 0
    for row in rows:
        if (row.destination, row.behind) != (rows[0].destination, rows[0].behind):
            continue
        size += len(row.raw) + len(row.message_id) + len(row.user_id)
        if portion and size > _MOST_BYTES:
            break
        portion.append(row)
    return portion
