"""Personal values hidden from who looks over a shoulder: e-mail, name, phone, address and IP, in every body.

It is a switch of the browser's, in a cookie, and nothing that protects: who can open a page can turn it off.
"""

import re
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

_COOKIE = "headgate_mask"
_YEAR_S = 31_536_000
HIDDEN = "•••"

_PERSONAL = frozenset(
    [
        *("email", "emailaddress", "phone", "phonenumber", "mobile", "mobilephone", "ip"),
        *("ipaddress", "address", "street", "streetaddress", "postalcode", "zip", "zipcode"),
        *("name", "firstname", "lastname", "fullname", "middlename", "givenname", "familyname"),
    ]
)
_NOT_OF_PEOPLE = frozenset(
    ("library", "app", "os", "campaign", "device", "network", "product", "products")
)
_IN_EMAIL = r"[^\s\"'<>@:,;()\[\]{}\\]"
_EMAIL = re.compile(rf"{_IN_EMAIL}{{1,64}}@{_IN_EMAIL}{{1,255}}")  # bounded: texts may be long
_IP = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){3,7}\b")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def masks(request: Request) -> bool:
    """Whether the browser hides personal values."""
    return request.cookies.get(_COOKIE) == "1"


def set_masked(response: Response, masked: bool) -> None:
    """The browser hides them from now on, or shows them."""
    kept_s = _YEAR_S if masked else 0
    response.set_cookie(_COOKIE, "1", kept_s, path="/", httponly=True, samesite="lax")


def mask(text: str) -> str:
    """A body with the personal values hidden: by their keys, and whatever looks like an e-mail address or an IP."""
    if not text.lstrip().startswith(("{", "[")):
        return _mask_words(text)
    masker = _Masker()
    return _TOKEN.sub(lambda found: masker.take(found[0]), text)


class _Frame(NamedTuple):
    """An object or an array that is open, the key it stands under, and whether everything in it is hidden."""

    is_object: bool
    key: str
    hidden: bool


class _Masker:
    """Takes the tokens of a JSON text one after the other."""

    def __init__(self) -> None:
        self._open = [_Frame(False, "", False)]
        self._key = ""
        self._wants_key = False

    def take(self, token: str) -> str:
        """The token as it is shown."""
        if token in "{[":
            within = self._open[-1]
            key = self._key if within.is_object else within.key
            self._open.append(_Frame(token == "{", key, self._is_hidden()))
        elif token in "}]":
            self._open = self._open[:-1] or self._open
        elif token == ":":
            self._wants_key = False
            return token
        elif token != ",":
            return self._word(token)
        self._wants_key = token in "{," and self._open[-1].is_object
        return token

    def _word(self, token: str) -> str:
        if self._wants_key:
            self._key = re.sub(r"[^a-z]", "", token.lower())
            return _mask_words(token)
        if self._is_hidden():
            return f'"{HIDDEN}"'
        return _mask_words(token) if token.startswith('"') else token

    def _is_hidden(self) -> bool:
        within = self._open[-1]
        if within.hidden or not within.is_object:
            return within.hidden
        is_name = self._key == "name" and within.key in _NOT_OF_PEOPLE
        return self._key in _PERSONAL and not is_name


def _mask_words(text: str) -> str:
    return _IP.sub(HIDDEN, _EMAIL.sub(HIDDEN, text))
