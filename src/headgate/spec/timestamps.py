"""Moments as senders write them, and as Headgate writes them: Unix milliseconds in between.

The gateway reads `timestamp` and `sentAt` here when a message arrives; mapping and the trace print
moments with `iso_ms`. What is read, in full (anything else is `None` and counts as missing):

- ISO 8601: `2026-11-23`, `2026-11-23T18:24Z`, `2026-11-23 18:24:00.123456789+01:00`. T or a space;
  with or without seconds; 1 to 9 decimals after a point or a comma; `Z`, ±hh:mm or ±hhmm, and UTC
  without any of them.
- Unix seconds (10 digits) or milliseconds (13 digits), as a number or as text, decimals allowed.
- RFC 1123: `Sun, 06 Nov 1994 08:49:37 GMT`, also with UT, UTC or ±hhmm.

Only moments of the calendar from year 1 to 9999 exist: no 30 February, no hour 24, no leap second
(Unix time has no place for one), no weekday that contradicts its date. Whatever is finer than a
millisecond is cut off, never rounded, so that no moment moves into the next second or day.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from functools import lru_cache

MIN_MS = -62_135_596_800_000  # 0001-01-01T00:00:00.000Z
MAX_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ISO = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r"(?:[Zz]|([+-])([0-9]{2}):?([0-9]{2}))?)?"
)
_UNIX = re.compile(r"([0-9]{10}|[0-9]{13})(?:\.([0-9]{1,9}))?")
_RFC1123 = re.compile(
    r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{1,2}) "
    r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) ([0-9]{4}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) (?:GMT|UTC|UT|([+-])([0-9]{2})([0-9]{2}))"
)
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_COMMON_LENGTHS = (len("2026-11-23T18:24:00.123Z"), len("2026-11-23T18:24:00.123456+00:00"))
_MILLISECONDS = tuple(f".{ms:03d}Z" for ms in range(1000))


def parse_ms(value: object) -> int | None:
    """The moment a sender wrote, in Unix milliseconds; `None` when it is in none of these forms."""
    if isinstance(value, str):
        return _parse_common(value) if len(value) in _COMMON_LENGTHS else _parse_text(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _parse_number(value)
    return None


def iso_ms(ms: int) -> str:
    """Unix milliseconds as `2026-11-23T18:24:00.123Z`; outside the calendar, its nearest end."""
    if not MIN_MS <= ms <= MAX_MS:
        ms = MIN_MS if ms < MIN_MS else MAX_MS
    return _second_text(ms // 1000) + _MILLISECONDS[ms % 1000]


def corrected_ms(received_ms: int, sent_ms: int | None, original_ms: int | None) -> int:
    """When it happened by the server's clock: receivedAt - (sentAt - originalTimestamp).

    Without sentAt the sender's timestamp stands; without a timestamp, receivedAt. No cap: a sender
    whose clock is wrong can land in the future, as documented; only the calendar's ends hold.
    https://segment.com/docs/connections/spec/common/#timestamps
    """
    if original_ms is None:
        return received_ms
    if sent_ms is None:
        return original_ms
    return min(max(received_ms - (sent_ms - original_ms), MIN_MS), MAX_MS)


def _parse_common(text: str) -> int | None:
    """Like `_parse_text`, several times faster on the two forms that most libraries send.

    The standard library reads them, but also ISO week dates and, in newer versions of Python, hour
    24: the second dash keeps the first out, the comparison of the hour the second.
    """
    if (
        text[7] != "-"
        or text[10] != "T"
        or text[19] != "."
        or text[11:13] == "24"
        or not (text[23] == "Z" or text[26:] == "+00:00")
    ):
        return _parse_text(text)
    try:
        return _unix_ms(datetime.fromisoformat(text))
    except ValueError:
        return None


def _parse_text(text: str) -> int | None:
    try:
        if match := _ISO.fullmatch(text):
            return _parse_iso(match)
        if match := _UNIX.fullmatch(text):
            return _parse_unix(match)
        if match := _RFC1123.fullmatch(text):
            return _parse_rfc1123(match)
    except ValueError:  # the form is right, the calendar or the zone has no such value
        return None
    return None


def _parse_iso(match: re.Match[str]) -> int | None:
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    fraction, sign, zone_hours, zone_minutes = match.groups()[6:]
    zone = _zone(sign, zone_hours, zone_minutes)
    ms = _unix_ms(datetime(year, month, day, hour, minute, second, tzinfo=zone))
    return _on_calendar(ms + _fraction_ms(fraction))


def _parse_rfc1123(match: re.Match[str]) -> int | None:
    weekday, day, month, year, hour, minute, second, *zone = match.groups()
    date = int(year), _MONTHS.index(month) + 1, int(day)
    moment = datetime(*date, int(hour), int(minute), int(second), tzinfo=_zone(*zone))
    if weekday != _WEEKDAYS[moment.weekday()]:
        return None
    return _on_calendar(_unix_ms(moment))


def _parse_unix(match: re.Match[str]) -> int:
    digits, fraction = match.groups()
    return int(digits) if len(digits) == 13 else int(digits) * 1000 + _fraction_ms(fraction)


def _parse_number(number: int | float) -> int | None:
    if 10**12 <= number < 10**13:
        return int(number)
    if not 10**9 <= number < 10**10:
        return None
    # By its digits as written: 1700000000.123 is stored a hair below and would lose a millisecond.
    return number * 1000 if isinstance(number, int) else int(Decimal(repr(number)) * 1000)


def _zone(sign: str | None, hours: str | None, minutes: str | None) -> timezone:
    """The zone written as ±hhmm, UTC without one; ValueError when no clock can differ that much."""
    if sign is None or hours is None or minutes is None:
        return UTC
    if int(minutes) > 59:
        raise ValueError(f"expected 00 to 59 minutes, found {minutes}")
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset)


def _fraction_ms(digits: str | None) -> int:
    return int(f"{digits}00"[:3]) if digits else 0


def _unix_ms(moment: datetime) -> int:
    """In whole numbers throughout: a float of seconds is too coarse far from 1970."""
    since = moment - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


def _on_calendar(ms: int) -> int | None:
    """`None` for a moment that its zone moves before year 1 or past year 9999."""
    return ms if MIN_MS <= ms <= MAX_MS else None


@lru_cache(maxsize=4096)
def _second_text(unix_s: int) -> str:
    """A second up to its decimals. Cached: neighbours in time are printed together."""
    return (_EPOCH + timedelta(seconds=unix_s)).isoformat()[:19]
