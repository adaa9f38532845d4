"""The sandbox as an ASGI app: Heap's paths go to the local Heap, ours to the control routes."""

from starlette.types import ASGIApp, Receive, Scope, Send

from headgate.sandbox.control import control_app, is_control
from headgate.sandbox.exchange import Request
from headgate.sandbox.heap import Sandbox
from headgate.sandbox.wire import Wire


def create_app(sandbox: Sandbox) -> ASGIApp:
    """The app that serves `sandbox`. Resets and half-closes need the protocol of `wire`."""
    control = control_app(sandbox)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if is_control(scope["path"]):
            await control(scope, receive, send)
        else:
            await _serve(sandbox, scope, Wire(scope, receive, send))

    return app


async def _serve(sandbox: Sandbox, scope: Scope, wire: Wire) -> None:
    """Read a request on the Heap side, have it decided, play the reply."""
    request = _request(scope, b"", 0)
    reply = sandbox.before_reading(request)
    if reply is None:
        read = await wire.read(sandbox.options.max_body_bytes)
        if read is None:
            return
        reply = sandbox.handle(_request(scope, *read))
    await wire.play(reply)


def _request(scope: Scope, body: bytes, size_bytes: int) -> Request:
    headers = tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in scope["headers"])
    query = scope["query_string"].decode("latin-1")
    return Request(scope["method"], scope["path"], query, headers, body, size_bytes)
