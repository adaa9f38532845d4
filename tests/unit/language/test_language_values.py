"""How values compare: every comparison's answer for what is missing, and for what is of another kind."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.language.values import (
    compare,
    date_ms,
    date_test,
    near_now,
    one_of,
    scalar_text,
    text_test,
)

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOW_MS = 1_795_458_240_000  # 2026-11-23T18:24:00Z
NOW = "2026-11-23T18:24:00Z"

# What each comparison says of null, of false, of 0 and of "": null is missing, the others are there.
NULLS: dict[str, tuple[Callable[[Any], bool], tuple[bool, bool, bool, bool]]] = {
    "equals": (lambda left: compare(left, "=", "x"), (False, False, False, False)),
    "differs": (lambda left: compare(left, "!=", "x"), (False, True, True, True)),
    "greater_than": (lambda left: compare(left, ">", -1), (False, False, True, False)),
    "at_least": (lambda left: compare(left, ">=", 0), (False, False, True, False)),
    "less_than": (lambda left: compare(left, "<", 1), (False, False, True, False)),
    "at_most": (lambda left: compare(left, "<=", 0), (False, False, True, False)),
    "equals a null": (lambda left: compare(left, "=", None), (False, False, False, False)),
    "differs from a null": (lambda left: compare(left, "!=", None), (False, False, False, False)),
    "at_least a null": (lambda left: compare(left, ">=", None), (False, False, False, False)),
    "one_of": (lambda left: one_of(left, ("x", False)), (False, True, False, False)),
    "none_of": (lambda left: not one_of(left, ("x", False)), (True, False, True, True)),
    "contains": (lambda left: text_test(left, "contains", ["e", "0"]), (False, True, True, False)),
    "omits": (lambda left: text_test(left, "omits", ["e", "0"]), (True, False, False, True)),
    "starts_with": (
        lambda left: text_test(left, "starts_with", ["f", "0"]),
        (False, True, True, False),
    ),
    "ends_with": (
        lambda left: text_test(left, "ends_with", ["e", "0"]),
        (False, True, True, False),
    ),
    "before_date": (lambda left: date_test(left, "before_date", NOW_MS), (False,) * 4),
    "after_date": (lambda left: date_test(left, "after_date", -NOW_MS), (False,) * 4),
    "within_last": (lambda left: near_now(left, "within_last", NOW_MS, NOW_MS), (False,) * 4),
    "within_next": (lambda left: near_now(left, "within_next", NOW_MS, -NOW_MS), (False,) * 4),
    "before_last": (lambda left: near_now(left, "before_last", 1, NOW_MS), (False,) * 4),
    "after_next": (lambda left: near_now(left, "after_next", 1, -NOW_MS), (False,) * 4),
}

EQUAL: list[tuple[object, object]] = [
    ("a", "a"),
    (True, "true"),
    (False, "false"),
    (5, "5"),
    (5.0, "5"),
    (5.0, 5),
    (-0.0, 0),
    (0.1, "0.1"),
    (1e21, "1e+21"),
    (10**21, 1e21),
    (1e-7, "1e-7"),
    (2**53 + 1, "9007199254740993"),
    (10**400, 10**500),
]
DIFFERENT: list[tuple[object, object]] = [
    ("a", "A"),
    ("a", "a "),
    (True, 1),
    (False, 0),
    (False, ""),
    ("5.0", 5),
    ("05", 5),
    ("True", True),
    (5, 6),
    (2**53 + 1, 2**53),
    ([], ""),
    ([], []),
    (["a"], "a"),
    ({"a": 1}, {"a": 1}),
]

# Neither a number against a text with digits, nor dates, nor booleans have an order.
UNORDERED: list[tuple[object, object]] = [
    ("5", 4),
    (5, "4"),
    ("b", "a"),
    (True, 0),
    (1, False),
    (NOW, "2026-01-01"),
    ([2], 1),
]

INSTANTS: dict[str, int | None] = {
    NOW: NOW_MS,
    "2026-11-23T18:24:00.000Z": NOW_MS,
    "2026-11-23T18:24:00.0019Z": NOW_MS + 1,
    "2026-11-23T19:24:00+01:00": NOW_MS,
    "2026-11-23T18:24Z": NOW_MS,
    "2026-11-23T18:24:00": NOW_MS,
    "2026-11-23 18:24:00": NOW_MS,
    "2026-11-23": NOW_MS - 18 * HOUR_MS - 24 * 60_000,
    "2026-02-30": None,
    "1795458240": None,
    "1795458240000": None,
    "Mon, 23 Nov 2026 18:24:00 GMT": None,
    "23.11.2026": None,
    "yesterday": None,
    "": None,
}

# Milliseconds from now, and whether a date there is near enough; ten milliseconds are asked for.
NEAR_NOW = {
    "within_last": {-11: False, -10: True, -1: True, 0: True, 1: False},
    "within_next": {-1: False, 0: True, 1: True, 10: True, 11: False},
    "before_last": {-11: True, -10: True, -9: False, 0: False},
    "after_next": {0: False, 9: False, 10: True, 11: True},
}


@pytest.mark.parametrize(("test", "answers"), NULLS.values(), ids=NULLS)
def test_null_is_missing_and_false_zero_and_the_empty_text_are_not(
    test: Callable[[Any], bool], answers: tuple[bool, bool, bool, bool]
) -> None:
    assert tuple(map(test, (None, False, 0, ""))) == answers


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_scalars_of_the_same_text_are_equal(left: object, right: object) -> None:
    assert compare(left, "=", right)
    assert compare(right, "=", left)
    assert not compare(left, "!=", right)


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_scalars_of_another_text_differ_and_so_do_arrays_and_objects(
    left: object, right: object
) -> None:
    assert not compare(left, "=", right)
    assert compare(left, "!=", right)
    assert compare(right, "!=", left)


@pytest.mark.parametrize(("left", "right"), UNORDERED)
def test_only_two_numbers_have_an_order(left: object, right: object) -> None:
    assert not compare(left, ">", right)
    assert not compare(left, ">=", right)
    assert not compare(left, "<", right)
    assert not compare(left, "<=", right)


numbers = st.integers() | st.floats(allow_nan=False)


@given(numbers, numbers)
def test_numbers_are_ordered_as_numbers(left: float, right: float) -> None:
    assert compare(left, "<", right) == (left < right) == (not compare(left, ">=", right))
    assert compare(left, ">", right) == (left > right) == (not compare(left, "<=", right))


@given(st.none() | st.booleans() | numbers | st.text(max_size=3), st.text(max_size=2))
def test_omits_is_the_opposite_of_contains(value: object, text: str) -> None:
    assert text_test(value, "omits", [text]) != text_test(value, "contains", [text])


def test_a_text_test_asks_for_one_of_its_texts_and_cares_for_case() -> None:
    assert text_test("red shoes", "contains", ["shirt", "shoe"])
    assert not text_test("red shoes", "contains", ["Shoe"])
    assert text_test("red shoes", "starts_with", ["blue", "red"])
    assert not text_test("red shoes", "starts_with", ["shoes"])
    assert text_test("red shoes", "ends_with", ["shirts", "shoes"])
    assert not text_test("red shoes", "ends_with", ["red"])


def test_text_tests_look_at_numbers_as_text_and_at_arrays_and_objects_as_json() -> None:
    assert text_test(4930, "starts_with", ["49"])
    assert text_test(["shoes", "é"], "contains", ['"é"'])
    assert text_test([{"name": "a", "n": 1}], "contains", ['{"name":"a","n":1}'])
    assert text_test({}, "omits", ["a"])


@pytest.mark.parametrize(("text", "ms"), INSTANTS.items())
def test_a_date_is_an_iso_instant(text: str, ms: int | None) -> None:
    assert date_ms(text) == ms


@pytest.mark.parametrize("value", [1_795_458_240_000, 1_795_458_240, True, None, [NOW], {"a": NOW}])
def test_what_is_no_text_is_no_date(value: object) -> None:
    assert date_ms(value) is None


def test_before_and_after_leave_out_the_instant_itself() -> None:
    for distance_ms, before, after in ((-1, False, True), (0, False, False), (1, True, False)):
        assert date_test(NOW, "before_date", NOW_MS + distance_ms) is before
        assert date_test(NOW, "after_date", NOW_MS + distance_ms) is after


def test_near_now_counts_both_ends() -> None:
    for test, answers in NEAR_NOW.items():
        for distance_ms, answer in answers.items():
            now_ms = NOW_MS - distance_ms
            assert near_now(NOW, test, 10, now_ms) is answer, (test, distance_ms)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [None, [], {}])
def test_null_arrays_and_objects_have_no_scalar_text(value: object) -> None:
    assert scalar_text(value) is None
