"""What the workspace tests share: a catalog, an environment, factories of documents, strategies."""

from typing import Any

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headgate.spec.settings import Kind, Setting
from headgate.workspace.document import checked
from headgate.workspace.file import parse
from headgate.workspace.model import Document

SETTINGS = (
    Setting("appId", Kind.DIGITS, "The account.", required=True),
    Setting("region", Kind.CHOICE, "Where it is.", default="US", choices=("US", "EU")),
    Setting("apiBaseUrl", Kind.URL, "Another address."),
    Setting("scriptHost", Kind.HOST, "Another host."),
    Setting("retryWindow", Kind.DURATION, "How long to try.", default="4 hours"),
    Setting("junkIdentities", Kind.TEXTS, "Ids of nobody.", default=["null", "0"]),
    Setting("nullTraits", Kind.ANY, "What to send for null."),
    Setting("secureCookie", Kind.FLAG, "Marks the cookie.", default=False),
    Setting(
        "limits",
        Kind.GROUP,
        "How fast.",
        members=(Setting("eventsPerMinute", Kind.COUNT, "Rows in a minute.", default=15_000),),
    ),
    Setting("deletionApiKey", Kind.TEXT, "A key.", secret=True),
)
CATALOG = {"heap": SETTINGS, "other": ()}
ENVIRONMENT = {"APP": "1535634150", "KEY": "s3cret", "HOST": "127.0.0.1"}


def parsed(text: str, **environment: str) -> Document:
    """The document of a file's text."""
    return parse(text, catalog=CATALOG, environment={**ENVIRONMENT, **environment})


def document(**keys: Any) -> Document:
    """A canonical document of the given top-level keys."""
    return checked(keys, catalog=CATALOG, environment=ENVIRONMENT)


def source(slug: str = "website", **keys: Any) -> dict[str, Any]:
    """A website source with one write key."""
    return {"slug": slug, "type": "website", "writeKeys": [f"wk_{slug}"], **keys}


def destination(slug: str = "heap-production", **settings: Any) -> dict[str, Any]:
    """A Heap destination of the source `website`."""
    return {"slug": slug, "sourceId": "website", "settings": {"appId": "1535634150", **settings}}


# How fast a machine is at the moment is not what these tests are about.
unhurried = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Strategies

slugs = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}", fullmatch=True)
_printable = st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t")
texts = st.text(_printable, max_size=20).map(lambda text: text.replace("${", "$${"))
names = texts.filter(str.strip)
write_keys = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters=":"), min_size=1, max_size=12
).filter(lambda text: text.isprintable() and "${" not in text and text not in (".", ".."))
counts = st.integers(0, 2**53 - 1)
scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts
free_values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(texts, scalars, max_size=3)
durations = st.sampled_from(["1 second", "30 minutes", "4 hours", "90 days"])


def _optional(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=dict(keys))


settings = st.fixed_dictionaries(
    {"appId": st.from_regex(r"[0-9]{1,12}", fullmatch=True) | st.just("${APP}")},
    optional={
        "region": st.sampled_from(["US", "EU"]),
        "apiBaseUrl": st.sampled_from(["http://127.0.0.1:9091", "https://${HOST}:8/heap"]),
        "scriptHost": st.sampled_from(["cdn.example.com", "localhost:9000"]),
        "retryWindow": durations,
        "junkIdentities": st.lists(texts, max_size=3),
        "nullTraits": free_values,
        "secureCookie": st.booleans(),
        "limits": _optional(eventsPerMinute=counts),
        "deletionApiKey": texts | st.just("${KEY}"),
    },
)
audience_names = st.from_regex(r"Audience [a-z0-9]{1,6}", fullmatch=True)
trait_names = st.from_regex(r"Trait [a-z0-9]{1,6}", fullmatch=True)
conditions = st.sampled_from(["event('A').count() >= 1", "trait('plan') = 'pro'"])
values = st.sampled_from(["event('A').count()", "event('A').last(property('x'))"])


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Canonical documents: every setting appears, with values at and off its default."""
    keys = draw(st.lists(write_keys, max_size=4, unique=True))
    source_slugs = draw(st.lists(slugs, min_size=1, max_size=3, unique=True))
    sources = [draw(_source(slug, keys if not at else [])) for at, slug in enumerate(source_slugs)]
    destination_slugs = draw(st.lists(slugs, max_size=3, unique=True))
    destinations = [draw(_destination(slug, source_slugs)) for slug in destination_slugs]
    links = st.lists(st.sampled_from(destination_slugs or ["-"]), max_size=2, unique=True)
    engage = draw(_engage(links if destination_slugs else st.just([])))
    retention = draw(_optional(days=counts, maxBytes=counts))
    return document(sources=sources, destinations=destinations, retention=retention, engage=engage)


def _source(slug: str, keys: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"slug": st.just(slug), "writeKeys": st.just(keys)},
        optional={
            "name": texts,
            "type": st.sampled_from(["website", "mobile", "server"]),
            "enabled": st.booleans(),
        },
    )


def _destination(slug: str, sources: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"slug": st.just(slug), "sourceId": st.sampled_from(sources), "settings": settings},
        optional={"name": texts, "enabled": st.booleans(), "metadataId": st.just("heap")},
    )


def _engage(links: st.SearchStrategy[list[str]]) -> st.SearchStrategy[dict[str, Any]]:
    audiences = st.fixed_dictionaries(
        {"name": audience_names, "definition": conditions},
        optional={
            "enabled": st.booleans(),
            "includeHistory": st.booleans() | durations,
            "includeAnonymous": st.booleans(),
            "wait": st.booleans(),
            "destinations": links,
        },
    )
    traits = st.fixed_dictionaries(
        {"name": trait_names, "definition": values},
        optional={"destinations": links, "enabled": st.booleans()},
    )
    return _optional(
        syncInterval=counts,
        identity=st.dictionaries(texts, _optional(limit=st.integers(1, 1_000)), max_size=2),
        audiences=st.lists(audiences, max_size=2, unique_by=_name),
        computedTraits=st.lists(traits, max_size=2, unique_by=_name),
    )


def _name(computation: dict[str, Any]) -> str:
    return str(computation["name"])
