"""Connections that post: requests built from templates, answers read until they are whole.

Shared by the two senders. Sockets are read and written directly: through an event loop's transports a
sender costs as much per request as the servers it is to keep busy.
"""

import base64
import socket
from itertools import cycle

import msgspec

from bench.messages import ID_SLOT, fresh_ids

_ANSWERED = b"HTTP/1.1 200"
_READ_BYTES = 65_536


class Target(msgspec.Struct, frozen=True):
    """Where to post what: bodies with a slot wherever a new messageId goes, one after the other."""

    port: int
    path: str
    write_key: str
    bodies: list[bytes]


class Requests:
    """The requests to a target, each with messageIds of its own; bodies are built ahead but for those."""

    def __init__(self, target: Target) -> None:
        self._pieces = cycle(
            [(_head(target, body) + body).split(ID_SLOT) for body in target.bodies]
        )

    def next(self) -> tuple[bytes, list[bytes]]:
        """A request and the ids in it."""
        pieces = next(self._pieces)
        ids = fresh_ids(len(pieces) - 1)
        parts = [pieces[0]]
        for one, piece in zip(ids, pieces[1:], strict=True):
            parts += (one, piece)
        return b"".join(parts), ids


class Connection:
    """A keep-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._answer = b""
        self.sent_at = 0.0
        self.ids: list[bytes] = []

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, request: bytes) -> None:
        """Sends it whole."""
        self._socket.sendall(request)

    def read(self) -> bool | None:
        """Once there is something to read: whether the answer was 200; None while it is not whole."""
        data = self._socket.recv(_READ_BYTES)
        if not data:
            raise ConnectionError("the server hung up")
        self._answer += data
        if not _is_whole(self._answer):
            return None
        answer, self._answer = self._answer, b""
        return answer.startswith(_ANSWERED)

    def close(self) -> None:
        self._socket.close()


def _head(target: Target, body: bytes) -> bytes:
    key = base64.b64encode(f"{target.write_key}:".encode()).decode()
    return (
        f"POST {target.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Basic {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()


def _is_whole(answer: bytes) -> bool:
    """Servers may send the head of an answer before its body."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return len(body) >= int(length or 0)
