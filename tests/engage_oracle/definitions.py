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
    weighted,
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
    history: bool | int = draw(weighted((4, st.just(True)), (1, st.just(False)), (1, spans_ms)))
    if draw(st.sampled_from(["audience", "audience", "audience", "trait", "trait"])) == "trait":
        return Asked("trait", draw(computed_traits(known)), created_at_ms, history)
    return Asked("audience", draw(conditions(known)), created_at_ms, history, draw(st.booleans()))


@cache
def conditions(known: tuple[str, ...] = ()) -> st.SearchStrategy[Condition]:
    """What an audience may be: conditions on events, traits, other audiences, with AND, OR, NOT."""
    atoms = weighted((2, _event_conditions(known)), (1, _tested(_traits(known), _fixed)))
    return _joined(atoms)


@cache
def computed_traits(known: tuple[str, ...] = ()) -> st.SearchStrategy[Scalar]:
    """What a computed trait may be: events, by themselves or in sessions, made into one value."""
    return _reduced(_events(known, _windows_or_sessions), st.booleans())


# Times


spans_ms = st.integers(1, 5).map(lambda units: units * UNIT_MS)
_sessions = st.builds(Session, spans_ms)


@cache
def _between(of_parent: bool) -> st.SearchStrategy[Window]:
    edges = st.lists(st.integers(1, 6), min_size=2, max_size=2, unique=True).map(sorted)
    return edges.map(lambda ends: Between(ends[0] * UNIT_MS, ends[1] * UNIT_MS, of_parent))


_windows = weighted(
    (2, st.none()),
    (2, st.builds(Within, spans_ms)),
    (1, _between(of_parent=False)),
)
_windows_or_sessions = weighted((2, _windows), (1, _sessions))
_windows_of_parent = weighted(
    (2, st.none()),
    (3, st.builds(Within, spans_ms, st.just(True))),
    (1, _between(of_parent=True)),
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
    where = weighted((4 + 4 * depth, st.none()), (2, _wheres(known, depth)))
    if depth < 2:
        where = weighted((3, where), (1, _children(known, depth + 1)))
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
    if depth:
        atoms = weighted((2, atoms), (1, _as_the_parent))
    if depth < 2:
        atoms = weighted((3, atoms), (1, _children(known, depth + 1)))
    return _joined(atoms)


_as_the_parent: st.SearchStrategy[Condition] = st.builds(
    lambda path, comparison: Compared(Property(path), comparison, Property(path, of_parent=True)),
    st.sampled_from(PROPERTIES),
    st.sampled_from(EQUALITIES),
)


@cache
def _referred(known: tuple[str, ...], depth: int) -> st.SearchStrategy[Scalar]:
    """What both sides of a comparison in a `where` may be: of the event, its parent, the profile."""
    paths = st.sampled_from(PROPERTIES)
    read: st.SearchStrategy[Scalar] = st.builds(Property, paths)
    if depth:
        read |= st.builds(Property, paths, st.just(True))
    return weighted((2, read), (1, _traits(known)))


@cache
def _children(known: tuple[str, ...], depth: int) -> st.SearchStrategy[Condition]:
    """And then did, and then did not, so and so many times."""
    child = st.builds(Reduced, _events(known, _windows_of_parent, depth), st.just("count"))
    did = st.builds(Compared, child, st.just(">="), st.just(Literal_(1)))
    return weighted((1, did), (1, did.map(Not)), (1, _so_often(child)))


@cache
def _event_conditions(known: tuple[str, ...]) -> st.SearchStrategy[Condition]:
    """Performed so and so often, or what the events come to against some value."""
    events = _events(known, _windows)
    times = _so_often(st.builds(Reduced, events, st.just("count")))
    return weighted((2, times), (1, _reduced(events, st.just(True)).flatmap(_tests_of)))


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
        weighted(
            (3, st.builds(Property, st.sampled_from(PROPERTIES))),
            (1, st.builds(Context, st.sampled_from(CONTEXTS))),
        )
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
    return weighted(
        (4, _equal(left, rights)),
        (2, _equal(left, st.booleans().map(Literal_))),
        (3, _ordered(left)),
        (2, _one_of(left, st.sampled_from(SCALARS))),
        (2, _tested_as_text(left)),
        (3, _tested_as_date(st.just(Trait("seen")))),
        (1, _tested_as_date(left)),
        (2, st.builds(Exists, left, st.booleans())),
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


def _joined(atoms: st.SearchStrategy[Condition], depth: int = 2) -> st.SearchStrategy[Condition]:
    """Atoms, or AND, OR and NOT of them, up to `depth` inside each other."""
    if not depth:
        return atoms
    inner = _joined(atoms, depth - 1)
    parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return weighted(
        (4, atoms),
        (1, st.builds(And, parts)),
        (1, st.builds(Or, parts)),
        (1, st.builds(Not, inner)),
    )
