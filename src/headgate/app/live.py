"""What moves by itself: a page that is open is made anew when something has changed, and the parts that differ go
over its line (`lines.py`). In a template a part is

    {% call part("figures") %} … {% endcall %}

and its handler needs nothing for it. While nobody watches there is no timer and nothing is read.

That something has changed is told by what the process knows of its destinations and by when the stores were
last written, which costs a few microseconds. Time changes pages too: each is made anew every ten seconds.
"""

import asyncio
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from headgate.app.lines import Line
from headgate.app.parts import Outside
from headgate.app.visit import Visit
from headgate.eventlog.witness import read_witness
from headgate.stores import DELIVERY, ENGAGE, LOG, REFUSED, WORKSPACE

LOOK_EVERY_S = 0.5
SHOW_EVERY_S = 1.0
SHOW_AT_LEAST_EVERY_S = 10.0
_SHARE = 20  # making pages takes at most one part in so many of the time
_VERDICT = "verdict"
_AGE = re.compile(r"(<time [^>]*data-age[^>]*>)[^<]*")  # goes on by itself in the page
_PART = re.compile(r'data-part="([^"]+)"><!--part-->(.*?)<!--/part-->', re.DOTALL)


async def follow(line: Line) -> None:
    """Sends the parts of the page that the line was opened for, each time they differ; and the verdict."""
    watched = Watched(line)
    pause_s = 0.0
    while await line.rest(pause_s):
        await watched.look()
        pause_s = LOOK_EVERY_S


class Watched:
    """One open page: what its browser has, and when it was made. Without an address it is the verdict alone."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._address = line.visit.query.get("page", "")
        self._outside = line.visit.parts.outside
        self._sent: dict[str, str] = {}
        self._stamp: Any = None
        self._shown_s = self._next_s = float("-inf")

    async def look(self) -> None:
        """Sends what is new, if anything can be."""
        now_s = self._outside.clock.monotonic_s()
        if now_s < self._next_s:
            return
        stamp = (self._outside.standing(), await asyncio.to_thread(_written, self._outside))
        if stamp == self._stamp and now_s - self._shown_s < SHOW_AT_LEAST_EVERY_S:
            return
        self._stamp, self._shown_s = stamp, now_s
        await self._send(await self._parts())
        took_s = self._outside.clock.monotonic_s() - now_s
        self._next_s = now_s + max(SHOW_EVERY_S, _SHARE * took_s)

    async def _parts(self) -> dict[str, str]:
        visit = replace(self._line.visit, standing=self._outside.standing())
        parts = {_VERDICT: await asyncio.to_thread(verdict, visit)}
        if self._address:
            parts |= parts_of(await self._line.show(self._address))
        return parts

    async def _send(self, parts: dict[str, str]) -> None:
        bare = {name: _AGE.sub(r"\1", text) for name, text in parts.items()}
        news = {name: parts[name] for name in parts if self._sent.get(name) != bare[name]}
        if news:
            await self._line.say("parts", news)
        self._sent |= bare


def parts_of(text: str) -> dict[str, str]:
    """The parts of a page, by name. Texts from outside are escaped in it, so that none can look like one."""
    return dict(_PART.findall(text))


def verdict(visit: Visit) -> str:
    """The chip of the bar."""
    return visit.parts.templates.get_template("_verdict.html").render(visit=visit)


def _written(outside: Outside) -> tuple[Any, ...]:
    """When the stores were last written, and where the log ends."""
    names = (WORKSPACE, REFUSED, DELIVERY, ENGAGE)
    paths = [outside.data_dir / name for name in names]
    return read_witness(outside.data_dir / LOG), *map(last_written, paths)


def last_written(path: Path) -> tuple[int, ...]:
    """When a store was last written, in nanoseconds: the file and its log; tells a change, not a time."""
    return tuple(_modified_ns(path.with_name(path.name + end)) for end in ("", "-wal"))


def _modified_ns(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return 0
