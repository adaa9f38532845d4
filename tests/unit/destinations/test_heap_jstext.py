"""Numbers, keys and arrays as JavaScript writes them."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.destinations.heap.jstext import (
    entries_in_js_order,
    json_text,
    number_text,
    well_formed,
)
from strategies import values

NUMBERS: dict[str, float] = {
    "0": -0.0,
    "5": 5.0,
    "-1": -1,
    "0.1": 0.1,
    "100": 1e2,
    "1.5": 1.5,
    "123456789012345680000": 123456789012345678901.0,
    "12345678901234567000": 12345678901234567890,
    "9007199254740992": 2**53 + 1,
    "1e+21": 1e21,
    "1.2e+21": 1.2e21,
    "0.000001": 1e-6,
    "1e-7": 1e-7,
    "-1.5e-9": -1.5e-9,
    "5e-324": 5e-324,
    "1.7976931348623157e+308": 1.7976931348623157e308,
    "null": float("nan"),
}


@pytest.mark.parametrize(("text", "number"), NUMBERS.items(), ids=NUMBERS)
def test_numbers_are_written_as_javascript_does(text: str, number: float) -> None:
    """The fewest digits that tell a double from its neighbours, exponents from 1e21 and below 1e-6."""
    assert number_text(number) == text


@pytest.mark.parametrize(
    "number",
    [float("inf"), float("-inf"), 10**400, -(10**5000)],
    ids=["infinity", "minus infinity", "400 zeros", "more digits than Python writes"],
)
def test_what_no_double_holds_is_null(number: float) -> None:
    """JavaScript reads it as infinite, and JSON has no text for that."""
    assert number_text(number) == "null"


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back(number: float) -> None:
    """No digit that matters is lost."""
    assert float(number_text(number)) == number


def test_array_indexes_come_first() -> None:
    """Keys that are array indexes ascend; 02, -1 and 2^32 - 1 are names and keep their place."""
    members = dict.fromkeys(["b", "10", "2", "02", "-1", "4294967295", "4294967294", "a"])
    ordered = [key for key, _ in entries_in_js_order(members)]
    assert ordered == ["2", "10", "4294967294", "b", "02", "-1", "4294967295", "a"]


@given(value=values)
def test_json_text_is_compact_json(value: Any) -> None:
    """It is valid JSON, and without white space outside of its texts."""
    text = json_text(value)
    json.loads(text)
    outside_of_texts = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert not re.search(r"\s", outside_of_texts)


def test_json_text_has_no_limit_of_depth() -> None:
    """Ten thousand levels, where Python's own encoder gives up after one thousand."""
    value: Any = {}
    for _ in range(10_000):
        value = [{"a": value}]
    assert json_text(value) == '[{"a":' * 10_000 + "{}" + "}]" * 10_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [("plain", "plain"), ("é😀", "é😀"), ("\ud83d", "\ufffd"), ("a\udc00b", "a\ufffdb")],
    ids=ascii,
)
def test_halves_of_surrogate_pairs_are_replaced(text: str, expected: str) -> None:
    """UTF-8 can carry what comes out."""
    assert well_formed(text) == expected
