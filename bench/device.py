"""Device mode: what Heap's integration weighs, and what it takes of the server and of a page."""

from collections.abc import Iterator
from pathlib import Path

from bench import goals, pages
from bench.figure import Figure
from bench.scale import Scale

_SETTINGS_ANSWERS = 5_000


def figures(scale: Scale, _: Path) -> Iterator[Figure]:
    """The integration's size, the settings' time, the time of a page's main thread."""
    gzip, brotli = pages.integration_bytes()
    yield Figure(
        what="Heap in the page",
        value=f"{gzip:,} bytes gzip, {brotli:,} brotli",
        measured=gzip,
        goal=goals.INTEGRATION_BYTES,
    )
    cpu_us = pages.settings_cpu_s(_SETTINGS_ANSWERS) * 1e6
    yield Figure(
        what="settings for a page, CPU",
        value=f"{cpu_us:.0f} µs",
        measured=cpu_us,
        goal=goals.PAGE_SETTINGS_US,
    )
    busy_ms = pages.main_thread_ms(scale.pages)
    yield Figure(
        what="the page's main thread, load and two calls",
        value="Chromium is not installed" if busy_ms is None else f"{busy_ms:.1f} ms of CPU",
        measured=busy_ms,
        goal=goals.PAGE_MAIN_THREAD_MS,
    )
