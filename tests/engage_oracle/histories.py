"""Logs for Hypothesis: few people, few events, few instants, so that everything collides often.

Times lie on a grid of `UNIT_MS` (a millisecond off it now and then), windows of `definitions` are one to
five units, so that an event stands exactly on an edge as often as not. In it: equal timestamps, late and
future events, repeated and reused messageIds, profiles that meet and merge, a second userId, blocked
and missing ids, values of every JSON type under the same few keys, keys that are paths of each other.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from engage_oracle.observing import observed
from headgate.engage.observed import Observed
from headgate.spec.timestamps import iso_ms

UNIT_MS = 3_600_000
START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z

SOURCES = ("website", "server")
EVENTS = ("Order Completed", "Product Added", "Page Viewed")
USERS = ("u1", "u2", "u3", "u4")
BLOCKED = ("anonymous", "null", "-1", "000", "0-0", "")
VISITORS = ("a1", "a2", "a3")
EMAILS = ("e1@x.org", "e2@x.org")
CARDS = ("c1", "c2")

# Paths, as definitions write them; what stands there twice is read more.
PROPERTIES = ("x", "x", "x", "y", "when", "box.x", r"box\.x")
CONTEXTS = ("page.url", "x")
TRAITS = ("plan", "plan", "score", "score", "seen", "home.city", r"home\.city")

COMMON = (1, 2, "1", "red", True)
ODD = ("", False, 0, -1, 2.5, 5.0, "2", "5", "true", "Red shoes")
SCALARS = (*COMMON * 3, *ODD)
VALUES: tuple[Any, ...] = (*SCALARS, None, [], ["red", "2"], {"a": 1})
NO_DATES: tuple[Any, ...] = ("", "tomorrow", "2026-01-01T99:00:00Z", 1_767_225_600_000, None, [])
OTHER_DATES = ("2026-01-01", "2026-01-01T05:00:00", "2026-01-01T05:00:00+02:00")
"""Dates without a time or a zone, or with another zone: what they mean is settled by the language."""


class Arrival(NamedTuple):
    """A message in its normalised form, from the source it came from."""

    source: str
    message: dict[str, Any]


class Draft(NamedTuple):
    """A message before it has its times and its id."""

    step_ms: int  # since the arrival before
    shift_ms: int  # of its own time against its arrival
    source: str
    letter: str  # so that ids are in another order than arrivals
    repeats: int  # counts back to the message whose id it repeats; 0: an id of its own
    fields: dict[str, Any]


def log_of(arrivals: Sequence[Arrival]) -> list[Observed]:
    """The log as Engage sees it, in arrival order."""
    return [observed(one.message, seq, one.source) for seq, one in enumerate(arrivals, 1)]


def histories(max_size: int = 20) -> st.SearchStrategy[list[Arrival]]:
    """Messages in arrival order, from `START_MS` on, of all kinds and ages; a few or many."""
    few, many = min(5, max_size), min(10, max_size)
    short = st.lists(drafts, max_size=few)
    long = st.lists(drafts, min_size=many, max_size=max_size)
    return weighted((1, short), (3, long)).map(_arrivals)


def _arrivals(drafted: Sequence[Draft]) -> list[Arrival]:
    """Gives every draft its arrival, its time and its id.

    A reused id never arrives together with its first: which of two messages with one id, one time and
    one arrival comes first is nobody's promise.
    """
    arrivals: list[Arrival] = []
    received_ms = START_MS
    for number, draft in enumerate(drafted):
        repeated = arrivals[-draft.repeats] if 0 < draft.repeats <= number else None
        received_ms += draft.step_ms or (UNIT_MS // 2 if repeated else 0)
        message = draft.fields | {
            "messageId": repeated.message["messageId"] if repeated else f"{draft.letter}{number}",
            "receivedAt": iso_ms(received_ms),
            "timestamp": iso_ms(received_ms + draft.shift_ms),
        }
        arrivals.append(Arrival(draft.source, message))
    return arrivals


def weighted(*choices: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """One of several, as often as its weight says, however many branches each has inside.

    (Hypothesis makes one flat choice of nested `one_of`, in which the richest part drowns the others.)
    """
    bag = [strategy for weight, strategy in choices for _ in range(weight)]
    return st.sampled_from(bag).flatmap(lambda strategy: strategy)


def _often(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """The usual one about half of the time."""
    return st.sampled_from([usual] * len(others) + list(others))


values = st.sampled_from(VALUES)
grid_dates = st.builds(
    lambda units, off: iso_ms(START_MS + units * UNIT_MS + off),
    st.integers(-5, 20),
    _often(0, -1, 1),
)
dates = weighted((3, grid_dates), (1, st.sampled_from((*NO_DATES, *OTHER_DATES))))
steps_ms = st.sampled_from([0, 0, UNIT_MS // 2, UNIT_MS, UNIT_MS, UNIT_MS, 2 * UNIT_MS])
shifts_ms = _often(0, -1, 1, *(units * UNIT_MS for units in (-8, -3, -2, -1, 1, 2, 4)))


def _with(
    always: dict[str, st.SearchStrategy[Any]], **sometimes: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(always, optional=dict(sometimes))


def _with_dotted(name: str, inner: str) -> dict[str, st.SearchStrategy[Any]]:
    """A key that holds an object or not, and beside it the key that is its path."""
    return {name: values | st.fixed_dictionaries({inner: values}), f"{name}.{inner}": values}


properties = _with({"x": values}, y=values, when=dates, **_with_dotted("box", "x"))
traits = _with(
    {"plan": values, "seen": dates},
    score=values,
    email=st.sampled_from(EMAILS),
    d0=values,  # the key of a computation, set by hand
    **_with_dotted("home", "city"),
)
external_ids = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(CARDS),
            "type": st.just("card"),
            "collection": _often("users", "accounts"),
            "encoding": st.just("none"),
        }
    ),
    max_size=1,
)
contexts = _with(
    {"x": values},
    page=st.fixed_dictionaries({"url": values}),
    traits=st.fixed_dictionaries({"email": st.sampled_from(EMAILS)}),
    externalIds=external_ids,
)
people = st.sampled_from(
    [{"userId": user} for user in USERS * 2]
    + [{"userId": "u1"}] * 60  # most happens to one
    + [{"anonymousId": visitor} for visitor in VISITORS]
    + [{"userId": user, "anonymousId": visitor} for user in USERS[:3] for visitor in VISITORS]
    + [{"userId": blocked, "anonymousId": "a1"} for blocked in BLOCKED]
    + [{"userId": "u1", "anonymousId": blocked} for blocked in BLOCKED]
    + [{"anonymousId": "anonymous"}, {}]
)
tracks = st.fixed_dictionaries(
    {
        "type": st.just("track"),
        "event": st.sampled_from((*EVENTS[:1] * 3, EVENTS[1])),
        "properties": properties,
    },
    optional={"context": contexts},
)
identifies = st.fixed_dictionaries(
    {"type": st.just("identify"), "traits": traits}, optional={"context": contexts}
)
pages = st.fixed_dictionaries(
    {"type": _often("page", "screen"), "properties": properties}, optional={"name": values}
)
groups = st.just({"type": "group", "groupId": "g1", "traits": {"plan": "of the group"}})
bodies = weighted((6, tracks), (3, identifies), (1, pages), (1, groups))
drafts = st.builds(
    Draft,
    steps_ms,
    shifts_ms,
    _often(SOURCES[0], SOURCES[1]),
    st.sampled_from("abc"),
    _often(0, 0, 0, 0, 1, 2, 5),
    st.builds(lambda who, what: who | what, people, bodies),
)
