"""`${NAME}` in texts: read from the environment when the workspace is made ready, never stored.

`$${` stands for the two characters `${`. Any other `$` stands for itself.
"""

import re
from collections.abc import Mapping
from typing import Any

_TOKEN = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_OPENING = re.compile(r"(?<!\$)\$\{(?![A-Za-z_][A-Za-z0-9_]*\})")


def names(text: str) -> list[str]:
    """The variables that a text reads, in order."""
    return [match[1] for match in _TOKEN.finditer(text) if match[1]]


def malformed(text: str) -> bool:
    """Whether the text opens a `${` that is neither a variable nor escaped."""
    return _OPENING.search(text) is not None


def expand(text: str, environment: Mapping[str, str]) -> str:
    """The text with variables replaced; one that the environment lacks stays as written."""

    def replaced(match: re.Match[str]) -> str:
        if match[1] is None:
            return "${"
        return environment.get(match[1], match[0])

    return _TOKEN.sub(replaced, text)


def expand_all(value: Any, environment: Mapping[str, str]) -> Any:
    """Plain data with every text expanded; the keys of mappings stay as they are."""
    if isinstance(value, str):
        return expand(value, environment)
    if isinstance(value, Mapping):
        return {key: expand_all(item, environment) for key, item in value.items()}
    if isinstance(value, list):
        return [expand_all(item, environment) for item in value]
    return value
