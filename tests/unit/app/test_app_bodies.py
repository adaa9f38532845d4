"""How bodies are shown: nothing rounded, nothing run, nothing left out, what cannot be seen made visible."""

import re
from html import unescape

import pytest

from headgate.app.bodies import exact, shortened, shown


def pretty(text: str, masked: bool = False) -> str:
    """A body's lines with their numbers, as they read when everything is unfolded."""
    html = str(shown(text, "Arrived", masked).pretty)
    html = re.sub(r'<span class="folded">.*?</span>', "", html)
    html = re.sub(r'<span class="line"(?: data-n="(\d+)")?>', r"\n\1 ", html)
    return unescape(re.sub(r"<[^>]+>", "", html)).lstrip("\n")


def test_json_has_a_value_a_line() -> None:
    """Under its key, one step further in, with the empty ones short."""
    assert pretty('{"a":[1,{"b":null}],"c":{},"d":[],"e":true}') == (
        "1 {\n"
        '2   "a": [\n'
        "3     1,\n"
        "4     {\n"
        '5       "b": null\n'
        "6     }\n"
        "7   ],\n"
        '8   "c": {},\n'
        '9   "d": [],\n'
        '10   "e": true\n'
        "11 }"
    )


@pytest.mark.parametrize(
    "number", ["9007199254740993", "-0", "1.10", "1e400", "123456789012345678901234567890.5"]
)
def test_a_number_stands_as_it_was_written(number: str) -> None:
    """A browser, and Python too, would make another one of it."""
    assert pretty(f'[{number}, "next"]').splitlines()[1] == f"2   {number},"


def test_both_of_two_equal_keys_are_shown() -> None:
    """What counts is the reader's matter."""
    assert pretty('{"a":1,"a":2}') == '1 {\n2   "a": 1,\n3   "a": 2\n4 }'


def test_markup_is_text_in_both_views() -> None:
    """Keys and values come from anybody with a write key."""
    attack = "<img src=x onerror=alert(1)>"
    body = shown(f'{{"{attack}": "{attack}"}}', "Arrived", False)
    assert "<img" not in body.pretty and str(body.pretty).count("&lt;img") == 2
    assert "<img" not in body.raw and str(body.raw).count("&lt;img") == 2


def test_what_cannot_be_seen_is_shown_and_copied_as_it_was() -> None:
    """The code stands in an attribute, so that the text of the element is the exact one."""
    text = '{"event":"Order Completed ","name":"a\u202eb\u00a0\u200bc"}'
    body = shown(text, "Arrived", False)
    assert 'Order Completed<span class="odd" title="space">·</span>' in body.pretty
    assert '<span class="odd" title="right-to-left override">U+202E</span>' in body.pretty
    assert 'data-code="U+202E"' in body.raw and 'data-code="U+200B"' in body.raw
    assert unescape(re.sub(r"<[^>]+>", "", str(body.raw))) == text


@pytest.mark.parametrize("text", ["id ", " id", "  ", "", "a b", "\u202ea\tb ", "<b>&"])
def test_what_is_shown_exactly_is_copied_exactly(text: str) -> None:
    """Outer spaces included, which have dots beside them."""
    assert unescape(re.sub(r"<[^>]+>", "", str(exact(text)))) == text
    assert str(exact(text)).count("·") == len(text) - len(text.strip(" "))


def test_a_carriage_return_survives_the_browser() -> None:
    """A bare one would be read as the end of a line."""
    assert 'title="a control character">&#13;</span>' in shown("a\r\nb", "Arrived", False).raw


def test_a_long_string_is_folded_and_whole() -> None:
    """Its start and its length are said."""
    text = "x" * 30_000
    html = str(shown(f'{{"a": "{text}"}}', "Arrived", False).pretty)
    assert f'<span class="folded">"{"x" * 120}… 30,000 characters</span>' in html
    assert f'<span class="string">"{text}"</span>' in html


def test_what_lies_deep_is_folded() -> None:
    """From the third level on."""
    html = str(shown('{"a":{"b":{"c":{"d":1}}}}', "Arrived", False).pretty)
    assert re.findall("<details(.*?)>", html) == [" open", " open", " open", ""]


@pytest.mark.parametrize(
    "text", ["", "busy", "{", "[" * 50_000, '{"a":1} trailing', "\ufeff{}", "a\x00b"]
)
def test_what_is_not_json_is_shown_as_it_is(text: str) -> None:
    """Without a pretty view."""
    body = shown(text, "Answer", False)
    assert not body.pretty
    assert unescape(re.sub(r"<[^>]+>", "", str(body.raw))) == text


def test_a_body_that_nobody_reads_whole_is_cut() -> None:
    """A page stays small; how much is left out is said."""
    body = shown("x" * 300_000, "Request", False)
    assert (len(body.raw), body.cut, body.size) == (262_144, 37_856, 300_000)


def test_a_long_name_has_its_beginning_and_its_end() -> None:
    """Where a page has a line for it."""
    assert shortened("x" * 160) == "x" * 160
    short = shortened("a" * 15_000 + "z" * 15_000)
    assert (len(short), short) == (160, f"{'a' * 120}…{'z' * 39}")


def test_a_name_becomes_an_id_without_spaces() -> None:
    """For the button that copies."""
    assert shown("", 'Sent to "Heap", attempt 1', False).id == "body-sent-to-heap-attempt-1"


def test_personal_values_are_hidden_when_asked_for() -> None:
    """In both views, since the whole text is masked before it is shown."""
    body = shown('{"traits":{"email":"ana@example.com"}}', "Arrived", True)
    assert "ana@" not in body.raw and "ana@" not in body.pretty
    assert "•••" in body.raw and "•••" in body.pretty
