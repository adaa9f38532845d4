"""In the test's process: hands out orders to the children that ask (`hook.py`), and counts who died of them.

A child is killed from inside, at a named point, or from here: at an instant that has nothing to do with
what the child is doing.
"""

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from crashing.plan import LIVE_ON, Order, Plan
from crashing.points import Role

AT_RANDOM = "a random instant"
TOGETHER = "together with the other process"

_HERE = Path(__file__).parent
_OTHER: dict[Role, Role] = {"gateway": "worker", "worker": "gateway", "engage": "gateway"}

Constant = tuple[str, str, object]  # module, dotted name, value


class Death(NamedTuple):
    """Who was killed, and where."""

    role: Role
    where: str


class Life(NamedTuple):
    """A child that has asked for its order. The descriptor stands for this process alone, unlike a number."""

    role: Role
    descriptor: int

    def kill(self) -> bool:
        """SIGKILL; whether the process was still there."""
        try:
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True


class Director:
    """Listens on a port of its own as long as the context is open. Every child gets the constants."""

    def __init__(self, plan: Plan, constants: Sequence[Constant] = ()) -> None:
        self._plan = plan
        self._constants = constants
        self._living: dict[Life, None] = {}
        self._attending: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()
        self._is_over = False
        self.deaths: list[Death] = []

    async def __aenter__(self) -> "Director":
        self._server = await asyncio.start_server(self._attend, "127.0.0.1", 0)
        self._address: tuple[str, int] = self._server.sockets[0].getsockname()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for life in list(self._living):
            life.kill()
        await asyncio.gather(*self._attending, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def environment(self) -> dict[str, str]:
        """What a child needs to come here for its order, and its children after it."""
        host, port = self._address
        folders = [str(_HERE), str(_HERE.parent), *os.environ.get("PYTHONPATH", "").split(":")]
        return {"PYTHONPATH": ":".join(filter(None, folders)), "CRASHING": f"{host}:{port}"}

    async def until_killed(self, processes: int, within_s: float) -> None:
        """Waits until so many have been killed, and every point has been reached."""
        try:
            async with asyncio.timeout(within_s):
                while len(self.deaths) < processes or self._plan.never_reached:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(
                f"{len(self.deaths)} killed, never reached: {self._plan.never_reached}"
            ) from None

    def end(self) -> None:
        """Kills everybody who lives; whoever comes from now on lives on, with the product's own constants."""
        self._is_over = True
        for life in list(self._living):
            life.kill()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._attending.add(task)
        task.add_done_callback(self._attending.discard)
        try:
            asked = json.loads(await reader.readline())
            life = Life(asked["role"], os.pidfd_open(asked["pid"]))
        except (ValueError, ProcessLookupError, ConnectionError):
            writer.close()  # it is dead already
            return
        self._living[life] = None
        try:
            await self._accompany(life, reader, writer)
        finally:
            del self._living[life]
            os.close(life.descriptor)
            writer.close()

    async def _accompany(
        self, life: Life, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._is_over:
            writer.write(_as_line(LIVE_ON, []))
            return
        order = self._plan.next(life.role)
        writer.write(_as_line(order, self._constants))
        where = await self._end_of(life, order, reader)
        if self._is_over:
            return
        self._tell_plan(life.role, order, where)
        if where is not None:
            self._count(life.role, where)
            if order.both:
                self._kill_other(life.role)

    async def _end_of(self, life: Life, order: Order, reader: asyncio.StreamReader) -> str | None:
        """Where it was killed; None when it ended by itself or at other hands."""
        try:
            async with asyncio.timeout(order.within_s):
                said = await reader.readline()
        except TimeoutError:
            return AT_RANDOM if life.kill() else None
        except ConnectionError:
            return None
        return order.point if said else None

    def _tell_plan(self, role: Role, order: Order, where: str | None) -> None:
        if order.point is None:
            return
        if where == order.point:
            self._plan.reached(order.point)
        else:
            self._plan.missed(role, order.point)

    def _kill_other(self, role: Role) -> None:
        for life in list(self._living):
            if life.role == _OTHER.get(role) and life.kill():
                self._count(life.role, TOGETHER)

    def _count(self, role: Role, where: str) -> None:
        self.deaths.append(Death(role, where))
        self._news.set()


def _as_line(order: Order, constants: Sequence[Constant]) -> bytes:
    told = {"constants": constants, "point": order.point, "passing": order.passing}
    return json.dumps(told).encode() + b"\n"
