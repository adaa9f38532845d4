"""Engage's door: identify messages that Engage computed, taken into the log like any other.

Beside the doors for libraries; it ends in the same group commit. Every destination has a hidden source
of its own, so that routing, trace and audit need to know nothing of Engage.
"""

from headgate.channel import Emitted, Taken
from headgate.clock import Clock
from headgate.eventlog.group_commit import GroupCommit
from headgate.eventlog.interface import Arrival, LogFull
from headgate.spec.message import Envelope
from headgate.spec.names import CALL_TYPE_CODES, IDENTIFY, engage_source


async def take(
    emitted: Emitted, *, commits: GroupCommit, clock: Clock, workspace_version: int
) -> Taken:
    """Answers when the messages are durable, those that the log held already included, or says why not."""
    envelope = Envelope(
        source=engage_source(emitted.destination),
        received_at_ms=clock.now_ms(),
        workspace_version=workspace_version,
    )
    arrival = Arrival(
        envelope,
        raws=emitted.raws,
        ids=emitted.message_ids,
        users=emitted.user_ids,
        types=bytearray([CALL_TYPE_CODES[IDENTIFY]]) * len(emitted.raws),
    )
    try:
        await commits.append(arrival, [])
    except LogFull as error:
        return Taken(emitted.number, str(error))
    return Taken(emitted.number)
