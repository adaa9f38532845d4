"""A bulk Heap that only counts: rows are acknowledged as fast as one core can read them.

    python -m bench.programs.heap ANSWER

ANSWER is 200, another status to refuse every request with, or `never` to leave it without an answer.
It prints its port. Beside Heap's endpoints it has two of its own:

    GET /rows/N       answers once N rows were acknowledged: how many, and when the first and the last
    GET /arrivals/EXPRESSION   when each row first arrived in which the expression is found, by its group

Times are of the machine's monotonic clock, the same in every process.
"""

import asyncio
import json
import re
import sys
import time
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import uvloop

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_ROW = b'{"identity":"'  # each row begins so, and nothing within one does
_NEVER = "never"


class _Journal:
    """What has arrived so far; bodies are kept, to be looked into later, while memory allows."""

    _KEPT_BYTES = 64 * 1024 * 1024

    def __init__(self) -> None:
        self.rows = 0
        self.first_at = 0.0
        self.last_at = 0.0
        self._bodies: list[tuple[float, bytes]] = []
        self._kept_bytes = 0
        self._news = asyncio.Event()

    def note(self, body: bytes) -> None:
        """A request that is acknowledged now."""
        self.last_at = time.monotonic()
        self.first_at = self.first_at or self.last_at
        self.rows += body.count(_ROW)
        if self._kept_bytes < self._KEPT_BYTES:
            self._bodies.append((self.last_at, body))
            self._kept_bytes += len(body)
        self._news.set()

    async def counted(self, at_least: int) -> dict[str, Any]:
        """Once so many rows were acknowledged."""
        while self.rows < at_least:
            self._news.clear()
            await self._news.wait()
        return {"rows": self.rows, "first_at": self.first_at, "last_at": self.last_at}

    def arrivals(self, of: bytes) -> dict[str, float]:
        """The moment at which each thing first arrived that the expression finds."""
        found: dict[str, float] = {}
        for at, body in self._bodies:
            for key in re.findall(of, body):
                found.setdefault(key.decode(), at)
        return found


class _Connection(asyncio.Protocol):
    def __init__(self, journal: _Journal, answer: str) -> None:
        self._journal = journal
        self._answer = answer
        self._received = bytearray()
        self._whole_at = (
            0  # how much the request under way has to come to; 0 until its head is there
        )
        self._asked: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while self._is_whole():
            request = bytes(self._received[: self._whole_at])
            del self._received[: self._whole_at]
            self._whole_at = 0
            self._handle(*request.split(_HEAD_END, 1))

    def _is_whole(self) -> bool:
        if not self._whole_at:
            head_end = self._received.find(_HEAD_END)
            if head_end < 0:
                return False
            length = _LENGTH.search(self._received, 0, head_end)
            self._whole_at = head_end + len(_HEAD_END) + (int(length[1]) if length else 0)
        return len(self._received) >= self._whole_at

    def _handle(self, head: bytes, body: bytes) -> None:
        method, path, _ = head.split(b" ", 2)
        if method == b"GET":
            task = asyncio.get_running_loop().create_task(self._tell(path.decode()))
            self._asked.add(task)
            task.add_done_callback(self._asked.discard)
        elif self._answer != _NEVER:
            if self._answer == "200":
                self._journal.note(body)
            self._reply(self._answer, b"{}")

    async def _tell(self, path: str) -> None:
        _, what, word = path.split("/")
        told: dict[str, Any] = (
            await self._journal.counted(int(word))
            if what == "rows"
            else self._journal.arrivals(unquote_to_bytes(word))
        )
        self._reply("200", json.dumps(told).encode())

    def _reply(self, status: str, body: bytes) -> None:
        self._transport.write(
            b"HTTP/1.1 %b -\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (status.encode(), len(body), body)
        )


async def _serve(answer: str) -> None:
    journal = _Journal()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(journal, answer), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
