"""A path leads step by step into what a message or profile holds, and nowhere else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.language.paths import steps_of, value_at

STEPS = {
    "plan": ("plan",),
    "address.city": ("address", "city"),
    "utm\\.source": ("utm.source",),
    "a.b\\.c.d": ("a", "b.c", "d"),
    "a\\\\.b": ("a\\", "b"),
    "a\\\\\\.b": ("a\\.b",),
    "a\\b": ("a\\b",),
    "a\\": ("a\\",),
    "a\nb.c": ("a\nb", "c"),
    "a.": ("a", ""),
    ".": ("", ""),
    "": ("",),
}

HELD: dict[str, Any] = {
    "address": {"city": "Berlin", "geo": {"lat": 52.5}, "zip": None},
    "address.city": "the key of this name",
    "tags": ["a", {"b": 1}],
    "name": "text",
}
FOUND: dict[str, Any] = {
    "name": "text",
    "address.city": "Berlin",
    "address\\.city": "the key of this name",
    "address.geo.lat": 52.5,
    "address.geo": {"lat": 52.5},
    "address.zip": None,
    "address.zip.code": None,
    "address.street": None,
    "nothing.at.all": None,
    "tags": ["a", {"b": 1}],
    "tags.0": None,
    "tags.1.b": None,
    "name.length": None,
}


@pytest.mark.parametrize(("path", "steps"), STEPS.items())
def test_dots_separate_steps_unless_they_are_escaped(path: str, steps: tuple[str, ...]) -> None:
    assert steps_of(path) == steps


@given(st.lists(st.text(), min_size=1))
def test_escaped_names_joined_by_dots_come_apart_again(names: list[str]) -> None:
    path = ".".join(name.replace("\\", "\\\\").replace(".", "\\.") for name in names)
    assert steps_of(path) == tuple(names)


@pytest.mark.parametrize(("path", "value"), FOUND.items())
def test_a_path_finds_what_its_steps_lead_to(path: str, value: object) -> None:
    assert value_at(HELD, path) == value
