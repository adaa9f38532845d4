"""What a destination's answer means, and how long to wait after it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.delivery.answers import (
    MAX_RETRY_AFTER_S,
    Answer,
    Meaning,
    backoff_s,
    in_words,
    meaning,
    retry_after_s,
)

NOW_MS = 1_700_000_000_000  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([200, 201, 202, 204, 206, 299], Meaning.DONE),
        ([400], Meaning.REFUSED),
        ([413], Meaning.TOO_LARGE),
        ([0, 100, 301, 302, 303, 307, 308], Meaning.TRY_AGAIN),
        ([401, 403, 404, 405, 408, 410, 422, 429, 500, 501, 502, 503, 504, 599], Meaning.TRY_AGAIN),
    ],
    ids=["done", "refused", "too large", "silence and redirects", "everything else"],
)
def test_only_400_is_final_and_any_2xx_is_done(statuses: list[int], expected: Meaning) -> None:
    """A wrong address, App ID or permission never costs data."""
    assert {meaning(Answer(status, b"<html>junk")) for status in statuses} == {expected}


@pytest.mark.parametrize(
    ("attempts", "longest_s"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (10_000, 60)]
)
def test_the_wait_doubles_up_to_a_minute_and_is_spread_over_its_upper_half(
    attempts: int, longest_s: float
) -> None:
    """U(0.5, 1) x min(60 s, 1 s x 2^(n-1))."""
    chance = random.Random(1)
    waits = [backoff_s(attempts, chance) for _ in range(1_000)]
    assert longest_s / 2 <= min(waits) < 0.52 * longest_s
    assert 0.98 * longest_s < max(waits) <= longest_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("7", 7),
        (" 7 ", 7),
        ("000000000000007", 7),
        ("300", 300),
        ("301", 300),
        ("1000000", 300),
        ("9" * 5_000, 300),
        ("", 0),
        ("-5", 0),
        ("+5", 0),
        ("1.5", 0),
        ("1e3", 0),
        ("soon", 0),
        ("٣", 0),  # a digit, but not one of HTTP's
        ("²", 0),
        ("Tue, 14 Nov 2023 22:14:00 GMT", 40),
        ("Tue, 14 Nov 2023 22:14:00 -0000", 40),
        ("Tuesday, 14-Nov-23 22:14:00 GMT", 40),
        ("Tue Nov 14 22:14:00 2023", 40),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 300),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
        ("Tue, 14 Foo 2023 22:14:00 GMT", 0),
    ],
)
def test_retry_after_is_whole_seconds_or_a_date(text: str, seconds: float) -> None:
    """Absurd, negative and garbled values are harmless."""
    assert retry_after_s(Answer(429, retry_after=text), NOW_MS) == seconds


@given(
    st.text()
    | st.from_regex(r"\A[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{1,5} \d+:\d+(:\d+)?( [+-]?\w+)?\Z")
)
def test_no_retry_after_can_do_harm(text: str) -> None:
    """Whatever the header holds, the wait is from 0 to 300 s."""
    assert 0 <= retry_after_s(Answer(503, retry_after=text), NOW_MS) <= MAX_RETRY_AFTER_S


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer(0, error="no answer within 10 s"), "no answer within 10 s"),
        (Answer(204), "answered 204"),
        (Answer(400, b' {"error": "no"}\n'), 'answered 400: {"error": "no"}'),
        (Answer(500, b"\xff" * 1_000), "answered 500: " + "�" * 200),
    ],
)
def test_an_answer_is_told_on_one_line(answer: Answer, words: str) -> None:
    """With as much of the body as helps."""
    assert in_words(answer) == words
