"""What delivery asks of a destination. Implemented by each folder beside this file.

A destination knows no queue, no HTTP client and no clock: it turns a message into a `Row` or a
`Discard`, rows of one endpoint into a request, and the rest of what delivery needs to know is data.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec

from headgate.spec.settings import Setting


class Row(msgspec.Struct, frozen=True, gc=False):
    """One message as the destination will receive it: an element of a bulk request, already encoded.

    `endpoint` groups rows that may share a request. `identity` is the user, in whose lane order is
    kept. `notes` says what mapping had to change (a cut, a dropped key), for the trace.
    """

    endpoint: str
    identity: str
    encoded: bytes
    notes: tuple[str, ...] = ()


class Discard(msgspec.Struct, frozen=True, gc=False):
    """The message is not meant for this destination: a reason from the documented list and a detail."""

    reason: str
    detail: str = ""


class Endpoint(msgspec.Struct, frozen=True):
    """One address of a destination and its limits.

    `writes_profile`: a later row for the same user must not be sent before this one's outcome is durable.
    """

    name: str
    max_rows: int
    max_body_bytes: int
    writes_profile: bool


class Request(msgspec.Struct, frozen=True):
    """A request, ready to be sent."""

    url: str
    headers: dict[str, str]
    body: bytes
    method: Literal["GET", "POST"] = "POST"


class Budget(msgspec.Struct, frozen=True):
    """Rows allowed in any 60 s. `scope` is what shares the budget (for Heap the App ID). 0 = no limit."""

    scope: str
    rows_per_min: int
    rows_per_min_per_user: int


class UnreadableAnswer(Exception):
    """A destination said yes in a form that nobody documents; the text says what was expected."""


class UserDeletion(Protocol):
    """How a destination is asked to delete users: log in, ask, ask how far it is. Pure.

    The methods named after answers take the body of one that was a success; each of them may raise
    `UnreadableAnswer`. What `login` returns is a secret and lives for one conversation.
    """

    max_users: int  # in one request

    def scope(self, settings: Mapping[str, Any]) -> str:
        """What a user is deleted from, for people too: destinations of one scope are asked once."""

    def key(self, settings: Mapping[str, Any]) -> str:
        """The secret that is needed; "" when none is configured."""

    def login(self, settings: Mapping[str, Any]) -> Request:
        """Asks for a token."""

    def token(self, body: bytes) -> str:
        """The token of an answer to `login`."""

    def deletion(self, settings: Mapping[str, Any], token: str, users: Sequence[str]) -> Request:
        """Asks that these users be deleted."""

    def request_id(self, body: bytes) -> str:
        """Under which the destination has taken it up."""

    def status(self, settings: Mapping[str, Any], token: str, request_id: str) -> Request:
        """Asks how far it is."""

    def is_complete(self, body: bytes) -> bool:
        """Whether it is done."""


class Destination(Protocol):
    """A kind of destination in the catalog; one instance serves every configured destination of it."""

    metadata_id: str
    name: str  # in the integrations object and in the catalog
    description: str
    settings: tuple[Setting, ...]
    call_types: frozenset[str]  # what it accepts, e.g. identify and track
    endpoints: Mapping[str, Endpoint]
    user_deletion: UserDeletion | None  # None: the destination cannot be asked to delete users

    def map_row(self, message: dict[str, Any], settings: Mapping[str, Any]) -> Row | Discard:
        """The message as a row, or why it is not meant to go. `settings` are complete (defaults filled in)."""

    def request(self, endpoint: str, rows: Sequence[Row], settings: Mapping[str, Any]) -> Request:
        """A request that carries these rows, in this order."""

    def budget(self, settings: Mapping[str, Any]) -> Budget:
        """The destination's documented limits as configured."""

    def without_users(self, body: bytes, identities: Collection[str]) -> bytes:
        """The body of a request with nothing left of these users; what others sent stays, to the byte."""
