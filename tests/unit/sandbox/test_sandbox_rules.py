"""Heap's documented rules as tables: a body, and what each profile makes of it."""

from typing import Any

import pytest

from headgate.sandbox.options import Options, Profile
from headgate.sandbox.rules import Accepted, Refused, app_id_is_known, hashed_user_id, judge
from headgate.sandbox.writes import SetAccountProperties, SetUserProperties, TrackEvent

TRACK, USER = "/api/track", "/api/add_user_properties"
IDENTIFY, ACCOUNT = "/api/v1/identify", "/api/add_account_properties"
PARTNER_TRACK = "/api/integrations/track"
PARTNER_USER = "/api/integrations/add_user_properties"


def event(**fields: Any) -> dict[str, Any]:
    return {"app_id": "123", "identity": "ann", "event": "Signed Up", **fields}


def bulk(*rows: Any, **fields: Any) -> dict[str, Any]:
    return {"app_id": "123", "events": list(rows), **fields}


def row(**fields: Any) -> dict[str, Any]:
    return {"identity": "ann", "event": "Signed Up", **fields}


def user(**fields: Any) -> dict[str, Any]:
    return {"app_id": "123", "identity": "ann", **fields}


def partner(**fields: Any) -> dict[str, Any]:
    one = {"event": "E", "user_identifier": {"identity": "ann"}, "idempotency_key": "k" * 8}
    return {"app_id": "123", "library": "server", "events": [one | fields]}


def verdict(path: str, body: Any, profile: Profile = "documented") -> Accepted | Refused:
    return judge(path, body, Options(profile=profile))


def accepted(path: str, body: Any, profile: Profile = "documented") -> Accepted:
    found = verdict(path, body, profile)
    assert isinstance(found, Accepted), found
    return found


def stored_properties(path: str, body: Any, profile: Profile = "documented") -> dict[str, Any]:
    write = accepted(path, body, profile).writes[0]
    assert isinstance(write, TrackEvent | SetUserProperties | SetAccountProperties)
    return write.properties


FINE = [
    pytest.param(TRACK, event(), id="event, least"),
    pytest.param(TRACK, event(properties={}, timestamp="2026-11-23T10:00:00Z"), id="event, time"),
    pytest.param(TRACK, event(event="e" * 1024), id="event name of 1,024"),
    pytest.param(TRACK, event(identity="i" * 255), id="identity of 255"),
    pytest.param(TRACK, event(properties={"k" * 1023: "v" * 1023}), id="key and value of 1,023"),
    pytest.param(TRACK, event(properties={"n": 1, "x": 1.5, "s": "", "a": ["x", 1]}), id="values"),
    pytest.param(TRACK, {"app_id": "1", "user_id": str(2**53 - 1), "event": "E"}, id="user_id"),
    pytest.param(TRACK, event(session_id="1", idempotency_key="k"), id="session and key"),
    pytest.param(TRACK, bulk(row()), id="bulk of one"),
    pytest.param(TRACK, bulk(*[row()] * 1000), id="bulk of 1,000"),
    pytest.param(USER, user(), id="user without properties"),
    pytest.param(USER, user(properties={"email": "a@b.c", "n": 1}), id="user"),
    pytest.param(USER, {"app_id": "1", "users": [{"identity": "a"}] * 1000}, id="users"),
    pytest.param(IDENTIFY, user(user_id="12"), id="identify"),
    pytest.param(ACCOUNT, {"app_id": "1", "account_id": "a", "properties": {"n": 1}}, id="account"),
    pytest.param(ACCOUNT, {"app_id": "1", "accounts": [{"account_id": "a"}]}, id="accounts"),
]


@pytest.mark.parametrize("profile", ["documented", "strict", "lenient"])
@pytest.mark.parametrize(("path", "body"), FINE)
def test_what_heap_documents_is_accepted_unflagged(
    path: str, body: dict[str, Any], profile: Profile
) -> None:
    assert accepted(path, body, profile).undocumented == ()


NEVER = [
    pytest.param(TRACK, None, "body", id="not JSON"),
    pytest.param(TRACK, [], "body", id="not an object"),
    pytest.param(TRACK, {"identity": "a", "event": "E"}, "app_id", id="no app_id"),
    pytest.param(TRACK, event(app_id=""), "app_id", id="empty app_id"),
    pytest.param(TRACK, event(app_id="x"), "app_id", id="app_id of letters"),
    pytest.param(TRACK, event(app_id=["1"]), "app_id", id="app_id of a wrong type"),
    pytest.param(TRACK, {"app_id": "1", "event": "E"}, "identity", id="nobody"),
    pytest.param(TRACK, event(user_id="1"), "user_id", id="identity and user_id"),
    pytest.param(TRACK, event(identity=""), "identity", id="empty identity"),
    pytest.param(TRACK, event(identity=None), "identity", id="null identity"),
    pytest.param(TRACK, event(identity=True), "identity", id="boolean identity"),
    pytest.param(TRACK, {"app_id": "1", "user_id": "x", "event": "E"}, "user_id", id="bad user_id"),
    pytest.param(
        TRACK, {"app_id": "1", "user_id": str(2**53), "event": "E"}, "user_id", id="user_id 2^53"
    ),
    pytest.param(TRACK, {"app_id": "1", "identity": "a"}, "event", id="no event"),
    pytest.param(TRACK, event(event=""), "event", id="empty event"),
    pytest.param(TRACK, event(timestamp="yesterday"), "timestamp", id="no time"),
    pytest.param(TRACK, event(timestamp=1e300), "timestamp", id="a time beyond all"),
    pytest.param(TRACK, event(timestamp=True), "timestamp", id="boolean time"),
    pytest.param(TRACK, event(properties=[1]), "properties", id="properties as a list"),
    pytest.param(TRACK, event(events=[row()]), "event", id="event and events"),
    pytest.param(TRACK, bulk(), "events", id="bulk of none"),
    pytest.param(TRACK, bulk(*[row()] * 1001), "events", id="bulk of 1,001"),
    pytest.param(TRACK, {"app_id": "1", "events": {}}, "events", id="events not an array"),
    pytest.param(TRACK, bulk(row(), 7), "events[1]", id="a row that is no object"),
    pytest.param(TRACK, bulk(row(), row(event="")), "events[1].event", id="a bad row"),
    pytest.param(USER, {"app_id": "1", "properties": {}}, "identity", id="user without identity"),
    pytest.param(USER, {"app_id": "1", "users": []}, "users", id="no users"),
    pytest.param(IDENTIFY, user(), "user_id", id="identify without user_id"),
    pytest.param(IDENTIFY, {"app_id": "1", "user_id": "1"}, "identity", id="without identity"),
    pytest.param(ACCOUNT, {"app_id": "1"}, "account_id", id="account without id"),
    pytest.param(
        ACCOUNT, {"app_id": "1", "account_id": "a", "accounts": []}, "account_id", id="both"
    ),
    pytest.param(PARTNER_TRACK, {**partner(), "library": "web"}, "library", id="partner library"),
    pytest.param(PARTNER_TRACK, partner(user_identifier={}), "events[0].user_id", id="nobody"),
    pytest.param(
        PARTNER_TRACK, partner(custom_properties={"n": 1}), "events[0].custom", id="not a string"
    ),
    pytest.param(PARTNER_TRACK, partner(idempotency_key="k"), "events[0].idem", id="short key"),
]


@pytest.mark.parametrize("profile", ["documented", "strict", "lenient"])
@pytest.mark.parametrize(("path", "body", "place"), NEVER)
def test_what_is_refused_in_every_profile_names_the_place(
    path: str, body: Any, place: str, profile: Profile
) -> None:
    found = verdict(path, body, profile)
    assert isinstance(found, Refused)
    assert found.error.startswith(place)


FORBIDDEN = [
    pytest.param(TRACK, event(event="e" * 1025), "long-event", id="event name of 1,025"),
    pytest.param(TRACK, event(identity="i" * 256), "long-identity", id="identity of 256"),
    pytest.param(TRACK, event(identity=7), "numeric-identity", id="identity as a number"),
    pytest.param(TRACK, event(properties={"k": "v" * 1024}), "value-1024-chars", id="long value"),
    pytest.param(TRACK, event(properties={"k" * 1024: 1}), "key-1024-chars", id="long key"),
    pytest.param(TRACK, event(idempotency_key=1), "idempotency_key-type", id="key as a number"),
    pytest.param(TRACK, event(session_id=1), "session_id-type", id="session as a number"),
    pytest.param(
        TRACK, {"app_id": "1", "user_id": 7, "event": "E"}, "numeric-user_id", id="user_id number"
    ),
    pytest.param(USER, user(properties={"k": "v" * 1024}), "value-1024-chars", id="user's value"),
]


@pytest.mark.parametrize(("path", "body", "word"), FORBIDDEN)
def test_what_heap_forbids_passes_only_in_lenient_and_is_flagged(
    path: str, body: dict[str, Any], word: str
) -> None:
    assert isinstance(verdict(path, body), Refused)
    assert isinstance(verdict(path, body, "strict"), Refused)
    assert accepted(path, body, "lenient").undocumented == (word,)


OPEN = [
    pytest.param(TRACK, {"b": True}, "boolean-value", {"b": True}, id="boolean kept"),
    pytest.param(TRACK, {"n": None, "k": 1}, "null-value", {"k": 1}, id="null dropped"),
    pytest.param(TRACK, {"o": {}, "k": 1}, "object-value", {"k": 1}, id="object dropped"),
    pytest.param(
        TRACK, {"a": [1, True, None]}, "array-of-non-scalars", {"a": "1||true||null"}, id="array"
    ),
    pytest.param(USER, {"b": False}, "boolean-value", {"b": False}, id="user's boolean kept"),
    pytest.param(USER, {"n": None}, "null-value", {}, id="user's null dropped"),
    pytest.param(USER, {"a": ["x"], "k": 1}, "array-user-property", {"k": 1}, id="user's array"),
    pytest.param(USER, {"iD": "x", "k": 1}, "forbidden-key", {"k": 1}, id="id in any casing"),
    pytest.param(USER, {"USER_ID": "x"}, "forbidden-key", {}, id="user_id"),
]


@pytest.mark.parametrize(("path", "properties", "word", "stored"), OPEN)
def test_what_heap_leaves_open_is_flagged_and_refused_in_strict(
    path: str, properties: dict[str, Any], word: str, stored: dict[str, Any]
) -> None:
    body = (event if path == TRACK else user)(properties=properties)
    assert accepted(path, body).undocumented == (word,)
    assert stored_properties(path, body) == stored
    assert stored_properties(path, body, "lenient") == stored
    assert isinstance(verdict(path, body, "strict"), Refused)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        pytest.param(event(timestamp=1_700_000_000_000), "epoch-timestamp", id="epoch ms"),
        pytest.param(event(timestamp=None), "null-field", id="null field"),
        pytest.param(event(library="x"), "unknown-field", id="unknown field"),
        pytest.param(bulk(row(), library="x"), "unknown-field", id="unknown field in bulk"),
    ],
)
def test_fields_outside_the_documentation_are_flagged(body: dict[str, Any], word: str) -> None:
    assert accepted(TRACK, body).undocumented == (word,)
    assert isinstance(verdict(TRACK, body, "strict"), Refused)


@pytest.mark.parametrize(
    ("array", "stored"),
    [
        pytest.param(["a", "b"], "a||b", id="strings"),
        pytest.param([1, 2.5], "1||2.5", id="numbers"),
        pytest.param([], "", id="nothing"),
        pytest.param(["x" * 1000] * 2, ("x" * 1000 + "||" + "x" * 22), id="cut at 1,024"),
    ],
)
def test_arrays_of_events_are_joined_and_cut(array: list[Any], stored: str) -> None:
    assert stored_properties(TRACK, event(properties={"a": array})) == {"a": stored}


def test_an_epoch_timestamp_is_stored_as_iso() -> None:
    write = accepted(TRACK, event(timestamp=1_700_000_000_123)).writes[0]
    assert isinstance(write, TrackEvent)
    assert write.timestamp == "2023-11-14T22:13:20.123Z"


def test_skip_mode_drops_bad_rows_and_counts_them() -> None:
    body = bulk(row(), 7, row(event=""), row())
    found = judge(TRACK, body, Options(bulk="skip"))
    assert isinstance(found, Accepted)
    assert (len(found.writes), found.skipped) == (2, 2)


def test_accounts_accept_a_numeric_app_id_with_a_flag() -> None:
    body = {"app_id": 1, "account_id": "a"}
    assert accepted(ACCOUNT, body).undocumented == ("numeric-app-id",)
    assert isinstance(verdict(TRACK, event(app_id=1)), Refused)


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        pytest.param({"identity": "ann", "anonymous_id": "x"}, "ann", id="identity first"),
        pytest.param({"email": "a@b.c"}, "a@b.c", id="email"),
        pytest.param({"user_id": "7"}, "7", id="user_id"),
        pytest.param({"anonymous_id": "anon1"}, "435837195053672", id="anonymous_id"),
    ],
)
def test_partner_rows_name_their_user_in_four_ways(identifier: Any, name: str) -> None:
    found = accepted(PARTNER_TRACK, partner(user_identifier=identifier))
    write = found.writes[0]
    assert isinstance(write, TrackEvent)
    assert write.who.name == name
    assert found.undocumented == ("partner-endpoint",)


def test_partner_users_may_call_their_properties_by_either_name() -> None:
    rows = [
        {"user_identifier": {"identity": "a"}, name: {"k": 1}}
        for name in ("custom_properties", "properties")
    ]
    found = accepted(PARTNER_USER, {"app_id": "1", "library": "looker", "users": rows})
    assert [w.properties for w in found.writes if isinstance(w, SetUserProperties)] == [
        {"k": 1}
    ] * 2


@pytest.mark.parametrize(
    ("anonymous_id", "user_id"),
    [
        ("5a41f0df-b69a-4a99-b656-79506a86c3f8", "8325872782136936"),
        ("anon1", "435837195053672"),
    ],
)
def test_an_anonymous_id_hashes_to_heaps_user_id(anonymous_id: str, user_id: str) -> None:
    assert hashed_user_id(anonymous_id) == user_id


def test_an_allow_list_makes_other_apps_unknown() -> None:
    options = Options(app_ids=frozenset({"1"}))
    assert isinstance(judge(TRACK, event(app_id="1"), options), Accepted)
    assert isinstance(judge(TRACK, event(app_id="2"), options), Refused)
    assert app_id_is_known({"app_id": "1"}, options)
    assert not app_id_is_known({"app_id": "2"}, options)


def test_judging_leaves_the_body_as_it_was() -> None:
    body = event(properties={"o": {}, "a": [1], "k": 1})
    before = repr(body)
    accepted(TRACK, body)
    assert repr(body) == before
