"""Whether anything is failing now, in one sentence: the first line of the overview, the worst first."""

from contextlib import suppress
from typing import NamedTuple

from headgate.app.figures import DELIVERING, Doing, LogFigures
from headgate.app.visit import Visit
from headgate.delivery.routing import DEVICE
from headgate.eventlog.interface import LogFull
from headgate.eventlog.space import LARGE_REQUEST_BYTES, Space, free_bytes
from headgate.records.stored import Stored
from headgate.records.stretches import received_at
from headgate.spec.timestamps import parse_ms

SLOW_MS = 60_000
QUIET_MS = 15 * 60_000


class Waiting(NamedTuple):
    """A destination that something waits for, and since when its oldest message does."""

    doing: Doing
    messages: int
    since_ms: int


class Verdict(NamedTuple):
    """`kind` is an outcome's, for icon and colour; "" while there is nothing to judge. `why` is for people."""

    kind: str
    sentence: str
    why: str = ""
    failing: tuple[Doing, ...] = ()
    waiting: tuple[Waiting, ...] = ()

    @property
    def over_a_minute(self) -> int:
        """How many messages wait for destinations whose oldest one waits for more than a minute."""
        return sum(one.messages for one in self.waiting)


def verdict_of(
    visit: Visit, stored: Stored, doing: dict[str, Doing], log: LogFigures, now_ms: int
) -> Verdict:
    """The worst that is true."""
    enabled = [one for one in doing.values() if one.state != "disabled"]
    failing = tuple(one for one in enabled if one.trouble)
    waiting = tuple(_slow(visit, stored, doing, now_ms))
    if why := not_accepting(stored):
        return Verdict("failed", "Headgate is not accepting messages.", why, failing, waiting)
    if failing:
        return Verdict("failed", _failing(failing), "", failing, waiting)
    if not log.messages:
        words = "Nothing has arrived yet." if doing else "Nothing is connected yet."
        return Verdict("", words)
    if waiting:
        names = " and ".join(one.doing.name for one in waiting)
        words = f"{names} {'is' if len(waiting) == 1 else 'are'} slow: messages wait over a minute."
        return Verdict("pending", words, "", (), waiting)
    last_ms = parse_ms(log.last_at or "")
    if last_ms is not None and now_ms - last_ms > QUIET_MS:
        return Verdict("attention", "Nothing is arriving.")
    if not any(one.state in (DELIVERING, DEVICE) for one in enabled):
        return Verdict("", "Messages are kept and sent nowhere.")
    return Verdict("delivered", "Everything is being delivered.")


def not_accepting(stored: Stored) -> str:
    """Why the doors cannot make messages durable, as far as the disk tells; "" when they can."""
    with suppress(FileNotFoundError):  # no log yet
        space = Space(stored.log, free_bytes)
        space.limit(stored.current.workspace.retention.max_bytes)
        try:
            space.refuse_when_short(LARGE_REQUEST_BYTES)
        except LogFull as full:
            return str(full)
    return ""


def _failing(failing: tuple[Doing, ...]) -> str:
    if len(failing) > 1:
        return f"{len(failing)} destinations are failing."
    state = failing[0].state if failing[0].state != DELIVERING else "failing"
    return f"{failing[0].name} is {state}."


def _slow(visit: Visit, stored: Stored, doing: dict[str, Doing], now_ms: int) -> list[Waiting]:
    """Destinations whose oldest pending message has waited for more than a minute."""
    found = []
    for one in visit.standing:
        messages = one.pending + one.unread
        if not messages or one.slug not in doing:
            continue
        since_ms = parse_ms(received_at(stored.log, one.cursor + 1) or "")
        if since_ms is not None and now_ms - since_ms > SLOW_MS:
            found.append(Waiting(doing[one.slug], messages, since_ms))
    return found
