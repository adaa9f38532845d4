"""Forgets deleted users: withholds what waits of them, erases what delivery has recorded of them.

    look → withhold → landed → erase_users → facts_erased → the gateway erases the log
                                                       └→ destinations are asked (remote_deletion.py)

Run by the worker, which has it look after every change; at the start `Withheld` is read before anything is
sent. Each step is recorded when it is done, so that a restart goes on, and may be done twice. Outcomes stay
as they are, and so do messageIds: audit and trace go by them.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from headgate.clock import Clock
from headgate.delivery.erasing import Without
from headgate.delivery.remote_deletion import RemoteDeletions
from headgate.delivery.withheld import Withheld
from headgate.destinations.interface import Destination as Kind
from headgate.workspace.privacy import PrivacyStore, cutoffs_of

_AGAIN_AFTER_ERROR_S = 60.0

log = logging.getLogger("headgate.delivery")


class Forgetful(Protocol):
    """What forgetting asks of delivery."""

    def withhold(self) -> None:
        """What waits is asked about anew (`Withheld`); what must not go is settled as discarded."""

    async def landed(self) -> None:
        """Returns when what was in flight has been answered, and what came of it is recorded."""

    def kind_of(self, destination: int) -> Kind | None:
        """The kind of a destination that there is or was."""

    async def erase_users(self, cutoffs: Mapping[str, int], without: Without) -> None:
        """Erases what is recorded of users' messages up to their cutoffs; durable when it returns.

        Their dead letters are deleted. Every recorded request whose first message is not above all
        cutoffs is passed to `without`; one that comes back changed replaces what is recorded, its answer
        and its error are emptied, and so is the detail of each outcome it gave that names such a user.
        Their names are taken out of the budgets' memory. Outcomes stay. May be done again.
        """


class Forgetting:
    """Brings deletions to an end in delivery. `facts_erased` is called when the log may follow."""

    def __init__(
        self,
        *,
        privacy: PrivacyStore,
        withheld: Withheld,
        delivery: Forgetful,
        remote: RemoteDeletions,
        clock: Clock,
        facts_erased: Callable[[], object],
    ) -> None:
        self._privacy = privacy
        self._withheld = withheld
        self._delivery = delivery
        self._remote = remote
        self._clock = clock
        self._tell = facts_erased
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Goes on where the last process stopped."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="forget users")

    def look(self) -> None:
        """Somebody was suppressed, deleted or erased from the log, or settings have changed.

        What is withheld takes effect before this returns. Raises `StoreError`, and then nothing has changed.
        """
        if self._withheld.read():
            self._delivery.withhold()
        self._wake.set()

    async def stop(self) -> None:
        """Lets go at once: whatever was under way is done again after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self._erase()
                due_s = await self._remote.ask()
            except Exception:
                log.exception("forgetting users stumbled and goes on")
                due_s = _AGAIN_AFTER_ERROR_S
            await self._clock.wait(self._wake, due_s)

    async def _erase(self) -> None:
        """Erases users of whom nothing is sent any more."""
        due = [one for one in self._withheld.deletions if one.facts_erased_at_ms is None]
        if not due:
            return
        await self._delivery.landed()
        cutoffs = cutoffs_of(due)
        without = partial(_without, cutoffs, self._delivery.kind_of)
        await self._delivery.erase_users(cutoffs, without)
        self._privacy.facts_erased([one.id for one in due], self._remote.asks(due))
        log.info("deliveries hold nothing of %s deleted users any more", len(cutoffs))
        self._tell()
        self.look()


def _without(
    cutoffs: Mapping[str, int],
    kind_of: Callable[[int], Kind | None],
    destination: int,
    first_seq: int,
    request: bytes,
) -> bytes:
    users = {user_id for user_id, cutoff_seq in cutoffs.items() if first_seq <= cutoff_seq}
    if not users:
        return request
    kind = kind_of(destination)
    return b"" if kind is None else kind.without_users(request, users)  # None: nobody can read it
