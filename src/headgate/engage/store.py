"""Engage's store, `engage.db`: batches go in here, and come out by `reader.py`.

One process writes it, one thread at a time. A commit is durable when `commit` returns.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from headgate.engage.batch import Batch, Changes, Written
from headgate.engage.profile import Identifier, Profile
from headgate.engage.reader import (
    VERSION,
    Computed,
    EngageReader,
    OtherStore,
    key_of,
    other_version,
)
from headgate.engage.violations import KEPT, shown
from headgate.queries import load_queries, migrate, schema_version

_PACKAGE = "headgate.engage"
_SQL = load_queries(_PACKAGE)
_HOUR_MS = 3_600_000

_CACHE_KIB = 64 * 1024
_CHECKPOINT_PAGES = 16 * 1024  # 64 MiB: pages of many batches are written home once


class KeyTaken(Exception):
    """A computation's key was used before by another one; its text is the key."""


class EngageStore(EngageReader):
    """The one writer. Opening makes a missing store and brings an older one up to date.

    Raises OtherStore when a newer Headgate wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        found = schema_version(self._db)
        if found > VERSION:
            self._db.close()
            raise OtherStore(other_version(path, found))
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("PRAGMA secure_delete = ON")  # who is forgotten is overwritten
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        migrate(self._db, _PACKAGE)

    def reader(self) -> EngageReader:
        """A reader of what has landed, for use while something else lands."""
        return EngageReader(self._path)

    def commit(self, batch: Batch) -> None:
        """Makes a batch durable, all or nothing; sqlite3.Error when it could not be."""
        self.write(batch)
        self.land()

    def write(self, batch: Batch) -> None:
        """The first half of a commit: nobody sees it before `land`, and nothing else may be asked meanwhile."""
        with self._rolled_back_on_error():
            self._db.execute("BEGIN IMMEDIATE")
            self._write_profiles(batch.changes)
            self._write_figures(batch)
            many = self._db.executemany
            self._write_outbox(batch)
            many(
                _SQL["add_assigned"],
                [(one.first_seq, one.n, one.profiles) for one in batch.assigned],
            )
            if batch.backfilled is not None:
                self._db.execute(_SQL["backfilled_to"], batch.backfilled)
            if batch.heard is not None:
                self._db.execute(_SQL["set_heard"], (batch.heard,))
            self._db.execute(
                _SQL["set_position"], (batch.seq, batch.clock_ms, batch.changes.last_profile)
            )

    def land(self) -> None:
        """The second half, which waits for the disk: the batch is durable when it returns.

        Most of a commit's time, none of it under the interpreter's lock: a thread may do it while others
        read through an `EngageReader` of their own.
        """
        with self._rolled_back_on_error():
            self._db.execute("COMMIT")

    def taken(self, numbers: Iterable[int]) -> None:
        """The log has these messages of the outbox.

        On the disk with the next batch: the log knows them again should that be lost.
        """
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            with self._transaction():
                self._db.executemany(_SQL["taken"], [(number,) for number in numbers])
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    def archived(self, up_to_seq: int) -> None:
        """History has the messages of every batch that begins at `up_to_seq` or before."""
        self._db.execute(_SQL["archived"], (up_to_seq,))

    def swept_to(self, id_: int | None) -> None:
        """The sweep has seen everybody up to this profile, 0 when it begins; None: it is over."""
        if id_ is None:
            self._db.execute(_SQL["end_sweep"])
        else:
            self._db.execute(_SQL["set_sweep"], (id_,))

    def save_computations(self, computations: Iterable[Computed]) -> None:
        """Records computations as they are now, all or none. Raises KeyTaken when one is not the key's first."""
        with self._transaction():
            for one in computations:
                try:
                    saved = self._db.execute(_SQL["save_computation"], one).rowcount
                except sqlite3.IntegrityError as error:
                    raise KeyTaken(one.key) from error
                if not saved:
                    raise KeyTaken(one.key)

    def leaf_number(self, text: str) -> int:
        """The number that stands for this leaf, which lacks nothing if it is new."""
        return self.leaves().get(text) or self.add_leaf(text, None)

    def add_leaf(self, text: str, backfill: tuple[int, int] | None) -> int:
        """The number that stands for this leaf from now on; `backfill`: the job and the number of a message
        up to which it is to be given messages of the past.
        """
        with self._transaction():
            number = self._db.execute(_SQL["add_leaf"], (text,)).lastrowid
            assert number is not None
            if backfill is not None:
                self._db.execute(_SQL["add_backfill"], (number, *backfill))
        return number

    def drop_leaves(self, numbers: Iterable[int]) -> None:
        """No computation has these leaves any more."""
        with self._transaction():
            for number in numbers:
                self._db.execute(_SQL["drop_leaf"], (number,))
                self._db.execute(_SQL["end_backfill"], (number,))

    def end_backfill(self, leaves: Iterable[int]) -> None:
        """These leaves have been given everything."""
        with self._transaction():
            self._db.executemany(_SQL["end_backfill"], [(leaf,) for leaf in leaves])

    def forget(self, profile: Profile, sizes: Mapping[int, int], at_ms: int) -> list[int]:
        """Deletes a person: record, identifiers, what waits for the log. `sizes` is what to add to members.

        Returns the numbers by which history knows the person.
        """
        ids = [id_ for (id_,) in self._db.execute(_SQL["merged_into"], (profile.id,))]
        with self._transaction():
            self._db.execute(_SQL["drop_profile"], (profile.id,))
            self._db.execute(_SQL["drop_merged"], (profile.id,))
            many = self._db.executemany
            many(_SQL["drop_holder"], [(key_of(one),) for one in profile.identifiers])
            named = [(shown(one.type), shown(one.value)) for one in profile.identifiers]
            many(_SQL["forget_violations"], named)
            many(_SQL["forget_outbox"], [(user_id,) for user_id in profile.of_type("user_id")])
            many(_SQL["add_forgotten"], [(id_,) for id_ in (profile.id, *ids)])
            self._write_sizes(sizes, at_ms)
        return [profile.id, *ids]

    def forget_left_out(self, identifier: Identifier) -> None:
        """Deletes what says that this identifier was left out, whoever has it."""
        named = (shown(identifier.type), shown(identifier.value))
        self._db.execute(_SQL["forget_violations"], named)

    def wipe(self) -> None:
        """Has nothing of who was forgotten left in the file beside the store."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._rolled_back_on_error():
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")

    @contextmanager
    def _rolled_back_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _write_profiles(self, changes: Changes) -> None:
        """In the order of their numbers, neighbours on one page being written together."""
        many = self._db.executemany
        written = sorted(changes.written, key=lambda one: one.id)
        new = [one for one in written if one.is_new]
        timed = [one for one in written if one.is_due_new and not one.is_new]
        others = [one for one in written if not one.is_due_new and not one.is_new]
        many(_SQL["drop_profile"], [(id_,) for id_, _ in changes.gone])
        many(_SQL["merge_earlier"], changes.gone)
        many(_SQL["merge"], changes.gone)
        many(_SQL["write_profile"], [(one.id, one.record) for one in others])
        many(_SQL["write_due_profile"], map(_row, timed))
        many(_SQL["add_profile"], map(_row, new))
        many(_SQL["set_holder"], sorted(changes.held))

    def _write_outbox(self, batch: Batch) -> None:
        """What is urgent takes along what waits behind of the same users: each user is told in order."""
        many = self._db.executemany
        if not batch.behind:
            many(_SQL["bring_outbox_forward"], [(one.user_id,) for one in batch.outbox])
        many(
            _SQL["add_outbox"],
            [
                (one.destination, one.user_id, one.message_id, one.raw, batch.behind)
                for one in batch.outbox
            ],
        )

    def _write_figures(self, batch: Batch) -> None:
        many = self._db.executemany
        self._write_sizes(batch.sizes, batch.clock_ms)
        many(_SQL["count"], batch.counters.items())
        if batch.violations:
            many(
                _SQL["add_violation"],
                [(v.kind, v.at_ms, v.message_id, v.type, v.value) for v in batch.violations],
            )
            self._db.execute(_SQL["drop_old_violations"], (KEPT,))

    def _write_sizes(self, sizes: Mapping[int, int], at_ms: int) -> None:
        hour_ms = at_ms - at_ms % _HOUR_MS
        changed = [(number, n) for number, n in sizes.items() if n]
        self._db.executemany(_SQL["add_size"], changed)
        self._db.executemany(_SQL["note_size"], [(number, hour_ms) for number, _ in changed])


def _row(one: Written) -> tuple[int, int | None, bytes]:
    return one.id, one.due_at_ms, one.record
