"""Versions of the workspace ready for use, kept for those who read them often.

The gateway asks for the newest one after each change, delivery for the current one and for the one under
which a message was accepted. The current one is the newest, unless that does not fit the environment:
then the newest that does, so that delivery goes on with what it had. Used by one thread.
"""

from collections import OrderedDict
from collections.abc import Mapping

import msgspec

from headgate.workspace.document import as_workspace, checked
from headgate.workspace.errors import InvalidWorkspace
from headgate.workspace.model import Workspace
from headgate.workspace.store import DestinationStay, Version, WorkspaceReader
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
        self._fits: int | None = None
        self._looked_back: tuple[int, int] | None = None

    def newest(self) -> ReadyVersion:
        """The newest version; raises `InvalidWorkspace` when the environment does not fit it."""
        newest = self._store.current()
        self._check(newest)
        return self._kept_version(newest.number) or self._keep(newest)

    def current(self) -> ReadyVersion:
        """The newest version that fits the environment; at the very last number 0, which is empty."""
        return self.at(self._newest_that_fits(self._store.current().number))

    def destination_history(self) -> list[DestinationStay]:
        """Every destination there ever was up to the current version, by id, as if it were the newest."""
        number = self.current().number
        return [
            stay if stay.ended_before(number) else msgspec.structs.replace(stay, last_version=None)
            for stay in self._store.destination_history()
            if stay.first_version <= number
        ]

    def at(self, number: int) -> ReadyVersion:
        """The version of this number; raises `UnknownVersion`.

        A version of the past is never refused, since messages were accepted under it: a variable
        that is no longer set stays as written. Send with the settings of the current version.
        """
        return self._kept_version(number) or self._keep(self._store.at(number))

    def _check(self, version: Version) -> None:
        if version.number != self._fits:
            checked(version.document, catalog=self._catalog, environment=self._environment)
            self._fits = version.number

    def _newest_that_fits(self, newest: int) -> int:
        """Looked for once per newest version: neither versions nor the environment change."""
        if self._looked_back is None or self._looked_back[0] != newest:
            self._looked_back = (newest, self._look_back_from(newest))
        return self._looked_back[1]

    def _look_back_from(self, newest: int) -> int:
        for number in range(newest, 0, -1):
            try:
                self._check(self._store.at(number))
            except InvalidWorkspace:
                continue
            return number
        return 0

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
