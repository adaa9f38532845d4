"""Load that remembers: messages posted to a gateway, and exactly which of them were answered with 200.

A lane posts one message or one batch at a time and posts it again until it is accepted, as Segment's
libraries do, so the messages of one user enter in their order. While the gateway is known to be down,
lanes wait. Some messages are such as the doors take and discard: they have no event name.
"""

import asyncio
import random
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

Message = dict[str, Any]

_PAUSE_S = (0.0, 0.2)
_BATCH = (1, 8)
_ANSWERS_WITHIN_S = 10.0


class Unanswered(NamedTuple):
    """Why a post was not accepted: the status with its Retry-After, or 0 and the error in words."""

    status: int
    detail: str


class Load:
    """Lanes of users, each with its own traffic. `up` is set while the gateway is there: others tell."""

    def __init__(
        self, url: str, write_key: str, *, seed: int = 0, lanes: int = 8, users_a_lane: int = 8
    ) -> None:
        self._url = url
        self._headers = {"Authorization": f"Basic {b64encode(f'{write_key}:'.encode()).decode()}"}
        self._seed = seed
        self._lanes = lanes
        self._users_a_lane = users_a_lane
        self._stop = asyncio.Event()
        self._number = 0
        self._progress = asyncio.Event()
        self.up = asyncio.Event()
        self.accepted: dict[str, Message] = {}
        self.discarded: set[str] = set()
        self.posts = 0
        self.unanswered: list[Unanswered] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Posts meanwhile; afterwards every message that was begun has been accepted."""
        async with self._session() as session, asyncio.TaskGroup() as tasks:
            for lane in range(self._lanes):
                tasks.create_task(self._run(session, lane), name=f"lane {lane}")
            try:
                yield
            finally:
                self._stop.set()

    async def grows_by(self, messages: int, within_s: float) -> None:
        """Waits until so many more messages have been accepted."""
        wanted = len(self.accepted) + messages
        async with asyncio.timeout(within_s):
            while len(self.accepted) < wanted:
                self._progress.clear()
                await self._progress.wait()

    async def post_again(self, newest: int) -> None:
        """Sends what was accepted last once more, as a client does that missed the answers."""
        again = list(self.accepted.values())[-newest:]
        async with self._session() as session:
            for start in range(0, len(again), 100):
                await self._post_until_accepted(session, again[start : start + 100])

    async def post(self, *messages: Message) -> Unanswered | None:
        """One batch, once; None when it was accepted."""
        async with self._session() as session:
            return await self._post(session, list(messages))

    def tracks(self) -> set[str]:
        """The messageIds of the accepted tracks."""
        return {key for key, message in self.accepted.items() if message["type"] == "track"}

    def profiles(self) -> dict[str, Message]:
        """By user, the properties that the accepted identify calls must have left: the newest values."""
        found: dict[str, Message] = {}
        for message in self.accepted.values():
            if message["type"] == "identify":
                found.setdefault(message["userId"], {}).update(message["traits"])
        return found

    def _session(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(total=_ANSWERS_WITHIN_S)
        return aiohttp.ClientSession(headers=self._headers, timeout=timeout)

    async def _run(self, session: aiohttp.ClientSession, lane: int) -> None:
        rng = random.Random(f"{self._seed}/{lane}")
        while not self._stop.is_set():
            size = rng.randint(*_BATCH)
            await self._post_until_accepted(session, [self._next(rng, lane) for _ in range(size)])
            await self._stopped_within(rng.uniform(*_PAUSE_S))

    def _next(self, rng: random.Random, lane: int) -> Message:
        self._number += 1
        number = self._number
        common = {
            "userId": f"user-{lane}-{rng.randrange(self._users_a_lane)}",
            "messageId": f"message-{self._seed}-{number}",
        }
        kind = rng.choices(["track", "identify", "page", "nameless"], [6, 2, 1, 1])[0]
        if kind == "track":
            properties = {"sandbox_sequence": number, "nested": {"list": [number, "é"]}}
            return {"type": kind, "event": "Counted", "properties": properties, **common}
        if kind == "identify":
            traits = {"sandbox_sequence": number, f"trait_{number}": True}
            return {"type": kind, "traits": traits, **common}
        if kind == "nameless":
            return {"type": "track", **common}
        return {"type": kind, "name": "Home", **common}

    async def _post_until_accepted(
        self, session: aiohttp.ClientSession, batch: list[Message]
    ) -> None:
        await self.up.wait()
        while (refusal := await self._post(session, batch)) is not None:
            self.unanswered.append(refusal)
            await self.up.wait()

    async def _post(
        self, session: aiohttp.ClientSession, batch: list[Message]
    ) -> Unanswered | None:
        self.posts += 1
        path, body = ("batch", {"batch": batch}) if len(batch) > 1 else (batch[0]["type"], batch[0])
        try:
            async with session.post(f"{self._url}/v1/{path}", json=body) as answer:
                if answer.status != 200:
                    retry_after = answer.headers.get("Retry-After", "")
                    return Unanswered(answer.status, retry_after)
                await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unanswered(0, repr(error))
        for message in batch:
            self._has_been_taken(message)
        self._progress.set()
        return None

    def _has_been_taken(self, message: Message) -> None:
        if message["type"] == "track" and "event" not in message:
            self.discarded.add(message["messageId"])
        else:
            self.accepted[message["messageId"]] = message

    async def _stopped_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return
