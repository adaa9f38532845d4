"""A uvicorn that answers every request with success and does nothing else: the yardstick of single posts."""

from typing import Any

from bench.programs.uvicorn_here import run

_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"17")]


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b'{"success": true}'})


if __name__ == "__main__":
    run(_app)
