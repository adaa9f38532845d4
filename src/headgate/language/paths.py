r"""Paths into what a message or a profile holds: `address.city`; a dot of the name itself is `\.`.

Only steps lead on: a property whose own name is `utm.source` is found as `utm\.source` and not as
`utm.source`. Arrays have no steps; a path ends before them.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_STEP_END = re.compile(r"((?:[^\\.]|\\.|\\$)*)(\.|$)", re.DOTALL)
_ESCAPED = re.compile(r"\\([\\.])")


@lru_cache(maxsize=4096)
def steps_of(path: str) -> tuple[str, ...]:
    r"""The names a path goes through, from the outside in: `a.b\.c` → `a`, `b.c`; `\\` is a backslash."""
    steps = []
    for step, end in _STEP_END.findall(path):
        steps.append(_ESCAPED.sub(r"\1", step))
        if not end:
            break
    return tuple(steps)


def value_at(mapping: Mapping[str, Any], path: str) -> Any:
    """What stands at the end of a path; None when there is nothing, or null."""
    return value_behind(mapping, steps_of(path))


def value_behind(value: Any, steps: tuple[str, ...]) -> Any:
    """The same, for steps that were split before."""
    for step in steps:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value
