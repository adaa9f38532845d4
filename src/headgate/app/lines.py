"""Open lines to browsers: server-sent events on an answer that does not end by itself.

Between the guard, which says who gets one, and a module's `follow`, which says what goes over it:

    async def follow(line: Line) -> None:
        while await line.rest(LOOK_EVERY_S):
            await line.say("rows", ...)

Every second a beat tells the server's time, so that a page notices a line that is broken. A reader who is slow
makes `say` wait and misses what comes in between; nobody else waits for them.
Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from headgate.app.visit import Visit
from headgate.clock import Clock

BEAT_S = 1.0
OVER = "over"  # the session has ended
BUSY = "busy"  # the session has as many lines as it may

_HEADERS = {"content-type": "text/event-stream", "x-accel-buffering": "no"}


class Line:
    """One open line, as `follow` has it.

    `visit` is who opened it, and for what; `show` makes the page at an address of ours anew, as the same person
    would get it now, "" when they would not.
    """

    def __init__(
        self,
        visit: Visit,
        send: Send,
        is_theirs: Callable[[], Awaitable[bool]],
        show: Callable[[str], Awaitable[str]],
    ) -> None:
        self.visit = visit
        self.show = show
        self.gone = asyncio.Event()
        self._send = send
        self._is_theirs = is_theirs
        self._clock: Clock = visit.parts.outside.clock
        self._beaten_s = self._clock.monotonic_s() - BEAT_S

    async def say(self, event: str, value: Any) -> None:
        """Sends an event with a value as JSON; returns when there is room for another one."""
        body = _event(event, value)
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def rest(self, seconds: float) -> bool:
        """Waits; whether somebody still watches then, who still may."""
        await self._clock.wait(self.gone, seconds)
        if not self.gone.is_set() and self._clock.monotonic_s() - self._beaten_s >= BEAT_S:
            await self._beat()
        return not self.gone.is_set()

    async def _beat(self) -> None:
        self._beaten_s = self._clock.monotonic_s()
        if await self._is_theirs():
            await self.say("beat", self._clock.now_ms())
        else:
            await self.say(OVER, "")
            self.gone.set()


class Opened(Response):
    """The answer that a line goes over; `closed` is called when it has ended, whyever."""

    def __init__(
        self,
        visit: Visit,
        follow: Callable[[Line], Awaitable[None]],
        is_theirs: Callable[[], Awaitable[bool]],
        show: Callable[[str], Awaitable[str]],
        closed: Callable[[], None],
    ) -> None:
        super().__init__(None, 200, _HEADERS)
        self._visit = visit
        self._follow = follow
        self._is_theirs = is_theirs
        self._show = show
        self._closed = closed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Follows until the browser hangs up, the session ends or `follow` returns."""
        line = Line(self._visit, send, self._is_theirs, self._show)
        listening = asyncio.create_task(_hang_up(receive, line.gone))
        headers = [one for one in self.raw_headers if one[0] != b"content-length"]
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await self._follow(line)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._closed()
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


def said_once(event: str) -> Response:
    """A line that says one thing and ends."""
    return Response(_event(event, ""), 200, _HEADERS)


def _event(name: str, value: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(value))


async def _hang_up(receive: Receive, gone: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()
