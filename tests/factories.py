"""Messages, requests and workspaces for tests: complete by default, any field replaced by name."""

from collections.abc import Sequence
from typing import Any

import msgspec

from headgate.eventlog.interface import Arrival
from headgate.spec.message import Envelope
from headgate.spec.names import CALL_TYPE_CODES, TRACK
from headgate.workspace.model import Destination, Retention, Source, Workspace

NOW_MS = 1_700_000_000_000


def message(message_id: str | None = "m-1", **fields: Any) -> bytes:
    """A track call as a library sends it; a field of None is left out."""
    usual = {
        "type": "track",
        "messageId": message_id,
        "userId": "ann",
        "event": "Order Completed",
        "properties": {"total": 12.5},
    }
    whole = {name: value for name, value in (usual | fields).items() if value is not None}
    return msgspec.json.encode(whole)


def batch(*items: bytes, key: str | None = "wk_website", **fields: Any) -> bytes:
    """A batch body of these items, as they are; a field of None is left out."""
    rest = {
        name: value for name, value in ({"writeKey": key} | fields).items() if value is not None
    }
    written = msgspec.json.encode(rest)[1:-1]
    return b'{"batch":[' + b",".join(items) + b"]" + (b"," + written if written else b"") + b"}"


def envelope(**fields: Any) -> Envelope:
    """What the server knows of a request to the source `website`."""
    usual: dict[str, Any] = {
        "source": "website",
        "received_at_ms": NOW_MS,
        "workspace_version": 1,
    }
    return Envelope(**(usual | fields))


def arrival(*ids: str, given: Sequence[int] = (), user: str = "ann", **fields: Any) -> Arrival:
    """A request's accepted track calls with these messageIds; those at `given` came without one."""
    return Arrival(
        envelope=envelope(**fields),
        raws=[
            message(None if at in given else message_id, userId=user)
            for at, message_id in enumerate(ids)
        ],
        ids=list(ids),
        users=[user] * len(ids),
        types=bytearray([CALL_TYPE_CODES[TRACK]] * len(ids)),
        given=list(given),
    )


def source(slug: str = "website", **fields: Any) -> Source:
    """An enabled website whose write key is `wk_` and its slug."""
    usual: dict[str, Any] = {
        "slug": slug,
        "name": slug,
        "type": "website",
        "enabled": True,
        "write_keys": (f"wk_{slug}",),
    }
    return Source(**(usual | fields))


def workspace(*sources: Source, destinations: Sequence[Destination] = ()) -> Workspace:
    """A workspace of these sources; with none, of the source `website`."""
    return Workspace(
        sources=sources or (source(),),
        destinations=tuple(destinations),
        retention=Retention(days=30, max_bytes=0),
    )
