"""The in-memory twin of the workspace store, for tests and simulations."""

from headgate.clock import Clock
from headgate.workspace.document import empty, encoded
from headgate.workspace.errors import Conflict, StoreError, UnknownVersion
from headgate.workspace.model import Document
from headgate.workspace.store import (
    DestinationStay,
    Version,
    conflict_text,
    slugs_of_destinations,
)
from headgate.workspace.used_keys import refuse_used_keys


class MemoryWorkspaceStore:
    """Keeps versions in a list. `fails_with`, when set, is raised by every commit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._versions = [Version(0, 0, "", empty())]
        self._stays: list[DestinationStay] = []
        self._digest: str | None = None
        self.fails_with: StoreError | None = None

    def current(self) -> Version:
        return self._versions[-1]

    def at(self, number: int) -> Version:
        if not 0 <= number < len(self._versions):
            raise UnknownVersion(f"no workspace version {number}")
        return self._versions[number]

    def refuse_used_keys(self, document: Document) -> None:
        refuse_used_keys(document, (version.document for version in reversed(self._versions)))

    def applied_file_digest(self) -> str | None:
        return self._digest

    def destination_ids(self, number: int) -> dict[str, int]:
        self.at(number)
        return {stay.slug: stay.id for stay in self._stays if stay.covers(number)}

    def destination_history(self) -> list[DestinationStay]:
        return list(self._stays)

    def close(self) -> None:
        """Nothing to let go of."""

    def commit(
        self,
        document: Document,
        *,
        actor: str,
        expected_version: int | None = None,
        applied_digest: str | None = None,
    ) -> int:
        if self.fails_with is not None:
            raise self.fails_with
        newest = self.current()
        if expected_version not in (None, newest.number):
            raise Conflict(conflict_text(expected_version, newest.number))
        if applied_digest is not None:
            self._digest = applied_digest
        if encoded(document) == encoded(newest.document):
            return newest.number
        self.refuse_used_keys(document)
        return self._add(document, actor)

    def _add(self, document: Document, actor: str) -> int:
        before = self.current().number
        number = before + 1
        self._versions.append(Version(number, self._clock.now_ms(), actor, document))
        slugs = slugs_of_destinations(document)
        self._stays = [
            DestinationStay(stay.id, stay.slug, stay.first_version, before)
            if stay.last_version is None and stay.slug not in slugs
            else stay
            for stay in self._stays
        ]
        present = {stay.slug for stay in self._stays if stay.last_version is None}
        for slug in slugs:
            if slug not in present:
                self._stays.append(DestinationStay(len(self._stays) + 1, slug, number, None))
        return number
