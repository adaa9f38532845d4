"""The consent object decides whether a destination that needs categories gets the message."""

import pytest

from headgate.spec.consent import consents

FLOWS: dict[str, tuple[object, list[str]]] = {
    "no consent object": ({}, ["ads"]),
    "no context": (None, ["ads"]),
    "a context that is no object": ("ads", ["ads"]),
    "consent is null": ({"consent": None}, ["ads"]),
    "consent is no object": ({"consent": True}, ["ads"]),
    "an empty consent object": ({"consent": {}}, ["ads"]),
    "preferences are null": ({"consent": {"categoryPreferences": None}}, ["ads"]),
    "the one category": ({"consent": {"categoryPreferences": {"ads": True}}}, ["ads"]),
    "all of several": (
        {"consent": {"categoryPreferences": {"ads": True, "stats": True}}},
        ["ads", "stats"],
    ),
    "no to a category nobody needs": (
        {"consent": {"categoryPreferences": {"ads": True, "stats": False}}},
        ["ads"],
    ),
    "a destination without categories": (
        {"consent": {"categoryPreferences": {"ads": False}}},
        [],
    ),
    "empty preferences, no categories": ({"consent": {"categoryPreferences": {}}}, []),
}

STAYS: dict[str, tuple[object, list[str]]] = {
    "no to the one category": ({"consent": {"categoryPreferences": {"ads": False}}}, ["ads"]),
    "one of several": (
        {"consent": {"categoryPreferences": {"ads": True, "stats": False}}},
        ["ads", "stats"],
    ),
    "a category that was not asked": (
        {"consent": {"categoryPreferences": {"stats": True}}},
        ["ads"],
    ),
    "another case": ({"consent": {"categoryPreferences": {"Ads": True}}}, ["ads"]),
    "empty preferences": ({"consent": {"categoryPreferences": {}}}, ["ads"]),
    "text for true": ({"consent": {"categoryPreferences": {"ads": "true"}}}, ["ads"]),
    "one for true": ({"consent": {"categoryPreferences": {"ads": 1}}}, ["ads"]),
    "a category that is null": ({"consent": {"categoryPreferences": {"ads": None}}}, ["ads"]),
    "preferences that cannot be read": ({"consent": {"categoryPreferences": ["ads"]}}, ["ads"]),
}


@pytest.mark.parametrize(("context", "categories"), FLOWS.values(), ids=FLOWS)
def test_the_message_flows(context: object, categories: list[str]) -> None:
    assert consents(context, categories)


@pytest.mark.parametrize(("context", "categories"), STAYS.values(), ids=STAYS)
def test_the_message_stays(context: object, categories: list[str]) -> None:
    assert not consents(context, categories)
