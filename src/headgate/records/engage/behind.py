"""The messages behind several people's membership or value at once, for lists.

store → people, their newest messages → each put to the program (`evidence.py`) → those that count
"""

from collections.abc import Sequence

import msgspec

from headgate.engage.observed import Observed
from headgate.engage.profile import Profile
from headgate.engage.registry import Record
from headgate.language.parser import parse
from headgate.language.tree import Reduced
from headgate.records.engage.evidence import Witness, leaves_of, read_by
from headgate.records.engage.messages import messages_of_each
from headgate.records.engage.stored import Engaged
from headgate.records.stored import Stored

LOOKED_AT = 20  # messages of each person and event


class Behind(msgspec.Struct, frozen=True):
    """An event that counts for somebody: how many messages, at least if there `are_more`, and the newest."""

    event: str
    counting: int
    are_more: bool
    newest: Observed


def behind_each(
    stored: Stored, store: Engaged, record: Record, profiles: Sequence[int], now_ms: int
) -> dict[int, list[Behind]]:
    """By profile. Raises OSError when the archive cannot be read."""
    at_ms = max(now_ms, store.position().clock_ms)
    tree = parse(record.definition)
    reads = [one for leaf in leaves_of(tree) for one in read_by(leaf)]
    asked = list(dict.fromkeys(one for one in reads if isinstance(one, Reduced)))
    names = sorted({one.events.name for one in asked})
    messages = messages_of_each(store, stored.data_dir, profiles, names=names, newest=LOOKED_AT)
    witness = Witness(record, asked, store.records, store.leaves(), at_ms)
    return {
        one.id: [found for each in asked for found in _behind(witness, one, each, messages[one.id])]
        for one, _, _ in store.load(profiles)
    }


def _behind(
    witness: Witness, profile: Profile, asked: Reduced, messages: Sequence[Observed]
) -> list[Behind]:
    newest = [one for one in messages if one.name == asked.events.name][-LOOKED_AT:]
    counting = witness.counting(profile, asked, newest)
    if not counting:
        return []
    are_more = len(newest) == LOOKED_AT
    return [Behind(asked.events.name, len(counting), are_more, counting[-1].message)]
