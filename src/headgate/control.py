"""The control socket in the data directory: how commands tell a running server what they have changed.

A command commits to the workspace store first and pokes the server then; a server that is not there, or
dies in between, reads the store when it starts. One line of JSON each way.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

NAME = "control.sock"
_MAX_LINE_BYTES = 65_536


class Poke(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """What a command asks: use this version of the workspace, or a newer one."""

    use_workspace: int


class Reply(msgspec.Struct, rename="camel"):
    """What the server says: nothing under `trouble` means that it is done."""

    trouble: str = ""


Handler = Callable[[Poke], Awaitable[Reply]]


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
            self._serve, sock=listener, limit=_MAX_LINE_BYTES
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
            reply = await self._handler(msgspec.json.decode(line, type=Poke))
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


def use_workspace(data_dir: Path, version: int, timeout_s: float = 10.0) -> str | None:
    """Tells a running server to use a version. None: no server is running; "": done; else: why not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(timeout_s)
        try:
            with _short_path(data_dir / NAME) as path:
                line.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            line.sendall(msgspec.json.encode(Poke(version)) + b"\n")
            answer = b""
            while chunk := line.recv(_MAX_LINE_BYTES):
                answer += chunk
        except TimeoutError:
            return f"the running server did not answer within {timeout_s:g} s"
        except OSError as error:
            return f"the running server hung up: {error}"
    return msgspec.json.decode(answer, type=Reply).trouble if answer else "the server hung up"


class _short_path:  # noqa: N801
    """A path of any length in the 107 bytes that a socket address holds: by way of an open directory."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> str:
        self._directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._directory}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        os.close(self._directory)
