"""Mends JSON that is almost right, so that one odd value costs only itself.

Real libraries send what strict JSON forbids: a lone surrogate from an emoji cut in half, `NaN` from
Python, bytes that are not UTF-8, nesting that no parser follows. The doors and `normalize` decode
strictly first and come here only when that failed; text that is not JSON at all stays undecodable.
"""

import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from headgate.spec.limits import MAX_NESTING

DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_TOKEN = re.compile(
    rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]|[\]}]|-?\b(?:NaN|Infinity)\b|-?\d+\.?\d*(?:[eE][+-]?\d+)?',
    re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)
_CONTROL = re.compile(rb"[\x00-\x1f]")
_INTEGER = re.compile(rb"-?\d+")
_MAX_INTEGER_CHARACTERS = 4_300
_BOM = b"\xef\xbb\xbf"
_REPLACEMENT = rb"\ufffd"

T = TypeVar("T")


def decode_tolerantly(decode: Callable[[bytes], T], text: bytes) -> tuple[T, tuple[str, ...]]:
    """`decode(text)`, mending the text when that fails; also what had to be mended, in words.

    Raises what `decode` raises when even the mended text cannot be decoded.
    """
    try:
        return decode(text), ()
    except DECODE_ERRORS:
        mended, repairs = repair(text)
        if not repairs:
            raise
        return decode(mended), repairs


def repair(text: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The text with odd values replaced, and a sentence for each kind of replacement made.

    Lone surrogates and invalid UTF-8 become U+FFFD, raw control characters in strings are escaped,
    NaN, infinities and numbers outside of what can be decoded become null, as does anything nested
    deeper than `MAX_NESTING`. A byte order mark goes.
    """
    mending = _Mending()
    body = text.removeprefix(_BOM)
    if body != text:
        mending.note("a byte order mark removed")
    valid = body.decode("utf-8", "replace").encode()
    if valid != body:
        mending.note("bytes that are not UTF-8 replaced by U+FFFD")
    return mending.run(valid), tuple(mending.notes)


class _Mending:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self._depth = 0
        self._out: list[bytes] = []

    def note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    def run(self, text: bytes) -> bytes:
        copied_to = 0
        for match in _TOKEN.finditer(text):
            if self._depth <= MAX_NESTING:
                self._out.append(text[copied_to : match.start()])
            copied_to = match.end()
            self._token(match.group())
        if self._depth <= MAX_NESTING:
            self._out.append(text[copied_to:])
        return b"".join(self._out)

    def _token(self, token: bytes) -> None:
        first = token[:1]
        if first in b"[{":
            self._open(token)
        elif first in b"]}":
            self._close(token)
        elif self._depth <= MAX_NESTING:
            self._out.append(self._string(token) if first == b'"' else self._number(token))

    def _open(self, bracket: bytes) -> None:
        self._depth += 1
        if self._depth <= MAX_NESTING:
            self._out.append(bracket)
        elif self._depth == MAX_NESTING + 1:
            self._out.append(b"null")
            self.note(f"values nested deeper than {MAX_NESTING} replaced by null")

    def _close(self, bracket: bytes) -> None:
        if self._depth <= MAX_NESTING:
            self._out.append(bracket)
        self._depth -= 1

    def _string(self, token: bytes) -> bytes:
        if b"\\u" in token:
            token = self._without_lone_surrogates(token)
        if _CONTROL.search(token):
            self.note("raw control characters in text escaped")
            token = _CONTROL.sub(lambda match: rb"\u%04x" % match.group()[0], token)
        return token

    def _without_lone_surrogates(self, token: bytes) -> bytes:
        pieces: list[bytes] = []
        copied_to = 0
        high: re.Match[bytes] | None = None
        for match in _ESCAPE.finditer(token):
            code = int(match[1], 16) if match[1] else 0
            pairs = high is not None and match.start() == high.end() and 0xDC00 <= code < 0xE000
            if high is not None:
                pieces.append(token[copied_to : high.start()])
                pieces.append(token[high.start() : match.end()] if pairs else self._surrogate())
                copied_to = match.end() if pairs else high.end()
                high = None
            if pairs:
                continue
            if 0xD800 <= code < 0xDC00:
                high = match
            elif 0xDC00 <= code < 0xE000:
                pieces += (token[copied_to : match.start()], self._surrogate())
                copied_to = match.end()
        if high is not None:
            pieces += (token[copied_to : high.start()], self._surrogate())
            copied_to = high.end()
        pieces.append(token[copied_to:])
        return b"".join(pieces)

    def _surrogate(self) -> bytes:
        self.note("lone surrogates replaced by U+FFFD")
        return _REPLACEMENT

    def _number(self, token: bytes) -> bytes:
        if _is_decodable(token):
            return token
        self.note("NaN, infinite and out-of-range numbers replaced by null")
        return b"null"


def _is_decodable(number: bytes) -> bool:
    """What the decoder takes: integers of up to 4,300 digits, anything else that a double holds."""
    if number[-1:] in b"Ny":
        return False
    if _INTEGER.fullmatch(number):
        return len(number) <= _MAX_INTEGER_CHARACTERS
    return abs(float(number)) != float("inf")
