"""What the pages are made from; built once, by `web.py`, when somebody opens the app for the first time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment

from headgate.app.assets import Assets
from headgate.app.pace import Pace
from headgate.app.rendering import templates
from headgate.clock import Clock
from headgate.delivery.engine import DestinationStatus
from headgate.destinations.catalog import CATALOG
from headgate.stores import WORKSPACE
from headgate.workspace.access_store import AccessReader, AccessStore
from headgate.workspace.sqlite_store import SqliteWorkspaceReader, SqliteWorkspaceStore
from headgate.workspace.table import Catalog

SETTINGS: Catalog = {kind: destination.settings for kind, destination in CATALOG.items()}


@dataclass(frozen=True, slots=True)
class Outside:
    """What the process has for the app.

    `public_url` is where the tracking API listens, `standing` tells how destinations are doing; it is called
    on the event loop.
    """

    data_dir: Path
    clock: Clock
    environment: Mapping[str, str]
    public_url: str
    standing: Callable[[], list[DestinationStatus]]


@dataclass(frozen=True, slots=True)
class Parts:
    """Stores and templates."""

    outside: Outside
    assets: Assets
    templates: Environment
    pace: Pace
    access: AccessStore
    access_reader: AccessReader
    workspace: SqliteWorkspaceStore
    workspace_reader: SqliteWorkspaceReader
    catalog: Catalog = field(default_factory=lambda: SETTINGS)

    def close(self) -> None:
        """Let go of the files."""
        for store in (self.access, self.access_reader, self.workspace, self.workspace_reader):
            store.close()


def build(outside: Outside) -> Parts:
    """Everything, opened; raises `NotBuilt` or a `WorkspaceError`."""
    path, clock = outside.data_dir / WORKSPACE, outside.clock
    assets = Assets()
    workspace = SqliteWorkspaceStore(path, clock)  # first: it brings the schema up to date
    return Parts(
        outside=outside,
        assets=assets,
        templates=templates(assets),
        pace=Pace(clock),
        access=AccessStore(path, clock),
        access_reader=AccessReader(path),
        workspace=workspace,
        workspace_reader=SqliteWorkspaceReader(path),
    )
