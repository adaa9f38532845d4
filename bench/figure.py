"""One line of the table."""

from typing import Any

import msgspec

from bench.goals import Goal


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, and what of the same minute it is to be read beside.

    `measured` is the number that the goal is about, in the goal's unit; `value` is how people read it.
    CPU seconds are those of the product's processes; memory is their PSS, pages they share counted once.
    """

    what: str
    value: str
    beside: str = ""
    ratio: float | None = None
    cpu_s_per_million: float | None = None
    memory_mb: float | None = None
    measured: float | None = None
    goal: Goal | None = None

    def as_json(self) -> dict[str, Any]:
        """The figure in numbers, its goal's bounds among them, for programs."""
        goal = self.goal or Goal(shown="")
        fields: dict[str, Any] = msgspec.to_builtins(self)
        del fields["goal"]
        return fields | {
            "at_least": goal.at_least,
            "aim": goal.aim,
            "reached": self.is_reached(),
        }

    def is_reached(self) -> bool | None:
        """Whether it is as good as it has to be; None when nothing is asked of it."""
        if self.goal is None or self.measured is None:
            return None
        return self.goal.is_met(self.measured)
