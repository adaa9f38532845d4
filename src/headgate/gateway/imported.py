"""The door of history import: messages that a command has read from an archive, taken into the log.

Beside the doors for libraries; it ends in the same group commit. The command has sifted them, and left out
what the log holds already (`imports/`); here it is decided whose messages are taken in, and as what.
"""

from collections.abc import Collection

from headgate.control import Import, Reply
from headgate.eventlog.group_commit import GroupCommit, Overloaded
from headgate.eventlog.interface import Arrival, LogFull
from headgate.gateway.imports.chunk import without
from headgate.spec.message import Envelope
from headgate.spec.names import import_source
from headgate.workspace.model import Workspace


def arrival_of(
    messages: Import, suppressed: Collection[str], *, received_at_ms: int, workspace_version: int
) -> Arrival:
    """The messages as they enter the log, without those of suppressed users.

    Those that are not to be delivered go under a hidden source, which has no destinations.
    """
    if suppressed:
        theirs = {at for at, user in enumerate(messages.users) if user in suppressed}
        messages = without(messages, theirs)
    envelope = Envelope(
        source=messages.source if messages.deliver else import_source(messages.source),
        received_at_ms=received_at_ms,
        workspace_version=workspace_version,
        repairs=messages.repairs,
    )
    return Arrival(
        envelope,
        raws=messages.raws,
        ids=messages.ids,
        users=messages.users,
        types=bytearray(messages.types),
        given=messages.given,
    )


async def take(
    messages: Import,
    suppressed: Collection[str],
    *,
    commits: GroupCommit,
    received_at_ms: int,
    workspace: tuple[int, Workspace],
) -> Reply:
    """Answers when the messages are durable, or says why they are not; live messages go before."""
    version, now = workspace
    if not any(source.slug == messages.source for source in now.sources):
        return Reply(f"there is no source {messages.source!r} any more")
    arrival = arrival_of(
        messages, suppressed, received_at_ms=received_at_ms, workspace_version=version
    )
    try:
        await _appended(arrival, commits)
    except LogFull as error:
        return Reply(str(error))
    return Reply(suppressed=len(messages.ids) - len(arrival.ids))


async def _appended(arrival: Arrival, commits: GroupCommit) -> None:
    """Waits for its turn as long as too much else is waiting."""
    done = not arrival.raws
    while not done:
        try:
            await commits.append(arrival, [])
            done = True
        except Overloaded:
            await commits.caught_up()
