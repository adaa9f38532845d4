"""Definitions for Hypothesis, over the alphabet of `histories`: all conditions and all kinds of traits.

Windows are one to five units. A definition refers only to those before it, so that there is no cycle.
"""

from typing import Any

from hypothesis import strategies as st

from engage_oracle.histories import (
    CONTEXTS,
    EVENTS,
    PROPERTIES,
    SCALARS,
    SOURCES,
    START_MS,
    TRAITS,
    UNIT_MS,
)
from engage_oracle.oracle import Asked
from headgate.language.tree import (
    And,
    Between,
    Compared,
    Condition,
    Context,
    DateTested,
    Events,
    Exists,
    Literal_,
    NearNowTested,
    Not,
    OneOf,
    Or,
    Property,
    Reduced,
    Scalar,
    Session,
    TextTested,
    Trait,
    Window,
    Within,
)
from headgate.spec.timestamps import iso_ms

COMPARISONS = ("=", "!=", ">", ">=", "<", "<=")


@st.composite
def definitions(draw: st.DrawFn, max_size: int = 4) -> dict[str, Asked]:
    """One to `max_size` computations, keyed `d0`, `d1`, …"""
    made: dict[str, Asked] = {}
    for number in range(draw(st.integers(1, max_size))):
        made[f"d{number}"] = draw(computations(tuple(made)))
    return made


@st.composite
def computations(draw: st.DrawFn, known: tuple[str, ...] = ()) -> Asked:
    """An audience or a computed trait that may refer to the `known` ones."""
    created_at_ms = START_MS + draw(st.integers(0, 8)) * UNIT_MS
    history: bool | int = draw(st.just(True) | st.just(False) | spans_ms)
    if draw(st.sampled_from(["audience", "audience", "trait"])) == "trait":
        return Asked("trait", draw(computed_traits(known)), created_at_ms, history)
    return Asked("audience", draw(conditions(known)), created_at_ms, history, draw(st.booleans()))


def conditions(known: tuple[str, ...] = ()) -> st.SearchStrategy[Condition]:
    """What an audience may be: conditions on events, traits, other audiences, with AND, OR, NOT."""
    return _joined(_event_conditions(known) | _tested(_traits(known)), 4)


def computed_traits(known: tuple[str, ...] = ()) -> st.SearchStrategy[Scalar]:
    """What a computed trait may be: events, by themselves or in sessions, made into one value."""
    return _reduced(_events(known, _windows | _sessions), counted=st.booleans())


# Times


spans_ms = st.integers(1, 5).map(lambda units: units * UNIT_MS)
_comparisons = st.sampled_from(COMPARISONS)
_sessions = st.builds(Session, spans_ms)


def _between(of_parent: bool) -> st.SearchStrategy[Window]:
    edges = st.lists(st.integers(0, 5), min_size=2, max_size=2, unique=True).map(sorted)
    return edges.map(lambda ends: Between(ends[0] * UNIT_MS, ends[1] * UNIT_MS, of_parent))


_windows: st.SearchStrategy[Window | None] = st.one_of(
    st.none(), st.builds(Within, spans_ms), _between(of_parent=False)
)
_windows_of_parent: st.SearchStrategy[Window | None] = st.one_of(
    st.none(),
    st.builds(Within, spans_ms, st.just(True)),
    st.builds(Within, spans_ms, st.just(True)),
    _between(of_parent=True),
)


# Events


@st.composite
def _events(
    draw: st.DrawFn,
    known: tuple[str, ...],
    windows: st.SearchStrategy[Window | None],
    depth: int = 0,
) -> Events:
    """The events of one name; `depth` 0: by themselves, else in the `where` of that many others."""
    where = st.none() | st.none() | _wheres(known, depth)
    return Events(
        draw(st.sampled_from((EVENTS[0], *EVENTS))),
        draw(where),
        draw(windows),
        draw(st.sampled_from([(), (), (), SOURCES[:1], SOURCES[1:], SOURCES])),
    )


@st.composite
def _wheres(draw: st.DrawFn, known: tuple[str, ...], depth: int) -> Condition:
    atoms = _tested(_of_event(known, depth))
    if depth < 2:
        atoms |= _children(known, depth + 1)
    return draw(_joined(atoms, 3))


def _of_event(known: tuple[str, ...], depth: int) -> st.SearchStrategy[Scalar]:
    """What a `where` reads: the event, its context, its parent, the profile's traits."""
    paths = st.sampled_from(PROPERTIES)
    read: st.SearchStrategy[Scalar] = st.builds(Property, paths)
    read |= st.builds(Context, st.sampled_from(CONTEXTS))
    if depth:
        read |= st.builds(Property, paths, st.just(True))
    return read | read | _traits(known)


def _children(known: tuple[str, ...], depth: int) -> st.SearchStrategy[Condition]:
    """And then did, and then did not, so and so many times."""
    child = st.builds(Reduced, _events(known, _windows_of_parent, depth), st.just("count"))
    did = st.builds(Compared, child, st.just(">="), st.just(Literal_(1)))
    times = st.builds(Compared, child, _comparisons, st.integers(0, 2).map(Literal_))
    return st.one_of(did, did.map(Not), times)


def _event_conditions(known: tuple[str, ...]) -> st.SearchStrategy[Condition]:
    """Performed so and so often, or what the events come to against some value."""
    events = _events(known, _windows)
    times = st.builds(
        Compared,
        st.builds(Reduced, events, st.just("count")),
        _comparisons,
        st.integers(0, 3).map(Literal_),
    )
    return times | times | _tested(_reduced(events, counted=st.just(True)))


@st.composite
def _reduced(
    draw: st.DrawFn, events: st.SearchStrategy[Events], counted: st.SearchStrategy[bool]
) -> Reduced:
    """Events made into one value, in all nine ways."""
    reducer: Any = draw(
        st.sampled_from(["count", "sum", "avg", "min", "max", "mode", "first", "last", "unique"])
    )
    chosen = draw(events)
    if reducer == "count":
        return Reduced(chosen, "count")
    of: Any = draw(
        st.builds(Property, st.sampled_from(PROPERTIES))
        | st.builds(Property, st.just("x"))
        | st.builds(Context, st.sampled_from(CONTEXTS))
    )
    if reducer in ("min", "max"):
        return Reduced(chosen, reducer, of, read_as=draw(st.sampled_from(["", "string"])))
    if reducer == "mode":
        read_as: Any = draw(st.sampled_from(["", "", "string", "number", "array"]))
        return Reduced(chosen, "mode", of, read_as, minimum=draw(st.integers(1, 3)))
    return Reduced(chosen, reducer, of, counted=reducer == "unique" and draw(counted))


# Conditions on one value


def _traits(known: tuple[str, ...]) -> st.SearchStrategy[Scalar]:
    return st.builds(Trait, st.sampled_from(TRAITS + known + known))


_grid_instants = st.builds(lambda units: iso_ms(START_MS + units * UNIT_MS), st.integers(-2, 12))
_rights = st.builds(Literal_, st.sampled_from(SCALARS)) | st.builds(Trait, st.sampled_from(TRAITS))
_texts = st.lists(
    st.sampled_from([scalar for scalar in SCALARS if isinstance(scalar, str) and scalar]),
    min_size=1,
    max_size=2,
    unique=True,
).map(tuple)
_choices = st.lists(st.sampled_from(SCALARS), min_size=1, max_size=3).map(tuple)


def _tested(left: st.SearchStrategy[Scalar]) -> st.SearchStrategy[Condition]:
    """Every kind of test of one value; the date tests mostly of what holds dates."""
    dated = left | st.just(Trait("seen"))
    near: Any = st.sampled_from(["within_last", "within_next", "before_last", "after_next"])
    test: Any = st.sampled_from(["contains", "omits", "starts_with", "ends_with"])
    fixed: Any = st.sampled_from(["before_date", "after_date"])
    return st.one_of(
        st.builds(Compared, left, _comparisons, _rights),
        st.builds(Compared, left, st.just("="), st.booleans().map(Literal_)),
        st.builds(TextTested, left, test, _texts),
        st.builds(OneOf, left, _choices, st.booleans()),
        st.builds(Exists, left, st.booleans()),
        st.builds(DateTested, dated, fixed, _grid_instants),
        st.builds(NearNowTested, dated, near, spans_ms),
    )


def _joined(atoms: st.SearchStrategy[Condition], leaves: int) -> st.SearchStrategy[Condition]:
    def joining(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(st.builds(And, parts), st.builds(Or, parts), st.builds(Not, inner))

    return st.recursive(atoms, joining, max_leaves=leaves)
