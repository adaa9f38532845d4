"""Flattening reaches every value exactly once, however it is nested."""

from collections.abc import Iterator
from typing import Any

from hypothesis import given

from headgate.destinations.heap.flatten import Scalar
from headgate.destinations.heap.mapping import Event, map_message
from headgate.destinations.heap.settings import SETTINGS
from headgate.spec.settings import with_defaults
from strategies import properties

SETTINGS_GIVEN = with_defaults(SETTINGS, {"appId": "1535634150"})


def flattened(given: dict[str, Any]) -> dict[str, Scalar]:
    message = {"type": "track", "userId": "u1", "event": "Signed Up", "properties": given}
    unit = map_message(message, SETTINGS_GIVEN)
    assert isinstance(unit, Event)
    return unit.properties


def paths(members: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted path of each value that is to be sent, by the plainest recursion there is."""
    for key, value in members.items():
        path = prefix + key.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if isinstance(value, dict):
            yield from paths(value, f"{path}.")
        elif isinstance(value, float | int) and not abs(value) < 2**1024:
            continue
        elif value is not None:
            yield path


@given(given=properties)
def test_every_value_is_reached_under_its_path(given: dict[str, Any]) -> None:
    """No value is lost and none is invented."""
    assert set(flattened(given)) == set(paths(given))


@given(given=properties)
def test_flat_properties_stay(given: dict[str, Any]) -> None:
    """What is flat already comes out as it went in: flattening twice is flattening once."""
    once = flattened(given)
    assert flattened(once) == once
