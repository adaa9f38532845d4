"""A data directory as trace, audit and status read it: where its parts are, and what its workspace says."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from headgate.delivery.reader import DeliveryReader
from headgate.spec.names import engage_source, import_source
from headgate.workspace.store import DestinationStay, Version, WorkspaceReader
from headgate.workspace.table import Catalog
from headgate.workspace.versions import ReadyVersion, Versions

AT_THE_DOOR = "-"  # the destination of what was refused at the door


class Stored:
    """Reads through the workspace store that it is given; opens nothing else by itself."""

    def __init__(
        self,
        data_dir: Path,
        workspace: WorkspaceReader,
        *,
        catalog: Catalog,
        environment: Mapping[str, str],
    ) -> None:
        self._workspace = workspace
        self.data_dir = data_dir
        self.log = data_dir / "log"
        self.refused = data_dir / "refused.db"
        self.versions = Versions(workspace, catalog=catalog, environment=environment)

    @property
    def newest(self) -> Version:
        """The newest version as it was written."""
        return self._workspace.current()

    @property
    def current(self) -> ReadyVersion:
        """The newest version; variables that are not set here stay as written, and nothing is refused."""
        return self.versions.at(self.newest.number)

    @cached_property
    def history(self) -> list[DestinationStay]:
        """Every destination there ever was."""
        return self._workspace.destination_history()

    @cached_property
    def sources(self) -> set[str]:
        """The slug of every source there ever was, the hidden ones of imports and of Engage included."""
        newest = self.newest.number
        documents = (self._workspace.at(number).document for number in range(1, newest + 1))
        slugs = {source["slug"] for document in documents for source in document["sources"]}
        imported = {import_source(slug) for slug in slugs}
        return slugs | imported | {engage_source(stay.slug) for stay in self.history}

    def facts(self) -> DeliveryReader | None:
        """The facts of delivery, to be closed by the caller; None when there are none yet."""
        path = self.data_dir / "delivery" / "delivery.db"
        return DeliveryReader(path) if path.exists() else None
