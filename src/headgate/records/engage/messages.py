"""The messages of people: those in the archive, and those of the log that the archive has not taken over.

Found by the profile that each message was given when it was read, not by what it says, so that they are
exactly those that the computations have seen.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from headgate.engage.batch import Assigned
from headgate.engage.history.parts import history_directory, parts_in
from headgate.engage.observe import observe
from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier
from headgate.engage.rules import Rules
from headgate.engage.violations import Violations
from headgate.eventlog.block import BrokenBlock
from headgate.eventlog.interface import LogReader
from headgate.eventlog.sqlite import sqlite_reader
from headgate.records.engage.archived import Asked, Row
from headgate.records.engage.stored import Engaged
from headgate.spec.message import normalize
from headgate.spec.names import configured_source
from headgate.spec.repair import DECODE_ERRORS

_READER = "headgate.records.engage.archived"
_BATCHES_AT_ONCE = 1_000
_ANSWER_WITHIN_S = 60.0
_RULES = Rules()

_rows = msgspec.json.Decoder(list[Row]).decode
_identifiers = msgspec.json.Decoder(tuple[Identifier, ...]).decode


def messages_of(
    store: Engaged,
    data_dir: Path,
    profile: int,
    *,
    names: Sequence[str] | None = None,
    since_ms: int = 0,
    newest: int | None = None,
) -> list[Observed]:
    """The person's messages, oldest first by their own time; without `names` all. Identifies have the name "".

    `since_ms` is of the messages' own time. With `newest`, so many of each name are enough, and no more than
    about that are given. Raises OSError when the archive cannot be read.
    """
    found = messages_of_each(
        store, data_dir, [profile], names=names, since_ms=since_ms, newest=newest
    )
    return found[profile]


def messages_of_each(
    store: Engaged,
    data_dir: Path,
    profiles: Sequence[int],
    *,
    names: Sequence[str] | None = None,
    since_ms: int = 0,
    newest: int | None = None,
) -> dict[int, list[Observed]]:
    """The same of several people, by profile."""
    whose = {number: one for one in profiles for number in store.numbers_of(one)}
    by_profile: dict[int, dict[int, Observed]] = {one: {} for one in profiles}
    if whose and (names is None or names):
        asked = Asked(list(whose), since_ms, None if names is None else list(names), newest)
        waiting = list(_waiting(store, data_dir, asked))  # before what may take them over
        for number, observed in (*waiting, *_archived(data_dir, asked)):
            by_profile[whose[number]][observed.seq] = observed
    return {one: sorted(found.values(), key=_in_time) for one, found in by_profile.items()}


def _in_time(one: Observed) -> tuple[int, int, str]:
    return one.at_ms, one.received_at_ms, one.message_id


def _archived(data_dir: Path, asked: Asked) -> Iterator[tuple[int, Observed]]:
    """By a process of its own: what reads the archive is too large for those who serve."""
    if not parts_in(history_directory(data_dir)):
        return
    answer = subprocess.run(
        [sys.executable, "-m", _READER, str(data_dir)],
        input=msgspec.json.encode(asked),
        capture_output=True,
        timeout=_ANSWER_WITHIN_S,
        check=False,
    )
    if answer.returncode:
        last = answer.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise OSError(f"history cannot be read: {last}")
    yield from ((row.profile, _observed_of(row)) for row in _rows(answer.stdout))


def _observed_of(row: Row) -> Observed:
    def of(text: str) -> dict[str, Any]:
        return dict(msgspec.json.decode(text))

    return Observed(
        seq=row.seq,
        message_id=row.message_id,
        source=row.source,
        at_ms=row.at_ms,
        received_at_ms=row.received_at_ms,
        name=row.name,
        identifiers=_identifiers(row.identifiers),
        properties=of(row.properties),
        context=of(row.context),
        traits=of(row.traits),
    )


def _waiting(store: Engaged, data_dir: Path, asked: Asked) -> Iterator[tuple[int, Observed]]:
    with closing(sqlite_reader(data_dir / "log")) as log:
        for batch in _assigned(store):
            owners = np.frombuffer(batch.profiles, "<i8")
            for place in np.flatnonzero(np.isin(owners, asked.profiles)).tolist():
                observed = _message(log, batch.first_seq + place)
                if observed is not None and asked.fits(observed):
                    yield int(owners[place]), observed


def _assigned(store: Engaged) -> Iterator[Assigned]:
    after = 0
    while found := store.assigned(after, _BATCHES_AT_ONCE):
        yield from found
        after = found[-1].first_seq


def _message(log: LogReader, seq: int) -> Observed | None:
    """None for what the log does not hold any more, or not undamaged."""
    try:
        entry = log.entry(seq)
        if entry.envelope.erased:
            return None
        message = normalize(entry.raw, entry.envelope, entry.given_id)
    except (KeyError, BrokenBlock, *DECODE_ERRORS):
        return None
    return observe(message, seq, configured_source(entry.envelope.source), _RULES, Violations())
