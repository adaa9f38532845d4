"""One odd value costs only itself: the text around it is decoded as if nothing had been wrong."""

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.spec.limits import MAX_NESTING
from headgate.spec.repair import DECODE_ERRORS, decode_tolerantly, repair
from strategies import values

SURROGATES = "lone surrogates replaced by U+FFFD"
NUMBERS = "NaN, infinite and out-of-range numbers replaced by null"
UTF8 = "bytes that are not UTF-8 replaced by U+FFFD"
BOM = "a byte order mark removed"
CONTROL = "raw control characters in text escaped"
NESTED = f"values nested deeper than {MAX_NESTING} replaced by null"

MENDED: dict[str, tuple[bytes, object, tuple[str, ...]]] = {
    "a lone high surrogate": (rb'"a\ud83dz"', "a\ufffdz", (SURROGATES,)),
    "a lone low surrogate": (rb'"a\ude00z"', "a\ufffdz", (SURROGATES,)),
    "a high surrogate at the end": (rb'"\ud83d"', "\ufffd", (SURROGATES,)),
    "two high surrogates": (rb'"\ud83d\ud83d"', "\ufffd\ufffd", (SURROGATES,)),
    "the wrong way round": (rb'"\ude00\ud83d"', "\ufffd\ufffd", (SURROGATES,)),
    "a high one before a pair": (rb'"\ud83d\ud83d\ude00"', "\ufffd😀", (SURROGATES,)),
    "a pair before a low one": (rb'"\ud83d\ude00\ude00"', "😀\ufffd", (SURROGATES,)),
    "a high one apart from its low one": (rb'"\ud83d \ude00"', "\ufffd \ufffd", (SURROGATES,)),
    "a high one before another escape": (rb'"\ud83d\n\u0041"', "\ufffd\nA", (SURROGATES,)),
    "in capitals": (rb'"\uD83D"', "\ufffd", (SURROGATES,)),
    "an escaped backslash is no escape": (rb'"\\ud83d\ud83d"', "\\ud83d\ufffd", (SURROGATES,)),
    "a surrogate in a key": (rb'{"\ud83d":1}', {"\ufffd": 1}, (SURROGATES,)),
    "NaN": (b'{"a":NaN,"b":1}', {"a": None, "b": 1}, (NUMBERS,)),
    "infinities": (b"[Infinity,-Infinity, 1]", [None, None, 1], (NUMBERS,)),
    "a number beyond a double": (b"[1e400,-1e400,1]", [None, None, 1], (NUMBERS,)),
    "hundreds of digits": (b"[" + b"9" * 400 + b",NaN]", [int("9" * 400), None], (NUMBERS,)),
    "the longest integers": (
        b"[%b,-%b,NaN]" % (b"9" * 4_300, b"9" * 4_299),
        [int("9" * 4_300), -int("9" * 4_299), None],
        (NUMBERS,),
    ),
    "one digit more": (b"[-" + b"9" * 4_300 + b"]", [None], (NUMBERS,)),
    "thousands of digits": (b"[" + b"9" * 5_000 + b",1]", [None, 1], (NUMBERS,)),
    "words in text are text": (b'["NaN","1e999",NaN]', ["NaN", "1e999", None], (NUMBERS,)),
    "bytes that are not UTF-8": (b'"a\xff\xfez"', "a\ufffd\ufffdz", (UTF8,)),
    "a character cut in half": (b'"a\xf0\x9f\x98"', "a\ufffd", (UTF8,)),
    "a surrogate in bytes": (b'"\xed\xa0\xbd"', "\ufffd\ufffd\ufffd", (UTF8,)),
    "a byte order mark": (b'\xef\xbb\xbf{"a":1}', {"a": 1}, (BOM,)),
    "a line end in text": (b'"a\nb"', "a\nb", (CONTROL,)),
    "a zero byte in text": (b'"a\x00b"', "a\x00b", (CONTROL,)),
    "everything at once": (
        b'\xef\xbb\xbf{"a":"\\ud800","b":NaN,"c":"\xff","d":"\t","e":[1]}',
        {"a": "\ufffd", "b": None, "c": "\ufffd", "d": "\t", "e": [1]},
        (BOM, UTF8, SURROGATES, NUMBERS, CONTROL),
    ),
}


@pytest.mark.parametrize(("text", "expected", "repairs"), MENDED.values(), ids=MENDED)
def test_odd_values_are_replaced(text: bytes, expected: object, repairs: tuple[str, ...]) -> None:
    """Each kind of oddity has its replacement and its sentence; the neighbours keep their values."""
    decoded, told = decode_tolerantly(msgspec.json.decode, text)
    assert decoded == expected
    assert told == repairs


HOPELESS: dict[str, bytes] = {
    "nothing": b"",
    "words": b"hello",
    "half an object": b'{"a":1',
    "half a text": b'{"a":"b',
    "a backslash at the end": b'"\\',
    "two values": b"{} {}",
    "a bracket too many": b'{"a":1}}',
    "brackets the wrong way round": b"][",
    "an escape that JSON does not know": rb'"\x41"',
    "a comma too many": b'{"a":NaN,}',
    "single quotes": b"{'a':NaN}",
    "only a byte order mark": b"\xef\xbb\xbf",
    "compressed": b"\x1f\x8b\x08\x00\x00",
    "UTF-16": '{"a":1}'.encode("utf-16"),
}


@pytest.mark.parametrize("text", HOPELESS.values(), ids=HOPELESS)
def test_what_is_no_json_stays_undecodable(text: bytes) -> None:
    """Mending replaces values; it never guesses at structure."""
    with pytest.raises(DECODE_ERRORS):
        decode_tolerantly(msgspec.json.decode, text)


@pytest.mark.parametrize("levels", [MAX_NESTING + 1, 5_000, 200_000])
@pytest.mark.parametrize("kind", ["lists", "objects"])
def test_what_is_nested_too_deep_becomes_null(levels: int, kind: str) -> None:
    """Everything beside it survives, and the mended text is no deeper than the limit."""
    opening, closing = (b"[", b"]") if kind == "lists" else (b'{"k":', b"}")
    text = b'{"a":1,"deep":' + opening * levels + b"1" + closing * levels + b',"z":[2]}'
    mended, repairs = repair(text)
    decoded = msgspec.json.decode(mended)
    assert (decoded["a"], decoded["z"]) == (1, [2])
    assert repairs == (NESTED,)
    at, depth = decoded["deep"], 1
    while at is not None:
        (at,) = at if kind == "lists" else at.values()
        depth += 1
    assert depth == MAX_NESTING


def test_what_is_just_nested_enough_stays() -> None:
    """The limit itself is allowed."""
    text = b"[" * MAX_NESTING + b"1" + b"]" * MAX_NESTING
    assert repair(text) == (text, ())


def test_strict_text_is_not_looked_at_twice() -> None:
    """What decodes is not repaired, whatever it looks like."""
    assert decode_tolerantly(bytes.strip, b"\xff NaN ") == (b"\xff NaN", ())


@settings(deadline=None)
@given(values, st.booleans())
def test_valid_json_is_left_alone(value: object, ascii_only: bool) -> None:
    """Byte for byte, without a word."""
    try:
        text = json.dumps(value, ensure_ascii=ascii_only).encode()
        msgspec.json.decode(text)
    except (UnicodeEncodeError, msgspec.DecodeError):  # a lone surrogate, NaN or an infinity
        return
    assert repair(text) == (text, ())


@settings(deadline=None)
@given(values)
def test_odd_values_never_hide_their_neighbours(value: object) -> None:
    """What a sloppy library writes can be decoded, and equals what it meant but for the odd values."""
    text = json.dumps({"odd": value, "even": [1, "x"]}).encode()
    decoded, _ = decode_tolerantly(msgspec.json.decode, text)
    assert decoded == {"odd": _mended(value), "even": [1, "x"]}


def _mended(value: Any) -> Any:
    """What the decoded value should be: the specification of `repair`, on values."""
    if isinstance(value, dict):
        return {_mended(key): _mended(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_mended(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


pieces = st.sampled_from(
    [*b'{}[]",:\\ud8Nae0.-+\n\x00\xff', *b'{}[]"\\'],
)


@settings(deadline=None)
@given(st.binary(max_size=200) | st.lists(pieces, max_size=200).map(bytes))
def test_repair_never_fails(text: bytes) -> None:
    """Any bytes go in, UTF-8 comes out, and mending it again changes nothing."""
    mended, _ = repair(text)
    mended.decode()
    assert repair(mended) == (mended, ())
