"""The private port: `/metrics` for Prometheus and a page that says what is here.

Text format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from headgate.delivery.engine import Delivery
from headgate.eventlog.refused import refusal_counts

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class PrivatePort:
    """The ASGI application of the private port. `refused` is the file of what the doors refused."""

    def __init__(self, delivery: Delivery, refused: Path) -> None:
        self._delivery = delivery
        self._refused = refused
        self._app = Starlette(routes=[Route("/", self._home), Route("/metrics", self._metrics)])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        await self._app(scope, receive, send)

    def _home(self, request: Request) -> Response:
        lines = ["Headgate", "", "/metrics  counters for Prometheus", ""]
        lines += [
            f"{one.slug}: {one.state}{', ' + one.trouble if one.trouble else ''}"
            for one in self._delivery.status()
        ]
        return PlainTextResponse("\n".join(lines) + "\n")

    def _metrics(self, request: Request) -> Response:
        return PlainTextResponse("\n".join(self._lines()) + "\n", media_type=_METRICS_TYPE)

    def _lines(self) -> list[str]:
        lines = [
            "# HELP headgate_messages_total Messages by destination, outcome and reason.",
            "# TYPE headgate_messages_total counter",
        ]
        lines += [
            f'headgate_messages_total{{destination="{slug}",outcome="{outcome}",reason="{reason}"}} {n}'
            for slug, outcome, reason, n in self._delivery.counts()
        ]
        status = self._delivery.status()
        lines += [
            "# HELP headgate_refused_total Messages and requests refused at the doors.",
            "# TYPE headgate_refused_total counter",
            *(
                f'headgate_refused_total{{source="{source}",reason="{reason}",status="{answered}"}} {n}'
                for source, reason, answered, n in refusal_counts(self._refused)
            ),
            "# HELP headgate_pending Messages read from the log and not settled yet.",
            "# TYPE headgate_pending gauge",
            *(f'headgate_pending{{destination="{one.slug}"}} {one.pending}' for one in status),
            "# HELP headgate_destination_up Whether the destination takes messages.",
            "# TYPE headgate_destination_up gauge",
            *(
                f'headgate_destination_up{{destination="{one.slug}"}} {int(not one.trouble)}'
                for one in status
            ),
        ]
        return lines
