"""docs/query-language.md is true: its definitions are read, its refused ones refused, nothing is left out."""

import re
from pathlib import Path

import pytest

from headgate.language.building import DEEPEST, MOST_COMPARISONS
from headgate.language.durations import LONGEST_MS, duration_text
from headgate.language.errors import DefinitionError
from headgate.language.functions import COMPARISONS, EXTRACTORS, METHODS, SCALAR_FUNCTIONS, SIGNS
from headgate.language.names import key_of
from headgate.language.parser import parse
from headgate.language.printer import text_of
from headgate.language.syntax import LONGEST_TEXT, MOST_BRACKETS
from headgate.language.values import compare, date_test, near_now, one_of, text_test

PAGE = (Path(__file__).parents[3] / "docs" / "query-language.md").read_text()
NOW_MS = 1_795_458_240_000


def section(title: str) -> str:
    return PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of each row of the section's table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def samples() -> list[str]:
    """Every definition that the page shows as one to use."""
    examples = re.findall(r"\| `(event.+|trait.+)` \|$", section("Examples"), re.MULTILINE)
    return [*re.findall(r"^```sql\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE), *examples]


@pytest.mark.parametrize("text", samples())
def test_every_definition_on_the_page_can_be_used(text: str) -> None:
    assert parse(text_of(parse(text))) == parse(text)


def test_every_function_is_on_the_page_and_every_one_there_exists() -> None:
    tables = ("Where values come from", "Filters of events", "Reducers", "Comparisons")
    shown = [code for title in tables for row in rows(title) for code in codes(row[0])]
    assert {re.findall(r"\w+", code)[0] for code in shown} == {*EXTRACTORS, *METHODS}


def test_every_comparison_works_as_its_row_writes_it() -> None:
    for function, signs, _ in rows("Comparisons"):
        [call] = codes(function)
        tree = parse(f"trait('a'){call}")
        for sign in codes(signs):
            assert parse(f"trait('a') {sign} {call.split('(')[1].rstrip(')')}") == tree


def test_every_sign_is_on_the_page() -> None:
    shown = {sign: codes(row[0])[0] for row in rows("Comparisons") for sign in codes(row[1])}
    assert {sign: COMPARISONS[re.findall(r"\w+", call)[0]] for sign, call in shown.items()} == SIGNS


def test_every_filter_and_reducer_works_as_its_row_writes_it() -> None:
    for title in ("Filters of events", "Reducers"):
        for row in rows(title):
            for call in codes(row[0]):
                parse(f"event('E'){call}" + (".count()" if title == "Filters of events" else ""))


def test_the_table_of_nulls_is_that_of_the_code() -> None:
    of_null = {
        **{name: compare(None, sign, 1) for name, sign in COMPARISONS.items()},
        "one_of": one_of(None, (1,)),
        "none_of": not one_of(None, (1,)),
        "contains": text_test(None, "contains", ["a"]),
        "omits": text_test(None, "omits", ["a"]),
        "starts_with": text_test(None, "starts_with", ["a"]),
        "ends_with": text_test(None, "ends_with", ["a"]),
        "exists": False,
        "absent": True,
        "before_date": date_test(None, "before_date", NOW_MS),
        "after_date": date_test(None, "after_date", 0),
        "within_last": near_now(None, "within_last", NOW_MS, NOW_MS),
        "within_next": near_now(None, "within_next", NOW_MS, 0),
        "before_last": near_now(None, "before_last", 0, NOW_MS),
        "after_next": near_now(None, "after_next", 0, 0),
    }
    shown = {codes(name)[0]: "true" in answer for name, answer in rows("Null")}
    assert shown == of_null
    assert shown.keys() == set(SCALAR_FUNCTIONS)


def test_the_limits_are_those_of_the_code() -> None:
    writing = " ".join(section("Writing").split())
    assert f"at most {duration_text(LONGEST_MS)}." in writing
    assert f"at most {MOST_COMPARISONS} comparisons" in writing
    assert f"{DEEPEST} conditions inside each other" in writing
    assert f"{MOST_BRACKETS} open brackets and {LONGEST_TEXT:,} characters" in writing


@pytest.mark.parametrize(
    "text",
    [
        *(f"{code} event('E').count() > 1" for code in codes(rows("Refused")[0][0])),
        *(f"trait('a') {code}" for code in codes(rows("Refused")[1][0])),
        f"event('E').where({codes(rows('Refused')[2][0])[0]} = 1).count() > 1",
        *(codes(row[0])[0] for row in rows("Refused")[3:5]),
        "event('E').where(property('a') = 1).where(property('b') = 1).count() > 1",
        *(f"event('E'){code}.count() > 1" for code in codes(rows("Refused")[6][0])),
        "event('E').expires_after(30 minutes).count() > 1",
        "event('E').where(event('F').within(5 days).count() > 1).count() > 1",
    ],
)
def test_what_the_page_calls_refused_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError):
        parse(text)


def test_what_the_page_offers_instead_can_be_used() -> None:
    instead = [codes(row[1]) for row in rows("Refused")]
    parse(" AND ".join(f"trait('a'){call}" for call in instead[1]))
    parse(f"event('E').where({instead[2][0]}).count() > 1")
    parse(instead[3][0])
    for call in instead[6]:
        parse(f"event('E'){call}.count() > 1")
    parse(f"event('E').where(event('F').{instead[8][0]}.count() > 1).count() > 1")


def test_the_error_on_the_page_is_the_one_that_is_raised() -> None:
    [shown] = re.findall(r"^```\n(line.*?)\n```$", PAGE, re.DOTALL | re.MULTILINE)
    with pytest.raises(DefinitionError) as refused:
        parse(shown.splitlines()[1].strip())
    assert str(refused.value) == shown


def test_the_key_on_the_page_is_made_of_its_name() -> None:
    name, key = codes(section("Names and keys"))[1:3]
    assert key_of(name) == key
