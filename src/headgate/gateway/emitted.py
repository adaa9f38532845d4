"""Engage's door: identify messages that Engage computed, taken into the log like any other.

Beside the doors for libraries; it ends in the same group commit. Every destination has a hidden source
of its own, so that routing, trace and audit need to know nothing of Engage.
"""

from collections.abc import Collection
from itertools import compress

from headgate.channel import Emitted, Taken
from headgate.clock import Clock
from headgate.eventlog.group_commit import GroupCommit
from headgate.eventlog.interface import Arrival, LogFull
from headgate.spec.message import Envelope
from headgate.spec.names import CALL_TYPE_CODES, IDENTIFY, engage_source


async def take(
    emitted: Emitted,
    leaving: Collection[str],
    *,
    commits: GroupCommit,
    clock: Clock,
    workspace_version: int,
) -> Taken:
    """Answers when the messages are durable, those that the log held already included, or says why not.

    Those of users who are `leaving` are dropped: they are to be forgotten, and Engage did not know it yet.
    """
    stays = [user_id not in leaving for user_id in emitted.user_ids]
    raws = list(compress(emitted.raws, stays))
    if not raws:
        return Taken(emitted.number)
    envelope = Envelope(
        source=engage_source(emitted.destination),
        received_at_ms=clock.now_ms(),
        workspace_version=workspace_version,
        behind=emitted.behind,
    )
    arrival = Arrival(
        envelope,
        raws=raws,
        ids=list(compress(emitted.message_ids, stays)),
        users=list(compress(emitted.user_ids, stays)),
        types=bytearray([CALL_TYPE_CODES[IDENTIFY]]) * len(raws),
    )
    try:
        await commits.append(arrival, [])
    except LogFull as error:
        return Taken(emitted.number, str(error))
    return Taken(emitted.number)
