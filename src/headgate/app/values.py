"""How values, addresses and durations stand in pages of Engage: filters of the templates."""

from typing import Any
from urllib.parse import quote

import msgspec


def in_json(value: Any) -> str:
    """A value as JSON, so that "5" and 5 are two; other characters than ASCII stay as they are."""
    return msgspec.json.encode(value).decode(errors="replace")


def in_address(text: str) -> str:
    """A text as one step of an address, slashes included."""
    return quote(text, safe=":@", errors="replace")


def seconds_in_words(seconds: float) -> str:
    """About how long something takes."""
    if seconds < 1.5:
        return "about a second"
    if seconds < 100:
        return f"about {seconds:.0f} s"
    if seconds < 6_000:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.0f} h"
