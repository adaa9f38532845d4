"""What is a date to Segment's libraries, and how Heap gets it."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.destinations.heap.dates import classic_utc_date, utc_date, utc_dates_in_json
from strategies import texts

CASES = json.loads((Path(__file__).parent / "date_cases.json").read_text())["cases"]
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@pytest.mark.parametrize(("text", "recorded"), CASES, ids=repr)
def test_dates_are_what_the_package_makes_of_them(text: str, recorded: str | None) -> None:
    """Each recorded answer of the npm package; what it does not take for a date stays."""
    expected = text if recorded is None else recorded
    assert utc_date(text) == classic_utc_date(text) == expected


def test_a_zone_after_a_space_counts_but_for_the_classic_mapping() -> None:
    """The package forgets such a zone; who chose the classic mapping has those moments at Heap."""
    assert utc_date("2016-01-01 10:00:00+02:00") == "2016-01-01T08:00:00.000Z"
    assert classic_utc_date("2016-01-01 10:00:00+02:00") == "2016-01-01T10:00:00.000Z"


@given(moment=st.datetimes(datetime(200, 1, 1), datetime(9990, 1, 1), timezones=ZONES))
def test_the_moment_stays_the_same(moment: datetime) -> None:
    """In whatever zone and precision a moment is written, Heap gets the same one, to the millisecond."""
    in_utc = moment.astimezone(UTC).replace(tzinfo=None)
    expected = in_utc.isoformat(timespec="milliseconds") + "Z"
    assert utc_date(moment.isoformat()) == expected
    assert utc_date(expected) == expected


@given(text=texts)
def test_other_text_stays(text: str) -> None:
    """A text without the shape of a date comes out as it went in."""
    assert utc_date(f"x{text}") == f"x{text}"


@given(text=st.text(st.sampled_from('2016-01-01T:Z",[]{}\\ ')))
def test_dates_are_found_in_json_as_whole_texts_only(text: str) -> None:
    """Quotes, brackets and commas inside a text do not make a date of a part of it; keys stay."""
    as_json = json.dumps([text, {text: text}], separators=(",", ":"))
    date = utc_date(text)
    assert json.loads(utc_dates_in_json(as_json)) == [date, {text: date}]
