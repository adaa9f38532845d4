"""The integrations object decides, key by key, which destinations a message may reach."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.spec.integrations import allows, refused_by

ALLOWED: dict[str, object] = {
    "empty": {},
    "All true": {"All": True},
    "Heap true": {"Heap": True},
    "options": {"Heap": {"userId": "u1"}},
    "no options": {"Heap": {}},
    "Heap true beats All": {"All": False, "Heap": True},
    "options beat All": {"All": False, "Heap": {}},
    "Heap true beats all": {"all": False, "Heap": True},
    "All beats all": {"All": True, "all": False},
    "another destination": {"Amplitude": False},
    "another case": {"heap": False},
    "another product": {"Heap Web (Actions)": False},
    "null, and no All": {"Heap": None},
    "null, and All true": {"Heap": None, "All": True},
    "null everywhere": {"Heap": None, "All": None, "all": None},
    "text for All": {"All": "false"},
    "zero for All": {"All": 0},
    "text for Heap": {"All": False, "Heap": "false"},
    "zero for Heap": {"Heap": 0},
    "the sender's own key": {"Segment.io": False},
    "absent": None,
    "false instead of an object": False,
    "a list instead of an object": ["Heap"],
    "text instead of an object": "Heap",
}

REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "Heap false": ({"Heap": False}, "Heap"),
    "Heap false beats All": ({"All": True, "Heap": False}, "Heap"),
    "All false": ({"All": False}, "All"),
    "all false": ({"all": False}, "all"),
    "All false beats all": ({"All": False, "all": True}, "All"),
    "All null, all false": ({"All": None, "all": False}, "all"),
    "null falls through to All": ({"All": False, "Heap": None}, "All"),
    "the wrong case does not beat All": ({"All": False, "heap": True}, "All"),
    "another destination does not beat All": ({"All": False, "Amplitude": True}, "All"),
}


@pytest.mark.parametrize("integrations", ALLOWED.values(), ids=ALLOWED)
def test_the_message_may_go(integrations: object) -> None:
    assert allows(integrations, "Heap")
    assert refused_by(integrations, "Heap") is None


@pytest.mark.parametrize(("integrations", "key"), REFUSED.values(), ids=REFUSED)
def test_the_message_may_not_go_and_the_deciding_key_is_named(
    integrations: object, key: str
) -> None:
    assert not allows(integrations, "Heap")
    assert refused_by(integrations, "Heap") == key


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values, st.text(min_size=1))
def test_nothing_but_a_plain_false_ever_says_no(integrations: object, name: str) -> None:
    key = refused_by(integrations, name)
    assert key is None or (isinstance(integrations, dict) and integrations[key] is False)
