"""What an accepted request asks Heap to change: the words rules and state share."""

from typing import Any, NamedTuple


class Who(NamedTuple):
    """A user as a request names it: by one of the two."""

    identity: str | None
    user_id: str | None

    @property
    def name(self) -> str:
        """The identity, or the user id of a user without one."""
        return self.identity or self.user_id or ""


class TrackEvent(NamedTuple):
    """An event to store; `timestamp` None means the time of arrival."""

    who: Who
    event: str
    timestamp: str | None
    properties: dict[str, Any]
    key: str | None
    session_id: str | None


class SetUserProperties(NamedTuple):
    """Properties to create or overwrite."""

    who: Who
    properties: dict[str, Any]


class SetAccountProperties(NamedTuple):
    """Properties of an account to create or overwrite."""

    account_id: str
    properties: dict[str, Any]


class Migrate(NamedTuple):
    """All events of `user_id` become those of `identity`."""

    user_id: str
    identity: str


Write = TrackEvent | SetUserProperties | SetAccountProperties | Migrate
