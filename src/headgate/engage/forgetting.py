"""Forgetting: deleted users leave what Engage knows, then its history. Deletions are recorded in the workspace.

    taken up → withheld (`withheld.py`) → forgotten by the store → erased from history
                                           engage_erased            history_erased

Engage's process forgets when it starts and when it is told of a deletion. History is rewritten by

    python -m headgate.engage.forgetting DATA_DIR

which the gateway starts while there is something left to do. It forgets by itself first when no process of
Engage is there to do it, configured or not, so that no deletion waits for one. May be run again at any time.
"""

import logging
import os
import sys
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path

from headgate.clock import Clock, SystemClock
from headgate.engage.blanking import blank
from headgate.engage.history.parts import engage_store
from headgate.engage.profile import Identifier, Profile
from headgate.engage.reader import EngageReader
from headgate.engage.rules import USER_ID
from headgate.engage.store import EngageStore
from headgate.engage.sync import is_empty
from headgate.locks import Locked, hold
from headgate.workspace.privacy import Deletion, PrivacyStore
from headgate.workspace.sqlite_privacy import SqlitePrivacyStore

_NICE = 10

log = logging.getLogger("headgate.engage")


def forget(
    store: EngageStore, privacy: PrivacyStore, clock: Clock, *, done: Collection[int] = ()
) -> list[int]:
    """Forgets every user whose deletion was taken up: profile, identifiers, what waits to be told, violations.

    Returns the deletions, which are still to be recorded (`engage_erased`). Profiles that are at hand in
    memory are out of date when there are any. Those that are `done` are left out: what has become known of
    their users since then is of messages behind the deletion.
    """
    due = [
        one for one in _taken_up(privacy) if one.engage_erased_at_ms is None and one.id not in done
    ]
    for user_id in {one.user_id for one in due}:
        _forget_user(store, user_id, clock.now_ms())
    if due:
        store.wipe()
    return [one.id for one in due]


def _taken_up(privacy: PrivacyStore) -> list[Deletion]:
    return [one for one in privacy.deletions_in_engage() if one.cutoff_seq is not None]


def _forget_user(store: EngageStore, user_id: str, at_ms: int) -> None:
    named = Identifier(USER_ID, user_id)
    profile = store.find(named)
    if profile is not None:
        store.forget(profile, dict.fromkeys(_members(profile), -1), at_ms)
    store.forget_left_out(named)


def _members(profile: Profile) -> list[int]:
    """The audiences that the profile is in, and the traits that it has a value of."""
    return [number for number, value in profile.values.items() if not is_empty(value)]


def _forget_without_engage(data_dir: Path, privacy: PrivacyStore) -> None:
    """In place of Engage's process, which does it by itself where there is one."""
    if not engage_store(data_dir).exists():
        privacy.engage_erased([one.id for one in _taken_up(privacy)])
        return
    try:
        lock = hold(data_dir / "engage.lock", 0)
    except Locked:
        return
    with lock, closing(EngageStore(engage_store(data_dir))) as store:
        privacy.engage_erased(forget(store, privacy, SystemClock()))


def _erase_history(data_dir: Path, privacy: PrivacyStore) -> None:
    """Of everybody whom the store has forgotten by now."""
    due = [one.id for one in _taken_up(privacy) if one.engage_erased_at_ms is not None]
    if due and engage_store(data_dir).exists():
        with closing(EngageReader(engage_store(data_dir))) as store:
            _erase(data_dir, store.forgotten())
    privacy.history_erased(due)


def _erase(data_dir: Path, profiles: Sequence[int]) -> None:
    from headgate.engage.history.erasing import erase

    if profiles:
        blank(engage_store(data_dir).parent, frozenset(profiles))
        erased = erase(data_dir, profiles).erased
        log.info("Engage's history holds nothing of deleted users any more: %s messages", erased)


def main(arguments: Sequence[str]) -> int:
    """What the gateway starts: DATA_DIR; the exit status."""
    os.nice(_NICE)
    data_dir = Path(arguments[0])
    with closing(SqlitePrivacyStore(data_dir / "workspace.db", SystemClock())) as privacy:
        _forget_without_engage(data_dir, privacy)
        _erase_history(data_dir, privacy)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
