"""What is no definition is refused at the character at fault, in words that lead to the mending."""

import subprocess
import sys

import pytest

from headgate.language.errors import DefinitionError
from headgate.language.parser import parse
from headgate.language.syntax import LONGEST_TEXT

EVENT = "event('E')"

# The text with ^ before the character that is at fault; then a part of what is said.
REFUSED: dict[str, tuple[str, str]] = {
    "nothing": ("^", "expected a function such as `event('…')`"),
    "a misspelt extractor": ("^evnt('E').count() > 1", "did you mean `event`?"),
    "a misspelt filter": ("event('E').^wihtin(3 days).count() > 1", "did you mean `within`?"),
    "a misspelt comparison": ("trait('a').^contain('x')", "did you mean `contains`?"),
    "a wrong case": ("^Event('E').count() > 1", "did you mean `event`?"),
    "a misspelt unit": ("event('E').within(3 ^dyas).count() > 1", "did you mean `days`?"),
    "weeks": ("event('E').within(2 ^weeks).count() > 1", "1 week is 7 days"),
    "months": ("event('E').within(2 ^months).count() > 1", "1 month is 30 days"),
    "a misspelt junction": ("trait('a') = 1 ^adn trait('b') = 2", "did you mean `AND`?"),
    "a sign turned round": ("trait('a') ^=> 1", "did you mean `>=`?"),
    "a sign of other languages": ("trait('a') = 1 ^&& trait('b') = 1", "did you mean `AND`?"),
    "a typographic sign": ("trait('a') ^≥ 1", "did you mean `>=`?"),
    "a negation of other languages": ("^!(trait('a') = 1)", "did you mean `NOT`?"),
    "a word for a sign": ("trait('a') ^is 1", "did you mean `=`?"),
    "no dot": ("trait('a') ^contains 'x'", "functions follow a dot: `.contains(…)`"),
    "a text that is not closed": ("trait(^'a)", "one that is not closed"),
    "a text over two lines": ("trait('a') = ^'a\nb'", "a new line \\n"),
    "a quote in a text": ("event('Don'^t')", "a quote inside a text is written \\'"),
    "typographic quotes": ("trait(^‘a’) = 1", "texts stand in straight quotes"),  # noqa: RUF001
    "a name without quotes": ("trait(^plan) = 1", "a text stands in quotes: 'plan'"),
    "a value without quotes": ("trait('a') = ^pro", "a text stands in quotes: 'pro'"),
    "a bracket that is not closed": ("(trait('a') = 1^", "a bracket is not closed"),
    "a bracket too many": ("trait('a') = 1^)", "found `)`"),
    "no brackets": ("event('E').count ^>= 1", "expected `(` after `count`"),
    "a comment": ("trait('a') = 1 ^# why", "there are no comments"),
    "an unknown escape": ("trait('a^\\d') = 1", "a backslash is written \\\\"),
    "half of a character": ("trait(^'\\ud83d') = 1", "half of a character"),
    "what cannot be seen": ("trait('a')^\u200b = 1", "found the character U+200B"),
    "two definitions": ("trait('a') = 1\n^trait('b') = 1", "`AND`, `OR`"),
    "a comparison of comparisons": ("trait('a') = 1 ^= 1", "`AND`, `OR`"),
    "equals null": ("trait('a') = ^null", "write `.absent()` instead of `= null`"),
    "differs from null": ("trait('a') != ^NULL", "write `.exists()` instead of `!= null`"),
    "one of null": ("trait('a').one_of('x', ^null)", "null is told with `.absent()`"),
    "any user": (
        "^ANY event('E').count() > 1",
        "audiences of accounts (`ANY`, `ALL`) are not computed",
    ),
    "all users": ("^ALL (event('E').count() > 1)", "audiences of accounts"),
    "an event alone": (f"^{EVENT}", "say how often, such as `.count() >= 1`"),
    "an event compared": (f"^{EVENT} > 1", "say how often"),
    "a trait as a condition": (
        "trait('a') = 1 AND ^trait('b')",
        "`= true` for a member of an audience",
    ),
    "a number as a condition": (f"NOT ^{EVENT}.count()", "expected a condition"),
    "a property outside": ("^property('a') = 1", "only events have it; it stands in `where`"),
    "a context outside": ("^context('a') = 1", "only events have it"),
    "a parent outside": (
        f"{EVENT}.where(^property(parent: 'a') = 1).count() > 0",
        "in the `where` of an event that itself stands in a `where`",
    ),
    "a parent in a reducer": (
        f"{EVENT}.sum(^property(parent: 'a'))",
        "expected a property of the event",
    ),
    "a trait in a reducer": (f"{EVENT}.sum(^trait('a'))", "expected a property"),
    "a window of a parent outside": (
        f"{EVENT}.within^(parent: 7 days).count() > 0",
        "only an event inside a `where` has a parent",
    ),
    "a window without parent inside": (
        f"{EVENT}.where({EVENT}.within^(7 days).count() > 0).count() > 0",
        "expected `parent:`",
    ),
    "a misspelt parent": (
        f"{EVENT}.where({EVENT}.within(^parnt: 7 days).count() > 0).count()",
        "`parent:`",
    ),
    "a session in an audience": (
        f"{EVENT}.^expires_after(30 minutes).count() > 0",
        "sessions (`expires_after`) are for computed traits",
    ),
    "a session inside": (
        f"{EVENT}.where({EVENT}.^expires_after(30 minutes).count() > 0).count()",
        "expected `within(parent: …)`",
    ),
    "a short session": (f"{EVENT}.expires_after^(29 minutes).count()", "30 minutes to 90 days"),
    "a long session": (f"{EVENT}.expires_after^(91 days).count()", "30 minutes to 90 days"),
    "no time at all": (f"{EVENT}.within(^0 days).count() > 0", "more than none"),
    "a negative time": (f"{EVENT}.within(^-7 days).count() > 0", "a whole number of days"),
    "half a day": (f"{EVENT}.within(^0.5 days).count() > 0", "a whole number of days"),
    "more than ten years": (f"{EVENT}.within(^3651 days).count() > 0", "at most 3650 days"),
    "no unit": (f"{EVENT}.within(^7).count() > 0", "say the unit, and no quotes"),
    "a duration in quotes": (
        f"{EVENT}.within(^'7 days').count() > 0",
        "say the unit, and no quotes",
    ),
    "ends the wrong way round": (f"{EVENT}.between(7 days, ^3 days).count() > 0", "over 7 days"),
    "equal ends": (f"{EVENT}.between(7 days, ^168 hours).count() > 0", "over 7 days"),
    "one end": (f"{EVENT}.between(^7 days).count() > 0", "two durations"),
    "a duration as a value": ("trait('a') > ^5 days", "durations stand in windows"),
    "a second where": (
        f"{EVENT}.where(property('a') = 1).^where(property('b') = 1).count() > 0",
        "join the conditions with `AND`",
    ),
    "a second window": (f"{EVENT}.within(1 day).^within(2 days).count() > 0", "no second window"),
    "no condition in where": (f"{EVENT}.where(^property('a')).count() > 0", "expected a condition"),
    "a named argument in where": (f"{EVENT}.where(^parent: property('a') = 1).count()", "a value"),
    "sources to take": (f"{EVENT}.sources(^include: ['a']).count() > 0", "expected `exclude:`"),
    "sources without exclude": (f"{EVENT}.sources(^'a').count() > 0", "expected `exclude:`"),
    "a comparison of events": (
        f"{EVENT}.^equals(1)",
        "reduce the events first, such as `.count()`",
    ),
    "a filter after the reducer": (
        f"{EVENT}.count().^where(property('a') = 1) > 0",
        "follows an event",
    ),
    "a count of a trait": ("trait('a').^count() > 1", "`.count(…)` follows an event"),
    "more after a comparison": ("trait('a').exists().^count()", "a comparison ends here"),
    "a list compared": (f"^{EVENT}.unique(property('a')) = 1", "a list can only be counted"),
    "a list compared by a function": (
        f"{EVENT}.unique(property('a')).^contains('x')",
        "`.count()` or nothing",
    ),
    "a value on the left": ("^5 < trait('a')", "turn the comparison round"),
    "events on the right": (
        f"trait('a') = ^{EVENT}.count()",
        "expected a value, a trait or a property",
    ),
    "a property for what events come to": (
        f"{EVENT}.where({EVENT}.count() >= ^property('n')).count() > 0",
        "expected a value or a trait",
    ),
    "a number among texts": ("trait('a').contains('x', ^5)", "a text stands in quotes: '5'"),
    "an empty text test": ("trait('a').contains(^'')", "a text with something in it"),
    "no values": ("trait('a').one_of^()", "found nothing"),
    "an empty list": ("trait('a').one_of(^[])", "expected values"),
    "no instant": ("trait('a').before_date^('2026-02-30')", "an instant, such as before_date("),
    "a Unix instant": ("trait('a').after_date^('1700000000')", "ISO 8601"),
    "an event without name": ("event(^'') .count() > 1", "a text with something in it"),
    "an empty step": ("trait(^'a..b') = 1", "a name before and after each dot"),
    "an array's elements": ("trait(^'products.$.name') = 1", "an array is compared as a whole"),
    "a sum as text": (f"{EVENT}.sum(property('a') as ^string)", "no `as` in `sum`"),
    "an unknown type": (f"{EVENT}.max(property('a') as ^date)", "`as number` or `as string`"),
    "a mode of none": (f"{EVENT}.mode(property('a'), ^0)", "a whole number from 1"),
    "a mode of true": (f"{EVENT}.mode(property('a'), ^true)", "a whole number from 1"),
    "a number too large": ("trait('a') = ^1e999", "a number below 1.8e308"),
    "a number of too many digits": (f"trait('a') = ^{'9' * 5000}", "a number below 1.8e308"),
    "a number that begins with 0": ("trait('a') = ^007", "a text stands in quotes: '007'"),
    "a bare name": ("^x", "a text stands in quotes: 'x'"),
}


@pytest.mark.parametrize(("marked", "said"), REFUSED.values(), ids=REFUSED)
def test_is_refused_at_the_character_at_fault(marked: str, said: str) -> None:
    position = marked.index("^")
    with pytest.raises(DefinitionError) as refused:
        parse(marked[:position] + marked[position + 1 :])
    assert said in refused.value.sentence
    assert refused.value.position == position


def test_the_error_shows_the_line_and_points_at_the_character() -> None:
    with pytest.raises(DefinitionError) as refused:
        parse("trait('a') = 1 AND\n  event('Order Completed').wihtin(30 days).count() >= 1")
    assert str(refused.value).splitlines() == [
        "line 2, column 28: expected a filter or a reducer of events, found `wihtin`; "
        "did you mean `within`?",
        "    event('Order Completed').wihtin(30 days).count() >= 1",
        "                             ^",
    ]


def test_the_error_has_its_parts_as_fields() -> None:
    with pytest.raises(DefinitionError) as refused:
        parse("trait('a') = 1\nOR trait('b') = null")
    error = refused.value
    assert (error.position, error.line, error.column) == (31, 2, 17)
    assert (error.expected, error.found) == ("a value", "`null`")
    assert error.hint == "write `.absent()` instead of `= null`"


def test_of_a_long_line_the_part_around_the_fault_is_shown() -> None:
    many = " AND ".join(f"trait('t{number}') = {number}" for number in range(40))
    with pytest.raises(DefinitionError) as refused:
        parse(f"{many} AND trait('a') = nothing AND {many}")
    _, line, caret = str(refused.value).split("\n")
    assert len(line) < 110
    assert line[caret.index("^") :].startswith("nothing AND")


def comparisons(number: int) -> str:
    return " AND ".join(["trait('a') = 1"] * number)


def test_fifty_comparisons_are_allowed_wherever_they_stand_and_no_more() -> None:
    parse(comparisons(50))
    parse(f"event('E').where({comparisons(49)}).count() > 0")
    for text in (comparisons(51), f"event('E').where({comparisons(50)}).count() > 0"):
        with pytest.raises(DefinitionError, match="at most 50 comparisons"):
            parse(text)


def test_sixty_four_conditions_may_stand_inside_each_other_and_no_more() -> None:
    parse("NOT " * 63 + "trait('a') = 1")
    with pytest.raises(DefinitionError, match="at most 64 conditions inside each other"):
        parse("NOT " * 64 + "trait('a') = 1")


def test_a_hundred_brackets_may_be_open_and_no_more() -> None:
    parse("(" * 99 + "trait('a') = 1" + ")" * 99)
    with pytest.raises(DefinitionError, match="at most 100 brackets"):
        parse("(" * 100 + "trait('a') = 1" + ")" * 100)


def test_a_text_of_thirty_two_kilobytes_is_read_and_a_longer_one_refused() -> None:
    text = "trait('a') = 1".ljust(LONGEST_TEXT)
    parse(text)
    with pytest.raises(DefinitionError, match="at most 32,768 characters, found 32,769"):
        parse(text + " ")


def test_importing_the_parser_builds_no_grammar() -> None:
    code = "import sys, headgate.language.parser; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
