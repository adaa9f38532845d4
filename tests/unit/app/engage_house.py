"""A house with Engage in it: messages are computed by the real engine, and told to the log."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from asking import House

from engage_dirs import EngageDir, audience
from headgate.engage.batch import Batch, Changes, Written
from headgate.engage.profile import Identifier, Profile, Sent
from headgate.engage.reader import key_of
from headgate.engage.rules import USER_ID
from headgate.engage.store import EngageStore
from headgate.stores import ENGAGE

BUYERS = audience(
    "Buyers",
    "event('Bought').within(1 hour).count() >= 1",
    "heap",
    includeAnonymous=True,
)
SPENT = {
    "name": "Spent",
    "definition": "event('Bought').sum(property('total'))",
    "destinations": ["heap"],
}


_encode = msgspec.msgpack.encode


class EngageHouse(House):
    """Ann has bought twice, a visitor without userId once, cem never."""

    def __init__(self, path: Path, *audiences: Any, traits: Any = (SPENT,)) -> None:
        super().__init__(path)
        self.engage = EngageDir(path)
        self.engage.clock = self.clock
        self.engage.configure(*(audiences or (BUYERS,)), traits=traits)

    def live(self) -> None:
        """What the three did."""
        self.engage.track("Bought", "b-1", age_s=120, properties={"total": 5})
        self.engage.track("Bought", "b-2", age_s=60, anonymousId="phone", properties={"total": 7})
        self.engage.track(
            "Bought", "b-3", userId=None, anonymousId="visitor", properties={"total": 1}
        )
        self.engage.identify(
            "i-1", userId="cem", traits={"email": "cem@example.com", "plan": "free"}
        )
        self.engage.compute()

    def crowd(self, people: int) -> None:
        """So many more, in the first audience, as its destination was told, with a value of the first trait."""
        with closing(EngageStore(self.engage.path / ENGAGE)) as store:
            position = store.position()
            first = position.last_profile + 1
            crowd = [self._one(number) for number in range(first, first + people)]
            changes = Changes(
                written=[Written(one.id, _encode(one), None, True, False) for one in crowd],
                held=[(key_of(one.identifiers[0]), one.id) for one in crowd],
                last_profile=crowd[-1].id,
            )
            sizes = Counter({1: people})
            store.commit(Batch(position.seq, position.clock_ms, changes, sizes=sizes))

    def _one(self, number: int) -> Profile:
        now_ms, user_id = self.clock.now_ms(), f"one-{number}"
        return Profile(
            id=number,
            created_at_ms=now_ms,
            identifiers=[Identifier(USER_ID, user_id)],
            values={1: True, 2: number},
            sent={user_id: {"1/heap": Sent(True, 1, now_ms)}},
            is_known=True,
        )


@contextmanager
def engaged_house(path: Path, *audiences: Any, traits: Any = (SPENT,)) -> Iterator[EngageHouse]:
    """A house that is closed at the end."""
    house = EngageHouse(path, *audiences, traits=traits)
    try:
        yield house
    finally:
        house.app.parts.close()
