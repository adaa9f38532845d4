"""The management API's regulations: users who are to be forgotten, or of whom nothing more is taken in.

The same as `headgate suppress`, `unsuppress` and `delete`. https://docs.segmentapis.com/tag/Deletion-and-Suppression
"""

from contextlib import closing
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from headgate.app.operations import Operation
from headgate.app.visit import Call, NothingHere
from headgate.control import tell_privacy_changed
from headgate.spec.timestamps import iso_ms
from headgate.stores import WORKSPACE
from headgate.workspace.privacy import Deletion
from headgate.workspace.sqlite_privacy import SqlitePrivacyReader, SqlitePrivacyStore

MOST_USERS = 5_000  # as many as Segment takes in one call

RegulationType = Literal["SUPPRESS_ONLY", "UNSUPPRESS", "SUPPRESS_WITH_DELETE", "DELETE_ONLY"]
Status = Literal["INITIALIZED", "RUNNING", "FINISHED"]
UserId = Annotated[str, Meta(min_length=1, max_length=1_000)]


class NewRegulation(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What users want, by userId, to the letter."""

    regulation_type: RegulationType
    subject_type: Literal["USER_ID"]
    subject_ids: Annotated[list[UserId], Meta(min_length=1, max_length=MOST_USERS)]


class Regulation(msgspec.Struct, frozen=True, rename="camel"):
    """One user who is to be forgotten here. FINISHED: nothing of the user is stored any more."""

    id: str
    subject_type: Literal["USER_ID"]
    subject_id: str
    status: Status
    created_at: str
    created_by: str


class Regulations(msgspec.Struct, frozen=True):
    """Users who are to be forgotten, or were."""

    regulations: list[Regulation]


class OneRegulation(msgspec.Struct, frozen=True):
    """One user who is to be forgotten, or was."""

    regulation: Regulation


class Suppressed(msgspec.Struct, frozen=True, rename="camel"):
    """One user of whom nothing is taken in, since when, and who wanted that."""

    user_id: str
    suppressed_at: str
    suppressed_by: str


class Suppressions(msgspec.Struct, frozen=True):
    """Everybody of whom nothing is taken in."""

    suppressed: list[Suppressed]


class Regulated(msgspec.Struct, frozen=True):
    """What was recorded; `trouble` says why the running server does not use it yet, when it does not."""

    regulations: list[Regulation]
    trouble: str


def regulations(asked: Call) -> Regulations:
    """List every user who was deleted, or is being deleted."""
    return Regulations([_told(one) for one in _deletions(asked)])


def regulation(asked: Call) -> OneRegulation:
    """Show one deletion."""
    named = asked.request.path_params["regulateId"]
    found = next((one for one in _deletions(asked) if str(one.id) == named), None)
    if found is None:
        raise NothingHere(f"There is no regulation {named}.")
    return OneRegulation(_told(found))


def suppressions(asked: Call) -> Suppressions:
    """List every user of whom nothing is taken in."""
    with closing(SqlitePrivacyReader(asked.parts.outside.data_dir / WORKSPACE)) as store:
        found = store.suppressions()
    return Suppressions([Suppressed(one.user_id, iso_ms(one.at_ms), one.actor) for one in found])


def regulate(asked: Call) -> Regulated:
    """Delete users, suppress them, or both; or take their messages in again. Deletions are told one by one."""
    wanted: NewRegulation = asked.body
    outside = asked.parts.outside
    made: list[Deletion] = []
    with closing(SqlitePrivacyStore(outside.data_dir / WORKSPACE, outside.clock)) as store:
        for user in wanted.subject_ids:
            made += _regulated(store, user, wanted.regulation_type, asked.actor)
    trouble = tell_privacy_changed(outside.data_dir) or ""
    return Regulated([_told(one) for one in made], trouble)


def _regulated(
    store: SqlitePrivacyStore, user: str, what: RegulationType, actor: str
) -> list[Deletion]:
    if what == "SUPPRESS_ONLY":
        store.suppress(user, actor=actor)
        return []
    if what == "UNSUPPRESS":
        store.unsuppress(user, actor=actor)
        return []
    return [store.delete(user, actor=actor, suppress=what == "SUPPRESS_WITH_DELETE")]


def _deletions(asked: Call) -> list[Deletion]:
    with closing(SqlitePrivacyReader(asked.parts.outside.data_dir / WORKSPACE)) as store:
        return store.deletions()


def _told(one: Deletion) -> Regulation:
    at = iso_ms(one.asked_at_ms)
    return Regulation(str(one.id), "USER_ID", one.user_id, _status(one), at, one.actor)


def _status(one: Deletion) -> Status:
    if one.cutoff_seq is None:
        return "INITIALIZED"
    is_gone = one.log_erased_at_ms is not None and one.history_erased_at_ms is not None
    return "FINISHED" if is_gone else "RUNNING"


OPERATIONS = (
    Operation("GET", "/api/regulations", regulations, Regulations),
    Operation("POST", "/api/regulations", regulate, Regulated, NewRegulation),
    Operation("GET", "/api/regulations/{regulateId}", regulation, OneRegulation),
    Operation("GET", "/api/suppressions", suppressions, Suppressions),
)
