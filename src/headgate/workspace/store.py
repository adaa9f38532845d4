"""The seam of the workspace store: every version of the workspace, as written, in order.

Implemented by `sqlite_store.py` (DIR/workspace.db, several writing processes) and by
`memory_store.py`; one contract suite runs over both. Documents are trusted to be canonical: check
them first (`document.checked`, `file.parse`).

Invariants: versions are numbered 1, 2, 3 … without gaps and never change; version 0 is the empty
workspace before the first commit. A destination's id belongs to one slug and one unbroken stay.
"""

from typing import Protocol

import msgspec

from headgate.workspace.model import Document


class Version(msgspec.Struct, frozen=True):
    """One version: when it was committed (Unix milliseconds), by whom, and the whole document."""

    number: int
    at_ms: int
    actor: str
    document: Document


class DestinationStay(msgspec.Struct, frozen=True):
    """A destination's id and the versions that have it; `last_version` is None while it is there."""

    id: int
    slug: str
    first_version: int
    last_version: int | None

    def covers(self, number: int) -> bool:
        """Whether the destination is in the version of this number."""
        return self.first_version <= number and not self.ended_before(number)

    def ended_before(self, number: int) -> bool:
        """Whether the destination was gone by the version of this number."""
        return self.last_version is not None and self.last_version < number


class WorkspaceReader(Protocol):
    """What commands and the server read. Every method may raise `StoreBusy` or `UnusableStore`."""

    def current(self) -> Version:
        """The newest version; number 0 and an empty document before the first commit."""

    def at(self, number: int) -> Version:
        """The version of this number; raises `UnknownVersion`."""

    def refuse_used_keys(self, document: Document) -> None:
        """Raises `InvalidWorkspace` when this document cannot follow on the newest version (`used_keys.py`)."""

    def applied_file_digest(self) -> str | None:
        """The digest of the file that `serve` applied last; `None` before the first."""

    def destination_ids(self, number: int) -> dict[str, int]:
        """The id of each destination of a version by its slug; raises `UnknownVersion`."""

    def destination_history(self) -> list[DestinationStay]:
        """Every destination there ever was, by id."""

    def close(self) -> None:
        """Let go of the store; may be called again."""


class WorkspaceStore(WorkspaceReader, Protocol):
    """A reader that may also commit."""

    def commit(
        self,
        document: Document,
        *,
        actor: str,
        expected_version: int | None = None,
        applied_digest: str | None = None,
    ) -> int:
        """Make this document the newest version, durably, and return its number.

        A document equal to the newest one makes no version; the newest number is returned.
        Raises `InvalidWorkspace` when the key of a computation was another's before (`used_keys.py`).
        `expected_version`: raises `Conflict` and changes nothing when the newest is another one.
        `applied_digest`: remembered in the same transaction, also when no version is made.
        """


def slugs_of_destinations(document: Document) -> list[str]:
    """The slugs of a document's destinations, in order."""
    return [item["slug"] for item in document["destinations"]]


def conflict_text(expected: int, found: int) -> str:
    """What a `Conflict` says."""
    return f"expected workspace version {expected} to be the newest, found {found}: look again"
