"""A browser without a screen, for tests of the app: keeps cookies, follows no redirect, sends what forms hold."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode, urlsplit

import msgspec

from data_dirs import DataDir, destination, source
from headgate.app.parts import Outside
from headgate.app.passwords import hash_of
from headgate.app.web import WebApp
from headgate.clock import ManualClock
from headgate.delivery.engine import DestinationStatus
from headgate.workspace.access import Account, Role

HOST = "127.0.0.1:8081"
SAME_ORIGIN = {"origin": f"http://{HOST}"}
PASSWORD = "correct horse battery"
_CSRF = re.compile(r'name="csrf" value="([^"]*)"')
_TAG = re.compile(r"<[^>]+>")


class Answer(NamedTuple):
    """What the app said."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def words(self) -> str:
        """What a person reads."""
        return " ".join(unescape(_TAG.sub(" ", self.text)).split())

    @property
    def location(self) -> str:
        return self.headers["location"]


class Asker:
    """Somebody who uses the app."""

    def __init__(self, app: WebApp) -> None:
        self.app = app
        self.cookies: dict[str, str] = {}
        self.csrf = ""

    async def get(self, path: str, **headers: str) -> Answer:
        """A page; its proof for forms is remembered."""
        answer = await self.ask("GET", path, headers=headers)
        if found := _CSRF.search(answer.text):
            self.csrf = found[1]
        return answer

    async def post(self, path: str, form: Mapping[str, str] | None = None) -> Answer:
        """A form, as a page of the app sends it."""
        body = urlencode({"csrf": self.csrf, **(form or {})}).encode()
        return await self.ask("POST", path, body=body, headers=SAME_ORIGIN)

    async def ask(
        self, method: str, path: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request, with nothing added but the cookies."""
        started: dict[str, Any] = {}
        content = b""

        to_send = [{"type": "http.request", "body": body}]

        async def receive() -> dict[str, Any]:
            while not to_send:
                await asyncio.Event().wait()  # this browser never hangs up
            return to_send.pop()

        async def send(message: dict[str, Any]) -> None:
            nonlocal content
            if message["type"] == "http.response.start":
                started.update(message)
            content += message.get("body", b"")

        scope = self.scope(method, path, headers)
        await self.app(scope, receive, send)  # type: ignore[arg-type]
        return self._kept(Answer(started["status"], _headers(started["headers"]), content.decode()))

    def scope(
        self, method: str, path: str, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """A request as the server hands it to the app."""
        said = {"host": HOST, **(headers or {})}
        if self.cookies:
            said["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        where = urlsplit(path)
        return {
            "type": "http",
            "method": method,
            "scheme": "http",
            "path": unquote(where.path),
            "raw_path": where.path.encode(),
            "root_path": "",
            "query_string": where.query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in said.items()],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8081),
        }

    def _kept(self, answer: Answer) -> Answer:
        for line in answer.headers.get("set-cookie", "").split("\n"):
            name, _, value = line.partition(";")[0].partition("=")
            if "Max-Age=0" in line:
                self.cookies.pop(name, None)
            elif name:
                self.cookies[name] = value.strip('"')
        return answer


class Told(NamedTuple):
    """One event of a line."""

    event: str
    value: Any


class Watch:
    """A line that somebody keeps open. While `has_room` is unset, its reader takes nothing."""

    def __init__(self, clock: ManualClock) -> None:
        self.headers: dict[str, str] = {}
        self._clock = clock
        self.has_room = asyncio.Event()
        self.has_room.set()
        self._told: asyncio.Queue[Told | None] = asyncio.Queue()
        self._hung_up = asyncio.Event()

    async def next(self) -> Told:
        """The next event."""
        told = await self._taken()
        assert told is not None, "the line has ended"
        return told

    async def next_of(self, event: str) -> Any:
        """The value of the next event of a kind, whatever comes before it."""
        while (told := await self.next()).event != event:
            pass
        return told.value

    async def ends(self) -> bool:
        """Whether the server ends the line next."""
        return await self._taken() is None

    async def pass_s(self, seconds: float) -> None:
        """Lets time go by, once the line waits for it."""
        await self._rests()
        self._clock.advance(seconds)

    async def told_in(self, seconds: float) -> list[Told]:
        """Everything that is told until the line has waited for this time and waits again."""
        await self.pass_s(seconds)
        await self._rests()
        return [told for _ in range(self._told.qsize()) if (told := self._told.get_nowait())]

    def silent(self) -> bool:
        """Whether there is nothing that was told and not taken yet."""
        return self._told.empty()

    def hang_up(self) -> None:
        """The reader goes."""
        self._hung_up.set()

    async def receive(self) -> dict[str, Any]:
        """What the app hears of the reader."""
        await self._hung_up.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        """Takes what the app says."""
        await self.has_room.wait()
        if message["type"] == "http.response.start":
            self.headers = _headers(message["headers"])
        for text in message.get("body", b"").decode().split("\n\n")[:-1]:
            event, value = (line.partition(": ")[2] for line in text.split("\n"))
            self._told.put_nowait(Told(event, msgspec.json.decode(value)))
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._told.put_nowait(None)

    async def _rests(self) -> None:
        async with asyncio.timeout(10):
            while (self._clock.next_timer_s() or 0) <= self._clock.monotonic_s():  # noqa: ASYNC110
                await asyncio.sleep(0)  # it works in threads

    async def _taken(self) -> Told | None:
        async with asyncio.timeout(10):
            return await self._told.get()


@asynccontextmanager
async def watching(asker: Asker, path: str) -> AsyncIterator[Watch]:
    """A line that is open, and hung up at the end."""
    clock = asker.app.parts.outside.clock
    assert isinstance(clock, ManualClock)
    watch = Watch(clock)
    serving = asyncio.create_task(
        asker.app(asker.scope("GET", path), watch.receive, watch.send)  # type: ignore[arg-type]
    )
    try:
        yield watch
    finally:
        watch.hang_up()
        watch.has_room.set()
        async with asyncio.timeout(10):
            await serving


class House:
    """An app over a data directory with a website that is connected to Heap, and people of every role."""

    def __init__(self, path: Path) -> None:
        self.data_dir = DataDir(path)
        self.data_dir.use(
            sources=[source(name="Website"), source("spare", type="server", name="Spare")],
            destinations=[destination()],
        )
        self.data_dir.accept("m1")
        self.clock = self.data_dir.clock
        self.app = WebApp(
            Outside(
                data_dir=path,
                clock=self.clock,
                environment={},
                public_url="https://events.example.com",
                standing=lambda: self.standing,
            )
        )
        self.standing = [standing_of("heap", unread=1)]
        self.access = self.app.parts.access
        self._people = 0

    def account(self, role: Role, name: str = "") -> Account:
        """Somebody with this role."""
        self._people += 1
        code = self.access.invite(role, "a test")
        return self.access.redeem(code, name or f"{role.word} {self._people}", password_hash())

    async def somebody(self, role: Role, name: str = "") -> Asker:
        """Somebody with this role, signed in."""
        account = self.account(role, name)
        asker = Asker(self.app)
        asker.cookies["headgate_8081"] = self.access.sign_in(account, "a browser")
        await asker.get("/settings/people")
        return asker

    def token(self, scope: str) -> str:
        """A token."""
        return self.access.make_token(f"a {scope} token", scope, "a test")

    def document(self) -> dict[str, Any]:
        """The newest workspace."""
        return self.app.parts.workspace.current().document

    def everything(self) -> list[str]:
        """Everything that the workspace's file holds, but for when sessions and tokens were used."""
        lines = self.app.parts.workspace._connection.iterdump()
        return [line for line in lines if '"sessions"' not in line and '"tokens"' not in line]


def standing_of(slug: str, **fields: Any) -> DestinationStatus:
    """What delivery knows of a destination that has nothing to do."""
    usual: dict[str, Any] = {"state": "delivering", "trouble": "", "since_ms": 0, "cursor": 0}
    usual |= {"pending": 0, "unread": 0, "replaying": 0, "drain_s": None}
    return DestinationStatus(slug=slug, **(usual | fields))


@cache
def password_hash() -> str:
    """What is kept of everybody's password."""
    return hash_of(PASSWORD)


@contextmanager
def opened(path: Path) -> Iterator[House]:
    """A house, closed at the end."""
    house = House(path)
    try:
        yield house
    finally:
        house.app.parts.close()


def json_of(answer: Answer) -> Any:
    """What a call is answered."""
    return msgspec.json.decode(answer.text)


def _headers(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers; those that come several times on lines of their own."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        key = name.decode().lower()
        headers[key] = f"{headers[key]}\n{value.decode()}" if key in headers else value.decode()
    return headers
