"""How a sandbox behaves, chosen once when it starts."""

from typing import Literal

import msgspec

Profile = Literal["documented", "strict", "lenient"]
"""`documented`: Heap's written rules, what they leave open is accepted and flagged. `strict`: nothing
outside the written types. `lenient`: lengths and types are not held against a request."""

BulkMode = Literal["atomic", "skip"]
"""One bad row in a bulk request refuses all of it, or is dropped without a word. Heap does not say."""

RetryAfter = Literal["alternate", "seconds", "date", "never"]
"""Heap documents neither a status nor this header for its limits: every second 429 carries it."""


class Limits(msgspec.Struct, frozen=True):
    """Heap's documented rates; 0 lifts one.

    Single requests: https://developers.heap.io/reference/track-1 (30 in 30 s per identity).
    Bulk events: https://developers.heap.io/reference/bulk-track (per identity and per app).
    """

    requests_per_30s_per_user: int = 30
    events_per_min_per_user: int = 1_000
    events_per_min: int = 15_000
    retry_after: RetryAfter = "alternate"


NO_LIMITS = Limits(requests_per_30s_per_user=0, events_per_min_per_user=0, events_per_min=0)


class Options(msgspec.Struct, frozen=True):
    """A sandbox's settings.

    `app_ids` empty accepts every app id made of digits. `api_key` empty accepts any key for deletion.
    `events_kept` bounds the events that can be looked at, over all users; totals stay exact, and
    idempotency keys are kept for ever, as at Heap.
    """

    profile: Profile = "documented"
    bulk: BulkMode = "atomic"
    limits: Limits = Limits()
    app_ids: frozenset[str] = frozenset()
    api_key: str = ""
    max_body_bytes: int = 1_000_000
    journal_requests: int = 100_000
    journal_bytes: int = 256 * 1024 * 1024
    events_kept: int = 200_000
    events_kept_per_user: int = 1_000
