"""How the figures are shown: a table for people, JSON for programs; and the machine they were taken on."""

import json
import os
import platform
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figure import Figure

_WIDTH = 190  # where the output is no terminal


def machine() -> str:
    """Processor, cores, memory and Python, in words."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB, {platform.system()}, "
        f"Python {platform.python_version()}"
    )


def load() -> float:
    """How many processes wanted a core during the last minute, on average."""
    return os.getloadavg()[0]


def print_table(figures: list[Figure], *, load_before: float, took_s: float) -> None:
    """The table on stdout; a figure that misses what it has to reach is marked."""
    table = Table(
        title=f"{machine()}; load {load_before:.1f} at the start; took {took_s:.0f} s",
        caption="CPU s: of the product's processes, per million messages. MB: their memory (PSS). "
        "Yardsticks ran within the same minute.",
    )
    for name in ("figure", "value", "yardstick of the same minute"):
        table.add_column(name, overflow="fold")
    for name in ("ratio", "CPU s", "MB", "at least", "aim"):
        table.add_column(name, justify="right")
    table.add_column("reached")
    for figure in figures:
        table.add_row(*_cells(figure))
    out = Console(file=sys.stdout)
    if not out.is_terminal:
        out = Console(file=sys.stdout, width=_WIDTH)
    out.print(table)


def print_json(figures: list[Figure], *, load_before: float, took_s: float) -> None:
    """One JSON object on stdout."""
    whole = {
        "machine": machine(),
        "at": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
        "load_before": load_before,
        "took_s": round(took_s, 1),
        "figures": [figure.as_json() for figure in figures],
    }
    print(json.dumps(whole))


def _cells(figure: Figure) -> list[str]:
    goal = figure.goal
    return [
        figure.what,
        figure.value,
        figure.beside,
        _number(figure.ratio, "{:.2f}"),
        _number(figure.cpu_s_per_million, "{:.1f}"),
        _number(figure.memory_mb, "{:,.0f}"),
        _number(goal.at_least, goal.shown) if goal else "",
        _number(goal.aim, goal.shown) if goal else "",
        _reached(figure),
    ]


def _number(amount: float | None, shown: str) -> str:
    return "" if amount is None else shown.format(amount)


def _reached(figure: Figure) -> str:
    if figure.is_reached() is False:
        return "MISSED"
    if figure.goal is None or figure.measured is None:
        return ""
    if figure.goal.meets_aim(figure.measured):
        return "aim"
    return "at least" if figure.is_reached() else ""


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
