"""Questions a test asks of a sandbox once the dust has settled.

Exactly once: how often an idempotency key came again and was suppressed (fine), and events without a
key (which nothing could suppress). Order: a number named `sandbox_sequence` among the properties must
not fall from one write of a user to the next. Attempts: what was sent for one key or one user, the gaps
in between, and whether anything followed a final 400.
"""

from itertools import pairwise
from typing import Any

from headgate.sandbox.journal import Journal, Wanted
from headgate.sandbox.state import Store

FINAL_STATUS = 400


def exactly_once(store: Store) -> dict[str, Any]:
    """Every stored event is there once; what had to be suppressed for that."""
    tally = store.tally
    return {
        "events": tally.events,
        "duplicates_suppressed": tally.duplicates,
        "without_key": tally.without_key,
        "latest_duplicates": list(tally.duplicate_examples),
    }


def arrival_order(store: Store) -> dict[str, Any]:
    """Whether each user's writes arrived in the order their sender gave them."""
    tally = store.tally
    return {
        "ok": not tally.sequence_fell,
        "checked": tally.sequence_checked,
        "fell": tally.sequence_fell,
        "latest": list(tally.fell_examples),
    }


def attempts(journal: Journal, wanted: Wanted) -> dict[str, Any]:
    """The wanted requests: how many, how far apart, and how many came after a final refusal."""
    entries = list(journal.read(wanted))
    final = next((i for i, e in enumerate(entries) if e.status == FINAL_STATUS), len(entries))
    return {
        "attempts": len(entries),
        "requests": [entry.n for entry in entries],
        "statuses": [entry.status for entry in entries],
        "gaps_s": [(later.at_ms - sooner.at_ms) / 1000 for sooner, later in pairwise(entries)],
        "after_final_400": len(entries[final + 1 :]),
    }
