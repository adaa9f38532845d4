"""The lines that apply prints."""

from typing import Any

import pytest
from hypothesis import given
from workspace_samples import CATALOG, destination, document, documents, source, unhurried

from headgate.workspace.diff import as_text, changes
from headgate.workspace.document import encoded
from headgate.workspace.model import Document


def base(**keys: Any) -> Document:
    """One source, one destination, one audience; keys given replace the top level's."""
    defaults = {
        "sources": [source()],
        "destinations": [destination(deletionApiKey="one")],
        "engage": {"audiences": [{"name": "A", "definition": "trait('x') = 1"}]},
    }
    return document(**{**defaults, **keys})


CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "a default spelt out": (
        {"destinations": [destination(deletionApiKey="one", region="US")]},
        [],
    ),
    "source added": ({"sources": [source(), source("app")]}, ["+ source app"]),
    "source renamed": (
        {"sources": [source(name="The site")]},
        ["~ source website: name website → The site"],
    ),
    "write keys": (
        {"sources": [source(writeKeys=["wk_website", "wk_2"])]},
        ['~ source website: writeKeys ["wk_website"] → ["wk_website","wk_2"]'],
    ),
    "destination replaced": (
        {"destinations": [destination("new")]},
        ["- destination heap-production", "+ destination new"],
    ),
    "settings": (
        {
            "destinations": [
                destination(deletionApiKey="one", region="EU", limits={"eventsPerMinute": 0})
            ]
        },
        [
            "~ destination heap-production: settings.region US → EU",
            "~ destination heap-production: settings.limits.eventsPerMinute 15000 → 0",
        ],
    ),
    "a setting that had no default": (
        {"destinations": [destination(deletionApiKey="one", apiBaseUrl="http://x")]},
        ["~ destination heap-production: settings.apiBaseUrl not set → http://x"],
    ),
    "an empty mapping": (
        {"destinations": [destination(deletionApiKey="one", nullTraits={})]},
        ["~ destination heap-production: settings.nullTraits not set → {}"],
    ),
    "secret changed": (
        {"destinations": [destination(deletionApiKey="two")]},
        ["~ destination heap-production: settings.deletionApiKey a secret → another"],
    ),
    "secret removed": (
        {"destinations": [destination()]},
        ["~ destination heap-production: settings.deletionApiKey a secret → not set"],
    ),
    "another kind": (
        {
            "destinations": [
                {"slug": "heap-production", "sourceId": "website", "metadataId": "other"}
            ],
        },
        [
            "~ destination heap-production: metadataId heap → other",
            "~ destination heap-production: settings.appId 1535634150 → not set",
            "~ destination heap-production: settings.region US → not set",
            "~ destination heap-production: settings.retryWindow 4 hours → not set",
            '~ destination heap-production: settings.junkIdentities ["null","0"] → not set',
            "~ destination heap-production: settings.secureCookie false → not set",
            "~ destination heap-production: settings.limits.eventsPerMinute 15000 → not set",
            "~ destination heap-production: settings.deletionApiKey a secret → not set",
        ],
    ),
    "retention": ({"retention": {"days": 7}}, ["~ retention: days 30 → 7"]),
    "engage": (
        {
            "engage": {
                "syncInterval": 60,
                "identity": {"userId": {"limit": 1}},
                "audiences": [{"name": "A", "definition": "trait('y') = 1"}],
                "computedTraits": [{"name": "T\n", "definition": "event('z').count()"}],
            }
        },
        [
            "~ engage: syncInterval 0 → 60",
            "~ engage: identity.userId.limit not set → 1",
            "~ audience A: definition trait('x') = 1 → trait('y') = 1",
            '+ computed trait "T\\n"',
        ],
    ),
}


@pytest.mark.parametrize(("keys", "lines"), CASES.values(), ids=CASES)
def test_each_difference_is_one_line(keys: dict[str, Any], lines: list[str]) -> None:
    """Values as they hold, defaults included; secrets never."""
    assert list(changes(base(), base(**keys), CATALOG)) == lines


def test_values_differ_as_json_does() -> None:
    """1 and true are two values, although Python calls them equal."""
    before, after = (base(destinations=[destination(nullTraits=value)]) for value in (1, True))
    assert changes(before, after, CATALOG) == (
        "~ destination heap-production: settings.nullTraits 1 → true",
    )


def test_another_order_is_told() -> None:
    """The file's order is kept, so a new order is a change."""
    before, after = (
        document(sources=[source(slug) for slug in slugs]) for slugs in (("a", "b"), ("b", "a"))
    )
    assert changes(before, after, CATALOG) == ("~ sources: another order",)


def test_long_values_are_cut() -> None:
    """A definition of a page does not fill the terminal."""
    (line,) = changes(base(), base(sources=[source(name="n" * 500)]), CATALOG)
    assert len(line) < 150
    assert line.endswith("…")


def test_no_difference_is_said_in_words() -> None:
    """An apply that changes nothing says so."""
    assert as_text(()) == "nothing changed"
    assert as_text(("+ source a", "- source b")) == "+ source a\n- source b"


@unhurried
@given(documents(), documents())
def test_there_are_lines_exactly_when_documents_differ(before: Document, after: Document) -> None:
    """What makes a new version is shown, what is shown makes a new version."""
    assert bool(changes(before, after, CATALOG)) == (encoded(before) != encoded(after))
