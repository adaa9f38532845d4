"""The seam to the network: a request in, an answer out, never an exception for what a peer may do.

`HttpTransport` is the real one. `FakeTransport`, its twin, answers from a function and keeps a journal.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

from headgate.delivery.answers import MAX_ANSWER_BYTES, Answer
from headgate.destinations.interface import Request

ATTEMPT_TIMEOUT_S = 10.0
_BODY_TIMEOUT_S = 1.0
LONGEST_ATTEMPT_S = ATTEMPT_TIMEOUT_S + _BODY_TIMEOUT_S


class Transport(Protocol):
    """Carries requests to destinations."""

    async def send(self, request: Request) -> Answer:
        """The answer; status 0 with the error in words when there was none in time."""

    async def close(self) -> None:
        """Close every connection."""


class HttpTransport:
    """HTTP by aiohttp. Redirects are not followed, so nothing is sent where nobody configured it."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Answer:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("User-Agent",),
                headers={"Accept-Encoding": "identity", "User-Agent": "headgate"},
                max_field_size=16_384,
            )
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
                response = await self._session.request(
                    request.method,
                    request.url,
                    data=request.body or None,
                    headers=request.headers,
                    allow_redirects=False,
                )
            async with response:
                return Answer(
                    status=response.status,
                    body=await _some_of_the_body(response),
                    retry_after=response.headers.get("Retry-After", ""),
                )
        except TimeoutError:
            return Answer(0, error=f"no answer within {ATTEMPT_TIMEOUT_S:g} s")
        except (aiohttp.ClientError, OSError, ValueError, EOFError) as error:
            return Answer(0, error=_in_words(error)[:500])

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _in_words(error: Exception) -> str:
    """What kept the answer away, for people."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the host {error.host} cannot be found"
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {error.host} is not accepted: {error.certificate_error}"
        case aiohttp.ClientConnectorError():
            why = error.os_error.strerror or error.os_error
            return f"cannot connect to {error.host}:{error.port}: {why}"
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case aiohttp.ClientOSError():
            return f"the connection broke: {error.strerror or error}"
        case _:
            return f"{type(error).__name__}: {error}"


async def _some_of_the_body(response: aiohttp.ClientResponse) -> bytes:
    """The first bytes of the body; the status stands, however the body behaves."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            while len(body) <= MAX_ANSWER_BYTES:
                chunk = await response.content.read(MAX_ANSWER_BYTES)
                if not chunk:
                    return body
                body += chunk
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass
    response.close()
    return body[:MAX_ANSWER_BYTES]


class FakeTransport:
    """Answers from a function and remembers every request; the twin for tests and simulations."""

    def __init__(self, answer: Callable[[Request], Answer | Awaitable[Answer]]) -> None:
        self._answer = answer
        self.journal: list[Request] = []

    async def send(self, request: Request) -> Answer:
        self.journal.append(request)
        answer = self._answer(request)
        return answer if isinstance(answer, Answer) else await answer

    async def close(self) -> None:
        """Nothing to close."""
