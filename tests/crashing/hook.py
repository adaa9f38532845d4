"""Inside a child: asks for an order, changes what the order says, and dies where it says.

One line of JSON each way over the socket under CRASHING: {"role", "pid"}, then {"constants", "point",
"passing"}. The line stays open as long as the process lives, so that its end tells of the death; a
process that dies at its point says "at the point" first.
"""

import functools
import importlib.util
import inspect
import itertools
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from crashing.points import POINTS, Point, Role

Change = Callable[[ModuleType], None]

_ROLES: dict[str, Role] = {
    "headgate.worker": "worker",
    "headgate.eventlog.sealing": "sealing",
    "headgate.engage.process": "engage",
    "headgate.engage.history.archiving": "archiving",
    "headgate.engage.history.backfill": "backfilling",
}
_LINES: list[socket.socket] = []  # kept, so that the line ends with the process and not before


def enter(address: str) -> None:
    """Prepares this process, if it is one of the product's."""
    role = role_of(sys.orig_argv)
    if role is None:
        return
    host, port = address.split(":")
    line = socket.create_connection((host, int(port)))
    _LINES.append(line)
    line.sendall(json.dumps({"role": role, "pid": os.getpid()}).encode() + b"\n")
    order = json.loads(line.makefile().readline())
    sys.meta_path.insert(0, _FINDER)
    for module, name, value in order["constants"]:
        _once_imported(module, functools.partial(_set, name, value))
    if order["point"]:
        point = POINTS[order["point"]]
        die = functools.partial(_die, line)
        _once_imported(point.module, functools.partial(_arm, point, order["passing"], die))


def role_of(command: list[str]) -> Role | None:
    """What a process is there for, by the command that started it."""
    modules = (_ROLES[word] for word in command if word in _ROLES)
    if role := next(modules, None):
        return role
    if "serve" in command:
        return "gateway"
    return "apply" if "apply" in command else None


def _die(line: socket.socket) -> None:
    line.sendall(b"at the point\n")
    os.kill(os.getpid(), signal.SIGKILL)


# changing modules


def _once_imported(name: str, change: Change) -> None:
    if name in sys.modules:
        change(sys.modules[name])
    else:
        _FINDER.changes.setdefault(name, []).append(change)


class _Finder:
    """Changes modules as soon as their own code has run."""

    def __init__(self) -> None:
        self.changes: dict[str, list[Change]] = {}

    def find_spec(self, name: str, path: object, target: object = None) -> Any:
        changes = self.changes.pop(name, None)  # asked again below, it leaves the answer to others
        spec: Any = importlib.util.find_spec(name) if changes else None
        if spec is not None:
            spec.loader = _Loader(spec.loader, changes)
        return spec


class _Loader:
    """A module's own loader, and the changes after it."""

    def __init__(self, loader: Any, changes: Any) -> None:
        self._loader = loader
        self._changes = changes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for change in self._changes:
            change(module)


_FINDER = _Finder()


def place_of(module: ModuleType, dotted: str) -> tuple[Any, str]:
    """Whose attribute a dotted name is, and the attribute's own name."""
    *owners, name = dotted.split(".")
    return functools.reduce(getattr, owners, module), name


def _set(dotted: str, value: object, module: ModuleType) -> None:
    """Another value for a constant, or for a keyword's default: `f.__kwdefaults__.keyword`."""
    function, _, keyword = dotted.partition(".__kwdefaults__.")
    if keyword:
        owner, name = place_of(module, function)
        defaults = getattr(owner, name).__kwdefaults__
        assert keyword in defaults, f"{module.__name__}.{dotted} is not there"
        defaults[keyword] = value
        return
    owner, name = place_of(module, dotted)
    assert hasattr(owner, name), f"{module.__name__}.{dotted} is not there"
    setattr(owner, name, value)


def _arm(point: Point, passing: int, die: Callable[[], None], module: ModuleType) -> None:
    """Has the function count its passings, and die at one of them."""
    owner, name = place_of(module, point.function)
    function = getattr(owner, name)
    passings = itertools.count(1)

    def reached(args: tuple[Any, ...]) -> bool:
        return not (point.about and not str(args[0]).endswith(point.about)) and (
            next(passings) == passing
        )

    @functools.wraps(function)
    def plain(*args: Any, **named: Any) -> Any:
        here = reached(args)
        if here and point.when == "before":
            die()
        result = function(*args, **named)
        if here:
            die()
        return result

    @functools.wraps(function)
    async def awaited(*args: Any, **named: Any) -> Any:
        here = reached(args)
        if here and point.when == "before":
            die()
        result = await function(*args, **named)
        if here:
            die()
        return result

    setattr(owner, name, awaited if inspect.iscoroutinefunction(function) else plain)
