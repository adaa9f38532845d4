"""Definitions for Hypothesis, over the alphabet of `histories`: all conditions and all kinds of traits.

Windows are one to five units. A definition refers only to those before it, so that there is no cycle.
"""

from functools import cache
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

EQUALITIES = ("=", "!=")
ORDERINGS = (">", ">=", "<", "<=")


@st.composite
def definitions(draw: st.DrawFn, max_size: int = 4) -> dict[str, Asked]:
    """One to `max_size` computations, keyed `d0`, `d1`, …"""
    made: dict[str, Asked] = {}
    for number in range(draw(st.sampled_from((*range(1, max_size), max_size, max_size)))):
        made[f"d{number}"] = draw(computations(tuple(made)))
    return made


@st.composite
def computations(draw: st.DrawFn, known: tuple[str, ...] = ()) -> Asked:
    """An audience or a computed trait that may refer to the `known` ones."""
    created_at_ms = START_MS + draw(st.integers(0, 8)) * UNIT_MS
    history: bool | int = draw(st.one_of(*[st.just(True)] * 4, st.just(False), spans_ms))
    if draw(st.sampled_from(["audience", "audience", "audience", "trait", "trait"])) == "trait":
        return Asked("trait", draw(computed_traits(known)), created_at_ms, history)
    return Asked("audience", draw(conditions(known)), created_at_ms, history, draw(st.booleans()))


@cache
def conditions(known: tuple[str, ...] = ()) -> st.SearchStrategy[Condition]:
    """What an audience may be: conditions on events, traits, other audiences, with AND, OR, NOT."""
    events = _event_conditions(known)
    return _joined(st.one_of(events, events, _tested(_traits(known), _fixed)), 4)


@cache
def computed_traits(known: tuple[str, ...] = ()) -> st.SearchStrategy[Scalar]:
    """What a computed trait may be: events, by themselves or in sessions, made into one value."""
    return _reduced(_events(known, _windows | _sessions), counted=st.booleans())


# Times


spans_ms = st.integers(1, 5).map(lambda units: units * UNIT_MS)
_sessions = st.builds(Session, spans_ms)


@cache
def _between(of_parent: bool) -> st.SearchStrategy[Window]:
    edges = st.lists(st.integers(1, 6), min_size=2, max_size=2, unique=True).map(sorted)
    return edges.map(lambda ends: Between(ends[0] * UNIT_MS, ends[1] * UNIT_MS, of_parent))


_windows: st.SearchStrategy[Window | None] = st.one_of(
    st.none(), st.builds(Within, spans_ms), st.builds(Within, spans_ms), _between(of_parent=False)
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
    where = st.one_of(*[st.none()] * (3 + 3 * depth), _wheres(known, depth))
    if depth < 2:
        where |= _children(known, depth + 1)
    return Events(
        draw(st.sampled_from((*EVENTS[:1] * 4, *EVENTS[1:2] * 2, EVENTS[2]))),
        draw(where),
        draw(windows),
        draw(st.sampled_from([()] * 12 + [SOURCES[:1], SOURCES[1:], SOURCES])),
    )


@cache
def _wheres(known: tuple[str, ...], depth: int) -> st.SearchStrategy[Condition]:
    referred = _referred(known, depth)
    read = referred | st.builds(Context, st.sampled_from(CONTEXTS))
    atoms = _tested(read, _fixed | referred)
    if depth < 2:
        atoms |= _children(known, depth + 1)
    return _joined(atoms, 3)


@cache
def _referred(known: tuple[str, ...], depth: int) -> st.SearchStrategy[Scalar]:
    """What both sides of a comparison in a `where` may be: of the event, its parent, the profile."""
    paths = st.sampled_from(PROPERTIES)
    read: st.SearchStrategy[Scalar] = st.builds(Property, paths)
    if depth:
        read |= st.builds(Property, paths, st.just(True))
    return read | read | _traits(known)


@cache
def _children(known: tuple[str, ...], depth: int) -> st.SearchStrategy[Condition]:
    """And then did, and then did not, so and so many times."""
    child = st.builds(Reduced, _events(known, _windows_of_parent, depth), st.just("count"))
    did = st.builds(Compared, child, st.just(">="), st.just(Literal_(1)))
    return st.one_of(did, did.map(Not), _so_often(child))


@cache
def _event_conditions(known: tuple[str, ...]) -> st.SearchStrategy[Condition]:
    """Performed so and so often, or what the events come to against some value."""
    events = _events(known, _windows)
    times = _so_often(st.builds(Reduced, events, st.just("count")))
    return times | times | _reduced(events, counted=st.just(True)).flatmap(_tests_of)


def _so_often(count: st.SearchStrategy[Scalar]) -> st.SearchStrategy[Condition]:
    comparisons = st.sampled_from(EQUALITIES + ORDERINGS)
    return st.builds(Compared, count, comparisons, st.integers(0, 3).map(Literal_))


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


@cache
def _traits(known: tuple[str, ...]) -> st.SearchStrategy[Scalar]:
    return st.builds(Trait, st.sampled_from(TRAITS + known + known))


_any_trait = st.builds(Trait, st.sampled_from(TRAITS))
_fixed: st.SearchStrategy[Scalar] = st.builds(Literal_, st.sampled_from(SCALARS)) | _any_trait
_number = st.sampled_from([0, 1, 2, 3, 2.5, -1])
_numbers: st.SearchStrategy[Scalar] = st.builds(Literal_, _number) | _any_trait
_grid_instants = st.builds(lambda units: iso_ms(START_MS + units * UNIT_MS), st.integers(-2, 12))
_texts = st.lists(
    st.sampled_from([scalar for scalar in SCALARS if isinstance(scalar, str) and scalar]),
    min_size=1,
    max_size=2,
    unique=True,
).map(tuple)


def _tests_of(reduction: Reduced) -> st.SearchStrategy[Condition]:
    """What the language allows for the type of the value."""
    left: st.SearchStrategy[Scalar] = st.just(reduction)
    text = reduction.read_as == "string" and reduction.reducer in ("min", "max")
    if text:
        return _equal(left, _fixed) | _tested_as_text(left)
    if reduction.reducer in ("mode", "first", "last"):
        return _tested(left, _fixed)
    return _ordered(left) | _equal(left, _numbers) | _one_of(left, _number)


def _tested(
    left: st.SearchStrategy[Scalar], rights: st.SearchStrategy[Scalar]
) -> st.SearchStrategy[Condition]:
    """Every kind of test of a value of any type; the date tests mostly of what holds dates."""
    return st.one_of(
        _equal(left, rights),
        _equal(left, st.booleans().map(Literal_)),
        _ordered(left),
        _one_of(left, st.sampled_from(SCALARS)),
        _tested_as_text(left),
        _tested_as_date(st.just(Trait("seen"))),
        _tested_as_date(left),
        st.builds(Exists, left, st.booleans()),
    )


def _equal(
    left: st.SearchStrategy[Scalar], rights: st.SearchStrategy[Scalar]
) -> st.SearchStrategy[Condition]:
    return st.builds(Compared, left, st.sampled_from(("=", *EQUALITIES)), rights)


def _ordered(left: st.SearchStrategy[Scalar]) -> st.SearchStrategy[Condition]:
    return st.builds(Compared, left, st.sampled_from(ORDERINGS), _numbers)


def _one_of(
    left: st.SearchStrategy[Scalar], values: st.SearchStrategy[Any]
) -> st.SearchStrategy[Condition]:
    choices = st.lists(values, min_size=1, max_size=3).map(tuple)
    return st.builds(OneOf, left, choices, st.booleans())


def _tested_as_text(left: st.SearchStrategy[Scalar]) -> st.SearchStrategy[Condition]:
    tests: Any = st.sampled_from(["contains", "omits", "starts_with", "ends_with"])
    return st.builds(TextTested, left, tests, _texts)


def _tested_as_date(left: st.SearchStrategy[Scalar]) -> st.SearchStrategy[Condition]:
    fixed: Any = st.sampled_from(["before_date", "after_date"])
    near: Any = st.sampled_from(["within_last", "within_next", "before_last", "after_next"])
    return st.builds(DateTested, left, fixed, _grid_instants) | st.builds(
        NearNowTested, left, near, spans_ms
    )


def _joined(atoms: st.SearchStrategy[Condition], leaves: int) -> st.SearchStrategy[Condition]:
    def joining(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.one_of(st.builds(And, parts), st.builds(Or, parts), st.builds(Not, inner))

    return st.one_of(atoms, atoms, st.recursive(atoms, joining, max_leaves=leaves))
