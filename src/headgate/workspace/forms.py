"""The form that a text of each kind has to have. Pure; used by `check.py` on expanded values."""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from headgate.spec.settings import Kind, Setting, duration_s

MAX_WRITE_KEY_CHARS = 128
_SLUG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_HOST = re.compile(r"(?=.{1,253}(?::|$))[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*(?::[0-9]{1,5})?")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def fits(setting: Setting, text: str) -> bool:
    """Whether an expanded text is what this row accepts."""
    if _UNPRINTABLE.search(text):
        return False
    if setting.required and not text.strip():
        return False
    if setting.kind is Kind.CHOICE:
        return text in setting.choices
    form = _FORMS.get(setting.kind)
    return form is None or form(text)


def _is_duration(text: str) -> bool:
    try:
        duration_s(text)
    except ValueError:
        return False
    return True


def is_digits(text: str) -> bool:
    """Whether a text is 1 to 32 decimal digits."""
    return text.isascii() and text.isdigit() and len(text) <= 32


def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None and int(text.partition(":")[2] or 0) <= 65535


def _is_url(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        url = urlsplit(text)
        port_is_fine = url.port != 0
    except ValueError:
        return False
    # A password would be shown to everybody who may see the setting, pages included.
    is_bare = not url.query and not url.fragment and "@" not in url.netloc
    return url.scheme in ("http", "https") and bool(url.hostname) and port_is_fine and is_bare


def is_write_key(text: str) -> bool:
    """Whether a text can authenticate: basic authentication ends it at a colon, browsers tidy dots out of paths."""
    if not 1 <= len(text) <= MAX_WRITE_KEY_CHARS or text in (".", ".."):
        return False
    return text.isprintable() and " " not in text and ":" not in text


_FORMS: Mapping[Kind, Callable[[str], bool]] = {
    Kind.DIGITS: is_digits,
    Kind.SLUG: lambda text: _SLUG.fullmatch(text) is not None,
    Kind.HOST: _is_host,
    Kind.URL: _is_url,
    Kind.DURATION: _is_duration,
    Kind.HISTORY: _is_duration,
}
