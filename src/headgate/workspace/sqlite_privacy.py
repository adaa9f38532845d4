"""The privacy store in SQLite: suppressions and deletions in DIR/workspace.db (`database.py`)."""

from collections.abc import Collection, Iterable
from typing import Any

from headgate.workspace.database import SQL, DatabaseReader, DatabaseWriter
from headgate.workspace.privacy import (
    Deletion,
    RemoteDeletion,
    RemoteState,
    Suppression,
    SuppressionChange,
)


class SqlitePrivacyReader(DatabaseReader):
    """Reads suppressions and deletions."""

    def suppressed(self) -> frozenset[str]:
        return frozenset(user_id for (user_id,) in self._all("suppressed"))

    def suppression_change(self) -> int:
        return int(self._one("suppression_change")[0])

    def suppressions(self) -> list[Suppression]:
        return [Suppression(*row) for row in self._all("suppressions")]

    def suppression_changes(self, user_id: str) -> list[SuppressionChange]:
        rows = self._all("suppression_changes_of", user_id=user_id)
        return [SuppressionChange(user, at_ms, actor, bool(on)) for user, at_ms, actor, on in rows]

    def deletions(self) -> list[Deletion]:
        return [Deletion(*row) for row in self._all("deletions")]

    def open_deletions(self) -> list[Deletion]:
        return [Deletion(*row) for row in self._all("open_deletions")]

    def deletions_in_engage(self) -> list[Deletion]:
        return [Deletion(*row) for row in self._all("deletions_in_engage")]

    def remote_deletions(self) -> list[RemoteDeletion]:
        return [_remote_deletion(row) for row in self._all("remote_deletions")]

    def open_remote_deletions(self) -> list[RemoteDeletion]:
        return [_remote_deletion(row) for row in self._all("open_remote_deletions")]


class SqlitePrivacyStore(SqlitePrivacyReader, DatabaseWriter):
    """Reads and records suppressions and deletions."""

    def suppress(self, user_id: str, *, actor: str) -> bool:
        with self._writing() as execute:
            return self._change(execute, user_id, actor, suppressed=True)

    def unsuppress(self, user_id: str, *, actor: str) -> bool:
        with self._writing() as execute:
            return self._change(execute, user_id, actor, suppressed=False)

    def delete(self, user_id: str, *, actor: str, suppress: bool = False) -> Deletion:
        at_ms = self._clock.now_ms()
        asked = {"user_id": user_id, "at_ms": at_ms, "actor": actor}
        with self._writing() as execute:
            if suppress:
                self._change(execute, user_id, actor, suppressed=True)
            number = execute(SQL["add_deletion"], asked).lastrowid
        return Deletion(number, user_id, at_ms, actor)

    def take_up(self, seq: int) -> None:
        with self._writing() as execute:
            execute(SQL["take_up_deletions"], {"seq": seq})

    def facts_erased(self, ids: Collection[int], asks: Iterable[RemoteDeletion]) -> None:
        with self._writing() as execute:
            self._mark(execute, "facts_erased", ids)
            _write_remote(execute, "add_remote_deletion", asks)

    def log_erased(self, ids: Collection[int]) -> None:
        with self._writing() as execute:
            self._mark(execute, "log_erased", ids)

    def engage_erased(self, ids: Collection[int]) -> None:
        with self._writing() as execute:
            self._mark(execute, "engage_erased", ids)

    def history_erased(self, ids: Collection[int]) -> None:
        with self._writing() as execute:
            self._mark(execute, "history_erased", ids)

    def record_remote(self, states: Iterable[RemoteDeletion]) -> None:
        with self._writing() as execute:
            _write_remote(execute, "set_remote_deletion", states)

    def _change(self, execute: Any, user_id: str, actor: str, *, suppressed: bool) -> bool:
        change = {
            "user_id": user_id,
            "at_ms": self._clock.now_ms(),
            "actor": actor,
            "suppressed": suppressed,
        }
        if not execute(SQL["suppress" if suppressed else "unsuppress"], change).rowcount:
            return False
        execute(SQL["add_suppression_change"], change)
        return True

    def _mark(self, execute: Any, name: str, ids: Collection[int]) -> None:
        at_ms = self._clock.now_ms()
        for number in ids:
            execute(SQL[name], {"id": number, "at_ms": at_ms})


def _remote_deletion(row: tuple[Any, ...]) -> RemoteDeletion:
    deletion_id, user_id, scope, state, *rest = row
    return RemoteDeletion(deletion_id, user_id, scope, RemoteState(state), *rest)


def _write_remote(execute: Any, name: str, states: Iterable[RemoteDeletion]) -> None:
    for one in states:
        execute(
            SQL[name],
            (
                one.deletion_id,
                one.scope,
                one.state.value,
                one.at_ms,
                one.request_id,
                one.answer,
                one.attempts,
                one.failing_since_ms,
                one.due_at_ms,
            ),
        )
