"""Versions of the workspace ready for use, kept for those who read them often.

The gateway asks for the current one after each change, delivery for the one under which a message
was accepted. Used by one thread.
"""

from collections import OrderedDict
from collections.abc import Mapping

import msgspec

from headgate.workspace.document import as_workspace, checked
from headgate.workspace.model import Workspace
from headgate.workspace.store import Version, WorkspaceReader
from headgate.workspace.table import Catalog

CAPACITY = 64


class ReadyVersion(msgspec.Struct, frozen=True):
    """A version's workspace and the ids of its destinations by slug."""

    number: int
    workspace: Workspace
    destination_ids: dict[str, int]


class Versions:
    """Reads versions through a cache of the 64 used last; holds expanded secrets, in memory only."""

    def __init__(
        self, store: WorkspaceReader, *, catalog: Catalog, environment: Mapping[str, str]
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._environment = environment
        self._kept: OrderedDict[int, ReadyVersion] = OrderedDict()
        self._checked_number: int | None = None

    def current(self) -> ReadyVersion:
        """The newest version; raises `InvalidWorkspace` when the environment does not fit it."""
        newest = self._store.current()
        if newest.number != self._checked_number:
            checked(newest.document, catalog=self._catalog, environment=self._environment)
            self._checked_number = newest.number
        return self._kept_version(newest.number) or self._keep(newest)

    def at(self, number: int) -> ReadyVersion:
        """The version of this number; raises `UnknownVersion`.

        A version of the past is never refused, since messages were accepted under it: a variable
        that is no longer set stays as written. Send with the settings of the current version.
        """
        return self._kept_version(number) or self._keep(self._store.at(number))

    def _kept_version(self, number: int) -> ReadyVersion | None:
        if number not in self._kept:
            return None
        self._kept.move_to_end(number)
        return self._kept[number]

    def _keep(self, version: Version) -> ReadyVersion:
        ready = ReadyVersion(
            version.number,
            as_workspace(version.document, catalog=self._catalog, environment=self._environment),
            self._store.destination_ids(version.number),
        )
        self._kept[version.number] = ready
        if len(self._kept) > CAPACITY:
            self._kept.popitem(last=False)
        return ready
