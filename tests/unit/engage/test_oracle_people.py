"""Whose a message is: the documented examples, limits, caps and merges of identity, and what is observed."""

from engage_oracle.byhand import T0, Log, ids
from engage_oracle.observing import observed
from engage_oracle.people import Person, Rules, people
from headgate.spec.timestamps import iso_ms


def profiles(*identifiers: str, rules: Rules | None = None) -> list[tuple[str, int]]:
    """After these messages: every profile's identifiers, and how many messages it has."""
    log = Log()
    for who in identifiers:
        log.event(at=len(log), who=who)
    return [_shown(person) for person in people(log, T0 + 99, rules or Rules())]


def _shown(person: Person) -> tuple[str, int]:
    names = " ".join(f"{one.type}:{one.value}" for one in person.identifiers)
    return names, len(person.messages)


def test_a_message_without_identifiers_is_nobodys() -> None:
    assert profiles("", "") == []


def test_a_message_creates_attaches_and_merges_into_the_profile_created_first() -> None:
    assert profiles("a:1", "a:2", "user_id:u a:2") == [("a:1", 1), ("a:2 user_id:u", 2)]
    assert profiles("a:1", "user_id:u", "user_id:u a:1") == [("a:1 user_id:u", 3)]


def test_an_email_at_the_limit_of_user_ids_is_dropped_and_a_new_profile_made() -> None:
    """The documented example: {abc123, jane@} meets {abc456, jane@}."""
    assert profiles("user_id:abc123 email:jane", "user_id:abc456 email:jane") == [
        ("user_id:abc123 email:jane", 1),
        ("user_id:abc456", 1),
    ]


def test_with_a_higher_limit_the_second_user_id_is_attached() -> None:
    rules = Rules(limits={"user_id": 2})
    assert profiles("user_id:1 email:j", "user_id:2 email:j", rules=rules) == [
        ("user_id:1 email:j user_id:2", 2)
    ]


def test_the_lowest_priority_goes_first_even_when_another_is_in_the_way() -> None:
    assert profiles("user_id:1 email:j", "user_id:2 email:j a:9", "a:9") == [
        ("user_id:1 email:j", 1),
        ("user_id:2", 1),
        ("a:9", 1),
    ]


def test_a_sixth_value_of_a_type_is_dropped() -> None:
    log = [f"user_id:u a:{number}" for number in range(6)]
    assert profiles(*log, "a:5") == [("user_id:u a:0 a:1 a:2 a:3 a:4", 6), ("a:5", 1)]


def test_a_merge_over_a_limit_does_not_happen() -> None:
    assert profiles("user_id:1 a:1", "user_id:2 a:2", "a:1 b:3", "a:2 b:3") == [
        ("user_id:1 a:1 b:3", 2),
        ("user_id:2 a:2", 2),
    ]


def test_at_a_cap_messages_still_resolve() -> None:
    full = Rules(identifiers=2)
    assert profiles("user_id:u a:1", "user_id:u a:2", "a:2", rules=full) == [
        ("user_id:u a:1", 2),
        ("a:2", 1),
    ]
    once = Rules(merges=1)
    assert profiles("a:1", "a:2", "a:3", "a:1 a:2", "a:3 a:1", rules=once) == [
        ("a:1 a:2", 3),
        ("a:3", 2),
    ]


def test_blocked_values_are_no_identifiers_and_priorities_are_kept() -> None:
    message = {
        "type": "identify",
        "messageId": "m",
        "timestamp": iso_ms(T0),
        "receivedAt": iso_ms(T0),
        "userId": "000-0",
        "anonymousId": "a1",
        "traits": {"email": "e"},
        "context": {
            "externalIds": [
                {"id": "9", "type": "Card", "collection": "users", "encoding": "none"},
                {"id": "8", "type": "card", "collection": "accounts", "encoding": "none"},
                {"id": "7", "type": "card", "collection": "users"},
                {"id": "u2", "type": "user_id", "collection": "users", "encoding": "none"},
            ]
        },
    }
    seen = observed(message, 1, "website")
    assert seen.identifiers == ids("user_id:u2 email:e anonymous_id:a1 card:9")
    assert seen.traits == {"email": "e"}


def test_a_page_call_is_the_event_page_viewed_with_its_name_beside() -> None:
    message = {
        "type": "page",
        "messageId": "m",
        "timestamp": iso_ms(T0),
        "receivedAt": iso_ms(T0),
        "name": "Home",
        "properties": {"x": 1},
    }
    seen = observed(message, 1, "website")
    assert (seen.name, seen.properties) == ("Page Viewed", {"x": 1, "page_name": "Home"})
