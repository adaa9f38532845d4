"""Logs and trees by hand, in few words: for examples that a reader can follow."""

from collections.abc import Mapping
from typing import Any

from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier
from headgate.language.tree import (
    Compared,
    Comparison,
    Condition,
    Events,
    Literal_,
    Property,
    Reduced,
    Trait,
    Window,
)

T0 = 1_767_225_600_000
"""2026-01-01T00:00:00Z, from which examples count."""


def ids(text: str) -> tuple[Identifier, ...]:
    """`user_id:u1 email:e1` as identifiers."""
    return tuple(Identifier(*one.split(":")) for one in text.split())


class Log(list[Observed]):
    """A log that numbers what happens."""

    def event(
        self,
        name: str = "A",
        at: int = 0,
        *,
        who: str = "user_id:u1",
        arrived: int | None = None,
        source: str = "website",
        id_: str = "",
        traits: Mapping[str, Any] | None = None,
        context: Mapping[str, Any] | None = None,
        **properties: Any,
    ) -> "Log":
        """Something at T0 + `at`, arrived at once unless said otherwise."""
        self.append(
            Observed(
                seq=len(self) + 1,
                message_id=id_ or f"m{len(self) + 1:02}",
                source=source,
                at_ms=T0 + at,
                received_at_ms=T0 + (at if arrived is None else arrived),
                name=name,
                identifiers=ids(who),
                properties=properties,
                context=dict(context or {}),
                traits=dict(traits or {}),
            )
        )
        return self

    def traits(self, at: int = 0, *, who: str = "user_id:u1", **traits: Any) -> "Log":
        return self.event("", at, who=who, traits=traits)


# Trees


def happened(
    name: str = "A", where: Condition | None = None, window: Window | None = None
) -> Condition:
    return times(">=", 1, name, where, window)


def times(
    comparison: Comparison,
    number: int,
    name: str = "A",
    where: Condition | None = None,
    window: Window | None = None,
) -> Condition:
    return Compared(Reduced(Events(name, where, window), "count"), comparison, Literal_(number))


def made_of(reducer: Any, path: str = "x", window: Window | None = None, **more: Any) -> Reduced:
    return Reduced(Events("A", None, window), reducer, Property(path), **more)


def trait_is(comparison: Comparison, value: Any, path: str = "t") -> Condition:
    return Compared(Trait(path), comparison, Literal_(value))
