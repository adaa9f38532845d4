"""The in-memory twin of the privacy store, for tests and simulations."""

from collections.abc import Collection, Iterable

from msgspec.structs import replace

from headgate.clock import Clock
from headgate.workspace.errors import StoreError
from headgate.workspace.privacy import (
    Deletion,
    RemoteDeletion,
    RemoteState,
    Suppression,
    SuppressionChange,
)

_FINAL = (RemoteState.COMPLETE, RemoteState.FAILED)


class MemoryPrivacyStore:
    """Keeps everything in dicts and lists. `fails_with`, when set, is raised by whatever records."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._suppressed: dict[str, Suppression] = {}
        self._changes: list[SuppressionChange] = []
        self._deletions: dict[int, Deletion] = {}
        self._remote: dict[tuple[int, str], RemoteDeletion] = {}
        self.fails_with: StoreError | None = None

    def suppressed(self) -> frozenset[str]:
        return frozenset(self._suppressed)

    def suppression_change(self) -> int:
        return len(self._changes)

    def suppressions(self) -> list[Suppression]:
        return sorted(self._suppressed.values(), key=lambda one: (one.at_ms, one.user_id))

    def suppression_changes(self, user_id: str) -> list[SuppressionChange]:
        return [change for change in self._changes if change.user_id == user_id]

    def deletions(self) -> list[Deletion]:
        return list(self._deletions.values())

    def open_deletions(self) -> list[Deletion]:
        return [one for one in self._deletions.values() if one.log_erased_at_ms is None]

    def deletions_in_engage(self) -> list[Deletion]:
        return [one for one in self._deletions.values() if one.history_erased_at_ms is None]

    def remote_deletions(self) -> list[RemoteDeletion]:
        return [self._remote[key] for key in sorted(self._remote)]

    def open_remote_deletions(self) -> list[RemoteDeletion]:
        return [one for one in self.remote_deletions() if one.state not in _FINAL]

    def close(self) -> None:
        """Nothing to let go of."""

    def suppress(self, user_id: str, *, actor: str) -> bool:
        self._fail()
        if user_id in self._suppressed:
            return False
        self._suppressed[user_id] = Suppression(user_id, self._clock.now_ms(), actor)
        self._changes.append(SuppressionChange(user_id, self._clock.now_ms(), actor, True))
        return True

    def unsuppress(self, user_id: str, *, actor: str) -> bool:
        self._fail()
        if self._suppressed.pop(user_id, None) is None:
            return False
        self._changes.append(SuppressionChange(user_id, self._clock.now_ms(), actor, False))
        return True

    def delete(self, user_id: str, *, actor: str, suppress: bool = False) -> Deletion:
        self._fail()
        if suppress:
            self.suppress(user_id, actor=actor)
        deletion = Deletion(len(self._deletions) + 1, user_id, self._clock.now_ms(), actor)
        self._deletions[deletion.id] = deletion
        return deletion

    def take_up(self, seq: int) -> None:
        self._fail()
        for one in self.open_deletions():
            if one.cutoff_seq is None:
                self._deletions[one.id] = replace(one, cutoff_seq=seq)

    def facts_erased(self, ids: Collection[int], asks: Iterable[RemoteDeletion]) -> None:
        self._fail()
        for one in self.deletions():
            if one.id in ids and one.facts_erased_at_ms is None:
                self._deletions[one.id] = replace(one, facts_erased_at_ms=self._clock.now_ms())
        for ask in asks:
            self._remote.setdefault((ask.deletion_id, ask.scope), ask)

    def log_erased(self, ids: Collection[int]) -> None:
        self._fail()
        for one in self.open_deletions():
            if one.id in ids:
                self._deletions[one.id] = replace(one, log_erased_at_ms=self._clock.now_ms())

    def engage_erased(self, ids: Collection[int]) -> None:
        self._fail()
        for one in self.deletions():
            if one.id in ids and one.engage_erased_at_ms is None:
                self._deletions[one.id] = replace(one, engage_erased_at_ms=self._clock.now_ms())

    def history_erased(self, ids: Collection[int]) -> None:
        self._fail()
        for one in self.deletions_in_engage():
            if one.id in ids and one.engage_erased_at_ms is not None:
                self._deletions[one.id] = replace(one, history_erased_at_ms=self._clock.now_ms())

    def record_remote(self, states: Iterable[RemoteDeletion]) -> None:
        self._fail()
        self._remote.update(((one.deletion_id, one.scope), one) for one in states)

    def _fail(self) -> None:
        if self.fails_with is not None:
            raise self.fails_with
