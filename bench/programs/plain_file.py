"""What a plain file carries: uvicorn, which slices every batch and appends its messages to one file.

The yardstick of batches: an answer waits for fdatasync, and whatever comes in during one shares the
next. No field of a message is read, nothing is checked, found again or known twice.

    python -m bench.programs.plain_file FILE
"""

import asyncio
import os
import sys
from typing import Any

import msgspec

from bench.programs.uvicorn_here import run

_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"17")]


class _Batch(msgspec.Struct):
    batch: list[msgspec.Raw]


_decode = msgspec.json.Decoder(_Batch).decode


class _PlainFile:
    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._waiting: list[tuple[list[bytes], asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            event = await receive()
            body += event["body"]
            more = event["more_body"]
        await self._append([bytes(message) for message in _decode(body).batch])
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": b'{"success": true}'})

    def _append(self, messages: list[bytes]) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._waiting.append((messages, done))
        if self._flushing is None:
            self._flushing = loop.create_task(self._flush())
        return done

    async def _flush(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await asyncio.to_thread(self._write, [one for messages, _ in group for one in messages])
            for _, done in group:
                done.set_result(None)
        self._flushing = None

    def _write(self, messages: list[bytes]) -> None:
        os.write(self._file, b"".join(messages))
        os.fdatasync(self._file)


if __name__ == "__main__":
    run(_PlainFile(sys.argv[1]))
