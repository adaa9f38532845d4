"""The bench's own Heap as its users see it: started, waited for, asked what has arrived."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import msgspec

from bench.processes import GATEWAY_CORE, program

ACCEPTS = "200"
REFUSES = "500"
NEVER_ANSWERS = "never"

EVENT = '"idempotency_key":"([^"]+)"'


class Counted(msgspec.Struct, frozen=True):
    """Rows that were acknowledged, and the moments of the first and the last."""

    rows: int
    first_at: float
    last_at: float


class Heap(msgspec.Struct, frozen=True):
    """A running Heap."""

    port: int

    def acknowledged(self, rows: int, within_s: float) -> Counted:
        """Waits until so many rows were; TimeoutError when they were not in time."""
        return msgspec.convert(self._get(f"/rows/{rows}", within_s), Counted)

    def arrivals(self, of: str = EVENT) -> dict[str, float]:
        """When each row first arrived, by what the group of this expression finds in it: a messageId."""
        arrived: dict[str, float] = self._get(f"/arrivals/{quote(of, safe='')}", within_s=20)
        return arrived

    def _get(self, path: str, within_s: float) -> Any:
        url = f"http://127.0.0.1:{self.port}{path}"
        with urllib.request.urlopen(url, timeout=within_s) as answer:
            return json.load(answer)


@contextmanager
def heap(answer: str = ACCEPTS, core: int = GATEWAY_CORE) -> Iterator[Heap]:
    """A Heap that answers every request with this status, or never."""
    with program("heap", answer, core=core) as (_, port):
        yield Heap(port)
