"""Takes a request's body apart: who sends, what the request says for all of its messages, the messages.

Messages stay bytes; only a batch's own few fields are decoded. Between `body.py` and `sift.py`.
"""

import base64
import binascii
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from headgate.spec.message import Timestamp
from headgate.spec.repair import DECODE_ERRORS, decode_tolerantly

_SHOWN_CHARACTERS = 64


class BadBody(Exception):
    """The body is not what the path takes; `code` is for programs, the text for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Post(msgspec.Struct, gc=False):
    """A request taken apart. `batched` says whether the messages came as items of a batch."""

    write_key: str
    messages: list[bytes]
    batched: bool = False
    sent_at: Timestamp = None
    context: bytes = b""
    integrations: bytes = b""
    repairs: tuple[str, ...] = ()


class _Batch(msgspec.Struct, rename="camel", gc=False):
    batch: list[msgspec.Raw]
    write_key: str | None = None
    sent_at: Timestamp = None
    context: msgspec.Raw = msgspec.Raw()
    integrations: msgspec.Raw = msgspec.Raw()


class _LooseBatch(msgspec.Struct, rename="camel", gc=False):
    """The same for bodies whose other fields have types that nobody expects."""

    batch: list[msgspec.Raw]
    write_key: Any = None
    sent_at: Any = None
    context: msgspec.Raw = msgspec.Raw()
    integrations: msgspec.Raw = msgspec.Raw()


class _WithKey(msgspec.Struct, rename="camel", gc=False):
    write_key: Any = None


_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_loose_batch = msgspec.json.Decoder(_LooseBatch).decode
_decode_key = msgspec.json.Decoder(_WithKey).decode


def single_post(body: bytes, authorization: bytes | None) -> Post:
    """A body that is one message. It is not decoded here when the header already names the write key."""
    write_key = basic_key(authorization)
    if not write_key:
        try:
            write_key = _key(decode_tolerantly(_decode_key, body)[0].write_key)
        except DECODE_ERRORS as error:
            raise BadBody("bad_json", f"the body is not a JSON object: {error}") from error
    return Post(write_key, [body])


def batch_post(body: bytes, authorization: bytes | None) -> Post:
    """A body that is a batch. Its items stay as they are, whatever they are."""
    batch, repairs = _batch(body)
    items = [bytes(item) for item in batch.batch]
    write_key = basic_key(authorization) or _key(batch.write_key) or _first_key(items)
    return Post(
        write_key=write_key,
        messages=items,
        batched=True,
        sent_at=_storable(batch.sent_at),
        context=_object(batch.context),
        integrations=_object(batch.integrations),
        repairs=repairs,
    )


def pixel_post(query: bytes) -> Post:
    """A message in a query: base64 JSON under `data`, or one parameter per field with dots for nesting.

    Source: https://segment.com/docs/connections/sources/catalog/libraries/server/pixel-tracking-api/
    """
    fields = dict(parse_qsl(query.decode("utf-8", "replace"), keep_blank_values=True))
    body = _base64(fields["data"]) if "data" in fields else msgspec.json.encode(_nested(fields))
    post = single_post(body, None)
    post.write_key = post.write_key or fields.get("writeKey", "")
    return post


def _batch(body: bytes) -> tuple[_Batch | _LooseBatch, tuple[str, ...]]:
    try:
        return decode_tolerantly(_decode_batch, body)
    except msgspec.ValidationError:
        pass
    except DECODE_ERRORS as error:
        raise BadBody("bad_json", f"the body is not valid JSON: {error}") from error
    try:
        return decode_tolerantly(_decode_loose_batch, body)
    except DECODE_ERRORS as error:
        raise BadBody(
            "invalid_batch", f"expected an object with a list under batch: {error}"
        ) from error


def _object(raw: msgspec.Raw) -> bytes:
    text = bytes(raw)
    return text if text.startswith(b"{") and text != b"{}" else b""


def _storable(sent_at: object) -> Timestamp:
    """As it came; a word for what no envelope can hold, so that the trace can warn of it."""
    if sent_at is None or isinstance(sent_at, str | float):
        return sent_at
    if not isinstance(sent_at, int):
        return type(sent_at).__name__
    holds = type(sent_at) is int and -(2**63) <= sent_at < 2**63
    return sent_at if holds else str(sent_at)[:_SHOWN_CHARACTERS]


def _key(value: object) -> str:
    return value if isinstance(value, str) else ""


def _first_key(items: list[bytes]) -> str:
    """The key of the first item that carries one: items that are not messages carry none."""
    for item in items:
        try:
            key = _key(_decode_key(item).write_key)
        except DECODE_ERRORS:
            continue
        if key:
            return key
    return ""


@lru_cache(maxsize=1024)
def basic_key(authorization: bytes | None) -> str:
    """The write key of a Basic header: the user name, also when the colon after it is missing."""
    if authorization is None or authorization[:6].lower() != b"basic ":
        return ""
    try:
        text = authorization[6:].strip().rstrip(b"=")
        decoded = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
        return decoded.decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _base64(text: str) -> bytes:
    """Decoded whether or not it is URL-safe and padded; a `+` may have arrived as a space."""
    standard = text.replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4))
    except ValueError as error:  # binascii.Error, and what text outside of ASCII raises
        raise BadBody("bad_data", "data is not base64") from error


def _nested(fields: dict[str, str]) -> dict[str, Any]:
    """`properties.subject=x` as `{"properties": {"subject": "x"}}`; of a conflict, the later wins."""
    whole: dict[str, Any] = {}
    for name, value in fields.items():
        *path, last = name.split(".")[:16]
        at = whole
        for step in path:
            below = at.get(step)
            if not isinstance(below, dict):
                below = at[step] = {}
            at = below
        at[last] = value
    return whole
