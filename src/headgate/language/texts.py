r"""Texts as definitions write them, in quotes, and as the tree holds them.

Escapes: `\'`, `\"`, `\\`, `\n`, `\r`, `\t`, `\uXXXX`. `\.` stays as it is, both characters of it: it is
how a path writes a dot of the name itself.
"""

import re

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_MEANT = {"'": "'", '"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t", ".": "\\."}
_WRITTEN = {"'": r"\'", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


class BadEscape(ValueError):
    """What stands after a backslash at `offset` of the text with its quotes means nothing."""

    def __init__(self, offset: int, escape: str) -> None:
        super().__init__(escape)
        self.offset = offset
        self.escape = escape


def text_in(written: str) -> str:
    r"""What a text in quotes says. Raises BadEscape, also for half of a `\uXXXX\uXXXX` pair."""
    said = _ESCAPE.sub(lambda match: _meant(match), written[1:-1])
    try:
        return said.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise BadEscape(0, "half of a character") from None


def written(text: str) -> str:
    """A text in single quotes, so that `text_in` reads it back."""
    return "'" + "".join(_escaped(text, at) for at in range(len(text))) + "'"


def _meant(match: re.Match[str]) -> str:
    escape = match[1]
    if len(escape) == 5:
        return chr(int(escape[1:], 16))
    if escape not in _MEANT:
        raise BadEscape(match.start() + 1, match[0])
    return _MEANT[escape]


def _escaped(text: str, at: int) -> str:
    character = text[at]
    if character == "\\":
        return "\\" if text[at + 1 : at + 2] == "." else "\\\\"
    if character in _WRITTEN:
        return _WRITTEN[character]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
