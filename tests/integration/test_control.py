"""The control socket: what a command asks, and what the server behind it answers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from headgate.control import (
    NAME,
    Check,
    ControlServer,
    Poke,
    Reply,
    Use,
    answers,
    check_workspace,
    use_workspace,
)

LARGE: dict[str, Any] = {"sources": [{"slug": f"s-{n}", "name": "x" * 100} for n in range(20_000)]}


@asynccontextmanager
async def server(data_dir: Path, answer: Callable[[Poke], str]) -> AsyncIterator[None]:
    """A server that answers with words of its own."""

    async def handler(poke: Poke) -> Reply:
        return Reply(answer(poke))

    control = ControlServer(data_dir, handler)
    await control.start()
    try:
        yield
    finally:
        await control.stop()


@pytest.mark.parametrize("words", ["", "HEAP_APP is not set"], ids=["yes", "no"])
async def test_a_question_arrives_whole_and_its_answer_comes_back(
    tmp_path: Path, words: str
) -> None:
    """Also about a workspace of megabytes."""
    asked: list[Poke] = []

    def answer(poke: Poke) -> str:
        asked.append(poke)
        return words

    async with server(tmp_path, answer):
        assert await asyncio.to_thread(check_workspace, tmp_path, LARGE) == words
        assert await asyncio.to_thread(use_workspace, tmp_path, 7) == words
    assert asked == [Check(LARGE), Use(7)]


async def test_without_a_server_there_is_no_answer(tmp_path: Path) -> None:
    """Before one was there, and after it has stopped."""
    assert check_workspace(tmp_path, {}) is None
    async with server(tmp_path, lambda _: ""):
        assert answers(tmp_path)
    assert not answers(tmp_path)
    assert check_workspace(tmp_path, {}) is None
    assert use_workspace(tmp_path, 1) is None


async def test_a_server_that_does_not_answer_is_not_waited_for_forever(tmp_path: Path) -> None:
    """No answer is not a yes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / NAME))
        listener.listen()
        why_not = await asyncio.to_thread(check_workspace, tmp_path, {}, 0.05)
    assert why_not == "the running server did not answer within 0.05 s"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"nonsense\n", id="no JSON"),
        pytest.param(b'{"useWorkspace": 1}\n', id="another Headgate's question"),
        pytest.param(b'{"ask": "use", "version": "one"}\n', id="a wrong type"),
    ],
)
async def test_what_is_not_understood_is_said(tmp_path: Path, line: bytes) -> None:
    """By the socket itself; whoever decides about workspaces is not asked."""
    async with server(tmp_path, lambda _: "asked"):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / NAME))
        writer.write(line)
        assert b"not understood" in await reader.read()
        writer.close()
