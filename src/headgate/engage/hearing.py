"""Hears what was told in vain, so that Engage does not take it for told for ever.

From delivery's outcomes back to the profiles. A telling that a destination refused for good, or that was on its
way when the destination was disabled, leaves the destination as it was: the value is due again the next time
the person is evaluated.
"""

from collections.abc import Iterator

import msgspec

from headgate.engage.engine import Engine
from headgate.engage.in_vain import InVain
from headgate.engage.profile import Identifier
from headgate.engage.rules import USER_ID
from headgate.engage.store import EngageStore
from headgate.eventlog.block import Entry
from headgate.eventlog.interface import LogReader
from headgate.spec.names import engage_destination
from headgate.untold import Untold, UntoldReader

_AT_ONCE = 500


class Hearing:
    """Reads on whenever the engine works; nothing is polled, since nothing depends on it before."""

    def __init__(
        self, store: EngageStore, engine: Engine, event_log: LogReader, untold: UntoldReader
    ) -> None:
        self._store = store
        self._engine = engine
        self._log = event_log
        self._untold = untold
        self._heard = store.heard()

    def step(self) -> bool:
        """Takes back what was told in vain; False when there is nothing new."""
        rows = self._untold.after(self._heard, _AT_ONCE)
        if not rows:
            return False
        self._engine.take_back(list(self._in_vain(rows)), rows[-1].id)
        self._heard = rows[-1].id
        return True

    def _in_vain(self, rows: list[Untold]) -> Iterator[InVain]:
        numbers = {one.key: one.number for one in self._store.computations()}
        for row in rows:
            try:
                entry = self._log.entry(row.seq)
            except KeyError:
                continue  # retired
            yield from _told_by(entry, numbers)


class _Personas(msgspec.Struct):
    computation_id: str
    computation_key: str


class _Context(msgspec.Struct):
    personas: _Personas


class _Identify(msgspec.Struct):
    messageId: str  # noqa: N815
    userId: str  # noqa: N815
    context: _Context


_decode = msgspec.json.Decoder(_Identify).decode


def _told_by(entry: Entry, numbers: dict[str, int]) -> Iterator[InVain]:
    """What the message told, unless it was forgotten, or its computation."""
    try:
        said = _decode(entry.raw)
    except msgspec.DecodeError:
        return
    personas = said.context.personas
    number = numbers.get(personas.computation_key)
    slug = engage_destination(entry.envelope.source)
    if number is not None:
        yield InVain(
            user=Identifier(USER_ID, said.userId),
            line=f"{number}/{slug}",
            destination=slug,
            computation_id=personas.computation_id,
            message_id=said.messageId,
        )
