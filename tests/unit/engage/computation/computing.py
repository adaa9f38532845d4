"""Programs, profiles and messages for the tests of the computation: one user, instants in milliseconds."""

from collections.abc import Sequence
from typing import Any

import msgspec

from headgate.engage.computation.model import Computation, Outcome
from headgate.engage.computation.program import Program
from headgate.engage.observed import Observed
from headgate.engage.profile import Profile
from headgate.language.parser import parse

T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def computation(number: int, key: str, definition: str, **fields: Any) -> Computation:
    """An audience, or a trait where the definition is a value."""
    usual: dict[str, Any] = {"kind": "audience", "created_at_ms": T0}
    return Computation(number=number, key=key, tree=parse(definition), **(usual | fields))


def program(*definitions: str, **fields: Any) -> Program:
    """Computations numbered from 1 whose keys are `c1`, `c2`, …"""
    return program_of(
        [computation(n, f"c{n}", text, **fields) for n, text in enumerate(definitions, 1)]
    )


def program_of(computations: Sequence[Computation]) -> Program:
    """The program, its leaves numbered as they come."""
    numbers: dict[str, int] = {}
    return Program(computations, lambda text: numbers.setdefault(text, len(numbers) + 1))


def event(at_ms: int, name: str = "Order", **fields: Any) -> Observed:
    """A track call that arrived at its own time, or at T0 when that is later; any field by name."""
    usual: dict[str, Any] = {
        "seq": 1,
        "message_id": f"m{at_ms}",
        "source": "website",
        "at_ms": at_ms,
        "received_at_ms": max(T0, at_ms),
        "name": name,
    }
    return Observed(**(usual | fields))


def identify(at_ms: int, traits: dict[str, Any], **fields: Any) -> Observed:
    """An identify call with traits."""
    return event(at_ms, "", traits=traits, **fields)


class User:
    """A profile under a program, stored and read again after each message."""

    def __init__(self, running: Program) -> None:
        self.program = running
        self.profile = Profile(1, T0)

    def does(self, *messages: Observed) -> "User":
        """Takes messages."""
        for message in messages:
            self.program.take(self.profile, message)
            self.profile = stored(self.profile)
        return self

    def outcome(self, at_ms: int, number: int = 1) -> Outcome:
        """What a computation comes to."""
        return self.program.evaluate(self.profile, [number], at_ms)[number]

    def value(self, at_ms: int, number: int = 1) -> Any:
        """Its value alone."""
        return self.outcome(at_ms, number).value

    def changes(self, number: int = 1) -> list[tuple[int, Any]]:
        """The values from T0 on, each with the instant it begins at, found by following `until_ms`."""
        at_ms, outcome = T0, self.outcome(T0, number)
        found = [(at_ms, outcome.value)]
        while outcome.until_ms is not None:
            assert outcome.until_ms > at_ms
            at_ms = outcome.until_ms
            assert self.value(at_ms - 1, number) == outcome.value
            outcome = self.outcome(at_ms, number)
            if outcome.value != found[-1][1]:
                found.append((at_ms, outcome.value))
        return found


def stored(profile: Profile) -> Profile:
    """The profile as it comes back from the store."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(profile), type=Profile)
