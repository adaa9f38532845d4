"""The workspace store in SQLite: the versions in DIR/workspace.db (`database.py`)."""

from collections.abc import Iterable, Iterator

import msgspec

from headgate.workspace.database import SQL, DatabaseReader, DatabaseWriter
from headgate.workspace.document import empty, encoded
from headgate.workspace.errors import Conflict, UnknownVersion
from headgate.workspace.model import Document
from headgate.workspace.store import (
    DestinationStay,
    Version,
    conflict_text,
    slugs_of_destinations,
)
from headgate.workspace.used_keys import refuse_used_keys


class SqliteWorkspaceReader(DatabaseReader):
    """Reads versions."""

    def current(self) -> Version:
        row = self._one("current")
        return _version(row) if row else Version(0, 0, "", empty())

    def at(self, number: int) -> Version:
        if number == 0:
            return Version(0, 0, "", empty())
        row = self._one("at", version=number)
        if row is None:
            raise UnknownVersion(f"no workspace version {number}")
        return _version(row)

    def refuse_used_keys(self, document: Document) -> None:
        refuse_used_keys(document, _documents(self._all("documents")))

    def applied_file_digest(self) -> str | None:
        row = self._one("applied_file")
        return row[0] if row else None

    def destination_ids(self, number: int) -> dict[str, int]:
        self.at(number)
        return dict(self._all("destinations_at", version=number))

    def destination_history(self) -> list[DestinationStay]:
        return [DestinationStay(*row) for row in self._all("destination_history")]


class SqliteWorkspaceStore(SqliteWorkspaceReader, DatabaseWriter):
    """Reads and commits versions."""

    def commit(
        self,
        document: Document,
        *,
        actor: str,
        expected_version: int | None = None,
        applied_digest: str | None = None,
    ) -> int:
        with self._writing() as execute:
            newest = execute(SQL["current"]).fetchone()
            before = newest[0] if newest else 0
            if expected_version not in (None, before):
                raise Conflict(conflict_text(expected_version, before))
            if applied_digest is not None:
                execute(SQL["remember_applied_file"], {"digest": applied_digest})
            text = encoded(document).decode()
            if text == (newest[3] if newest else encoded(empty()).decode()):
                return before
            refuse_used_keys(document, _documents(execute(SQL["documents"])))
            return self._add(document, text, actor=actor, before=before)

    def _add(self, document: Document, text: str, *, actor: str, before: int) -> int:
        execute = self._connection.execute
        number = before + 1
        row = {"version": number, "at_ms": self._clock.now_ms(), "actor": actor, "document": text}
        execute(SQL["add_version"], row)
        present = dict(execute(SQL["destinations_at"], {"version": before}).fetchall())
        slugs = slugs_of_destinations(document)
        for slug in present:
            if slug not in slugs:
                execute(SQL["end_destination"], {"slug": slug, "version": before})
        for slug in slugs:
            if slug not in present:
                execute(SQL["add_destination"], {"slug": slug, "version": number})
        return number


def _documents(rows: Iterable[tuple[str]]) -> Iterator[Document]:
    return (msgspec.json.decode(text) for (text,) in rows)


def _version(row: tuple[int, int, str, str]) -> Version:
    return Version(row[0], row[1], row[2], msgspec.json.decode(row[3]))
