"""The ways into the log: through the server that runs, or straight into it where none does; or only to look.

The end of an import's path. Whichever it is, the messages go through `imported.arrival_of`.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

import numpy as np

from headgate.clock import Clock
from headgate.control import Import, import_messages
from headgate.eventlog.block import id_hash
from headgate.eventlog.interface import EventLog, LogFull
from headgate.gateway.imported import arrival_of
from headgate.gateway.imports.known import KnownIds
from headgate.workspace.suppressed import SuppressedUsers


class NotTaken(Exception):
    """The messages could not be taken in; nothing of them is in the log, or all, if nobody could say so."""


class Way(Protocol):
    """Where an import's messages go."""

    def take(self, messages: Import) -> int:
        """Returns when they are durable: how many were left out, since their users are suppressed.

        Raises NotTaken.
        """


class ThroughServer:
    """Hands the messages to the server that runs on the data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def take(self, messages: Import) -> int:
        reply = import_messages(self._data_dir, messages)
        if reply is None:
            raise NotTaken("the server has stopped")
        if reply.trouble:
            raise NotTaken(reply.trouble)
        return reply.suppressed


class IntoLog:
    """Appends to the log itself: for whoever holds the lock of its one writer."""

    def __init__(
        self, log: EventLog, suppressed: SuppressedUsers, clock: Clock, workspace_version: int
    ) -> None:
        self._log = log
        self._suppressed = suppressed
        self._clock = clock
        self._workspace_version = workspace_version

    def take(self, messages: Import) -> int:
        self._suppressed.read()
        arrival = arrival_of(
            messages,
            self._suppressed(),
            received_at_ms=self._clock.now_ms(),
            workspace_version=self._workspace_version,
        )
        try:
            self._log.append([arrival])
        except LogFull as error:
            raise NotTaken(str(error)) from error
        return len(messages.ids) - len(arrival.ids)


class Nowhere:
    """Takes nothing, and only says what would be taken."""

    def __init__(self, known: KnownIds, suppressed: Collection[str]) -> None:
        self._known = known
        self._suppressed = suppressed

    def take(self, messages: Import) -> int:
        taken = arrival_of(messages, self._suppressed, received_at_ms=0, workspace_version=0)
        source = taken.envelope.source
        self._known.add(np.array([id_hash(source, one) for one in taken.ids], np.uint64))
        return len(messages.ids) - len(taken.ids)
