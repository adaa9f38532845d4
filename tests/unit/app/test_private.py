"""The private port's metrics: the text format, and figures that agree with the stores."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from data_dirs import DataDir, destination
from headgate.app.private import PrivatePort
from headgate.delivery.engine import Delivery, DestinationStatus

SAMPLE = re.compile(
    r'headgate_[a-z_]+(\{[a-z]+="([^"\\\n]|\\["\\n])*"(,[a-z]+="([^"\\\n]|\\["\\n])*")*\})? \S+'
)


class Figures:
    """What delivery knows, as it would tell it."""

    def __init__(self, *destinations: DestinationStatus, counts: Any = ()) -> None:
        self._destinations = destinations
        self._counts = counts

    def status(self) -> list[DestinationStatus]:
        """How the destinations are doing."""
        return list(self._destinations)

    def counts(self) -> list[tuple[str, str, str, int]]:
        """Outcomes recorded."""
        return list(self._counts)


def doing(slug: str = "heap", **fields: Any) -> DestinationStatus:
    """A destination that has nothing to do."""
    usual: dict[str, Any] = {
        "state": "delivering",
        "trouble": "",
        "since_ms": 0,
        "cursor": 0,
        "pending": 0,
        "unread": 0,
        "replaying": 0,
        "drain_s": None,
    }
    return DestinationStatus(slug=slug, **(usual | fields))


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """A data directory with one dead letter and one refusal."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination()])
    data_dir.accept("a", "b")
    data_dir.give_up(1, cursor=1)
    data_dir.refuse("r", "unknown_write_key", source="")
    return data_dir


async def page(data_dir: DataDir, figures: Figures, path: str = "/metrics") -> list[str]:
    """The lines of a page, as the ASGI application answers."""
    body = b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        nonlocal body
        body += message.get("body", b"")

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    await PrivatePort(cast("Delivery", figures), data_dir.path)(scope, receive, send)
    return body.decode().splitlines()


async def test_every_metric_is_described_and_well_formed(stored: DataDir) -> None:
    """HELP and TYPE before the samples, as Prometheus wants them."""
    figures = Figures(doing(drain_s=1.5), counts=[("heap", "failed", "refused", 3)])
    lines = await page(stored, figures)
    for line in lines:
        assert line.startswith("# ") or SAMPLE.fullmatch(line), line
    described = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    sampled = {re.split(r"[{ ]", line)[0] for line in lines if not line.startswith("#")}
    assert len(described) == len(set(described))
    assert sampled == set(described)
    assert [line.split()[2] for line in lines if line.startswith("# HELP")] == described


async def test_figures_are_those_of_delivery_and_the_stores(stored: DataDir) -> None:
    """Pending is what was read and what was not; a destination in trouble is not up."""
    figures = Figures(
        doing(pending=2, unread=3, replaying=7, drain_s=60.0, trouble="no answer"),
        doing("second"),
        counts=[("heap", "failed", "refused", 3)],
    )
    lines = await page(stored, figures)
    for line in (
        'headgate_messages_total{destination="heap",outcome="failed",reason="refused"} 3',
        'headgate_refused_total{source="",reason="unknown_write_key",status="200"} 1',
        'headgate_pending{destination="heap"} 5',
        'headgate_replay_pending{destination="heap"} 7',
        'headgate_drain_seconds{destination="heap"} 60.0',
        'headgate_destination_up{destination="heap"} 0',
        'headgate_destination_up{destination="second"} 1',
        "headgate_dead_letters 1",
    ):
        assert line in lines
    assert not any(line.startswith('headgate_drain_seconds{destination="second"') for line in lines)
    (size,) = [line.split()[1] for line in lines if line.startswith("headgate_log_bytes ")]
    assert int(size) == sum(one.stat().st_size for one in (stored.path / "log").iterdir())


async def test_what_is_being_sent_again_is_no_dead_letter_meanwhile(stored: DataDir) -> None:
    """It counts again only when it fails again."""
    stored.replay("again", 1)
    assert "headgate_dead_letters 0" in await page(stored, Figures())


async def test_labels_cannot_break_the_page(stored: DataDir) -> None:
    """Quotes, backslashes and line ends are escaped."""
    lines = await page(stored, Figures(doing('a"b\\c\nd')))
    assert 'headgate_pending{destination="a\\"b\\\\c\\nd"} 0' in lines


async def test_everything_else_is_the_apps(stored: DataDir) -> None:
    """The figures need no sign-in, as Prometheus has none; the app does."""
    assert await page(stored, Figures(), "/") == []  # on to the sign-in
    assert "<h1>Sign in</h1>" in await page(stored, Figures(), "/login")


def test_a_worker_whose_app_nobody_opens_does_not_load_it() -> None:
    """Neither templates nor password hashing: the idle server stays small."""
    code = "import sys, headgate.worker; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"jinja2", "argon2", "headgate.app.web"} & set(loaded.stdout.split())
