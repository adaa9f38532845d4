"""The public doors as a bare ASGI application: path → body → post → sift → log → answer.

Nothing is answered with success before the log has it on disk. Whatever happens to one request, the
sender gets an answer with a reason, never a redirect and never a 500.
"""

from collections.abc import Callable
from typing import Any

from headgate.clock import Clock
from headgate.eventlog.group_commit import GroupCommit, Overloaded
from headgate.eventlog.interface import LogFull
from headgate.eventlog.refused import UNKNOWN_SOURCE, Refusal
from headgate.gateway import answers
from headgate.gateway.answers import SUCCESS, Answer, send_answer
from headgate.gateway.body import (
    BodyReader,
    BodyTooLarge,
    BrokenGzip,
    Disconnected,
    TooManyBodies,
)
from headgate.gateway.post import BadBody, Post, batch_post, pixel_post, single_post
from headgate.gateway.routes import Door, Route, find_route
from headgate.gateway.sift import refuse_all, sift
from headgate.spec.message import Envelope, storable_ip
from headgate.spec.names import CLIENT_SIDE_SOURCE_TYPES
from headgate.workspace.model import Source, Workspace

_TOO_LARGE = answers.refused(
    400, "body_too_large", "Exceed payload limit: a request may hold 512 KiB, decompressed"
)
_MESSAGE_TOO_LARGE = answers.refused(
    400, "message_too_large", "Exceed payload limit: a message may hold 32 KiB"
)
_NO_WRITE_KEY = answers.refused(
    400,
    "no_write_key",
    "no write key: send it as the user name of Basic authorization or as writeKey in the body",
)
_BAD_JSON = answers.refused(400, "bad_json", "the body is not a JSON object")
_BUSY = answers.try_again(503, "busy", "more requests are being received than memory allows", 1)

WorkspaceNow = Callable[[], tuple[int, Workspace]]


class Doors:
    """The tracking API. `workspace` tells the version in force and the workspace itself."""

    def __init__(self, log: GroupCommit, workspace: WorkspaceNow, clock: Clock) -> None:
        self._log = log
        self._workspace = workspace
        self._clock = clock
        self._bodies = BodyReader()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        try:
            answer = await self._answer(scope, receive)
        except Disconnected:
            return
        await send_answer(send, answer, scope["headers"])

    async def _answer(self, scope: Any, receive: Any) -> Answer:
        route = find_route(scope["path"])
        if route is None:
            return answers.NOT_FOUND
        method = scope["method"]
        if method == "OPTIONS":
            return answers.preflight(scope["headers"])
        if method not in route.methods:
            return answers.method_not_allowed(route.methods)
        if route.door is Door.PIXEL:
            return await self._pixel(route, scope)
        if route.door is Door.HEALTH:
            return await self._health()
        return await self._tracking_call(route, scope, receive)

    async def _tracking_call(self, route: Route, scope: Any, receive: Any) -> Answer:
        body = b""
        try:
            body = await self._bodies.read(receive)
            if route.door is Door.METRICS:
                return SUCCESS
            parse = batch_post if route.door is Door.BATCH else single_post
            return await self._take_in(parse(body, _authorization(scope)), route, scope)
        except TooManyBodies:
            return _BUSY
        except BodyTooLarge:
            return await self._refuse_body(_TOO_LARGE, "body_too_large", b"")
        except BrokenGzip as error:
            answer = answers.refused(400, "bad_gzip", f"the body is not valid gzip: {error}")
            return await self._refuse_body(answer, "bad_gzip", body)
        except BadBody as error:
            return await self._refuse_body(
                answers.refused(400, error.code, str(error)), error.code, body
            )

    async def _pixel(self, route: Route, scope: Any) -> Answer:
        """A picture, whatever becomes of the message."""
        try:
            await self._take_in(pixel_post(scope["query_string"]), route, scope)
        except BadBody as error:
            await self._refuse_body(answers.PIXEL, error.code, scope["query_string"])
        return answers.PIXEL

    async def _take_in(self, post: Post, route: Route, scope: Any) -> Answer:
        if not post.write_key:
            return await self._refuse_body(_NO_WRITE_KEY, "no_write_key", b"")
        version, workspace = self._workspace()
        source = workspace.source_by_write_key(post.write_key)
        envelope = self._envelope(post, route, scope, version, source)
        if source is None:
            return await self._append(None, refuse_all(post, envelope, "unknown_write_key"))
        if not source.enabled:
            return await self._append(None, refuse_all(post, envelope, "source_disabled"))
        arrival, refusals = sift(post, envelope)
        if refusals and not post.batched:
            alone = refusals[0]
            if alone.reason == "malformed_message":
                return await self._refuse_body(_BAD_JSON, "bad_json", alone.body)
            if alone.reason == "message_too_large":
                return await self._refuse_body(_MESSAGE_TOO_LARGE, alone.reason, alone.body)
        return await self._append(arrival if arrival.raws else None, refusals)

    async def _append(self, arrival: Any, refusals: list[Refusal]) -> Answer:
        try:
            await self._log.append(arrival, refusals)
        except Overloaded as error:
            return answers.try_again(429, "overloaded", str(error), 1)
        except LogFull as error:
            return answers.try_again(503, "not_durable", str(error), 10)
        return SUCCESS

    async def _refuse_body(self, answer: Answer, reason: str, body: bytes) -> Answer:
        """The answer, once the refusal is counted; a refusal that cannot be recorded is refused all the same."""
        refusal = Refusal(
            at_ms=self._clock.now_ms(),
            source=UNKNOWN_SOURCE,
            reason=reason,
            message_id="",
            body=body,
            answered=answer.status,
        )
        await self._append(None, [refusal])
        return answer

    async def _health(self) -> Answer:
        trouble = await self._log.trouble()
        if trouble:
            return answers.try_again(503, "not_durable", trouble, 10)
        return Answer(200, b'{"status": "ok"}')

    def _envelope(
        self, post: Post, route: Route, scope: Any, version: int, source: Source | None
    ) -> Envelope:
        client = scope["client"]
        return Envelope(
            source=source.slug if source else UNKNOWN_SOURCE,
            received_at_ms=self._clock.now_ms(),
            workspace_version=version,
            call_type=route.call_type,
            sent_at=post.sent_at,
            client_side=source is not None and source.type in CLIENT_SIDE_SOURCE_TYPES,
            ip=storable_ip(client[0]) if client else "",
            context=post.context,
            integrations=post.integrations,
            repairs=post.repairs,
        )


def _authorization(scope: Any) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"authorization":
            return bytes(value)
    return None
