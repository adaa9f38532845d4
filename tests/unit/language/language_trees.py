"""Trees of definitions for Hypothesis: whatever the language can say, and nothing it cannot.

`level` is the number of `where`s around a part: it decides what may stand there.
"""

from hypothesis import strategies as st

from headgate.language.durations import LONGEST_MS, LONGEST_SESSION_MS, SHORTEST_SESSION_MS
from headgate.language.functions import REDUCERS
from headgate.language.paths import steps_of
from headgate.language.tree import (
    And,
    Between,
    Compared,
    Condition,
    Context,
    DateTested,
    Definition,
    Events,
    Exists,
    Json,
    Literal_,
    NearNowTested,
    Not,
    OneOf,
    Or,
    Property,
    ReadAs,
    Reduced,
    Reducer,
    Scalar,
    Session,
    TextTested,
    Trait,
    Window,
    Within,
)

MOST_LEVELS = 2

odd_texts = st.sampled_from(
    ["'", '"', "\\", "\\.", "\\\\.", "a\\", "\n", "\u00a0", "\U000e0001", "é😀"]
)
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8) | odd_texts
paths = (texts | st.sampled_from(["a.b", "a\\.b", "a\\\\.b"])).filter(
    lambda path: not {"", "$"} & set(steps_of(path))
)
numbers = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -1, 1e21, 1e-7])
)
values: st.SearchStrategy[Json] = texts | st.just("") | numbers | st.booleans()
spans_ms = st.integers(1, LONGEST_MS) | st.sampled_from([1000, 86_400_000, 3_600_000])
instants = st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z")
orders: st.SearchStrategy[ReadAs] = st.sampled_from(["", "number", "string"])
kinds: st.SearchStrategy[ReadAs] = st.sampled_from(["", "string", "number", "array"])
literals = values.map(Literal_)
traits = paths.map(Trait)
own_values = paths.map(Property) | paths.map(Context)


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    """A whole definition: of an audience, of a computed trait, or a bare value."""
    computed = reduced(0, windows(0) | sessions)
    return draw(conditions(0) | computed | literals | traits)


def conditions(level: int) -> st.SearchStrategy[Condition]:
    return st.recursive(
        comparisons(level),
        lambda inner: (
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts)))
            | st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts)))
            | inner.map(Not)
        ),
        max_leaves=4,
    )


@st.composite
def comparisons(draw: st.DrawFn, level: int) -> Condition:
    left = draw(compared_values(level))
    if isinstance(left, Reduced):
        return draw(
            tests_of_number(left) if left.read_as != "string" else tests_of_any(left, level)
        )
    return draw(tests_of_any(left, level) | tests_of_value(left, level))


def compared_values(level: int) -> st.SearchStrategy[Scalar]:
    """What may stand on the left."""
    events_values = reduced(level, windows(level)).filter(
        lambda one: (
            (one.reducer != "unique" or one.counted)
            and one.reducer not in ("mode", "first", "last")
        )
    )
    return events_values | traits | (_of_event(level) if level else traits)


def _of_event(level: int) -> st.SearchStrategy[Scalar]:
    of_parent = paths.map(lambda path: Property(path, of_parent=True))
    return own_values | of_parent if level > 1 else own_values


def tests_of_number(left: Reduced) -> st.SearchStrategy[Condition]:
    comparison = st.sampled_from(["=", "!=", ">", ">=", "<", "<="])
    ordered = st.builds(Compared, st.just(left), comparison, numbers.map(Literal_) | traits)
    return ordered | tests_of_any(left, 0)


def tests_of_any(left: Scalar, level: int) -> st.SearchStrategy[Condition]:
    one, flag = st.just(left), st.booleans()
    right: st.SearchStrategy[Scalar] = literals | traits
    if level and not isinstance(left, Reduced):
        right = right | paths.map(Property)
    listed = st.lists(values, min_size=1, max_size=3).map(tuple)
    return (
        st.builds(Compared, one, st.sampled_from(["=", "!="]), right)
        | st.builds(OneOf, one, listed, flag)
        | st.builds(Exists, one, flag)
    )


def tests_of_value(left: Scalar, level: int) -> st.SearchStrategy[Condition]:
    one = st.just(left)
    several = st.lists(texts, min_size=1, max_size=3).map(tuple)
    text_tests = st.sampled_from(["contains", "omits", "starts_with", "ends_with"])
    near_now = st.sampled_from(["within_last", "within_next", "before_last", "after_next"])
    return (
        st.builds(TextTested, one, text_tests, several)
        | st.builds(DateTested, one, st.sampled_from(["before_date", "after_date"]), instants)
        | st.builds(NearNowTested, one, near_now, spans_ms)
        | st.builds(Compared, one, st.sampled_from([">", "<="]), numbers.map(Literal_) | traits)
    )


@st.composite
def reduced(draw: st.DrawFn, level: int, window: st.SearchStrategy[Window]) -> Reduced:
    found = draw(events(level, window))
    reducer: Reducer = draw(st.sampled_from(REDUCERS))
    if reducer == "count":
        return Reduced(found, "count")
    of = draw(own_values)
    if reducer in ("min", "max"):
        return Reduced(found, reducer, of, draw(orders))
    if reducer == "mode":
        return Reduced(found, "mode", of, draw(kinds), draw(st.integers(1, 9)))
    return Reduced(found, reducer, of, counted=reducer == "unique" and draw(st.booleans()))


@st.composite
def events(draw: st.DrawFn, level: int, window: st.SearchStrategy[Window]) -> Events:
    deeper = conditions(level + 1) if level < MOST_LEVELS else st.none()
    sources = st.lists(texts, max_size=2).map(tuple)
    return Events(draw(texts), draw(st.none() | deeper), draw(st.none() | window), draw(sources))


@st.composite
def windows(draw: st.DrawFn, level: int) -> Window:
    of_parent = level > 0
    if draw(st.booleans()):
        return Within(draw(spans_ms), of_parent)
    from_ms, to_ms = sorted(draw(st.lists(spans_ms, min_size=2, max_size=2, unique=True)))
    return Between(from_ms, to_ms, of_parent)


sessions: st.SearchStrategy[Window] = st.integers(SHORTEST_SESSION_MS, LONGEST_SESSION_MS).map(
    Session
)
