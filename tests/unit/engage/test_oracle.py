"""The oracle says what the specification says: the worked vector, the tables, the edges of every window."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engage_oracle.breakpoints import around, breakpoints
from engage_oracle.byhand import T0, Log, happened, ids, made_of, times, trait_is
from engage_oracle.comparing import compared, instant_ms, same, scalar_text
from engage_oracle.definitions import definitions
from engage_oracle.histories import UNIT_MS, Arrival, histories, log_of
from engage_oracle.oracle import Asked, evaluate, steps
from engage_oracle.people import Rules
from engage_oracle.telling import Telling, at_heap, expected_sent, sequences
from headgate.engage.observed import Observed
from headgate.language.parser import parse_audience, parse_trait
from headgate.language.printer import text_of
from headgate.language.tree import (
    And,
    Between,
    Compared,
    Comparison,
    Condition,
    Context,
    DateTested,
    Definition,
    Events,
    Exists,
    Literal_,
    NearNow,
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

DAY_MS = 86_400_000
KEY = "order_completed_last_30days"

slow = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def answer(log: Log, tree: Definition, at: int, **asked: Any) -> Any:
    """What the definition comes to at T0 + `at`, for the only profile there is."""
    kind: Any = "trait" if isinstance(tree, Scalar) else "audience"
    ((_, values),) = evaluate(log, {"asked": Asked(kind, tree, **asked)}, T0 + at)
    return values["asked"]


def flips(log: Log, tree: Definition, upto: int, **asked: Any) -> list[int]:
    """The instants after T0 at which a condition becomes the opposite, from false on."""
    answers = [False, *(answer(log, tree, at, **asked) for at in range(upto))]
    return [at for at in range(upto) if answers[at] != answers[at + 1]]


# The seed's example


def orders(*days: int | tuple[int, int]) -> Log:
    """Orders on these days; (day, day of arrival) for a late one."""
    log = Log()
    for day in days:
        at, arrived = day if isinstance(day, tuple) else (day, day)
        log.event("Order Completed", at * DAY_MS, arrived=arrived * DAY_MS)
    return log


SEED = {KEY: Asked("audience", happened("Order Completed", None, Within(30 * DAY_MS)))}


def sent(log: Log, *moments: int) -> list[tuple[int, Any]]:
    """What is sent to u1 with a sync at each of these moments after T0."""
    tellings, _ = expected_sent(log, SEED, [T0 + at for at in moments])
    assert all((one.user_id, one.key) == ("u1", KEY) for one in tellings)
    return [(one.at_ms - T0, one.value) for one in tellings]


def days_and_edges(*days: int) -> list[int]:
    return [day * DAY_MS + off for day in days for off in (-1, 0, 1)]


def test_a_member_leaves_thirty_days_after_the_newest_order_to_the_millisecond() -> None:
    log = orders(0, 29)
    assert sent(log, *days_and_edges(0, 29, 30, 59)) == [(0, True), (59 * DAY_MS, False)]


def test_a_late_order_enters_at_its_arrival_and_leaves_by_its_own_time() -> None:
    log = orders(0, 29, (58, 60))
    assert sent(log, *days_and_edges(0, 29, 59, 60, 88))[2:] == [
        (60 * DAY_MS, True),
        (88 * DAY_MS, False),
    ]


def test_an_order_that_arrives_after_its_window_sends_nothing() -> None:
    assert sent(orders(0, 29, (10, 60)), *days_and_edges(0, 29, 59, 60, 88))[2:] == []


# Windows: (tree's window, history) and when one event at 10, received at 12, counts


WINDOWS: dict[str, tuple[Window | None, bool | int, list[int]]] = {
    "none: from its own time, once arrived": (None, True, [12]),
    "within D: out at ts + D": (Within(7), True, [12, 17]),
    "within D, arrived too late": (Within(2), True, []),
    "between A, B: in at ts + A, out at ts + B": (Between(4, 9), True, [14, 19]),
    "between 0, B is within": (Between(0, 7), True, [12, 17]),
    "history off, created before the arrival": (None, False, [12]),
    "look-back L: out at ts + L": (None, 8, [12, 18]),
    "look-back L, shorter than the window": (Within(7), 4, [12, 14]),
    "look-back L, longer than the window": (Within(4), 7, [12, 14]),
    "session: live while younger than the gap": (Session(5), True, [12, 15]),
}


@pytest.mark.parametrize(("window", "history", "expected"), WINDOWS.values(), ids=WINDOWS)
def test_an_event_counts_within_half_open_edges(
    window: Window | None, history: bool | int, expected: list[int]
) -> None:
    log = Log().event(at=0, name="B").event(at=10, arrived=12)
    assert (
        flips(log, happened("A", None, window), 30, history=history, created_at_ms=T0 + 12)
        == expected
    )


def test_a_future_event_waits_for_its_time() -> None:
    log = Log().event(at=0, name="B").event(at=10, arrived=3)
    assert flips(log, happened(), 20) == [10]
    assert flips(log, happened("A", None, Within(5)), 20) == [10, 15]


def test_without_history_only_what_arrives_from_the_creation_on_counts() -> None:
    log = Log().event(at=0, arrived=11).event(at=1, arrived=12)
    tree = Reduced(Events("A"), "count")
    assert answer(log, tree, 20, history=False, created_at_ms=T0 + 12) == 1
    assert answer(log, tree, 20, history=False, created_at_ms=T0 + 11) == 2


def test_a_session_chains_gaps_up_to_its_length_and_filters_first() -> None:
    log = Log().event(at=0, x=1).event(at=4, x=9).event(at=9, x=1).event(at=14, x=1)
    whole = Reduced(Events("A", None, Session(5)), "count")
    assert [answer(log, whole, at) for at in (14, 18, 19)] == [4, 4, 0]
    ones = Compared(Property("x"), "=", Literal_(1))
    assert answer(log, Reduced(Events("A", ones, Session(5)), "count"), 14) == 2


def test_not_performed_is_entered_by_time_alone_and_holds_for_who_never_did_anything() -> None:
    log = Log().event(at=0)
    assert flips(log, Not(happened("A", None, Within(9))), 20) == [9]
    assert answer(log, times("=", 0, "Z"), 0) is True


def test_sources_can_be_left_out() -> None:
    log = Log().event(source="website").event(source="server").event(source="server")
    assert answer(log, Reduced(Events("A", not_from=("server",)), "count"), 0) == 1


def test_a_message_counts_once_and_as_it_came_first() -> None:
    log = (
        Log().event(id_="m1", x=1).event(id_="m1", at=1, x=5).event(id_="m1", x=7, source="server")
    )
    assert answer(log, Reduced(Events("A"), "count"), 5) == 2
    assert answer(log, made_of("sum"), 5) == 8


# Values


REDUCED: dict[str, tuple[Reduced, list[Any], Any]] = {
    "sum": (made_of("sum"), [1, 2.5, "7", True, None, [], "x"], 3.5),
    "sum of nothing": (made_of("sum"), ["7"], 0),
    "sum is exact": (made_of("sum"), [1e16, 1, 1, -1e16], 2),
    "sum beyond all numbers": (made_of("sum"), [1e308, 1e308], None),
    "avg": (made_of("avg"), [1, 2, "9"], 1.5),
    "avg of nothing": (made_of("avg"), [None], None),
    "min": (made_of("min"), [3, 2, "1", False], 2),
    "max": (made_of("max"), [3, 20, "99"], 20),
    "max of nothing": (made_of("max"), ["99"], None),
    "min as string": (made_of("min", read_as="string"), ["b", "a", 10, 9], "10"),
    "max as string": (made_of("max", read_as="string"), ["b", "a", "Z"], "b"),
    "first": (made_of("first"), [None, "b", "a"], "b"),
    "last": (made_of("last"), ["b", 0, None], 0),
    "last keeps a list": (made_of("last"), [1, ["a"]], ["a"]),
    "last of nothing": (made_of("last"), [None], None),
    "mode": (made_of("mode"), ["a", "b", "b"], "b"),
    "mode wants two": (made_of("mode"), ["a", "b"], None),
    "mode wants three": (made_of("mode", minimum=3), ["a", "a"], None),
    "mode, a tie": (made_of("mode"), ["b", "b", "a", "a"], "a"),
    "mode keeps the type": (made_of("mode"), [5, 5, "x"], 5),
    "mode by text": (made_of("mode"), [5, "5", "x"], "5"),
    "mode without lists": (made_of("mode"), [["a"], ["a"]], None),
    "mode as array": (made_of("mode", read_as="array"), [["a"], ["a"]], ["a"]),
    "unique": (made_of("unique"), ["b", "a", "b", 5, 5.0, True, ""], ["", "5", "a", "b", "true"]),
    "unique of nothing": (made_of("unique"), [None, [], {}], []),
    "unique, counted": (made_of("unique", counted=True), ["b", "a", "b"], 2),
    "unique of nothing, counted": (made_of("unique", counted=True), [], 0),
}


@pytest.mark.parametrize(("tree", "values", "expected"), REDUCED.values(), ids=REDUCED)
def test_events_come_to_a_value(tree: Reduced, values: list[Any], expected: Any) -> None:
    log = Log().traits(t=1)
    for at, value in enumerate(values):
        log.event(at=at, x=value)
    assert same(answer(log, tree, 99), expected)


def test_first_and_last_go_by_time_then_arrival_then_id() -> None:
    log = Log().event(at=5, id_="b", x="b").event(at=5, id_="a", x="a")
    log.event(at=5, arrived=9, id_="0", x="late").event(at=4, arrived=9, x="oldest")
    assert answer(log, made_of("first"), 9) == "oldest"
    assert answer(log, made_of("last"), 9) == "late"
    assert answer(log, made_of("last"), 8) == "b"


# Comparisons; "missing" stands for no such trait


MISSING = object()
T = Trait("t")
TESTS: dict[str, tuple[Any, Condition, bool]] = {
    "= missing": (MISSING, trait_is("=", 1), False),
    "= null": (None, trait_is("=", 1), False),
    "= number as text": ("5", trait_is("=", 5), True),
    "= whole number": (5.0, trait_is("=", "5"), True),
    "= boolean as text": (True, trait_is("=", "true"), True),
    "= true is not 1": (True, trait_is("=", 1), False),
    "= is exact": ("Red", trait_is("=", "red"), False),
    "= list": (["a"], trait_is("=", "a"), False),
    "!= missing": (MISSING, trait_is("!=", 1), False),
    "!= null": (None, trait_is("!=", 1), False),
    "!= other": (2, trait_is("!=", 1), True),
    "!= same text": ("1", trait_is("!=", 1), False),
    "!= empty text": ("", trait_is("!=", 1), True),
    "NOT = missing": (MISSING, Not(trait_is("=", 1)), True),
    "> numbers": (2, trait_is(">", 1.5), True),
    "> equal": (2, trait_is(">", 2), False),
    ">= equal": (2, trait_is(">=", 2.0), True),
    "< missing": (MISSING, trait_is("<", 1), False),
    "<= null": (None, trait_is("<=", 1), False),
    "> numeric text": ("2", trait_is(">", 1), False),
    "> boolean": (True, trait_is(">", 0), False),
    "contains": ("dark red", TextTested(T, "contains", ("blue", "red")), True),
    "contains missing": (MISSING, TextTested(T, "contains", ("a",)), False),
    "omits": ("dark red", TextTested(T, "omits", ("red",)), False),
    "omits missing": (MISSING, TextTested(T, "omits", ("a",)), True),
    "starts_with": ("dark red", TextTested(T, "starts_with", ("red", "dark")), True),
    "starts_with missing": (MISSING, TextTested(T, "starts_with", ("a",)), False),
    "ends_with": ("dark red", TextTested(T, "ends_with", ("red",)), True),
    "ends_with null": (None, TextTested(T, "ends_with", ("a",)), False),
    "one_of": ("5", OneOf(T, ("a", 5)), True),
    "one_of missing": (MISSING, OneOf(T, ("a",)), False),
    "none_of": ("b", OneOf(T, ("a",), negated=True), True),
    "none_of missing": (MISSING, OneOf(T, ("a",), negated=True), True),
    "exists missing": (MISSING, Exists(T), False),
    "exists null": (None, Exists(T), False),
    "exists false": (False, Exists(T), True),
    "exists 0": (0, Exists(T), True),
    "exists empty text": ("", Exists(T), True),
    "absent missing": (MISSING, Exists(T, negated=True), True),
    "absent false": (False, Exists(T, negated=True), False),
    "before_date": (iso_ms(T0 - 1), DateTested(T, "before_date", iso_ms(T0)), True),
    "before_date, equal": (iso_ms(T0), DateTested(T, "before_date", iso_ms(T0)), False),
    "after_date": (iso_ms(T0 + 1), DateTested(T, "after_date", iso_ms(T0)), True),
    "after_date, equal": (iso_ms(T0), DateTested(T, "after_date", iso_ms(T0)), False),
    "after_date, no instant": ("soon", DateTested(T, "after_date", iso_ms(T0)), False),
    "before_date, a number": (T0 - 1, DateTested(T, "before_date", iso_ms(T0)), False),
    "before_date, missing": (MISSING, DateTested(T, "before_date", iso_ms(T0)), False),
    "within_last, missing": (MISSING, NearNowTested(T, "within_last", 5), False),
    "before_last, no instant": ("2026-02-30T00:00:00Z", NearNowTested(T, "before_last", 5), False),
}


@pytest.mark.parametrize(("value", "condition", "expected"), TESTS.values(), ids=TESTS)
def test_a_value_is_tested_by_the_table_of_nulls(
    value: Any, condition: Condition, expected: bool
) -> None:
    log = Log().traits(**({} if value is MISSING else {"t": value}))
    assert answer(log, condition, 0) is expected


NEAR: dict[NearNow, list[int]] = {
    "within_last": [10, 16],
    "within_next": [5, 11],
    "before_last": [15],
    "after_next": [0, 6],
}


@pytest.mark.parametrize("test", NEAR)
def test_dates_near_now_include_both_ends(test: NearNow) -> None:
    log = Log().traits(t=iso_ms(T0 + 10))
    assert flips(log, NearNowTested(T, test, 5), 30) == NEAR[test]


def test_instants_may_have_a_zone_or_decimals_or_only_a_date() -> None:
    assert instant_ms("2026-01-01T02:00:00.0019999+02:00") == T0 + 1
    assert instant_ms("2026-01-01") == instant_ms("2026-01-01 00:00") == T0
    assert instant_ms("2026-01-01T24:00:00Z") is instant_ms("20260101") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5.0, "5"),
        (-0.0, "0"),
        (2.5, "2.5"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (False, "false"),
    ],
)
def test_scalars_have_the_text_that_javascript_gives_them(value: Any, text: str) -> None:
    assert scalar_text(value) == text


@pytest.mark.parametrize("comparison", ["=", "!=", ">", ">=", "<", "<="])
def test_nothing_compares_with_a_missing_right_side(comparison: Comparison) -> None:
    assert compared(1, comparison, None) is False


# Traits


def test_the_newest_write_holds_whatever_arrived_last_and_null_removes() -> None:
    log = Log().traits(5, t="new").event("", 3, arrived=8, traits={"t": "old", "u": 1})
    assert answer(log, Trait("t"), 9) == "new"
    assert answer(log, Trait("u"), 9) == 1
    assert answer(log.traits(9, t=None), Exists(T), 9) is False


def test_a_trait_of_the_future_waits_for_its_time() -> None:
    log = Log().traits(0, t=1).event("", 10, arrived=1, traits={"t": 2})
    assert [answer(log, Trait("t"), at) for at in (1, 9, 10)] == [1, 1, 2]


def test_traits_ignore_history() -> None:
    log = Log().traits(0, t=1)
    assert answer(log, Trait("t"), 50, history=False, created_at_ms=T0 + 9) == 1
    assert answer(log, Trait("t"), 50, history=3) == 1


def test_paths_lead_into_objects_and_an_escaped_dot_belongs_to_the_name() -> None:
    assert steps(r"a\.b.c") == ["a.b", "c"]
    log = Log().event("", traits={"t": {"city": "Rome"}, "t.city": "Oslo"})
    assert answer(log, Trait("t.city"), 0) == "Rome"
    assert answer(log, Trait(r"t\.city"), 0) == "Oslo"
    assert answer(log, Trait("t.city.more"), 0) is None


def test_an_audience_is_a_trait_that_is_false_for_a_non_member_and_beats_a_custom_one() -> None:
    log = Log().event(at=0).traits(0, buyers="by hand")
    asked = {
        "buyers": Asked("audience", happened("A", None, Within(5))),
        "lapsed": Asked("audience", trait_is("=", False, "buyers")),
        "orders": Asked("trait", Reduced(Events("Z"), "count")),
        "none": Asked("audience", trait_is("=", 0, "orders")),
    }
    values = [evaluate(log, asked, T0 + at)[0][1] for at in (4, 5)]
    assert [(at["buyers"], at["lapsed"], at["none"]) for at in values] == [
        (True, False, True),
        (False, True, True),
    ]


def test_a_merge_brings_the_events_and_traits_of_both() -> None:
    log = Log().event("A", 0, who="a:1").traits(1, who="user_id:u", t="old")
    log.traits(2, who="a:1", t="new").event("A", 3, who="user_id:u a:1")
    assert answer(log, Reduced(Events("A"), "count"), 9) == 2
    assert answer(log, Trait("t"), 9) == "new"


# Funnels


def child(
    comparison: Comparison = ">=",
    number: int = 1,
    window: Window | None = None,
    where: Condition | None = None,
) -> Condition:
    return times(comparison, number, "B", where, window)


DID = happened("A", child(window=Within(5, of_parent=True)))
DID_NOT = happened("A", Not(child(window=Within(5, of_parent=True))))


@pytest.mark.parametrize(
    ("after", "follows"), [(-1, False), (0, False), (1, True), (5, True), (6, False)]
)
def test_a_child_is_strictly_after_its_parent_and_up_to_its_window(
    after: int, follows: bool
) -> None:
    log = Log().event("A", 10).event("B", 10 + after)
    assert answer(log, DID, 30) is follows
    assert answer(log, DID_NOT, 30) is not follows


@pytest.mark.parametrize(
    ("after", "follows"), [(0, False), (2, False), (3, True), (5, True), (6, False)]
)
def test_a_child_between_two_spans_after_its_parent(after: int, follows: bool) -> None:
    log = Log().event("A", 10).event("B", 10 + after)
    assert answer(log, happened("A", child(window=Between(3, 6, of_parent=True))), 30) is follows


def test_a_child_without_a_window_is_any_later_one_that_has_happened() -> None:
    log = Log().event("A", 0).event("B", 0).event("B", 20, arrived=1)
    assert flips(log, happened("A", child()), 30) == [20]


def test_every_parent_counts_so_that_a_second_one_is_abandoned_again() -> None:
    log = Log().event("A", 0).event("B", 2).event("A", 3)
    assert answer(log, DID, 4) is answer(log, DID_NOT, 4) is True
    assert flips(log, DID_NOT, 20) == [0, 2, 3]


def test_who_waits_did_not_before_the_window_of_the_parent_has_passed() -> None:
    log = Log().event("A", 0)
    assert flips(log, DID_NOT, 20) == [0]
    assert flips(log, DID_NOT, 20, wait=True) == [5]
    none = happened("A", child("=", 0, Within(5, of_parent=True)))
    assert flips(log, none, 20, wait=True) == [5]


def test_waiting_ends_with_what_was_awaited_and_does_not_delay_other_conditions() -> None:
    assert flips(Log().event("A", 0).event("B", 5), DID_NOT, 20, wait=True) == []
    assert flips(Log().event("A", 0).event("B", 2), DID, 20, wait=True) == [2]
    other = Compared(Property("x"), "=", Literal_(1))
    either = happened("A", Or((other, Not(child(window=Within(5, of_parent=True))))))
    assert flips(Log().event("A", 0, x=1), either, 20, wait=True) == [0]


def test_a_child_that_never_stops_being_awaited_is_not_waited_for() -> None:
    assert flips(Log().event("A", 0), happened("A", Not(child())), 20, wait=True) == [0]


def test_a_late_child_ends_a_did_not() -> None:
    log = Log().event("A", 0).event("B", 3, arrived=12)
    assert flips(log, DID_NOT, 20, wait=True) == [5, 12]


def test_children_refer_to_properties_of_their_parent_and_to_traits() -> None:
    ref = Compared(Property("id"), "=", Property("id", of_parent=True))
    rich = Compared(Property("id"), ">=", Trait("t"))
    log = Log().traits(t=7).event("A", 1, id=7).event("B", 2, id=8)
    assert answer(log, happened("A", child(where=ref)), 5) is False
    assert answer(log, happened("A", child(where=rich)), 5) is True
    assert answer(log.event("B", 3, id=7), happened("A", child(where=ref)), 5) is True


def test_children_have_children() -> None:
    grandchild = times(">=", 1, "C", None, Within(2, of_parent=True))
    tree = happened("A", child(where=grandchild, window=Within(5, of_parent=True)))
    assert answer(Log().event("A", 0).event("B", 4).event("C", 6), tree, 9) is True
    assert answer(Log().event("A", 0).event("B", 3).event("C", 6), tree, 9) is False


def test_a_where_reads_the_context_and_joins_conditions() -> None:
    url = TextTested(Context("page.url"), "contains", ("/shop",))
    cheap = Compared(Property("x"), "<", Literal_(5))
    log = Log().event(x=3, context={"page": {"url": "https://x.org/shop/1"}})
    assert answer(log, happened("A", And((url, cheap))), 0) is True
    assert answer(log, happened("A", And((url, Not(cheap)))), 0) is False


# Telling


def asked_for(tree: Definition) -> dict[str, Asked]:
    return {"k": Asked("trait" if isinstance(tree, Scalar) else "audience", tree)}


def told(log: Log, tree: Definition, *moments: int, rules: Rules | None = None) -> list[Telling]:
    tellings, _ = expected_sent(log, asked_for(tree), [T0 + at for at in moments], None, rules)
    return tellings


def test_entering_and_leaving_between_two_syncs_tells_nothing() -> None:
    log = Log().event("Z", 0).event("A", 5)
    assert told(log, happened("A", None, Within(3)), 0, 4, 8, 20) == []


def test_never_a_false_for_one_who_never_had_true() -> None:
    assert told(Log().event("A", 0), happened("Z"), 0, 1) == []


@pytest.mark.parametrize(
    ("tree", "name", "expected"),
    [
        (Reduced(Events("A", None, Within(3)), "count"), "count", [1, 0]),
        (made_of("last", window=Within(3)), "last", [7, None]),
        (made_of("unique", window=Within(3)), "unique", [["7"], []]),
    ],
    ids=["count", "last", "unique"],
)
def test_an_empty_value_is_told_once_and_only_after_another(
    tree: Reduced, name: str, expected: list[Any]
) -> None:
    log = Log().event("Z", 0).event("A", 5, x=7)
    sent = told(log, tree, *range(20))
    assert sequences(sent) == {("u1", "k"): expected}


def test_after_null_the_same_value_is_told_again_and_heap_keeps_or_replaces() -> None:
    log = Log().event("A", 0, x=7).event("A", 9, x=7)
    sent = told(log, made_of("last", window=Within(3)), *range(20))
    assert sequences(sent) == {("u1", "k"): [7, None, 7, None]}
    assert at_heap(sent) == {"u1": {"k": 7}}
    assert at_heap(sent, null_traits="") == {"u1": {"k": ""}}


def test_who_gets_a_user_id_is_told_then_and_each_user_id_is_told() -> None:
    log = Log().event("A", 0, who="a:1").event("Z", 5, who="user_id:u1 a:1")
    log.event("Z", 7, who="user_id:u2 a:1")
    sent = told(log, happened(), *range(9), rules=Rules(limits={"user_id": 2}))
    assert sent == [Telling(T0 + 5, "u1", "k", True), Telling(T0 + 7, "u2", "k", True)]


def test_what_was_told_goes_on_after_an_edit() -> None:
    log = Log().event("A", 0)
    _, before = expected_sent(log, asked_for(happened()), [T0])
    after, _ = expected_sent(log, asked_for(happened("Z")), [T0 + 1, T0 + 2], before)
    assert after == [Telling(T0 + 1, "u1", "k", False)]


# What must hold of any history


@slow
@given(definitions())
def test_definitions_are_made_as_the_language_has_them(asked: dict[str, Asked]) -> None:
    for one in asked.values():
        parse_as = parse_trait if one.kind == "trait" else parse_audience
        assert text_of(parse_as(text_of(one.tree))) == text_of(one.tree)


def _values(log: list[Observed], asked: Mapping[str, Asked], at_ms: int) -> list[Any]:
    return [(sorted(identifiers), values) for identifiers, values in evaluate(log, asked, at_ms)]


@slow
@given(histories(), definitions())
def test_between_two_breakpoints_nothing_changes(
    arrivals: list[Arrival], asked: dict[str, Asked]
) -> None:
    log = log_of(arrivals)
    instants = around(breakpoints(log, asked))[1:]  # of every gap both ends
    for start, end in pairwise(instants):
        if end - start > 1:
            assert _values(log, asked, start) == _values(log, asked, end)


@slow
@given(histories(), definitions(), st.integers(1, 30))
def test_repeating_a_message_changes_nothing(
    arrivals: list[Arrival], asked: dict[str, Asked], hours: int
) -> None:
    log = log_of(arrivals)
    at_ms = T0 + hours * UNIT_MS
    assert _values(log + log, asked, at_ms) == _values(log, asked, at_ms)


@slow
@given(st.data(), histories(), definitions(), st.integers(1, 30))
def test_of_one_person_the_order_of_arrival_changes_nothing(
    data: st.DataObject, arrivals: list[Arrival], asked: dict[str, Asked], hours: int
) -> None:
    """Identity and repeated ids depend on the order; with one userId and ids of their own nothing does."""
    log = log_of(arrivals)
    for message in log:
        message.identifiers = ids("user_id:u1")
        message.message_id = f"{message.message_id}/{message.seq}"
    at_ms = T0 + hours * UNIT_MS
    shuffled = data.draw(st.permutations(log))
    assert _values(shuffled, asked, at_ms) == _values(log, asked, at_ms)


@slow
@given(histories(), definitions())
def test_what_is_sent_starts_with_true_alternates_and_ends_with_the_membership(
    arrivals: list[Arrival], asked: dict[str, Asked]
) -> None:
    log = log_of(arrivals)
    instants = around(breakpoints(log, asked))[::7]
    sent, told = expected_sent(log, asked, instants)
    for (_, key), sequence in sequences(sent).items():
        if asked[key].kind == "audience":
            assert sequence == [number % 2 == 0 for number in range(len(sequence))]
    for identifiers, values in evaluate(log, asked, instants[-1]) if instants else []:
        for identifier in identifiers:
            for key in asked if identifier.type == "user_id" else []:
                if asked[key].kind == "audience":
                    assert told.get((identifier.value, key), False) is values[key]
