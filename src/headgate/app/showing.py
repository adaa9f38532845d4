"""How values stand in pages: moments, figures, and texts that anybody with a write key may have made up.

Everything is escaped by the templates. What is here makes visible what a browser would hide: leading and
trailing spaces, characters without a shape. They are a common reason that nothing matches.
"""

import unicodedata
from datetime import UTC, datetime

from markupsafe import Markup, escape

from headgate.spec.timestamps import parse_ms

_HIDDEN = (
    "Cc",
    "Cf",
    "Co",
    "Cs",
    "Cn",
    "Zl",
    "Zp",
)  # https://www.unicode.org/reports/tr44/#General_Category_Values
_ODD_SPACES = "Zs"
_LONG_CHARS = 12


def made_visible(text: str) -> Markup:
    """A text with its outer spaces as dots and what cannot be seen as codes."""
    inner = text.strip(" ")
    before = len(text) - len(text.lstrip(" ")) if inner else len(text)
    after = len(text) - before - len(inner)
    parts = [_dots(before), *map(_shown, inner), _dots(after)]
    return Markup("").join(parts)


def moment(at_ms: int) -> Markup:
    """An instant as people read it, with the exact one for machines and for the pointer."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(_exact(at), _words(at))


def clock(at_ms: int) -> Markup:
    """The time of day, to the millisecond, for lists of what comes one after the other."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return Markup('<time datetime="{0}" data-form="clock" title="{0}">{1}</time>').format(
        _exact(at), f"{at:%H:%M:%S}.{at_ms % 1000:03}"
    )


def ago(at_ms: int, now_ms: int) -> Markup:
    """How long ago something was, up to a day; then when. Goes on by itself in a browser with scripts."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    words = _age((now_ms - at_ms) // 1000) or _words(at)
    return Markup('<time datetime="{0}" data-age data-utc="{1}" title="{0}">{2}</time>').format(
        _exact(at), _words(at), words
    )


def instant(text: str) -> Markup:
    """The same of an instant in ISO 8601, as the records have them."""
    at_ms = parse_ms(text)
    return escape(text) if at_ms is None else moment(at_ms)


def figure(number: float) -> str:
    """A number with its thousands apart."""
    return f"{number:,}"


def masked(secret: str) -> str:
    """Enough of a key to tell it from others."""
    end = secret[-2:] if len(secret) > _LONG_CHARS else ""
    return f"{secret[:4]}…{end}" if len(secret) > 4 else secret


def _exact(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _words(at: datetime) -> str:
    return f"{at.day} {at:%b %Y, %H:%M:%S} UTC"


def _age(seconds: int) -> str:
    """In the words of `times.js`; "" from a day on."""
    for limit, size, unit in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{max(0, seconds // size)} {unit} ago"
    return ""


def _dots(count: int) -> Markup:
    return (
        Markup('<span class="odd" title="space">{}</span>').format("·" * count)
        if count
        else Markup("")
    )


def _shown(one: str) -> Markup:
    kind = unicodedata.category(one)
    if kind in _HIDDEN or (kind == _ODD_SPACES and one != " "):
        name = unicodedata.name(one, "a control character").lower()
        return Markup('<span class="odd" title="{}">U+{:04X}</span>').format(name, ord(one))
    return escape(one)
