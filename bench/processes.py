"""Starts what is measured and what measures it, each on the core it is meant to have.

The gateway and the yardsticks of the doors have one core. Senders and Heap are on the other, except
where the worker is measured: it has that one for itself, and they share the gateway's.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from bench.programs import load as load_program
from bench.programs import pace as pace_program

GATEWAY_CORE = 0
OTHER_CORE = min(1, (os.cpu_count() or 1) - 1)

_STARTS_WITHIN_S = 20.0
_ENDS_WITHIN_S = 15.0
_LOOK_EVERY_S = 0.005

T = TypeVar("T")


@contextmanager
def program(module: str, *arguments: str, core: int) -> Iterator[tuple[int, int]]:
    """One of `bench.programs` on one core; (its process id, the port it printed)."""
    with command([sys.executable, "-m", f"bench.programs.{module}", *arguments], core) as process:
        assert process.stdout is not None
        yield process.pid, int(process.stdout.readline() or 0)


@contextmanager
def command(words: list[str], core: int) -> Iterator["subprocess.Popen[bytes]"]:
    """A command on one core, ended when it is no longer wanted."""
    with _on(core):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.communicate(timeout=_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def answer_of(words: list[str], core: int, asked: bytes, cwd: Path | None = None) -> bytes:
    """What a command on one core says to what it is asked, from its stdin to its stdout.

    Raises subprocess.CalledProcessError when it fails.
    """
    with _on(core):
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=cwd)
    said, _ = process.communicate(asked)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)
    return said


def load(plan: load_program.Plan, core: int = OTHER_CORE) -> load_program.Result:
    """Posts as fast as answers come; RuntimeError when a post was not accepted."""
    result = _sent("load", plan, core, load_program.Result)
    _refuse_failures(result.failures)
    return result


def pace(plan: pace_program.Plan, core: int = OTHER_CORE) -> pace_program.Result:
    """Posts at a steady rate; RuntimeError when a post was not accepted."""
    result = _sent("pace", plan, core, pace_program.Result)
    _refuse_failures(result.failures)
    return result


def child_of(gateway_pid: int, module: str) -> int:
    """The process of its own that a gateway has started for a module, once there is one."""
    children = Path(f"/proc/{gateway_pid}/task/{gateway_pid}/children")
    deadline = time.monotonic() + _STARTS_WITHIN_S
    while time.monotonic() < deadline:
        for pid in children.read_text().split():
            if module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
        time.sleep(_LOOK_EVERY_S)
    raise RuntimeError(f"the gateway {gateway_pid} has not started {module}")


@contextmanager
def _on(core: int) -> Iterator[None]:
    """What is started meanwhile runs on this core alone: a child inherits it."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _sent(module: str, plan: msgspec.Struct, core: int, result: type[T]) -> T:
    words = [sys.executable, "-m", f"bench.programs.{module}"]
    return msgspec.json.decode(answer_of(words, core, msgspec.msgpack.encode(plan)), type=result)


def _refuse_failures(failures: int) -> None:
    if failures:
        raise RuntimeError(f"{failures:,} requests were not answered with 200")
