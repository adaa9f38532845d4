"""One trial: `python -m headgate.records.trial DATA_DIR SCRATCH`, a question in, an answer out.

Reads a `trials.Question` as JSON from stdin, writes a `trials.Tried`, `Seen` or `Untold` to stdout. Where Engage
has never run, there is no store that says who is who; people are told apart in `SCRATCH` then, for this answer
only, from a log that is not too long.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from headgate.clock import SystemClock
from headgate.engage.computation.model import Computation
from headgate.engage.engine import Engine
from headgate.engage.history.definitions import computations_of
from headgate.engage.history.parts import engage_store
from headgate.engage.history.preview import Asked, Preview, preview
from headgate.engage.history.seen import seen
from headgate.engage.history.view import View, opened
from headgate.engage.plan import plan_of
from headgate.engage.planning import records_of
from headgate.engage.registry import Record
from headgate.engage.rules import USER_ID
from headgate.engage.store import EngageStore
from headgate.engage.withheld import WithheldLog
from headgate.eventlog.sqlite import sqlite_reader
from headgate.language.checks import Cycle
from headgate.language.errors import DefinitionError
from headgate.records.stored import Stored
from headgate.records.trials import Event, Field, Person, Question, Seen, Top, Tried, Untold
from headgate.stores import LOG, WORKSPACE
from headgate.workspace.privacy import cutoffs_of
from headgate.workspace.sqlite_privacy import SqlitePrivacyReader
from headgate.workspace.sqlite_store import SqliteWorkspaceReader
from headgate.workspace.table import Catalog

_MOST_WITHOUT_ENGAGE = 300_000  # messages; about 20 s
_NO_SETTINGS: Catalog = {}  # those of destinations are not asked for


def answer(data_dir: Path, scratch: Path, question: Question) -> Tried | Seen | Untold:
    """What there is to say."""
    directory = data_dir
    if not engage_store(data_dir).exists():
        if (waiting := _waiting(data_dir)) > _MOST_WITHOUT_ENGAGE:
            return Untold(
                f"nothing is computed yet, and {waiting:,} messages are too many to begin with for a"
                " count: the size is known soon after the first audience is created"
            )
        directory = scratch
        _tell_apart(data_dir, scratch)
    with opened(directory) as view:
        if not question.kind:
            return _seen(view)
        try:
            return _tried(view, question)
        except DefinitionError as error:
            return Untold(error.sentence)
        except Cycle as error:
            return Untold(f"computations read each other in a circle: {error}")


def _waiting(data_dir: Path) -> int:
    with closing(sqlite_reader(data_dir / LOG)) as log:
        return max(0, log.last_seq() - log.first_seq() + 1)


def _tell_apart(data_dir: Path, scratch: Path) -> None:
    """Who is who, by the workspace's rules; what users said who are to be forgotten is left out."""
    (scratch / LOG).symlink_to((data_dir / LOG).absolute(), target_is_directory=True)
    store_path = engage_store(scratch)
    store_path.parent.mkdir(mode=0o700)
    with (
        closing(SqlitePrivacyReader(data_dir / WORKSPACE)) as privacy,
        closing(SqliteWorkspaceReader(data_dir / WORKSPACE)) as workspace,
        closing(WithheldLog(sqlite_reader(data_dir / LOG))) as log,
        closing(EngageStore(store_path)) as store,
    ):
        log.withhold(cutoffs_of(privacy.open_deletions()))
        stored = Stored(data_dir, workspace, catalog=_NO_SETTINGS, environment=os.environ)
        engage = stored.current.workspace.engage
        engine = Engine(event_log=log, store=store, clock=SystemClock())
        engine.use(plan_of([], engage, {}, store.leaf_number))
        while engine.read():
            pass


def _tried(view: View, question: Question) -> Tried:
    known = records_of(view.store.computations())
    before = next((one for one in known if one.key == question.against), None)
    asked = _asked(question, before, view)
    found = preview(view, asked, SystemClock().now_ms())
    held = _members_of(view, computations_of(known), asked.overlap)
    return Tried(
        at_ms=found.at_ms,
        known=found.profiles,
        people=found.having,
        deliverable=found.deliverable,
        calls=_calls(view, found),
        sample=[_person(one.identifiers, one.value) for one in found.sample],
        entering=None if found.overlap is None else found.having - found.overlap,
        leaving=None if found.overlap is None else held - found.overlap,
        least=found.least,
        greatest=found.greatest,
        top=[Top(one.value, one.profiles) for one in found.top],
    )


def _asked(question: Question, before: Record | None, view: View) -> Asked:
    """A definition that replaces one of an audience is held against it, and has begun when that did."""
    is_trait = question.kind == "trait"
    compared = before is not None and before.is_audience and not is_trait
    now_ms = max(SystemClock().now_ms(), view.position.clock_ms)
    return Asked(
        kind="trait" if is_trait else "audience",
        definition=question.definition,
        include_history=_history(question, before, now_ms),
        include_anonymous=True if is_trait else question.include_anonymous,
        wait=question.wait,
        overlap=question.against if compared else "",
        sample=question.sample,
        at_ms=now_ms,
    )


def _history(question: Question, before: Record | None, now_ms: int) -> bool | str:
    """As if it were created when the one before was; only a definition without any past needs that."""
    if before is None or question.include_history is not False:
        return question.include_history
    return f"{max(1, (now_ms - before.created_at_ms) // 1000)} seconds"


def _members_of(view: View, known: Mapping[str, Computation], key: str) -> int:
    """How many are in the audience that was compared with."""
    if not key:
        return 0
    table = f"computed{known[key].number}"
    return int(view.rows(f"SELECT count(*) FROM {table} WHERE value = 'true'")[0][0])


def _calls(view: View, found: Preview) -> int:
    """One for each userId; few people have more than one."""
    ids, times = np.unique(view.store.who_have((USER_ID,)), return_counts=True)
    several = {int(id_): int(n) for id_, n in zip(ids, times, strict=True) if n > 1}
    if not several:
        return found.deliverable
    listed = ", ".join(map(str, several))
    members = view.rows(f"SELECT profile FROM member WHERE profile IN ({listed})")
    return found.deliverable + sum(several[profile] - 1 for (profile,) in members)


def _person(identifiers: list[Any], value: Any) -> Person:
    return Person([(one.type, one.value) for one in identifiers], value)


def _seen(view: View) -> Seen:
    found = seen(view)
    events = [
        Event(one.name, one.messages, [Field(field.path, field.messages) for field in one.properties])
        for one in found.events
    ]  # fmt: skip
    return Seen(events, [Field(one.path, one.messages) for one in found.traits])


def main() -> None:
    """What `Trials` starts."""
    data_dir, scratch = map(Path, sys.argv[1:])
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(answer(data_dir, scratch, question)))


if __name__ == "__main__":
    main()
