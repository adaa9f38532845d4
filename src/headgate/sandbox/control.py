"""What people and tests ask of a sandbox: the journal, the state, the faults. Beside Heap's own paths.

`HELP` is the page at `/`; every route is listed there.
"""

from collections.abc import AsyncIterator, Iterator
from itertools import islice
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from headgate.sandbox import answers, checks, faults, rules
from headgate.sandbox.faults import PlanError, parse_plan
from headgate.sandbox.heap import Sandbox
from headgate.sandbox.journal import Wanted, line
from headgate.sandbox.state import StoredEvent, User

PAGE = 100
LINES_A_BLOCK = 100

HELP = f"""Headgate's sandbox: a local Heap.

It answers Heap's endpoints by Heap's documented rules, keeps what Heap would hold, and writes down
every request. Nothing leaves this machine.

Heap       POST {f"{chr(10)}                ".join(rules.ENDPOINTS)}
           POST /api/public/v0/auth_token  /api/public/v0/user_deletion
           GET  /api/public/v0/deletion_status/ID
           GET  /js/heap-ID.js  /config/ID/heap_config.js    a recorder in the place of heap.js

Journal    GET  /journal         JSON lines; ?since=N ?limit=N ?path=P ?identity=I ?key=K ?app_id=A
           GET  /journal/stream  the same live, as server-sent events; ?since=N
           DELETE /journal       forget it
State      GET  /users           ?app_id=A ?after=NUMBER ?limit=N
           GET  /users/IDENTITY  properties, and events in order of arrival; ?app_id=A,
                               without which 409 when several apps hold the identity
           GET  /events          ?app_id=A ?event=NAME ?after=N ?limit=N
           GET  /accounts  /summary  /health
           POST /reset           forget everything
Checks     GET  /checks          exactly once; order per user, by a number named sandbox_sequence among
                                 the properties; ?identity=I or ?key=K: the attempts
Faults     POST /faults          {{"rules": [...]}} replaces the plan;  GET and DELETE too

{faults.__doc__}
{answers.__doc__}"""


def control_app(sandbox: Sandbox) -> Starlette:
    """The routes as an ASGI app."""
    control = _Control(sandbox)
    return Starlette(
        routes=[
            Route("/", control.home),
            Route("/health", control.health),
            Route("/journal", control.journal),
            Route("/journal", control.clear_journal, methods=["DELETE"]),
            Route("/journal/stream", control.stream),
            Route("/users", control.users),
            Route("/users/{identity:path}", control.user),
            Route("/events", control.events),
            Route("/accounts", control.accounts),
            Route("/summary", control.summary),
            Route("/checks", control.checks),
            Route("/faults", control.faults),
            Route("/faults", control.set_faults, methods=["POST"]),
            Route("/faults", control.clear_faults, methods=["DELETE"]),
            Route("/reset", control.reset, methods=["POST"]),
        ]
    )


def is_control(path: str) -> bool:
    """Whether a path is one of ours rather than Heap's."""
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    return first in _FIRST_PARTS


_FIRST_PARTS = frozenset(
    ("", "health", "journal", "users", "events", "accounts", "summary", "checks", "faults", "reset")
)


class _Control:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def home(self, request: Request) -> Response:
        return PlainTextResponse(HELP)

    async def health(self, request: Request) -> Response:
        return _json({"status": "ok"})

    async def journal(self, request: Request) -> Response:
        wanted, limit = _wanted(request), _number(request, "limit", 0)
        entries = islice(self._sandbox.journal.read(wanted), limit or None)
        return StreamingResponse(
            _blocks(line(entry) + b"\n" for entry in entries), media_type="application/x-ndjson"
        )

    async def clear_journal(self, request: Request) -> Response:
        self._sandbox.journal.clear()
        return Response(status_code=204)

    async def stream(self, request: Request) -> Response:
        since = _number(request, "since", self._sandbox.journal.last)
        return StreamingResponse(self._live(since), media_type="text/event-stream")

    async def _live(self, since: int) -> AsyncIterator[bytes]:
        yield b": following the journal\n\n"
        journal = self._sandbox.journal
        while True:
            for entry in journal.read(Wanted(since=since)):
                since = entry.n
                yield b"id: %d\ndata: %b\n\n" % (entry.n, line(entry))
            since = max(since, journal.last)
            await journal.beyond(since)

    async def users(self, request: Request) -> Response:
        app_id = request.query_params.get("app_id")
        after, limit = _number(request, "after", 0), _number(request, "limit", PAGE)
        everyone = self._sandbox.store.users.values()
        later = (u for u in everyone if u.number > after and app_id in (None, u.app_id))
        page = list(islice(later, limit))
        following = page[-1].number if len(page) == limit and page else None
        shown = [_outline(user) for user in page]
        return _json({"total": len(everyone), "users": shown, "after": following})

    async def user(self, request: Request) -> Response:
        identity = request.path_params["identity"]
        found = self._sandbox.store.find(identity, request.query_params.get("app_id"))
        if len(found) == 1:
            return _json(_in_full(found[0]))
        if not found:
            return _json({"error": f"no user {identity!r}"}, 404)
        apps = [user.app_id for user in found]
        error = f"{len(apps)} apps hold {identity!r} ({', '.join(apps)}); add ?app_id={apps[0]}"
        return _json({"error": error, "app_ids": apps}, 409)

    async def events(self, request: Request) -> Response:
        asked = request.query_params
        after, limit = _number(request, "after", 0), _number(request, "limit", PAGE)
        fitting = (
            {"app_id": user.app_id, "identity": user.identity, **_event(event)}
            for user, event in self._sandbox.store.events()
            if event.n > after
            and asked.get("app_id") in (None, user.app_id)
            and asked.get("event") in (None, event.event)
        )
        page = list(islice(fitting, limit))
        following = page[-1]["n"] if len(page) == limit and page else None
        total = self._sandbox.store.tally.events
        return _json({"total": total, "events": page, "after": following})

    async def accounts(self, request: Request) -> Response:
        apps = self._sandbox.store.apps.items()
        return _json({app_id: app.accounts for app_id, app in apps if app.accounts})

    async def summary(self, request: Request) -> Response:
        return _json(summary(self._sandbox))

    async def checks(self, request: Request) -> Response:
        store, journal = self._sandbox.store, self._sandbox.journal
        answer = {"exactly_once": checks.exactly_once(store), "order": checks.arrival_order(store)}
        wanted = _wanted(request)
        if wanted.identity or wanted.key:
            answer["attempts"] = checks.attempts(journal, wanted)
        return _json(answer)

    async def faults(self, request: Request) -> Response:
        return _json({"rules": self._sandbox.plan.report()})

    async def set_faults(self, request: Request) -> Response:
        try:
            self._sandbox.plan.set(parse_plan(await request.body()))
        except PlanError as error:
            return _json({"error": str(error)}, 400)
        return await self.faults(request)

    async def clear_faults(self, request: Request) -> Response:
        self._sandbox.plan.set(())
        return Response(status_code=204)

    async def reset(self, request: Request) -> Response:
        self._sandbox.reset()
        return Response(status_code=204)


def summary(sandbox: Sandbox) -> dict[str, Any]:
    """Exact counts, and what is still kept."""
    store, journal = sandbox.store, sandbox.journal
    tally = store.tally
    return {
        "profile": sandbox.options.profile,
        "requests": journal.last,
        "verdicts": dict(journal.verdicts),
        "journal": {
            "kept": len(journal),
            "kept_bytes": journal.kept_bytes,
            "dropped": journal.dropped,
        },
        "apps": len(store.apps),
        "users": len(store.users),
        "events": tally.events,
        "events_kept": len(store.kept),
        "duplicates": tally.duplicates,
        "property_writes": tally.property_writes,
        "migrations": tally.migrations,
        "deleted_users": tally.deleted_users,
    }


async def _blocks(lines: Iterator[bytes]) -> AsyncIterator[bytes]:
    while block := b"".join(islice(lines, LINES_A_BLOCK)):
        yield block


def _outline(user: User) -> dict[str, Any]:
    return {
        "number": user.number,
        "app_id": user.app_id,
        "identity": user.identity,
        "user_id": user.user_ids[0] if user.user_ids else None,
        "user_ids": user.user_ids,
        "events_total": user.events_total,
        "properties": user.properties,
    }


def _in_full(user: User) -> dict[str, Any]:
    return _outline(user) | {"events": [_event(event) for event in user.events]}


def _event(event: StoredEvent) -> dict[str, Any]:
    return {"n": event.n, **msgspec.json.decode(event.encoded)}


def _wanted(request: Request) -> Wanted:
    asked = request.query_params
    return Wanted(
        since=_number(request, "since", 0),
        path=asked.get("path", ""),
        identity=asked.get("identity", ""),
        key=asked.get("key", ""),
        app_id=asked.get("app_id", ""),
    )


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else default


def _json(answer: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(answer), status, media_type="application/json")
