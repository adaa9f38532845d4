"""The form of a definition: its text as a tree of calls, texts, numbers and signs, each with its place.

Between the text and `building.py`, which says what the calls mean. The grammar is built once, at the
first definition, so that importing costs nothing.
"""

from collections.abc import Iterator, Set
from functools import cache
from pathlib import Path
from typing import cast

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedToken

from headgate.language.durations import UNITS_MS, unit_ms
from headgate.language.errors import DefinitionError, close_to, quoted
from headgate.language.functions import EXTRACTORS, METHODS, hint_for_name, hint_for_sign

LONGEST_TEXT = 32_768  # characters
MOST_BRACKETS = 100  # open at one place

Node = Tree[Token] | Token

END = "the end"
HOLE = "?"  # stands for what is still to be chosen, and is always refused

_BRACKETS = {"LPAR": 1, "LSQB": 1, "LBRACE": 1, "RPAR": -1, "RSQB": -1, "RBRACE": -1}
_ACCOUNTS = ("ANY", "ALL")
_STRAIGHT = "'\""
_TYPOGRAPHIC = "‘’‚‛“”„‟′″«»‹›`´"  # noqa: RUF001 (these are what we look for)
_COMMENTS = "#-/;"
_ARITHMETIC = "+*%^~"
_ANY_VALUE = "a function such as `event('…')`, a value or `(`"
_AFTER_NUMBER = "`AND`, `OR` or a unit such as `days`"
_FUNCTIONS = frozenset((*EXTRACTORS, *METHODS))
_BEFORE_A_NAME = {"DOT": "a function's name", "_AS": "`string`, `number` or `array`"}
_EXPECTED = {
    "DOT": "`.` and a function",
    "SIGN": "a comparison such as `>=`",
    "_AND": "`AND`",
    "_OR": "`OR`",
    "COMMA": "`,`",
    "RPAR": "`)`",
    "RSQB": "`]`",
    "RBRACE": "`}`",
    "LPAR": "`(`",
    "NAME": "a unit such as `days`",
    "$END": END,
}


def syntax_of(text: str) -> Node:
    """The form of a whole definition. Raises DefinitionError."""
    if len(text) > LONGEST_TEXT:
        limit = f"a definition of at most {LONGEST_TEXT:,} characters"
        raise DefinitionError(text, LONGEST_TEXT, expected=limit, found=f"{len(text):,}")
    parsing = _grammar().parse_interactive(text)
    before: Token | None = None
    last: Token | None = None
    try:
        for token in _bounded(text, parsing.iter_parse()):
            before, last = last, token
        before = last
        whole: Tree[Token] = parsing.feed_eof(last)  # type: ignore[no-untyped-call]
        return whole.children[0]
    except UnexpectedCharacters as fault:
        raise _bad_character(text, cast(int, fault.pos_in_stream)) from None
    except UnexpectedToken as fault:
        accepted: set[str] = parsing.accepts()  # type: ignore[no-untyped-call]
        raise _bad_token(text, before, fault.token, accepted) from None


def place_of(node: Node) -> int:
    """Where a part begins in the text, counted from 0."""
    return cast(int, node.start_pos if isinstance(node, Token) else node.meta.start_pos)


def end_of(node: Node) -> int:
    """Where a part ends in the text: the place after its last character."""
    return cast(int, node.end_pos if isinstance(node, Token) else node.meta.end_pos)


@cache
def _grammar() -> Lark:
    grammar = Path(__file__).with_name("grammar.lark").read_text()
    return Lark(grammar, parser="lalr", lexer="basic", propagate_positions=True)


def _bounded(text: str, tokens: Iterator[Token]) -> Iterator[Token]:
    """The tokens as they come, up to one that no definition may have."""
    depth = 0
    for token in tokens:
        depth += _BRACKETS.get(token.type, 0)
        if depth > MOST_BRACKETS:
            limit = f"at most {MOST_BRACKETS} brackets inside each other"
            raise DefinitionError(text, place_of(token), expected=limit, found="one more")
        if token.type == "NAME" and token.upper() in _ACCOUNTS:
            raise _about_accounts(text, token)
        yield token


def _about_accounts(text: str, token: Token) -> DefinitionError:
    return DefinitionError(
        text,
        place_of(token),
        expected="a condition about one user",
        found=quoted(token),
        hint="audiences of accounts (`ANY`, `ALL`) are not computed",
    )


def _bad_character(text: str, at: int) -> DefinitionError:
    character = text[at]
    if character in _STRAIGHT:
        return DefinitionError(
            text,
            at,
            expected=f"a text that ends with {character} on the same line",
            found="one that is not closed",
            hint=f"a quote inside a text is written \\{character}, a new line \\n",
        )
    shown = (
        quoted(character) if character.isprintable() else f"the character U+{ord(character):04X}"
    )
    expected = "a word, a text in quotes, a number or a sign"
    return DefinitionError(
        text, at, expected=expected, found=shown, hint=_character_hint(character)
    )


def _character_hint(character: str) -> str:
    if character in _TYPOGRAPHIC:
        return "texts stand in straight quotes: 'like this'"
    if character in _COMMENTS:
        return "there are no comments, and no arithmetic, in a definition"
    if character in _ARITHMETIC:
        return "there is no arithmetic in a definition"
    if character == HOLE:
        return "something is still to be chosen here"
    if character == "$":
        return "names stand in quotes: property('…')"
    return hint_for_sign(character)


def _bad_token(text: str, before: Token | None, found: Token, accepts: Set[str]) -> DefinitionError:
    if before is not None and before.type == "NAME":
        if "LPAR" in accepts and before not in _FUNCTIONS:
            return _bare_word(text, before)
        if "LPAR" not in accepts and not unit_ms(before):
            return _no_unit(text, before)
    if found.type == "$END":
        at, shown = len(text.rstrip()), END
    else:
        at, shown = place_of(found), quoted(found)
    return DefinitionError(
        text,
        at,
        expected=_expected(before, accepts),
        found=shown,
        hint=_token_hint(before, found, accepts),
    )


def _bare_word(text: str, word: Token) -> DefinitionError:
    """A word where only a function's brackets could have followed, but it is none."""
    hint = hint_for_name(word) or f"a text stands in quotes: '{word}'"
    found = quoted(word)
    return DefinitionError(text, place_of(word), expected=_ANY_VALUE, found=found, hint=hint)


def _no_unit(text: str, word: Token) -> DefinitionError:
    """A word after a number that makes no duration of it."""
    hint = _meant(word, ("AND", "OR", *UNITS_MS))
    at = place_of(word)
    return DefinitionError(text, at, expected=_AFTER_NUMBER, found=quoted(word), hint=hint)


def _expected(before: Token | None, accepts: Set[str]) -> str:
    if "TEXT" in accepts:
        return _ANY_VALUE + (" or `)`" if "RPAR" in accepts else "")
    if before is not None and before.type in _BEFORE_A_NAME:
        return _BEFORE_A_NAME[before.type]
    if "LPAR" in accepts and before is not None:
        return f"`(` after `{before}`"
    words = [word for token, word in _EXPECTED.items() if token in accepts]
    return ", ".join(words[:-1]) + " or " + words[-1] if len(words) > 1 else words[0]


def _token_hint(before: Token | None, found: Token, accepts: Set[str]) -> str:
    if found.type == "$END":
        return "a bracket is not closed" if {"RPAR", "RSQB", "RBRACE"} & accepts else ""
    if found.type == "SIGN":
        return hint_for_sign(found)
    if found.type == "NULL":
        return "null is told with `.absent()` and `.exists()`"
    if found.type != "NAME" or before is None:
        return ""
    if before.type == "TEXT" and before.end_pos == found.start_pos:
        return f"a quote inside a text is written \\{before[0]}"
    if found in METHODS:
        return f"functions follow a dot: `.{found}(…)`"
    return hint_for_sign(found.lower()) or _meant(found, ("AND", "OR", "NOT"))


def _meant(word: str, known: tuple[str, ...]) -> str:
    meant = close_to(word, known)
    return f"did you mean `{meant}`?" if meant else ""
