"""What is wrong with a definition, told so that the person who wrote it can mend it."""

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 100  # characters of a line; a longer one is cut around the fault
_INDENT = "  "


class DefinitionError(ValueError):
    """A definition that cannot be used, at one character of its text.

    `position` counts characters from 0, `line` and `column` from 1. `expected` and `found` are in words
    of the language, `hint` is a sentence or "". The text of the error ends with the line and a caret
    below the character; `sentence` is the same without these two lines.
    """

    def __init__(
        self, text: str, position: int, *, expected: str, found: str, hint: str = ""
    ) -> None:
        begin = text.rfind("\n", 0, position) + 1
        self.position = position
        self.line = text.count("\n", 0, position) + 1
        self.column = position - begin + 1
        self.expected = expected
        self.found = found
        self.hint = hint
        self.sentence = (
            f"line {self.line}, column {self.column}: expected {expected}, found {found}"
        )
        if hint:
            self.sentence += f"; {hint}"
        line = text[begin:].partition("\n")[0]
        super().__init__(f"{self.sentence}\n{_pointed(line, position - begin)}")


def close_to(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant; "" when none is near."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else ""


def quoted(word: str) -> str:
    """A word of a definition as sentences show it: a long one shortened."""
    return f"`{word}`" if len(word) <= 40 else f"`{word[:37]}…`"


def _pointed(line: str, at: int) -> str:
    """The line with a caret below its character `at`."""
    shown = "".join(character if character.isprintable() else " " for character in line)
    begin = max(0, min(at - _SHOWN // 2, len(shown) - _SHOWN))
    cut = "…" if begin else ""
    rest = "…" if len(shown) > begin + _SHOWN else ""
    caret = " " * (at - begin + len(cut)) + "^"
    return f"{_INDENT}{cut}{shown[begin : begin + _SHOWN]}{rest}\n{_INDENT}{caret}"
