"""Segment's Profile API on the private port: what is known of one person, for programs that ask by an identifier.

    GET /v1/spaces/SPACE/collections/users/profiles/TYPE:VALUE/traits|external_ids|events|metadata|links

A token is the user name of basic authentication. There is one space, so any space is it. Reads Engage's store
in threads, beside the process that writes it. https://segment.com/docs/unify/profile-api/
"""

import asyncio
import hmac
import re
import secrets
import sqlite3
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from headgate.clock import Clock
from headgate.engage.profile import Identifier, Profile
from headgate.engage.rules import type_of
from headgate.records.engage import profiles
from headgate.records.engage.messages import messages_of
from headgate.records.engage.stored import Engaged, NothingComputed, engaged
from headgate.spec.timestamps import iso_ms, parse_ms
from headgate.stores import UnusableDirectory

MOUNTED_AT = "/v1/spaces"
REQUESTS_PER_S = 100
EVENTS_DAYS = 14

_DAY_MS = 86_400_000
_DEFAULT_LIMIT = 10
_MOST_TRAITS = 200
_MOST = 100
_READS_OF_HISTORY_AT_ONCE = 2
_PATH = "/{space}/collections/{collection}/profiles/{person:path}"
_PERSON = re.compile(r"([a-zA-Z][a-zA-Z0-9_.]*):(.+)/(\w+)", re.DOTALL)

Answer = tuple[int, dict[str, Any]]
Parameters = Mapping[str, str]


class _Refused(Exception):
    """A request that gets an error: its status, and Segment's code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.answer: Answer = (status, {"error": {"code": code, "message": message}})


_NOT_FOUND = (404, "not_found", "Profile was not found.")


class ProfileApi:
    """The API of one data directory. `tokens` are the valid ones; without any, every answer is 401."""

    def __init__(self, data_dir: Path, tokens: Callable[[], Collection[str]], clock: Clock) -> None:
        self._data_dir = data_dir
        self._tokens = tokens
        self._clock = clock
        self._pace = _Pace(clock)
        self._history = asyncio.Semaphore(_READS_OF_HISTORY_AT_ONCE)
        self._app = Router(routes=[Route(_PATH, self._answer, methods=["GET"])])

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        await self._app(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        headers = {"Request-Id": secrets.token_hex(8)}
        try:
            self._admit(request)
            status, body = await self._ask(request)
        except _Refused as refused:
            status, body = refused.answer
        if status == 401:
            headers["WWW-Authenticate"] = 'Basic realm="Profile API"'
        if status == 429:
            headers["Retry-After"] = "1"
        content = msgspec.json.encode(body)
        return Response(content, status, headers, media_type="application/json")

    def _admit(self, request: Request) -> None:
        token = _token(request.headers.get("authorization", ""))
        if not any(_is_same(token, one) for one in self._tokens()):
            raise _Refused(401, "authentication_error", "The access token is not valid.")
        if not self._pace.has_room():
            words = f"More than {REQUESTS_PER_S} requests in a second."
            raise _Refused(429, "rate_limit_error", words)

    async def _ask(self, request: Request) -> Answer:
        if request.path_params["collection"] != "users":
            raise _Refused(404, "not_found", "There is no such collection; users is one.")
        match = _PERSON.fullmatch(request.path_params["person"])
        if match is None:
            raise _Refused(
                400,
                "validation_error",
                "Expected TYPE:VALUE and what is asked for, behind a slash.",
            )
        what = match[3]
        if what not in _ASKED:
            raise _Refused(
                404, "not_found", f"There is no `{what}`; there are {', '.join(_ASKED)}."
            )
        identifier = Identifier(type_of(match[1]), match[2])
        read = partial(self._read, identifier, what, request.query_params, _url(request))
        if what not in _OF_HISTORY:
            return await asyncio.to_thread(read)
        async with self._history:
            return await asyncio.to_thread(read)

    def _read(self, identifier: Identifier, what: str, parameters: Parameters, url: str) -> Answer:
        try:
            with engaged(self._data_dir) as store:
                profile = store.find(identifier)
                if profile is None:
                    raise _Refused(*_NOT_FOUND)
                view = _View(self._data_dir, store, profile, self._clock.now_ms())
                return 200, _ASKED[what](view, parameters, url)
        except NothingComputed:
            raise _Refused(*_NOT_FOUND) from None
        except (UnusableDirectory, sqlite3.Error, OSError) as error:
            raise _Refused(503, "service_unavailable", str(error)) from None


class _View:
    """One person, at one moment."""

    def __init__(self, data_dir: Path, store: Engaged, profile: Profile, now_ms: int) -> None:
        self._data_dir = data_dir
        self._store = store
        self._profile = profile
        self._now_ms = now_ms

    def traits(self, parameters: Parameters, url: str) -> dict[str, Any]:
        of_class = parameters.get("class", "")
        if of_class and of_class not in profiles.CLASSES:
            raise _invalid("class", " or ".join(profiles.CLASSES))
        held = profiles.traits_of(self._profile, self._store.records, self._now_ms, of_class)
        names = [name for name in held if _is_included(name, parameters)]
        page, cursor = _page(names, names, parameters, url, _MOST_TRAITS)
        is_verbose = parameters.get("verbose") == "true"
        shown = {name: _verbose(held[name]) if is_verbose else held[name].value for name in page}
        return {"traits": shown, "cursor": cursor}

    def external_ids(self, parameters: Parameters, url: str) -> dict[str, Any]:
        found = [one for one in self._profile.identifiers if _is_included(one.type, parameters)]
        tokens = [f"{one.type}:{one.value}" for one in found]
        page, cursor = _page(found, tokens, parameters, url, _MOST)
        return {"data": [profiles.external_id(one) for one in page], "cursor": cursor}

    def events(self, parameters: Parameters, url: str) -> dict[str, Any]:
        start_ms, end_ms = _instant("start", parameters), _instant("end", parameters)
        sort = parameters.get("sort", "desc")
        if sort not in ("asc", "desc"):
            raise _invalid("sort", "asc or desc")
        found = [
            one
            for one in self._messages()
            if one.name
            and _is_included(one.name, parameters)
            and (start_ms is None or one.at_ms > start_ms)
            and (end_ms is None or one.at_ms < end_ms)
        ]
        if sort == "desc":
            found.reverse()
        page, cursor = _page(found, [str(one.seq) for one in found], parameters, url, _MOST)
        return {"data": [profiles.event(one, self._profile) for one in page], "cursor": cursor}

    def metadata(self, parameters: Parameters, url: str) -> dict[str, Any]:
        return {"metadata": profiles.metadata(self._profile, self._messages())}

    def links(self, parameters: Parameters, url: str) -> dict[str, Any]:
        return {"data": []}  # to accounts, of which there are none

    def _messages(self) -> Sequence[Any]:
        since_ms = self._now_ms - EVENTS_DAYS * _DAY_MS
        found = messages_of(self._store, self._data_dir, self._profile.id, since_ms=since_ms)
        return [one for one in found if one.at_ms <= self._now_ms]


_ASKED: dict[str, Callable[[_View, Parameters, str], dict[str, Any]]] = {
    "traits": _View.traits,
    "external_ids": _View.external_ids,
    "events": _View.events,
    "metadata": _View.metadata,
    "links": _View.links,
}
_OF_HISTORY = ("events", "metadata")


class _Pace:
    """So many requests in any second, and no more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._admitted: deque[float] = deque()

    def has_room(self) -> bool:
        """Whether one more may come now, which then counts."""
        now_s = self._clock.monotonic_s()
        while self._admitted and self._admitted[0] <= now_s - 1.0:
            self._admitted.popleft()
        if len(self._admitted) >= REQUESTS_PER_S:
            return False
        self._admitted.append(now_s)
        return True


# What a request says


def _token(authorization: str) -> str:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(encoded, validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


def _is_same(given: str, token: str) -> bool:
    return bool(token) and hmac.compare_digest(given.encode(), token.encode())


def _url(request: Request) -> str:
    return quote(request.url.path, safe="/:@")


def _is_included(name: str, parameters: Parameters) -> bool:
    included, excluded = _listed("include", parameters), _listed("exclude", parameters)
    return (not included or name in included) and name not in excluded


def _listed(name: str, parameters: Parameters) -> list[str]:
    return [one.strip() for one in parameters.get(name, "").split(",") if one.strip()]


def _instant(name: str, parameters: Parameters) -> int | None:
    given = parameters.get(name)
    if not given:
        return None
    at_ms = parse_ms(given)
    if at_ms is None:
        raise _invalid(name, "an ISO 8601 time")
    return at_ms


def _page(
    found: Sequence[Any], tokens: Sequence[str], parameters: Parameters, url: str, most: int
) -> tuple[Sequence[Any], dict[str, Any]]:
    """The page that is asked for, and where the next one begins. `tokens` name what was found."""
    limit = _limit(parameters, most)
    begin = 0
    if following := parameters.get("next"):
        if following not in tokens:
            raise _invalid("next", "the cursor of the page before")
        begin = tokens.index(following)
    end = begin + limit
    has_more = end < len(found)
    following = tokens[end] if has_more else ""
    cursor = {"url": url, "has_more": has_more, "next": following, "limit": limit}
    return found[begin:end], cursor


def _limit(parameters: Parameters, most: int) -> int:
    given = parameters.get("limit", str(_DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,6}", given) or not 1 <= int(given) <= most:
        raise _invalid("limit", f"a whole number from 1 to {most}")
    return int(given)


def _invalid(name: str, expected: str) -> _Refused:
    return _Refused(400, "validation_error", f"The parameter `{name}` is not {expected}.")


def _verbose(held: profiles.Held) -> dict[str, Any]:
    updated_at = None if held.updated_at_ms is None else iso_ms(held.updated_at_ms)
    return {"value": held.value, "source_id": None, "updated_at": updated_at}
