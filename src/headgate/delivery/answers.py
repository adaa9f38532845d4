"""What a destination's answer means for the messages it was given. Pure; between transport and outcome.

Heap's own SDK works like this: 200 is done, 400 is final, everything else is tried again
(heap-swift-core-sdk, UploadOperation.swift). A wrong address or App ID must never cost data.
"""

import random
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum

import msgspec

MAX_ANSWER_BYTES = 4096
MAX_RETRY_AFTER_S = 300.0
MAX_BACKOFF_S = 60.0


class Answer(msgspec.Struct, frozen=True):
    """What came back. `status` 0 means that nothing did; `error` then says why."""

    status: int
    body: bytes = b""
    retry_after: str = ""
    error: str = ""


class Meaning(Enum):
    """What to do with the rows of the request."""

    DONE = "done"
    REFUSED = "refused"  # final for the message it belongs to: find out which
    TOO_LARGE = "too large"  # split; alone, try again
    TRY_AGAIN = "try again"


def meaning(answer: Answer) -> Meaning:
    """Any 2xx is done, whatever its body; only 400 is final."""
    if 200 <= answer.status < 300:
        return Meaning.DONE
    if answer.status == 400:
        return Meaning.REFUSED
    if answer.status == 413:
        return Meaning.TOO_LARGE
    return Meaning.TRY_AGAIN


def backoff_s(attempts: int, chance: random.Random) -> float:
    """The wait after the n-th attempt: U(0.5, 1) x min(60 s, 1 s x 2^(n-1))."""
    return chance.uniform(0.5, 1.0) * min(MAX_BACKOFF_S, 2.0 ** min(attempts - 1, 10))


def retry_after_s(answer: Answer, now_ms: int) -> float:
    """Seconds that the destination asked to wait, 0 to 300; 0 when it asked for nothing sensible.

    Whole seconds or an HTTP date: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    text = answer.retry_after.strip()
    if not text:
        return 0.0
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
        at_s = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return 0.0
    return max(0.0, min(at_s - now_ms / 1000, MAX_RETRY_AFTER_S))


def in_words(answer: Answer) -> str:
    """The answer on one line, for people."""
    if not answer.status:
        return answer.error
    text = answer.body[:200].decode("utf-8", "replace").strip()
    return f"answered {answer.status}: {text}" if text else f"answered {answer.status}"
