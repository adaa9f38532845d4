"""The CDN: what pages and apps load before they send anything. Beside the doors, on the same port.

The paths are those that analytics.js asks for, and the same under `/a/`, where no path tells an ad
blocker what it is for:

    /analytics.js/v1/KEY/analytics.min.js                        /a/KEY/l.js   the library
    /v1/projects/KEY/settings                                    /a/KEY/s      the settings
    /analytics-next/bundles/NAME                                 /a/c/NAME     its chunks
    /next-integrations/integrations/heap/V/heap.dynamic.js.gz    /a/n/...      the Heap integration

Every enabled write key has a library and settings, whatever its source is. Files are found in a table
of names, never on disk, and no answer holds anything of the request but the address in the settings.
Chunks and integrations have their version in the path and may be kept for ever; the library for two
minutes; settings for one, by the browser only, since they name the address it came by.
"""

import hashlib
import re
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import unquote

import msgspec

from headgate.gateway import answers
from headgate.gateway.answers import Answer
from headgate.gateway.cdn_files import DIRECTORY, HEAP, LIBRARY, NEUTRAL_LIBRARY, File, read_files
from headgate.gateway.cdn_settings import Settings, settings_for, with_address
from headgate.gateway.own_address import Addressed, own_address
from headgate.workspace.model import Source, Workspace

METHODS = ("GET", "HEAD")

_TRACKING_BASE = "/v1"
_NEUTRAL_BASE = "/a"

_LIBRARY = re.compile(r"/(?:analytics\.js/v1/(.+)/analytics\.min\.js|a/(.+)/l\.js)")
_SETTINGS = re.compile(r"/(?:v1/projects/(.+)/settings|a/(.+)/s)")
_CHUNK = re.compile(r"/(?:analytics-next/bundles|a/c)/([^/]+)")
# The second name is what analytics.js makes of the first when a page asks it to obfuscate.
_HEAP = re.compile(
    r"/(?:next-integrations|a/n)/integrations/(heap|aGVhcA)/([\w.-]+)/\1\.dynamic\.js\.gz"
)

_FOR_EVER = "public, max-age=31536000, immutable"
_SHORTLY = "public, max-age=120"
_IN_THE_BROWSER = "private, max-age=60"

_NOT_BUILT = answers.refused(
    404, "not_built", "this installation lacks the files for pages; make setup makes them"
)
_UNKNOWN_KEY = answers.refused(
    404, "unknown_write_key", "no source has this write key", "cache-control: no-store\r\n"
)
_DISABLED = answers.refused(
    404,
    "source_disabled",
    "the source of this write key is disabled",
    "cache-control: no-store\r\n",
)

_encode = msgspec.json.Encoder().encode


class PageRequest(Addressed, Protocol):
    """What the CDN needs of a request; headers that were not sent are None."""

    method: str
    path: str
    accept_encoding: bytes | None
    if_none_match: bytes | None


class Cdn:
    """Answers for the paths above. `workspace` tells the version in force and the workspace itself."""

    def __init__(
        self, workspace: Callable[[], tuple[int, Workspace]], directory: Path = DIRECTORY
    ) -> None:
        self._workspace = workspace
        self._files = read_files(directory)
        self._versions = {"heap": self._files.heap_version}
        self._settings: dict[str, Settings] = {}
        self._settings_of_version = -1

    def __call__(self, request: PageRequest) -> Answer | None:
        """The answer, or None when the path is none of the CDN's."""
        found = self._find(request)
        if found is None or request.method in METHODS:
            return found
        return answers.method_not_allowed(METHODS)

    def _find(self, request: PageRequest) -> Answer | None:
        path = re.sub("/{2,}", "/", request.path)  # a base address often ends with a slash
        if match := _SETTINGS.fullmatch(path):
            base = _TRACKING_BASE if match[1] else _NEUTRAL_BASE
            return self._settings_answer(request, match[1] or match[2], base)
        if match := _LIBRARY.fullmatch(path):
            return self._library(
                request, match[1] or match[2], LIBRARY if match[1] else NEUTRAL_LIBRARY
            )
        if match := _CHUNK.fullmatch(path):
            chunk = self._files.chunks.get(match[1])
            cached = (
                _FOR_EVER if match[1].endswith(".js") else _SHORTLY
            )  # the licence has no version
            return _file_answer(request, chunk, cached) if chunk else None
        if match := _HEAP.fullmatch(path):
            is_current = match[2] == self._files.heap_version
            return self._file(request, HEAP, _FOR_EVER if is_current else _SHORTLY)
        return None

    def _library(self, request: PageRequest, write_key: str, name: str) -> Answer:
        found = self._source(write_key)
        return found if isinstance(found, Answer) else self._file(request, name, _SHORTLY)

    def _file(self, request: PageRequest, name: str, cached: str) -> Answer:
        file = self._files.named.get(name)
        return _file_answer(request, file, cached) if file else _NOT_BUILT

    def _settings_answer(self, request: PageRequest, write_key: str, base: str) -> Answer:
        found = self._source(write_key)
        if isinstance(found, Answer):
            return found
        key, source = found
        settings = with_address(self._settings_of(key, source), source, own_address(request), base)
        body = _encode(settings)
        etag = f'"{hashlib.blake2b(body, digest_size=8).hexdigest()}"'
        content = _Content("application/json", etag, body)
        return _answer(request, content, f"cache-control: {_IN_THE_BROWSER}\r\n")

    def _source(self, written: str) -> tuple[str, Source] | Answer:
        """The write key as the source has it, and the source; or why there is none.

        Snippets write it with the escapes of an address; a page of somebody's own may not.
        """
        workspace = self._workspace()[1]
        for key in (unquote(written), written):
            source = workspace.source_by_write_key(key)
            if source is not None:
                return (key, source) if source.enabled else _DISABLED
        return _UNKNOWN_KEY

    def _settings_of(self, write_key: str, source: Source) -> Settings:
        """Made once for each write key and version of the workspace."""
        version, workspace = self._workspace()
        if version != self._settings_of_version:
            self._settings.clear()
            self._settings_of_version = version
        settings = self._settings.get(write_key)
        if settings is None:
            settings = settings_for(write_key, source, workspace, self._versions)
            self._settings[write_key] = settings
        return settings


class _Content(NamedTuple):
    content_type: str
    etag: str
    body: bytes


def _file_answer(request: PageRequest, file: File, cached: str) -> Answer:
    form = file.form(request.accept_encoding)
    encoding = f"content-encoding: {form.encoding}\r\n" if form.encoding else ""
    content = _Content(file.content_type, form.etag, form.body)
    return _answer(
        request, content, f"cache-control: {cached}\r\nvary: Accept-Encoding\r\n", encoding
    )


def _answer(request: PageRequest, content: _Content, headers: str, encoding: str = "") -> Answer:
    """200, or 304 when the browser has it already. Any page may load it, those that isolate themselves too."""
    has_it = _holds(request.if_none_match, content.etag)
    status = 304 if has_it else 200
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"etag: {content.etag}\r\n{headers}"
        "x-content-type-options: nosniff\r\ncross-origin-resource-policy: cross-origin\r\n"
    )
    if has_it:
        return Answer(head.encode("latin-1"), b"", status)
    head += (
        f"content-type: {content.content_type}\r\n{encoding}content-length: {len(content.body)}\r\n"
    )
    return Answer(head.encode("latin-1"), content.body, status)


def _holds(if_none_match: bytes | None, etag: str) -> bool:
    """Whether the header names the tag; one that a proxy has made weak means the same content."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.decode("latin-1").split(",")]
    return etag in tags or tags == ["*"]
