"""The control socket in the data directory: how commands tell a running server what they have changed.

A command changes what is on disk and pokes the server to use it; before it commits a workspace, it asks
whether the server could use that. A server that is not there, or dies in between, reads what is on disk
when it starts. Only the log has a single writer: what is imported goes through here to the server that
runs. One line of JSON each way.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

NAME = "control.sock"
# A workspace file has at most 4 MiB; as JSON, with every key of its sources said, it is longer.
_MAX_POKE_BYTES = 64 * 2**20
_CHUNK_BYTES = 65_536


class Check(msgspec.Struct, tag_field="ask", tag="check", forbid_unknown_fields=True):
    """What a command asks: could you use this workspace, given in canonical form? Nothing changes."""

    document: dict[str, Any]


class Use(msgspec.Struct, tag_field="ask", tag="use", forbid_unknown_fields=True):
    """What a command asks: use this version of the workspace, or a newer one."""

    version: int


class Look(msgspec.Struct, tag_field="ask", tag="look", forbid_unknown_fields=True):
    """What a command asks: something else was changed on disk, use it; `retries` wait, try them now."""

    at: Literal["privacy", "replays", "engage", "retries"]


class Import(msgspec.Struct, tag_field="ask", tag="import", forbid_unknown_fields=True):
    """What a command asks: take these messages of an archive into the log; the lists run in step.

    They belong to `source`, whose destinations get them only if they are to be delivered. `types` are the
    codes of the call types (`spec.names`), `given` the positions of those that came without a messageId,
    `repairs` what had to be changed in them, in words.
    """

    source: str
    deliver: bool
    raws: list[bytes]
    ids: list[str]
    users: list[str]
    types: bytes
    given: list[int]
    repairs: tuple[str, ...]


Poke = Check | Use | Look | Import


class Reply(msgspec.Struct, rename="camel"):
    """What the server says: nothing under `trouble` means yes, or that it is done.

    `suppressed` messages of an import were left out, since their users are.
    """

    trouble: str = ""
    suppressed: int = 0


Handler = Callable[[Poke], Awaitable[Reply]]

_decode = msgspec.json.Decoder(Poke).decode


class ControlServer:
    """Listens on the control socket of a data directory."""

    def __init__(self, data_dir: Path, handler: Handler) -> None:
        self._path = data_dir / NAME
        self._handler = handler
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begins to listen. What an earlier server left behind is removed: the caller holds its lock."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _short_path(self._path) as path:
            listener.bind(path)
        self._path.chmod(0o600)
        self._server = await asyncio.start_unix_server(
            self._serve, sock=listener, limit=_MAX_POKE_BYTES
        )

    async def stop(self) -> None:
        """Stops listening and takes the socket away."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if not line:  # somebody who only wanted to know whether anybody is there
                writer.close()
                return
            reply = await self._handler(_decode(line))
        except (msgspec.MsgspecError, ValueError) as error:
            reply = Reply(f"not understood: {error}")
        writer.write(msgspec.json.encode(reply) + b"\n")
        writer.close()


def answers(data_dir: Path) -> bool:
    """Whether a server runs on the data directory and is not about to stop."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        try:
            with _short_path(data_dir / NAME) as path:
                line.connect(path)
        except OSError:
            return False
    return True


def check_workspace(
    data_dir: Path, document: dict[str, Any], timeout_s: float = 10.0
) -> str | None:
    """Asks a running server about a document. None: no server is running; "": it fits; else: why not."""
    return _ask(data_dir, Check(document), timeout_s)


def use_workspace(data_dir: Path, version: int, timeout_s: float = 10.0) -> str | None:
    """Tells a running server to use a version. None: no server is running; "": done; else: why not."""
    return _ask(data_dir, Use(version), timeout_s)


def tell_privacy_changed(data_dir: Path, timeout_s: float = 10.0) -> str | None:
    """Tells a running server of users to suppress or to forget. None, "" or why not, as above."""
    return _ask(data_dir, Look("privacy"), timeout_s)


def tell_replay(data_dir: Path, timeout_s: float = 30.0) -> str | None:
    """Tells a running server that there are messages to send again. None, "" or why not, as above."""
    return _ask(data_dir, Look("replays"), timeout_s)


def tell_retries(data_dir: Path, timeout_s: float = 10.0) -> str | None:
    """Has a running server try now what waits for its next attempt. None, "" or why not, as above."""
    return _ask(data_dir, Look("retries"), timeout_s)


def tell_engage(data_dir: Path, timeout_s: float = 30.0) -> str | None:
    """Has Engage take up what was asked of it; as `use_workspace`."""
    return _ask(data_dir, Look("engage"), timeout_s)


def import_messages(data_dir: Path, messages: Import, timeout_s: float = 60.0) -> Reply | None:
    """Has a running server take messages into the log; they are durable when it says so. None: no server."""
    return _reply(data_dir, messages, timeout_s)


def _ask(data_dir: Path, poke: Poke, timeout_s: float) -> str | None:
    reply = _reply(data_dir, poke, timeout_s)
    return None if reply is None else reply.trouble


def _reply(data_dir: Path, poke: Poke, timeout_s: float) -> Reply | None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout_s)
        try:
            with _short_path(data_dir / NAME) as path:
                line.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            line.sendall(msgspec.json.encode(poke) + b"\n")
            answer = b""
            while chunk := line.recv(_CHUNK_BYTES):
                answer += chunk
        except TimeoutError:
            return Reply(f"the running server did not answer within {timeout_s:g} s")
        except OSError as error:
            return Reply(f"the running server hung up: {error}")
    return msgspec.json.decode(answer, type=Reply) if answer else Reply("the server hung up")


class _short_path:  # noqa: N801
    """A path of any length in the 107 bytes that a socket address holds: by way of an open directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> str:
        self._directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._directory}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        os.close(self._directory)
