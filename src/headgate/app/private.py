"""The private port: `/metrics` for Prometheus, Segment's Profile API, and the web app for everything else.

The app is imported and built when somebody opens it, so that a server whose app nobody opens stays as small
and starts as fast as without it.

Text format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from headgate.app.profile_api import MOUNTED_AT, ProfileApi
from headgate.clock import Clock, SystemClock
from headgate.delivery.engine import Delivery, DestinationStatus
from headgate.delivery.facts import FAILED
from headgate.delivery.reader import DeliveryReader
from headgate.eventlog.refused import refusal_counts

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})

PUBLIC_URL = "http://127.0.0.1:8080"  # where `serve` listens unless it is told otherwise

log = logging.getLogger("headgate.app")

Sample = tuple[dict[str, object], float]  # labels and value


class Metric(NamedTuple):
    """One metric of the page."""

    name: str
    kind: str
    help: str
    samples: Iterable[Sample]

    def lines(self) -> Iterator[str]:
        """The metric in the text format."""
        yield f"# HELP {self.name} {self.help}"
        yield f"# TYPE {self.name} {self.kind}"
        for labels, value in self.samples:
            written = ",".join(f'{name}="{_escaped(one)}"' for name, one in labels.items())
            yield f"{self.name}{{{written}}} {value}" if written else f"{self.name} {value}"


class PrivatePort:
    """The ASGI application of the private port."""

    def __init__(
        self,
        delivery: Delivery,
        data_dir: Path,
        profiles: ProfileApi | None = None,
        *,
        public_url: str = PUBLIC_URL,
        clock: Clock | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._delivery = delivery
        self._data_dir = data_dir
        web = _WhenOpened(delivery, data_dir, public_url, clock or SystemClock(), environment)
        self._app = Starlette(routes=[Route("/", web), Route("/metrics", self._metrics)])
        if profiles is not None:
            self._app.mount(MOUNTED_AT, profiles)
        self._app.routes.append(Mount("", web))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        await self._app(scope, receive, send)

    def _metrics(self, request: Request) -> Response:
        lines = [line for metric in self._read() for line in metric.lines()]
        return PlainTextResponse("\n".join(lines) + "\n", media_type=_METRICS_TYPE)

    def _read(self) -> list[Metric]:
        """Every metric as of now; nothing here grows with the log."""
        status = self._delivery.status()
        return [
            Metric(
                "headgate_messages_total",
                "counter",
                "Outcomes recorded, by destination, outcome and reason.",
                (
                    ({"destination": slug, "outcome": outcome, "reason": reason}, n)
                    for slug, outcome, reason, n in self._delivery.counts()
                ),
            ),
            Metric(
                "headgate_refused_total",
                "counter",
                "Messages and requests refused at the doors.",
                (
                    ({"source": source, "reason": reason, "status": answered}, n)
                    for source, reason, answered, n in refusal_counts(self._data_dir / "refused.db")
                ),
            ),
            *_of_destinations(status),
            Metric(
                "headgate_dead_letters",
                "gauge",
                "Messages that were given up on and are not being sent again.",
                [({}, _failed(self._data_dir / "delivery" / "delivery.db"))],
            ),
            Metric(
                "headgate_log_bytes",
                "gauge",
                "What the event log takes on disk.",
                [({}, _size(self._data_dir / "log"))],
            ),
        ]


class _WhenOpened:
    """The web app, which is made for the first request that it gets."""

    def __init__(
        self,
        delivery: Delivery,
        data_dir: Path,
        public_url: str,
        clock: Clock,
        environment: Mapping[str, str],
    ) -> None:
        self._delivery = delivery
        self._data_dir = data_dir
        self._public_url = public_url
        self._clock = clock
        self._environment = environment
        self._opening = asyncio.Lock()
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        async with self._opening:
            if self._app is None:
                try:
                    self._app = await asyncio.to_thread(self._made)
                except Exception as error:
                    log.exception("the app cannot be opened")
                    words = f"The app cannot be opened: {error}\n"
                    await PlainTextResponse(words, 503)(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _made(self) -> Any:
        from headgate.app.parts import Outside
        from headgate.app.web import WebApp

        return WebApp(
            Outside(
                data_dir=self._data_dir,
                clock=self._clock,
                environment=self._environment,
                public_url=self._public_url,
                standing=self._delivery.status,
            )
        )


def _of_destinations(status: list[DestinationStatus]) -> list[Metric]:
    def each(value: Callable[[DestinationStatus], float | None]) -> list[Sample]:
        values = ((one.slug, value(one)) for one in status)
        return [({"destination": slug}, n) for slug, n in values if n is not None]

    return [
        Metric(
            "headgate_pending",
            "gauge",
            "Messages that are not settled yet, replays apart.",
            each(lambda one: one.pending + one.unread),
        ),
        Metric(
            "headgate_replay_pending",
            "gauge",
            "Messages that replays are still to send again.",
            each(lambda one: one.replaying),
        ),
        Metric(
            "headgate_drain_seconds",
            "gauge",
            "How long what is pending takes under the destination's limits; absent without any.",
            each(lambda one: one.drain_s),
        ),
        Metric(
            "headgate_destination_up",
            "gauge",
            "Whether the destination takes messages.",
            each(lambda one: int(not one.trouble)),
        ),
    ]


def _escaped(value: object) -> str:
    return str(value).translate(_ESCAPES)


def _failed(path: Path) -> int:
    with closing(DeliveryReader(path)) as facts:
        return sum(one.standing for one in facts.tallies() if one.outcome == FAILED)


def _size(directory: Path) -> int:
    """Bytes of the files; one that vanishes while they are counted counts nothing."""
    total = 0
    for path in directory.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
