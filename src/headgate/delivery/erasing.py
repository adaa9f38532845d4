"""Takes users who are forgotten out of the delivery store, piece by piece. Between `forgetting.py` and the store.

Outcomes stay, and so do messageIds; dead letters go, recorded requests lose the users' rows, and what was
answered or said about these requests is emptied, since it may name them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

Without = Callable[[int, int, bytes], bytes]
"""A recorded request without certain users: destination, its first message's number, its body."""

AT_ONCE = 50  # requests, of up to a megabyte each


class RecordedRequest(NamedTuple):
    """A request as it was sent; `first_seq` is the smallest number in it."""

    id: int
    destination: int
    first_seq: int
    body: bytes


class Erased(NamedTuple):
    """What takes the place of a request."""

    id: int
    body: bytes


def edited(requests: Iterable[RecordedRequest], without: Without) -> list[Erased]:
    """Those of the requests that hold such users, without them."""
    found = []
    for request in requests:
        body = without(request.destination, request.first_seq, request.body)
        if body != request.body:
            found.append(Erased(request.id, body))
    return found


def renamed(rows: Mapping[str, int], users: Iterable[str]) -> dict[str, int]:
    """What was spent by user, with what these users spent under no name."""
    kept = dict(rows)
    nameless = sum(kept.pop(user, 0) for user in users)
    return kept | {"": kept.get("", 0) + nameless} if nameless else kept
