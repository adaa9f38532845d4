"""What Heap gets of a message, case by case; the tables beside this file say it in full."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.destinations.heap.destination import HEAP
from headgate.destinations.heap.mapping import Event, UserProperties, map_message
from headgate.destinations.heap.settings import MAPPING_CLASSIC, MAPPING_HEAP, SETTINGS
from headgate.destinations.interface import Discard, Row
from headgate.spec.settings import with_defaults
from strategies import broken_messages, messages, values

MESSAGE = {
    "userId": "u1",
    "event": "Signed Up",
    "messageId": "m1",
    "timestamp": "2026-11-23T18:24:00.123Z",
}
both_mappings = pytest.mark.parametrize("mapping", [MAPPING_HEAP, MAPPING_CLASSIC])


def settings(**given: Any) -> dict[str, Any]:
    return with_defaults(SETTINGS, {"appId": "1535634150", **given})


def track(properties: dict[str, Any], /, *, mapping: str = MAPPING_HEAP, **fields: Any) -> Event:
    message = {**MESSAGE, "type": "track", "properties": properties, **fields}
    unit = map_message(message, settings(mapping=mapping))
    assert isinstance(unit, Event)
    return unit


def table(name: str) -> list[Any]:
    """The cases of a table, each message laid over the table's own."""
    content = json.loads((Path(__file__).parent / name).read_text())
    return [
        pytest.param(
            case | {"message": content["message"] | case["message"]},
            id=case["name"].replace(" ", "_"),
        )
        for case in content["cases"]
    ]


def with_kinds(value: Any) -> Any:
    """The value such that true differs from 1, as it does at Heap."""
    if isinstance(value, dict):
        return {name: (member, type(member) is bool) for name, member in value.items()}
    return value


@pytest.mark.parametrize("case", [*table("heap_cases.json"), *table("classic_cases.json")])
def test_a_message_becomes_what_the_table_says(case: dict[str, Any]) -> None:
    """Each case of the tables: the unit, field by field, or the reason of a discard."""
    unit = map_message(case["message"], settings(**case.get("settings", {})))
    if isinstance(unit, Discard):
        assert {"discard": unit.reason} == case["expected"]
        return
    for field, expected in case["expected"].items():
        assert with_kinds(getattr(unit, field)) == with_kinds(expected)
    if "notes" in case:
        assert list(unit.notes) == case["notes"]


@both_mappings
@pytest.mark.parametrize(
    ("field", "longest", "reason"),
    [("userId", 255, "identity_too_long"), ("event", 1024, "event_name_too_long")],
)
def test_who_and_what_are_never_cut(mapping: str, field: str, longest: int, reason: str) -> None:
    """Identities and event names go whole or not at all; characters count, not bytes."""
    unit: Any = track({}, mapping=mapping, **{field: "😀" * longest})
    assert "😀" * longest in (unit.identity, unit.event)
    message = {**MESSAGE, "type": "track", field: "é" * (longest + 1)}
    unit = map_message(message, settings(mapping=mapping))
    assert unit == Discard(reason, f"{longest + 1:,} characters")


@both_mappings
def test_text_is_cut_to_1023_characters(mapping: str) -> None:
    """A text that is too long, or the text of an array, loses its end, and a note says so."""
    unit = track({"fits": "😀" * 1023, "text": "😀" * 1024, "array": ["x" * 2000]}, mapping=mapping)
    assert unit.properties["fits"] == unit.properties["text"] == "😀" * 1023
    assert unit.properties["array"] == '["' + "x" * 1021
    assert unit.notes == (
        "text: cut from 1,024 to 1,023 characters",
        "array: cut from 2,004 to 1,023 characters",
    )


@both_mappings
def test_names_over_1023_characters_are_dropped(mapping: str) -> None:
    """A name is never cut, because two could become one; a note shows its beginning."""
    unit = track({"k" * 1021: {"a": 1, "bb": 2}, "x" * 1024: 3}, mapping=mapping)
    assert unit.properties.keys() - {"segment_library"} == {"k" * 1021 + ".a"}
    assert unit.notes == (
        "k" * 60 + "…: dropped, its name is over 1,023 characters",
        "x" * 60 + "…: dropped, its name is over 1,023 characters",
    )


def test_many_changes_are_counted_not_listed() -> None:
    """The notes of a message full of nulls stay shorter than the message."""
    notes = track({f"p{number}": None for number in range(23)}).notes
    assert notes[:2] == ("p0: dropped, it is null", "p1: dropped, it is null")
    assert len(notes) == 21
    assert notes[-1] == "and 3 more"


DEEP: dict[str, Callable[[Any], Any]] = {
    "objects": lambda inner: {"a": inner},
    "objects without a name": lambda inner: {"": inner},
    "arrays": lambda inner: [inner],
    "objects in arrays": lambda inner: [{"a": inner}],
    "arrays in objects": lambda inner: {"a": [inner]},
}


@both_mappings
@pytest.mark.parametrize("nest", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("leaf", [1, "\ud800"], ids=["number", "half a surrogate pair"])
def test_nesting_has_no_limit(mapping: str, nest: Callable[[Any], Any], leaf: Any) -> None:
    """As deep as 32 KB of brackets reach, nothing is raised and the neighbours are sent."""
    value = leaf
    for _ in range(16_000):
        value = nest(value)
    unit = track({"deep": value, "beside": 1}, mapping=mapping)
    assert unit.properties["beside"] == 1
    assert_flat(json.loads(msgspec.json.encode(unit.properties)))


def test_deep_arrays_within_the_length_that_heap_takes_are_whole() -> None:
    """500 levels, the deepest array whose text fits."""
    text = "[" * 500 + "]" * 500
    assert track({"a": json.loads(text)}).properties["a"] == text


@both_mappings
@given(message=broken_messages())
def test_no_json_value_anywhere_raises(mapping: str, message: dict[str, Any]) -> None:
    """Whatever stands in whichever field, there is a row of valid JSON or a discard."""
    outcome = HEAP.map_row(message, settings(mapping=mapping))
    if isinstance(outcome, Row):
        row = json.loads(outcome.encoded)
        assert 0 < len(row["identity"]) <= 255
        assert outcome.identity == row["identity"]
        assert_flat(row["properties"])


@both_mappings
@given(message=messages())
def test_a_message_with_a_user_becomes_a_row(mapping: str, message: dict[str, Any]) -> None:
    """Nothing that properties, traits or context hold keeps a message from Heap."""
    outcome = HEAP.map_row(message, settings(mapping=mapping))
    assert isinstance(outcome, Row)
    assert_flat(json.loads(outcome.encoded)["properties"])


@given(message=messages(type=st.just("identify")))
def test_heap_never_sees_a_user_property_it_forbids(message: dict[str, Any]) -> None:
    """Neither `id` nor `user_id`, in any case, leaves the mapping heap."""
    unit = map_message(message, settings())
    assert isinstance(unit, UserProperties)
    assert not {name.lower() for name in unit.properties} & {"id", "user_id"}


@given(trait=st.sampled_from(["vip", "last_order"]), instead=values)
def test_null_traits_never_reach_heap(trait: str, instead: Any) -> None:
    """Whatever the configured value is, it is mapped like any other trait of that value."""
    engage = {"context": {"personas": {"computation_key": trait}}}
    identify = {**MESSAGE, "type": "identify", **engage}
    replaced = map_message({**identify, "traits": {trait: None}}, settings(nullTraits=instead))
    given_so = map_message({**identify, "traits": {trait: instead}}, settings())
    assert isinstance(replaced, UserProperties)
    assert isinstance(given_so, UserProperties)
    assert replaced.properties == given_so.properties


def assert_flat(properties: dict[str, Any]) -> None:
    """Only names and values of the documented kinds and lengths."""
    for name, value in properties.items():
        assert len(name) <= 1023
        assert type(value) in (str, int, float, bool)
        assert type(value) is not str or len(value) <= 1023
