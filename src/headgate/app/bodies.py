"""A body as `_bodies.html` shows it: exactly as it was, and as JSON with a value a line.

Numbers stand as they were written, since a browser would round them above 2^53, and nothing is left out:
not the second of two equal keys, not what cannot be seen.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

from markupsafe import Markup, escape

from headgate.app.masking import mask
from headgate.app.showing import figure, made_visible

_MOST_CHARS = 262_144
_MOST_PRETTY_CHARS = 65_536  # twice the longest message
_FOLDED_FROM = 3
_LONG_CHARS, _SHORT_CHARS = 400, 120
_HEADING_CHARS = 160
_NOT_PLAIN = re.compile(r"[^\x20-\x7e\n\t]")
_SPACE = '<span class="unseen" data-code="·" title="space"> </span>'
_NOT_IN_IDS = re.compile(r"[^a-z0-9]+")


class Body(NamedTuple):
    """`pretty` is empty for what is not JSON, or more of it than anybody reads; `cut` counts what `raw` lacks."""

    id: str
    raw: Markup
    pretty: Markup
    size: int
    cut: int


def shown(text: str, name: str, masked: bool) -> Body:
    """A text under a name that is unique on its page; personal values are hidden when it is `masked`."""
    told = mask(text) if masked else text
    pretty = _pretty(told) if len(told) <= _MOST_PRETTY_CHARS else Markup("")
    id_ = f"body-{_NOT_IN_IDS.sub('-', name.lower()).strip('-')}"
    cut = max(0, len(told) - _MOST_CHARS)
    return Body(id_, exact(told[:_MOST_CHARS]), pretty, size_of(text), cut)


def size_of(text: str) -> int:
    """How many bytes it is in UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def shortened(text: str) -> str:
    """A name or an id as headings and lists have it: of a long one the beginning and the end."""
    return text if len(text) <= _HEADING_CHARS else f"{text[: _HEADING_CHARS - 40]}…{text[-39:]}"


# As it was


def exact(text: str) -> Markup:
    """The text itself, so that copying it gives just that; what cannot be seen has its code beside it."""
    inner = text.strip(" ")
    before = len(text) - len(text.lstrip(" ")) if inner else len(text)
    shown = _NOT_PLAIN.sub(_seen, str(escape(inner)))  # escaping adds plain characters only
    return Markup(_SPACE * before + shown + _SPACE * (len(text) - before - len(inner)))


def _seen(found: re.Match[str]) -> str:
    one = found[0]
    if one.isprintable():
        return one
    name = unicodedata.name(one, "a control character").lower()
    itself = "&#13;" if one == "\r" else one  # a browser takes a bare one for the end of a line
    return f'<span class="unseen" data-code="U+{ord(one):04X}" title="{name}">{itself}</span>'


# As JSON


class _Number(str):
    """A number as it was written."""


class _Pairs(list[tuple[str, Any]]):
    """An object as it was written."""


def _pretty(text: str) -> Markup:
    try:
        value = json.loads(
            text,
            strict=False,
            object_pairs_hook=_Pairs,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_Number,
        )
        return Markup("".join(_Lines().of(value)))
    except (ValueError, RecursionError):
        return Markup("")


class _Lines:
    """Makes HTML, and counts the lines. `lead` and `end` are HTML too, what stands before a value and after it."""

    def __init__(self) -> None:
        self._count = 0

    def of(self, value: Any, depth: int = 0, lead: str = "", end: str = "") -> Iterator[str]:
        """The lines of a value."""
        if isinstance(value, list) and value:
            yield from self._folding(value, depth, lead, end)
        elif type(value) is str and len(value) > _LONG_CHARS:
            yield from self._long(value, lead, end)
        else:
            yield self._line(f"{lead}{_scalar(value)}{end}")

    def _folding(self, value: list[Any], depth: int, lead: str, end: str) -> Iterator[str]:
        is_object = isinstance(value, _Pairs)
        first, last = "{}" if is_object else "[]"
        folded = f'<span class="folded"> {len(value)} {last}{end}</span>'
        yield "<details open><summary>" if depth < _FOLDED_FROM else "<details><summary>"
        yield self._line(f"{lead}{first}{folded}")
        yield "</summary>"
        inset = "  " * (depth + 1)
        for number, one in enumerate(value, 1):
            key, item = (f"{_key(one[0])}: ", one[1]) if is_object else ("", one)
            comma = "," if number < len(value) else ""
            yield from self.of(item, depth + 1, f"{inset}{key}", comma)
        yield self._line(f"{inset[2:]}{last}{end}")
        yield "</details>"

    def _long(self, value: str, lead: str, end: str) -> Iterator[str]:
        written, count = _written(value), figure(len(value))
        start = _visible(written[:_SHORT_CHARS].rstrip(" "))
        yield "<details><summary>"
        yield self._line(f'{lead}<span class="folded">"{start}… {count} characters</span>')
        whole = f'<span class="string">"{_visible(written)}"</span>{end}'
        yield f'</summary><span class="line">{whole}</span></details>'

    def _line(self, content: str) -> str:
        self._count += 1
        return f'<span class="line" data-n="{self._count}">{content}</span>'


def _key(name: str) -> str:
    return f'<span class="key">"{_visible(_written(name))}"</span>'


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return "{}" if isinstance(value, _Pairs) else "[]"
    if type(value) is str:
        return f'<span class="string">"{_visible(_written(value))}"</span>'
    written = value if isinstance(value, _Number) else json.dumps(value)
    return f'<span class="value">{escape(written)}</span>'


def _written(text: str) -> str:
    """As JSON writes it between the quotes, but for the characters that can be read as they are."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _visible(text: str) -> str:
    """`made_visible`, at once where there is nothing to make visible."""
    is_plain = text.isprintable() and text == text.strip(" ")
    return str(escape(text) if is_plain else made_visible(text))
