"""The public doors: a request's body → post → sift → log → answer.

Nothing is answered with success before the log has it on disk. Whatever happens to one request, the
sender gets an answer with a reason, never a redirect and never a 500. All of it runs in the loop's
thread without waiting; the answer to a tracking call is written when its group's commit is through.
"""

import asyncio
import logging
from collections.abc import Callable, Collection

from msgspec.structs import replace

from headgate.clock import Clock
from headgate.eventlog.group_commit import GroupCommit, Overloaded
from headgate.eventlog.interface import Arrival
from headgate.eventlog.refused import UNKNOWN_SOURCE, Refusal, masked_key
from headgate.gateway import answers
from headgate.gateway.answers import SUCCESS, Answer
from headgate.gateway.body import BodyTooLarge, BrokenGzip, decompressed
from headgate.gateway.connection import Exchange, Request
from headgate.gateway.post import (
    BadBody,
    Post,
    basic_key,
    batch_post,
    pixel_post,
    single_post,
)
from headgate.gateway.routes import Door, Route, find_route
from headgate.gateway.sift import refuse_all, sift
from headgate.spec.message import Envelope, storable_ip
from headgate.spec.names import CLIENT_SIDE_SOURCE_TYPES
from headgate.workspace.model import Source, Workspace

log = logging.getLogger("headgate.gateway")

_REFUSED_ALONE = {
    "malformed_message": (answers.BAD_JSON, "bad_json"),
    "message_too_large": (answers.MESSAGE_TOO_LARGE, "message_too_large"),
}

WorkspaceNow = Callable[[], tuple[int, Workspace]]
Elsewhere = Callable[[Request], Answer | None]
_Taken = tuple[Arrival | None, list[Refusal]]


class _Refused(Exception):
    """The whole request is refused: with this answer, recorded under this reason."""

    def __init__(
        self,
        answer: Answer,
        reason: str,
        body: bytes = b"",
        *,
        source: str = UNKNOWN_SOURCE,
        message_id: str = "",
    ) -> None:
        super().__init__(reason)
        self.answer = answer
        self.reason = reason
        self.body = body
        self.source = source
        self.message_id = message_id


class Doors:
    """The tracking API. `workspace` tells the version in force and the workspace itself.

    `elsewhere` answers paths that are no door, such as those of the CDN.

    `suppressed` tells the users from whom nothing is taken in.
    """

    def __init__(
        self,
        log: GroupCommit,
        workspace: WorkspaceNow,
        clock: Clock,
        suppressed: Callable[[], Collection[str]] = frozenset,
        elsewhere: Elsewhere = lambda request: None,
    ) -> None:
        self._log = log
        self._elsewhere = elsewhere
        self._workspace = workspace
        self._clock = clock
        self._suppressed = suppressed
        self._asking: set[asyncio.Task[None]] = set()

    def __call__(self, exchange: Exchange) -> None:
        """Takes one request; its answer follows now or after the commit."""
        try:
            self._open(exchange)
        except Exception:
            request = exchange.request
            log.exception("%s %s could not be answered", request.method, request.path)
            exchange.answer(answers.UNEXPECTED)

    def _open(self, exchange: Exchange) -> None:
        request = exchange.request
        route = find_route(request.path)
        if request.method == "OPTIONS":
            exchange.answer(answers.preflight(request.requested_headers))
        elif route is None:
            exchange.answer(self._elsewhere(request) or answers.NOT_FOUND)
        elif request.method not in route.methods:
            exchange.answer(answers.method_not_allowed(route.methods))
        elif route.door is Door.HEALTH:
            self._health(exchange)
        elif route.door is Door.METRICS:
            exchange.answer(SUCCESS)
        else:
            self._tracking_call(exchange, route)

    def _tracking_call(self, exchange: Exchange, route: Route) -> None:
        """The path of a message: taken apart, sifted, appended; answered once it is durable."""
        success = answers.PIXEL if route.door is Door.PIXEL else SUCCESS
        try:
            arrival, refusals = self._take_in(exchange.request, route)
        except _Refused as refused:
            success = answers.PIXEL if route.door is Door.PIXEL else refused.answer
            arrival, refusals = None, [self._recordable(refused, exchange.request)]
        done = self._log.append(arrival, refusals)
        done.add_done_callback(lambda done: exchange.answer(_outcome(done, success)))

    def _take_in(self, request: Request, route: Route) -> _Taken:
        post = _post(request, route)
        if not post.write_key:
            raise _Refused(answers.NO_WRITE_KEY, "no_write_key")
        version, workspace = self._workspace()
        source = workspace.source_by_write_key(post.write_key)
        envelope = self._envelope(post, route, request, version, source)
        suppressed = self._suppressed()
        arrival, refusals = sift(post, envelope, suppressed)
        if refusals and not post.batched:
            _refuse_alone(refusals[0])
        if source is None:
            unknown = refuse_all(post, envelope, "unknown_write_key", suppressed)
            return None, [replace(one, write_key=masked_key(post.write_key)) for one in unknown]
        if not source.enabled:
            return None, refuse_all(post, envelope, "source_disabled", suppressed)
        return (arrival if arrival.raws else None), refusals

    def _envelope(
        self, post: Post, route: Route, request: Request, version: int, source: Source | None
    ) -> Envelope:
        return Envelope(
            source=source.slug if source else UNKNOWN_SOURCE,
            received_at_ms=self._clock.now_ms(),
            workspace_version=version,
            call_type=route.call_type,
            sent_at=post.sent_at,
            client_side=source is not None and source.type in CLIENT_SIDE_SOURCE_TYPES,
            ip=storable_ip(request.ip),
            context=post.context,
            integrations=post.integrations,
            repairs=post.repairs,
        )

    def _recordable(self, refused: _Refused, request: Request) -> Refusal:
        """The refusal under the source that the request names, as far as that could be made out."""
        named = self._workspace()[1].source_by_write_key(basic_key(request.authorization))
        return Refusal(
            at_ms=self._clock.now_ms(),
            source=refused.source or (named.slug if named else UNKNOWN_SOURCE),
            reason=refused.reason,
            message_id=refused.message_id,
            body=refused.body,
            answered=refused.answer.status,
        )

    def _health(self, exchange: Exchange) -> None:
        async def ask() -> None:
            try:
                trouble = await self._log.trouble()
            except Exception as error:
                log.exception("the log's health could not be asked for")
                trouble = f"{type(error).__name__}: {error}"
            exchange.answer(
                answers.try_again(503, "not_durable", trouble, 10)
                if trouble
                else answers.healthy(self._log.lost())
            )

        task = asyncio.get_running_loop().create_task(ask(), name="health")
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)


def _post(request: Request, route: Route) -> Post:
    """The request taken apart; `_Refused` when it is not what its path takes."""
    body = request.body
    try:
        if route.door is Door.PIXEL:
            body = request.query
            return pixel_post(body)
        body = decompressed(body)
        parse = batch_post if route.door is Door.BATCH else single_post
        return parse(body, request.authorization)
    except BodyTooLarge:
        raise _Refused(answers.BODY_TOO_LARGE, "body_too_large") from None
    except BrokenGzip as error:
        answer = answers.refused(400, "bad_gzip", f"the body is not valid gzip: {error}")
        raise _Refused(answer, "bad_gzip") from error
    except BadBody as error:
        raise _Refused(
            answers.refused(400, error.code, str(error)), error.code, body or b""
        ) from error


def _refuse_alone(refusal: Refusal) -> None:
    """A message that came alone and is no JSON object, or too large, makes its request a bad one."""
    if refusal.reason in _REFUSED_ALONE:
        answer, code = _REFUSED_ALONE[refusal.reason]
        raise _Refused(
            answer, code, refusal.body, source=refusal.source, message_id=refusal.message_id
        )


def _outcome(done: "asyncio.Future[None]", success: Answer) -> Answer:
    """The answer when the commit is through; a picture, or a refusal, stands however that went."""
    error = None if done.cancelled() else done.exception()
    if error is None or success is not SUCCESS:
        return success
    if isinstance(error, Overloaded):
        return answers.try_again(429, "overloaded", str(error), 1)
    return answers.try_again(503, "not_durable", str(error), 10)
