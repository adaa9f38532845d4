"""What events come to: the nine reducers, their ties, what they take for a value, and any order of arrival."""

import random
from math import fsum
from typing import Any

import pytest
from computing import DAY, HOUR, T0, User, event, program
from hypothesis import given
from hypothesis import strategies as st

from headgate.engage.computation import folds, kept
from headgate.engage.computation.folds import Fold, fold_of
from headgate.language.parser import parse
from headgate.language.tree import Reduced

WINDOWS = ("", ".within(2 days)", ".between(1 second, 2 days)", ".expires_after(2 days)")
REDUCERS = (
    "count()",
    "sum(property('x'))",
    "avg(property('x'))",
    "min(property('x'))",
    "max(property('x') as string)",
    "mode(property('x'), 1)",
    "mode(property('x') as array, 2)",
    "first(property('x'))",
    "last(property('x'))",
    "unique(property('x'))",
    "unique(property('x')).count()",
)
VALUES: tuple[Any, ...] = (
    1,
    2.5,
    "1",
    "a",
    "b",
    True,
    None,
    [],
    ["a"],
    {"a": 1},
    1e16,
    -1e16,
    0.1,
    10**25,
)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    ("reducer", "values", "expected"),
    [
        ("count()", [1, None, "a"], 3),
        ("sum(property('x'))", [], 0),
        ("sum(property('x'))", [1, 2.5, "7", True, None, [1]], 3.5),
        ("sum(property('x'))", [1e16, 1, -1e16], 1),
        ("sum(property('x'))", [0.1] * 10, 1),
        ("avg(property('x'))", [], None),
        ("avg(property('x'))", [1, 2, "9"], 1.5),
        ("min(property('x'))", ["0", True, 3, 2.5], 2.5),
        ("max(property('x'))", ["9", 3, 2.5], 3),
        ("max(property('x'))", ["9"], None),
        ("max(property('x') as string)", ["10", 9, "b", "a"], "b"),
        ("min(property('x') as string)", ["10", 9, True], "10"),
        ("mode(property('x'))", ["a"], None),
        ("mode(property('x'))", ["b", "a", "b", "a"], "a"),
        ("mode(property('x'), 1)", [7, "a"], 7),
        ("mode(property('x'))", [True, True, False], True),
        ("mode(property('x'), 3)", [5, "5", 5.0], 5),
        ("mode(property('x'), 2)", ["5", 5], "5"),
        ("mode(property('x'), 1)", [["a"], ["a"], "b"], "b"),
        ("mode(property('x') as array, 2)", [["a", 1], ["a", 1], "b"], ["a", 1]),
        ("first(property('x'))", [None, "a", "b"], "a"),
        ("last(property('x'))", ["a", False, None], False),
        ("unique(property('x'))", ["b", 1, "1", True, None, ["z"], 1.0], ["1", "b", "true"]),
        ("unique(property('x')).count()", ["b", "a", "b"], 2),
        ("unique(property('x'))", [], []),
    ],
)
def test_events_come_to(reducer: str, values: list[Any], expected: Any, window: str) -> None:
    """In time's order, an hour apart; in every kind of window the same."""
    user = User(program(f"event('Order'){window}.{reducer}"))
    user.does(*(event(T0 + n, properties={"x": value}) for n, value in enumerate(values)))
    value = user.value(T0 + DAY)
    assert value == expected
    assert type(value) is type(expected) or {type(value), type(expected)} == {int, float}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("reducer", "expected"), [("first", "b1"), ("last", "a2")])
def test_of_events_at_one_instant_arrival_decides_and_then_the_id(
    reducer: str, expected: str, window: str
) -> None:
    user = User(program(f"event('Order'){window}.{reducer}(property('x'))"))
    for name in ("c1", "a2", "b1"):
        arrival = T0 + int(name[1])
        user.does(event(T0, received_at_ms=arrival, message_id=name, properties={"x": name}))
    assert user.value(T0 + HOUR) == expected


@pytest.mark.parametrize("reducer", REDUCERS)
@given(values=st.lists(st.sampled_from(VALUES), max_size=12), seed=st.integers(0, 99))
def test_no_order_and_no_way_of_joining_changes_what_values_come_to(
    reducer: str, values: list[Any], seed: int
) -> None:
    fold = fold_named(reducer)
    rows = [
        row
        for n, value in enumerate(values)
        if (row := fold.row(event(T0 + n, properties={"x": value})))
    ]
    expected = fold.over(rows)
    chance = random.Random(seed)
    chance.shuffle(rows)
    states = [fold.empty() for _ in range(3)]
    for row in rows:
        n = chance.randrange(3)
        states[n] = fold.add(states[n], row)
    chance.shuffle(states)
    joined = fold.join(fold.join(states[0], states[1]), states[2])
    assert fold.result(joined) == expected


@given(st.lists(st.floats(-1e290, 1e290), max_size=30))
def test_sums_are_exact(numbers: list[float]) -> None:
    fold = fold_named("sum(property('x'))")
    state = fold.empty()
    for n, number in enumerate(numbers):
        state = fold.add(state, [T0 + n, number])
    assert fold.result(state) == fsum(numbers)


@pytest.mark.parametrize("reducer", ["unique(property('x'))", "mode(property('x'), 1)"])
def test_the_first_values_by_alphabet_are_kept_when_there_are_too_many(
    reducer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever order they come in; how often one was left out is told."""
    monkeypatch.setattr(folds, "MOST_KEPT", 3)
    running = program(f"event('Order').{reducer}")
    for order in ("abcde", "edcba", "caebd"):
        user = User(running)
        user.does(*(event(T0 + n, properties={"x": x}) for n, x in enumerate(order)))
        state = user.profile.leaves[1][0][0]
        assert sorted(text.strip('"') for text in state) == ["a", "b", "c"]
        assert running.dropped(user.profile) == {1: 2}


def test_texts_are_kept_up_to_a_length_and_large_objects_not_at_all() -> None:
    user = User(program("event('Order').last(property('x'))"))
    assert len(user.does(event(T0, properties={"x": "x" * 5_000})).value(T0)) == kept.LONGEST_TEXT
    user.does(event(T0 + 1, properties={"x": ["x" * 5_000]}))
    assert len(user.value(T0 + 1)) == kept.LONGEST_TEXT


def test_properties_are_found_by_path_and_in_the_context() -> None:
    user = User(
        program(
            "event('Order').last(property('cart.id'))", "event('Order').last(context('page.url'))"
        )
    )
    user.does(event(T0, properties={"cart": {"id": 7}}, context={"page": {"url": "/x"}}))
    assert (user.value(T0, 1), user.value(T0, 2)) == (7, "/x")


def fold_named(reducer: str) -> Fold:
    """The fold of a reducer over the property `x`."""
    tree = parse(f"event('Order').{reducer}")
    assert isinstance(tree, Reduced)
    return fold_of(tree, lambda observed: observed.properties.get("x"))
