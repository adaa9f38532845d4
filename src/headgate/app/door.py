"""Messages that people send from pages: they come in by the tracking API, as a library's do.

So they are real messages, kept in the log, delivered and traced like any other. Their ids say that they
are tests.
"""

import uuid
from base64 import b64encode
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import msgspec

TEST_ID_PREFIX = "headgate-test-"
_ANSWERS_WITHIN_S = 5.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_SHOWN_CHARACTERS = 200


def test_id() -> str:
    """A messageId for a message that somebody sends to try something."""
    return f"{TEST_ID_PREFIX}{uuid.uuid4().hex[:16]}"


def test_identity() -> str:
    """A user id for tests, which names nobody else."""
    return f"{TEST_ID_PREFIX}{uuid.uuid4().hex[:4]}"


def post(public_url: str, write_key: str, message: dict[str, Any]) -> str:
    """Sends one message; "" once it is kept, otherwise why it is not."""
    credentials = b64encode(f"{write_key}:".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"}
    address = urlsplit(public_url)
    host = _ANY_ADDRESS.get(address.hostname or "", address.hostname or "")
    kind = HTTPSConnection if address.scheme == "https" else HTTPConnection
    line = kind(host, address.port, timeout=_ANSWERS_WITHIN_S)
    try:
        line.request(
            "POST", f"{address.path}/v1/{message['type']}", msgspec.json.encode(message), headers
        )
        answer = line.getresponse()
        said = answer.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        return f"The tracking API at {public_url} did not answer: {error}."
    finally:
        line.close()
    if answer.status == 200:
        return ""
    return f"The tracking API answered {answer.status}: {said[:_SHOWN_CHARACTERS]}"
