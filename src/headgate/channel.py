"""The line between the gateway and a process beside it: small messages, in order, and its end when one is gone.

The gateway says what is in the log and what was changed on disk; the worker says what it uses and what
is settled, Engage what it has read and what it has to say itself. Nobody asks in a loop: both sides are
woken by the socket.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Literal

import msgspec

MAX_MESSAGE_BYTES = 131_072


class Appended(msgspec.Struct, tag=True, array_like=True):
    """From the gateway: the log holds messages up to this number."""

    seq: int


class Retired(msgspec.Struct, tag=True, array_like=True):
    """From the gateway: the log no longer holds messages below this number."""

    first_seq: int


class Crowded(msgspec.Struct, tag=True, array_like=True):
    """Gateway to Engage: the log runs out of room, as long as messages are needed that are read already."""


Subject = Literal["workspace", "privacy", "replays", "engage", "retries"]


class Look(msgspec.Struct, tag=True, array_like=True):
    """From the gateway: something was changed on disk; read it and say so under this number."""

    number: int
    at: Subject


class Looked(msgspec.Struct, tag=True, array_like=True):
    """To the gateway: it uses what it read, or why it cannot."""

    number: int
    trouble: str = ""


class Ready(msgspec.Struct, tag=True, array_like=True):
    """To the gateway: it has just started, and uses whatever is on disk."""


class SettledTo(msgspec.Struct, tag=True, array_like=True):
    """Worker to gateway: every message up to this number is settled for every destination."""

    seq: int


class Scrubbed(msgspec.Struct, tag=True, array_like=True):
    """To the gateway: users who are to be forgotten are in no record of delivery any more, or of Engage."""


class ReadTo(msgspec.Struct, tag=True, array_like=True):
    """Engage to gateway: it needs no message up to this number any more."""

    seq: int


class Emitted(msgspec.Struct, tag=True, array_like=True):
    """Engage to gateway: identify messages for one destination, to be taken into the log; the lists run in step.

    Answered by `Taken` under the same number. Telling them again is harmless: their ids are theirs for good.
    `behind`: nobody waits for them, others go first.
    """

    number: int
    destination: str
    raws: list[bytes]
    message_ids: list[str]
    user_ids: list[str]
    behind: bool = False


class Taken(msgspec.Struct, tag=True, array_like=True):
    """Gateway to Engage: what was emitted under this number is durable in the log, or why it is not."""

    number: int
    trouble: str = ""


Message = (
    Appended
    | Retired
    | Crowded
    | Look
    | Looked
    | Ready
    | SettledTo
    | Scrubbed
    | ReadTo
    | Emitted
    | Taken
)

_decode = msgspec.msgpack.Decoder(Message).decode
_encode = msgspec.msgpack.Encoder().encode


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends that keep message boundaries and notice each other's death."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Channel:
    """One end, in an asyncio loop. `received` is called for each message, `closed` once at the end."""

    def __init__(
        self,
        end: socket.socket,
        received: Callable[[Message], None],
        closed: Callable[[], None],
    ) -> None:
        end.setblocking(False)
        self._end = end
        self._received = received
        self._closed = closed
        asyncio.get_running_loop().add_reader(end.fileno(), self._read)

    def send(self, message: Message) -> bool:
        """Sends, or drops the message when the other end does not keep up: it is awake then anyway.

        Whether it was sent.
        """
        try:
            self._end.send(_encode(message))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Ends the line; the other side's `closed` is called."""
        if self._end.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._end.fileno())
            self._end.close()

    def _read(self) -> None:
        try:
            data = self._end.recv(MAX_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._received(_decode(data))
            return
        self.close()
        self._closed()
