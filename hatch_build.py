"""Puts what pages load into the wheel and the sdist; see `web/make_pages.py`.

An editable install needs no built files: `make setup` makes them in the checkout.
"""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent / "web"))

from make_pages import NODE_PACKAGE, is_made, make_pages


class PagesHook(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node, unless an sdist has brought the files with it."""
        return [] if is_made() else [NODE_PACKAGE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            make_pages()
