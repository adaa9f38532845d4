"""Every form of a moment that senders may write is read, nothing else is; printing reverses it."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.spec.timestamps import MAX_MS, MIN_MS, corrected_ms, iso_ms, parse_ms

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS = 86_400_000


def ms_of(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)


MOMENT = ms_of(datetime(2026, 11, 23, 18, 24, tzinfo=UTC))

READ = {
    "what browsers send": ("2026-11-23T18:24:00.123Z", MOMENT + 123),
    "what Python's library sends": ("2026-11-23T18:24:00.123456+00:00", MOMENT + 123),
    "what Go's library sends": ("2026-11-23T18:24:00.123456789Z", MOMENT + 123),
    "date only": ("2026-11-23", MOMENT - 18 * 3_600_000 - 24 * 60_000),
    "no zone is UTC": ("2026-11-23T18:24:00", MOMENT),
    "a space for the T": ("2026-11-23 18:24:00", MOMENT),
    "a space, decimals and Z": ("2026-11-23 18:24:00.123Z", MOMENT + 123),
    "no seconds": ("2026-11-23T18:24Z", MOMENT),
    "lower-case t and z": ("2026-11-23t18:24:00.123z", MOMENT + 123),
    "one decimal": ("2026-11-23T18:24:00.5Z", MOMENT + 500),
    "two decimals": ("2026-11-23T18:24:00.05Z", MOMENT + 50),
    "nine decimals, cut not rounded": ("2026-11-23T18:24:00.999999999Z", MOMENT + 999),
    "a decimal comma": ("2026-11-23 18:24:00,123", MOMENT + 123),
    "zone with a colon": ("2026-11-23T19:24:00+01:00", MOMENT),
    "zone without a colon": ("2026-11-23T19:24:00.123+0100", MOMENT + 123),
    "zone west of Greenwich": ("2026-11-23T12:54:00-05:30", MOMENT),
    "minus zero": ("2026-11-23T18:24:00-00:00", MOMENT),
    "zone over the year's end": ("2027-01-01T00:30:00+01:00", 1_798_759_800_000),
    "29 February of a leap year": ("2024-02-29T00:00:00.000Z", 1_709_164_800_000),
    "first moment": ("0001-01-01T00:00:00.000Z", MIN_MS),
    "last moment": ("9999-12-31T23:59:59.999Z", MAX_MS),
    "before 1970, cut towards the past": ("1969-12-31T23:59:59.9999Z", -1),
    "before 1970, Python's form": ("1969-12-31T23:59:59.999900+00:00", -1),
    "seconds": (1_700_000_000, 1_700_000_000_000),
    "seconds with decimals": (1_700_000_000.5, 1_700_000_000_500),
    "seconds whose decimals have no exact float": (1_700_000_000.123, 1_700_000_000_123),
    "seconds, finer than a millisecond": (1_700_000_000.1239, 1_700_000_000_123),
    "seconds as text": ("1700000000", 1_700_000_000_000),
    "seconds with decimals as text": ("1700000000.1239", 1_700_000_000_123),
    "milliseconds": (1_700_000_000_123, 1_700_000_000_123),
    "milliseconds as a float": (1_700_000_000_123.9, 1_700_000_000_123),
    "milliseconds as text": ("1700000000123", 1_700_000_000_123),
    "milliseconds with decimals as text": ("1700000000123.9", 1_700_000_000_123),
    "RFC 1123": ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777_000),
    "RFC 1123 in UTC": ("Sun, 06 Nov 1994 08:49:37 UTC", 784_111_777_000),
    "RFC 1123 with a zone in numbers": ("Sun, 6 Nov 1994 09:49:37 +0100", 784_111_777_000),
}

MISSING = {
    "null": None,
    "true": True,
    "false": False,
    "a list": [2026, 11, 23],
    "an object": {"date": "2026-11-23"},
    "nothing": "",
    "words": "yesterday",
    "spaces around": " 2026-11-23 ",
    "a line end": "2026-11-23\n",
    "30 February": "2026-02-30T00:00:00.000Z",
    "29 February of a common year": "2026-02-29",
    "month 13": "2026-13-01T00:00:00.000Z",
    "year 0": "0000-01-01T00:00:00.000Z",
    "hour 24": "2026-11-23T24:00:00.000Z",
    "hour 24 without decimals": "2026-11-23T24:00:00Z",
    "minute 60": "2026-11-23T18:60:00.000Z",
    "a leap second": "2016-12-31T23:59:60.000Z",
    "a leap second without decimals": "2016-12-31T23:59:60Z",
    "moved before year 1 by its zone": "0001-01-01T00:00:00+00:01",
    "moved past year 9999 by its zone": "9999-12-31T23:59:59-00:01",
    "ten decimals": "2026-11-23T18:24:00.1234567890Z",
    "no decimals after the point": "2026-11-23T18:24:00.Z",
    "a zone of hours only": "2026-11-23T18:24:00+01",
    "a zone of a whole day": "2026-11-23T18:24:00+24:00",
    "a zone with 60 minutes": "2026-11-23T18:24:00+01:60",
    "a zone with seconds": "2026-11-23T18:24:00.123+00:00:00",
    "a zone after a date alone": "2026-11-23Z",
    "a month alone": "2026-11",
    "basic format": "20261123T182400Z",
    "basic time": "2026-11-23T182400.12345Z",
    "week date": "2026-W48-1T18:24:00.123Z",
    "day of the year": "2026-327",
    "two-digit year": "26-11-23",
    "signs for digits": "2026-11-23T18:24:00.+12Z",
    "digits of another script": "\uff12026-11-23T18:24:00.123Z",
    "another script in text of seconds": "\uff1700000000",
    "a lone surrogate": "2026-11-23T18:24:00.12\ud800Z",
    "nine digits": 999_999_999,
    "eleven digits": 10_000_000_000,
    "twelve digits as text": "170000000000",
    "fourteen digits": 10_000_000_000_000,
    "negative seconds": -1_700_000_000,
    "a huge integer": 10**400,
    "not a number": float("nan"),
    "infinity": float("inf"),
    "RFC 1123 on the wrong weekday": "Mon, 06 Nov 1994 08:49:37 GMT",
    "RFC 1123 on 31 November": "Thu, 31 Nov 1994 08:49:37 GMT",
    "RFC 1123 in local American time": "Sun, 06 Nov 1994 08:49:37 EST",
    "RFC 850": "Sunday, 06-Nov-94 08:49:37 GMT",
}


@pytest.mark.parametrize(("written", "ms"), READ.values(), ids=READ)
def test_known_forms_are_read(written: object, ms: int) -> None:
    assert parse_ms(written) == ms


@pytest.mark.parametrize("written", MISSING.values(), ids=MISSING)
def test_anything_else_counts_as_missing(written: object) -> None:
    assert parse_ms(written) is None


zones = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda m: timezone(timedelta(minutes=m)))
moments = st.datetimes(
    min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30, 23, 59), timezones=zones
)


@given(moments, st.sampled_from("T "), st.sampled_from(["auto", "milliseconds", "microseconds"]))
def test_iso_agrees_with_the_standard_library(moment: datetime, gap: str, precision: str) -> None:
    assert parse_ms(moment.isoformat(gap, precision)) == ms_of(
        datetime.fromisoformat(moment.isoformat(timespec=precision))
    )


@given(moments)
def test_rfc_1123_agrees_with_the_standard_library(moment: datetime) -> None:
    assert parse_ms(format_datetime(moment)) == ms_of(moment.replace(microsecond=0))


@given(st.integers(10**12, 10**13 - 1))
def test_seconds_and_milliseconds_agree_however_they_are_written(ms: int) -> None:
    assert parse_ms(ms) == parse_ms(str(ms)) == ms
    assert parse_ms(ms / 1000) == parse_ms(f"{ms / 1000:.3f}") == ms


@given(st.integers(MIN_MS, MAX_MS))
def test_printing_and_reading_reverse_each_other(ms: int) -> None:
    text = iso_ms(ms)
    assert parse_ms(text) == ms
    assert text == (EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds").replace(
        "+00:00", "Z"
    )


@given(st.text(alphabet="0123456789-+:.,TtZz W\ud800", min_size=20, max_size=36))
def test_no_text_is_an_error(text: str) -> None:
    assert parse_ms(text) is None or isinstance(parse_ms(text), int)


@given(
    st.sampled_from([("2026-11-23T18:24:00.123", "Z"), ("2026-11-23T18:24:00.123456", "+00:00")]),
    st.lists(st.tuples(st.integers(0, 25), st.sampled_from("0123456789-+:.,TZW ")), max_size=3),
)
def test_the_common_forms_are_read_like_any_other(
    form: tuple[str, str], changes: list[tuple[int, str]]
) -> None:
    moment, zone = form
    for place, character in changes:
        moment = moment[: place % len(moment)] + character + moment[place % len(moment) + 1 :]
    assert parse_ms(f"{moment}{zone}") == parse_ms(f"{moment}0{zone}")


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        pytest.param(0, "1970-01-01T00:00:00.000Z", id="epoch"),
        pytest.param(-1, "1969-12-31T23:59:59.999Z", id="just before"),
        pytest.param(MIN_MS - 1, "0001-01-01T00:00:00.000Z", id="before year 1"),
        pytest.param(MAX_MS + DAY_MS, "9999-12-31T23:59:59.999Z", id="after year 9999"),
    ],
)
def test_any_number_of_milliseconds_can_be_printed(ms: int, text: str) -> None:
    assert iso_ms(ms) == text


@pytest.mark.parametrize(
    ("received_ms", "sent_ms", "original_ms", "expected_ms"),
    [
        pytest.param(1_000, None, None, 1_000, id="nothing known"),
        pytest.param(1_000, 900, None, 1_000, id="no timestamp"),
        pytest.param(1_000, None, 700, 700, id="no sentAt"),
        pytest.param(1_000, 900, 700, 800, id="a clock that lags"),
        pytest.param(1_000, 9_000, 8_800, 800, id="a clock that is ahead"),
        pytest.param(1_000, 700, 900, 1_200, id="a future result stands"),
        pytest.param(1_000, 900, 900 - DAY_MS * 400, 1_000 - DAY_MS * 400, id="an old import"),
        pytest.param(0, MAX_MS, MIN_MS, MIN_MS, id="held at the calendar's start"),
        pytest.param(MAX_MS, MIN_MS, MAX_MS, MAX_MS, id="held at the calendar's end"),
    ],
)
def test_skew_is_corrected_by_the_documented_formula(
    received_ms: int, sent_ms: int | None, original_ms: int | None, expected_ms: int
) -> None:
    assert corrected_ms(received_ms, sent_ms, original_ms) == expected_ms
