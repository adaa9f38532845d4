"""Messages as senders produce them, and worse, for Hypothesis: one generator per word of the Segment Spec."""

from typing import Any

from hypothesis import strategies as st

# Keys that have hurt somebody: forbidden ones, those that JavaScript reorders or treats as special, dots.
ODD_KEYS = (
    "",
    ".",
    "a",
    "b",
    "a.b",
    "1",
    "02",
    "id",
    "ID",
    "user_id",
    "email",
    "E-Mail",
    "segment_library",
    "__proto__",
    "hasOwnProperty",
)
DATE_LIKE = (
    "2016-01-01",
    "2016-13-45T99:99Z",
    "2016-01-01 10:00:00+02:00",
    "9999-12-31T23:59-10",
    "2016",
)

texts = st.text(st.characters(), max_size=12)  # lone surrogates included
keys = st.sampled_from(ODD_KEYS) | texts
dates = st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z")
numbers = st.integers() | st.floats() | st.sampled_from([2**53, 2**53 + 1, 10**400])
scalars = st.none() | st.booleans() | numbers | texts | dates | st.sampled_from(DATE_LIKE)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)
properties = st.dictionaries(keys, values, max_size=6)
contexts = st.fixed_dictionaries(
    {}, optional={"library": values, "traits": values, "personas": values, "ip": values}
)


@st.composite
def messages(draw: st.DrawFn, /, **fields: st.SearchStrategy[Any]) -> dict[str, Any]:
    """An identify or track call that somebody might send; `fields` replace the usual generators."""
    usual: dict[str, st.SearchStrategy[Any]] = {
        "type": st.sampled_from(["identify", "track"]),
        "messageId": st.uuids().map(str),
        "timestamp": dates,
        "userId": st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
        "event": st.sampled_from(["Order Completed", "Product Added", "Clicked Button"]),
        "properties": properties,
        "traits": properties,
        "context": contexts,
    }
    return draw(st.fixed_dictionaries(usual | fields))


@st.composite
def broken_messages(draw: st.DrawFn) -> dict[str, Any]:
    """A call with any JSON value in any of its fields, or without the field."""
    fields = ("messageId", "timestamp", "userId", "event", "properties", "traits", "context")
    types: dict[str, st.SearchStrategy[Any]] = {
        "type": st.sampled_from(["identify", "track"]) | values
    }
    return draw(st.fixed_dictionaries(types, optional=dict.fromkeys(fields, values)))
