"""The seam of privacy: whose messages are suppressed, who is to be forgotten, and how far that has come.

Implemented by `sqlite_privacy.py` (in DIR/workspace.db, written by commands, gateway, worker and Engage) and by
`memory_privacy.py`; one contract suite runs over both. Users are named by their userId as text, compared
to the letter. Times are Unix milliseconds.

A deletion goes through here in this order: recorded by a command, taken up by the gateway with the number
of its newest message, erased from what delivery has recorded, erased from the log; beside that erased
from what Engage knows, then from its history. The record itself stays, with the userId: it proves that the
user was forgotten. Each destination account is asked as well, once delivery holds nothing of the user any
more.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Protocol

import msgspec


class Suppression(msgspec.Struct, frozen=True):
    """A user who is suppressed, since when and by whom."""

    user_id: str
    at_ms: int
    actor: str


class SuppressionChange(msgspec.Struct, frozen=True):
    """A user was suppressed, or is so no longer."""

    user_id: str
    at_ms: int
    actor: str
    suppressed: bool


class Deletion(msgspec.Struct, frozen=True):
    """A user to be forgotten. None: that has not happened yet.

    Messages numbered up to `cutoff_seq` are erased; what the user sends later is not.
    """

    id: int
    user_id: str
    asked_at_ms: int
    actor: str
    cutoff_seq: int | None = None
    facts_erased_at_ms: int | None = None
    log_erased_at_ms: int | None = None
    engage_erased_at_ms: int | None = None
    history_erased_at_ms: int | None = None


class RemoteState(StrEnum):
    """How a destination account stands to a deletion."""

    NO_KEY = "no key"  # nobody has configured a key for it: it is asked as soon as somebody does
    ASKING = "asking"
    PENDING = "pending"  # it has taken the request and says so
    COMPLETE = "complete"
    FAILED = "failed"  # given up on: asked again when the user is deleted again


class RemoteDeletion(msgspec.Struct, frozen=True):
    """One deletion at one destination account, which `scope` names.

    `state` holds since `at_ms`; `answer` is what was said last, in words; `request_id` is the account's
    own. `attempts` counts requests of this state, `failing_since_ms` is 0 while the last one went well,
    and the next one is due at `due_at_ms`.
    """

    deletion_id: int
    user_id: str
    scope: str
    state: RemoteState
    at_ms: int
    request_id: str = ""
    answer: str = ""
    attempts: int = 0
    failing_since_ms: int = 0
    due_at_ms: int = 0


class PrivacyReader(Protocol):
    """What is known. Every method may raise `StoreBusy` or `UnusableStore`."""

    def suppressed(self) -> frozenset[str]:
        """Everybody who is suppressed."""

    def suppression_change(self) -> int:
        """A number that grows with every change of `suppressed`; cheap to ask for."""

    def suppressions(self) -> list[Suppression]:
        """Everybody who is suppressed, the oldest suppression first."""

    def suppression_changes(self, user_id: str) -> list[SuppressionChange]:
        """What was changed for a user, in order."""

    def deletions(self) -> list[Deletion]:
        """Every deletion there ever was, in order."""

    def open_deletions(self) -> list[Deletion]:
        """The deletions whose user is still in the log, in order."""

    def deletions_in_engage(self) -> list[Deletion]:
        """The deletions whose user Engage or its history may still know, in order."""

    def remote_deletions(self) -> list[RemoteDeletion]:
        """What became of every deletion at the destinations, by deletion and scope."""

    def open_remote_deletions(self) -> list[RemoteDeletion]:
        """Those that are neither complete nor failed."""

    def close(self) -> None:
        """Let go of the store; may be called again."""


class PrivacyStore(PrivacyReader, Protocol):
    """A reader that may also record. What is recorded is durable when a method returns."""

    def suppress(self, user_id: str, *, actor: str) -> bool:
        """Suppresses a user; whether that is a change."""

    def unsuppress(self, user_id: str, *, actor: str) -> bool:
        """Suppresses a user no longer; whether that is a change."""

    def delete(self, user_id: str, *, actor: str, suppress: bool = False) -> Deletion:
        """A user is to be forgotten, and with `suppress` suppressed in the same step.

        Each call is a deletion of its own: one more asks every destination again.
        """

    def take_up(self, seq: int) -> None:
        """Deletions that are new concern messages up to this number, the newest in the log."""

    def facts_erased(self, ids: Collection[int], asks: Iterable[RemoteDeletion]) -> None:
        """Delivery holds nothing of these users any more; destinations are asked from now on.

        A destination that has been asked already is left as it is.
        """

    def log_erased(self, ids: Collection[int]) -> None:
        """The log holds nothing of these users any more."""

    def engage_erased(self, ids: Collection[int]) -> None:
        """Engage knows nothing of these users any more, and has nothing to say of them."""

    def history_erased(self, ids: Collection[int]) -> None:
        """Engage's history holds nothing of these users any more. It counts where `engage_erased` is said."""

    def record_remote(self, states: Iterable[RemoteDeletion]) -> None:
        """How destination accounts stand to deletions now; replaces what was known."""


def cutoffs_of(deletions: Iterable[Deletion]) -> dict[str, int]:
    """Up to where the messages of each user are erased; a deletion counts once it was taken up."""
    cutoffs: dict[str, int] = {}
    for one in deletions:
        if one.cutoff_seq is not None:
            cutoffs[one.user_id] = max(one.cutoff_seq, cutoffs.get(one.user_id, 0))
    return cutoffs
