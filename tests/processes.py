"""Real processes for tests: `headgate` commands on free ports, watched, and gone when the test is.

A `Child` reads its process's output as it comes, so a test waits for a line, for the end, or for a
condition, always with a deadline; whatever the child said is in the error when the deadline passes or
the process dies early.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

HEADGATE = str(Path(sys.executable).parent / "headgate")
STARTS_WITHIN_S = 20.0
ENDS_WITHIN_S = 10.0

_LOOK_EVERY_S = 0.02

T = TypeVar("T")


def eventually(condition: Callable[[], T | None], within_s: float, otherwise: str = "") -> T:
    """The condition's first true value. For what only asking an outside process can tell."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {otherwise or condition}")
        time.sleep(_LOOK_EVERY_S)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Child:
    """A running process. Use it as a context manager: leaving kills what is left of it and its children."""

    def __init__(self, command: Sequence[str | Path], **environment: str) -> None:
        self.command = [str(word) for word in command]
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        self._said: list[tuple[str, str]] = []
        self._news = threading.Condition()
        self._open = 2
        self._family: set[Identity] = set()
        self._readers = [
            threading.Thread(target=self._read, args=(name, pipe), daemon=True)
            for name, pipe in (("out", self.process.stdout), ("err", self.process.stderr))
            if pipe is not None
        ]
        for reader in self._readers:
            reader.start()

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def out(self) -> str:
        """What it has said on stdout so far."""
        return self._text("out")

    @property
    def err(self) -> str:
        """What it has said on stderr so far."""
        return self._text("err")

    def says(self, pattern: str, within_s: float = STARTS_WITHIN_S) -> re.Match[str]:
        """Waits until stdout or stderr matches the pattern; the match."""
        deadline = time.monotonic() + within_s
        wanted = re.compile(pattern, re.MULTILINE)
        with self._news:
            while True:
                for text in (self.out, self.err):
                    if found := wanted.search(text):
                        return found
                if not self._open:
                    raise AssertionError(self._story(f"ended without saying {pattern!r}"))
                if not self._news.wait(deadline - time.monotonic()):
                    raise AssertionError(
                        self._story(f"did not say {pattern!r} within {within_s:g} s")
                    )

    def exits(self, within_s: float = ENDS_WITHIN_S) -> int:
        """Waits for the end and for the last of the output; the exit status."""
        try:
            status = self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(self._story(f"did not end within {within_s:g} s")) from None
        for reader in self._readers:
            reader.join(1.0)
        return status

    def stays(self, for_s: float) -> None:
        """Watches it live on for so long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise AssertionError(self._story(f"ended with {self.process.wait(for_s)}"))

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def interrupt(self) -> None:
        """Ctrl-C: SIGINT to the whole group, as a terminal does it."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """SIGKILL to this process alone; its children are left to themselves."""
        if self.process.poll() is None:  # else its number may be another's by now
            self._family |= set(map(identity, descendants(self.pid)))
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """SIGKILL to the process, to everything it has started, and the end of reading."""
        self.kill()
        for one in self._family:
            if one.born and identity(one.pid) == one:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
        for reader in self._readers:
            reader.join(2.0)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    def _text(self, stream: str) -> str:
        return "".join(line for name, line in self._said if name == stream)

    def _read(self, name: str, pipe: IO[str]) -> None:
        for line in pipe:
            with self._news:
                self._said.append((name, line))
                self._news.notify_all()
        with self._news:
            self._open -= 1
            self._news.notify_all()

    def _story(self, what: str) -> str:
        said = "".join(f"  {name}: {line}" for name, line in self._said)
        return f"{' '.join(self.command)}\n{what}; it said:\n{said or '  nothing'}"


class Gateway(Child):
    """`headgate serve` on free ports."""

    def __init__(
        self,
        data_dir: Path,
        config: Path | None = None,
        *,
        port: int | None = None,
        app_port: int | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        self.app_port = app_port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.app_url = f"http://127.0.0.1:{self.app_port}"
        command: list[str | Path] = [HEADGATE, "serve", "--data-dir", data_dir]
        command += ["--port", str(self.port), "--app-port", str(self.app_port)]
        if config is not None:
            command += ["--config", config]
        super().__init__(command, **(environment or {}))

    def __enter__(self) -> "Gateway":
        return self.ready()

    def ready(self) -> "Gateway":
        """Waits until it takes messages."""
        try:
            self.says(re.escape(self.url))
        except AssertionError:
            self.close()
            raise
        return self

    def worker(self, other_than: int = 0) -> int:
        """The worker's process id, once there is one."""

        def found() -> int:
            pids = children(self.pid)
            return next(
                (p for p in pids if p != other_than and "headgate.worker" in command_line(p)), 0
            )

        return eventually(found, STARTS_WITHIN_S, self._story("has no worker"))


def run(
    *words: str | Path, within_s: float = STARTS_WITHIN_S, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A headgate command, run to its end without a terminal."""
    return subprocess.run(
        [HEADGATE, *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=within_s,
        env={**os.environ, **environment},
        check=False,
    )


def children(pid: int) -> list[int]:
    """The processes that a process has started and that are still there."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, (task / "children").read_text().split())
    return found


def descendants(pid: int) -> Iterator[int]:
    """Children, their children, and so on."""
    for child in children(pid):
        yield child
        yield from descendants(child)


class Identity(NamedTuple):
    """A process for good: numbers are used again, but not with the same moment of birth."""

    pid: int
    born: str


def identity(pid: int) -> Identity:
    """Which process has this number now; without a birth when there is none."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Identity(pid, _stat(pid)[19])
    return Identity(pid, "")


def command_line(pid: int) -> str:
    """What a process was started as; empty once it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""


def is_running(pid: int) -> bool:
    """Whether the process is there and not merely waiting to be buried."""
    try:
        return _stat(pid)[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
