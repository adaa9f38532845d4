"""What Engage sees of messages: who, when, which event; and which identifiers it leaves out."""

from typing import Any

import pytest
from hypothesis import given

import strategies
from factories import NOW_MS, envelope, message
from headgate.engage.observe import MAX_IDENTIFIERS, MAX_VALUE_CHARACTERS, observe
from headgate.engage.observed import Observed
from headgate.engage.profile import Identifier
from headgate.engage.rules import rules_of
from headgate.engage.violations import Violations
from headgate.spec.message import normalize

RULES = rules_of({})


def seen(violations: Violations | None = None, **fields: Any) -> Observed:
    """A track call with these fields, as Engage sees it."""
    normal = normalize(message(**fields), envelope())
    return observe(normal, 7, "website", RULES, violations or Violations())


def identifiers(**fields: Any) -> list[tuple[str, str]]:
    """The identifiers of a track call with these fields."""
    return [(one.type, one.value) for one in seen(**fields).identifiers]


def external(**fields: Any) -> dict[str, Any]:
    """An entry of `context.externalIds`."""
    return {"id": "555", "type": "phone", "collection": "users", "encoding": "none"} | fields


def test_a_track_call_is_its_event_at_its_own_time() -> None:
    """Corrected by the sender's clock, as normalised."""
    found = seen(timestamp="2023-11-14T22:13:00.000Z", sentAt="2023-11-14T22:13:10.000Z")
    assert (found.seq, found.message_id, found.source) == (7, "m-1", "website")
    assert (found.at_ms, found.received_at_ms) == (NOW_MS - 10_000, NOW_MS)
    assert (found.name, found.properties, found.traits) == ("Order Completed", {"total": 12.5}, {})


@pytest.mark.parametrize(
    ("fields", "name", "properties"),
    [
        ({"type": "page", "name": "Home"}, "Page Viewed", {"page_name": "Home"}),
        ({"type": "page"}, "Page Viewed", {}),
        ({"type": "screen", "name": "Cart"}, "Screen Viewed", {"screen_name": "Cart"}),
        ({"type": "track", "event": 5}, "5", {}),
        ({"type": "identify", "name": "x"}, "", {}),
        ({"type": "group"}, "", {}),
        ({"type": "alias"}, "", {}),
    ],
)
def test_pages_and_screens_are_events_too(
    fields: dict[str, Any], name: str, properties: dict[str, str]
) -> None:
    """Under names of their own; other calls are none."""
    found = seen(**({"event": None, "properties": {}} | fields))
    assert (found.name, found.properties) == (name, properties)


def test_traits_are_those_of_an_identify() -> None:
    """A group's traits are the group's, and so is the e-mail among them."""
    traits = {"plan": "pro", "email": "ann@example.com"}
    assert seen(type="identify", traits=traits).traits == traits
    found = seen(type="group", traits=traits)
    assert (found.traits, found.identifiers) == ({}, (Identifier("user_id", "ann"),))


def test_identifiers_come_from_everywhere_by_priority() -> None:
    """The userId, e-mails, then by the alphabet; one that is named twice counts once."""
    context = {
        "traits": {"email": "ann@home.example"},
        "device": {"type": "ios", "id": "d1", "token": "t1", "advertisingId": "a1"}
        | {"adTrackingEnabled": True},
        "externalIds": [external(), external(), external(type="crm_id", id=9)],
    }
    traits = {"email": "ann@work.example"}
    assert identifiers(type="identify", traits=traits, context=context, anonymousId="x1") == [
        ("user_id", "ann"),
        ("email", "ann@work.example"),
        ("email", "ann@home.example"),
        ("anonymous_id", "x1"),
        ("crm_id", "9"),
        ("ios.id", "d1"),
        ("ios.idfa", "a1"),
        ("ios.push_token", "t1"),
        ("phone", "555"),
    ]


@pytest.mark.parametrize(
    "device",
    [
        {"type": "android", "advertisingId": "a1"},
        {"type": "android", "advertisingId": "a1", "adTrackingEnabled": "true"},
        {"type": "web", "id": "d1"},
        {"id": "d1"},
        "d1",
    ],
)
def test_a_device_counts_when_it_says_what_it_is(device: object) -> None:
    """Its advertising id only when its owner allows tracking."""
    assert identifiers(context={"device": device}) == [("user_id", "ann")]


@pytest.mark.parametrize(
    "entry",
    [
        external(type="Phone"),
        external(type="a:b"),
        external(id=""),
        external(collection=None),
        external(encoding="base64"),
        "555",
    ],
)
def test_a_malformed_external_id_is_left_out_and_counted(entry: object) -> None:
    """All four fields, the type in lower case."""
    violations = Violations()
    found = seen(violations, context={"externalIds": [entry]})
    assert found.identifiers == (Identifier("user_id", "ann"),)
    assert violations.counts == {"external_id_malformed": 1}


def test_an_accounts_external_id_is_nothing_wrong() -> None:
    """It is not about a person."""
    violations = Violations()
    seen(violations, context={"externalIds": [external(collection="accounts")]})
    assert not violations.counts


@pytest.mark.parametrize("value", ["0000-00", "-", "-1", "null", "anonymous", " ", "\t"])
def test_what_many_people_would_share_is_left_out_and_counted(value: str) -> None:
    """It stays in the message."""
    violations = Violations()
    found = seen(violations, userId=value, anonymousId="x1")
    assert found.identifiers == (Identifier("anonymous_id", "x1"),)
    assert violations.counts == {"value_blocked": 1}
    (told,) = violations.last
    assert (told.message_id, told.type, told.value) == ("m-1", "user_id", value)


@pytest.mark.parametrize("value", ["01", "Null", "ANONYMOUS", "-1-a", " ann "])
def test_values_are_taken_as_written(value: str) -> None:
    """Neither trimmed nor in another case."""
    assert identifiers(userId=value) == [("user_id", value)]


def test_nothing_is_no_identifier_and_no_violation() -> None:
    """An empty userId is a missing one."""
    violations = Violations()
    found = seen(violations, userId="", anonymousId=None, context={"traits": {"email": None}})
    assert (found.identifiers, dict(violations.counts)) == ((), {})


def test_endless_values_and_lists_are_cut_off_and_counted() -> None:
    """So that a message costs a bounded effort."""
    violations = Violations()
    many = [external(id=str(n + 1)) for n in range(MAX_IDENTIFIERS)]
    long = "a" * (MAX_VALUE_CHARACTERS + 1)
    found = seen(violations, anonymousId=long, context={"externalIds": many})
    assert len(found.identifiers) == MAX_IDENTIFIERS
    assert found.identifiers[0] == Identifier("user_id", "ann")
    assert violations.counts == {"value_too_long": 1, "too_many_identifiers": 1}
    assert max(len(told.value) for told in violations.last) <= 64


def test_a_configured_identifier_is_found_among_traits_and_properties() -> None:
    """In both spellings; those with a place of their own only there."""
    rules = rules_of({"appId": 2, "userId": 3, "ios.id": 1})
    body = message(
        type="identify",
        traits={"app_id": "1", "ios.id": "d"},
        properties={"appId": 2, "user_id": "other"},
        context={"traits": {"appId": "3"}},
    )
    found = observe(normalize(body, envelope()), 1, "website", rules, Violations())
    assert [(one.type, one.value) for one in found.identifiers] == [
        ("user_id", "ann"),
        ("app_id", "1"),
        ("app_id", "3"),
        ("app_id", "2"),
    ]


def test_limits_go_by_either_spelling() -> None:
    """One userId and five of everything else, unless told otherwise."""
    rules = rules_of({"anonymousId": 2, "app_id": 7})
    types = ("user_id", "email", "anonymous_id", "app_id")
    assert [rules.limit(type_) for type_ in types] == [1, 5, 2, 7]
    assert rules_of({"userId": 3}).limit("user_id") == 3


@given(strategies.broken_messages())
def test_whatever_is_in_a_message_it_can_be_observed(fields: dict[str, Any]) -> None:
    """What is of the wrong kind counts as missing."""
    shape = {"messageId": "m", "userId": "", "timestamp": "2023-11-14T22:13:20.000Z"}
    times = {"receivedAt": "2023-11-14T22:13:20.000Z"}
    rules = rules_of({"a": 1})
    found = observe(fields | shape | times, 1, "website", rules, Violations())
    assert found.at_ms == NOW_MS
    assert {type(one.value) for one in found.identifiers} <= {str}
    assert all(one.value for one in found.identifiers)
