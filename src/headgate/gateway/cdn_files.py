"""The files that pages load, as the build left them: read once, then answered from memory.

`web/make_pages.py` makes them: analytics.js and its chunks under their published names, the Heap
integration, each also in gzip and brotli.
"""

import hashlib
import logging
from pathlib import Path
from typing import NamedTuple

import msgspec

DIRECTORY = Path(__file__).parent.parent / "web"
LIBRARY = "analytics.js"
NEUTRAL_LIBRARY = "analytics.neutral.js"
HEAP = "heap.js"

_CHUNKS = "bundles"
_PACKED = {"br": ".br", "gzip": ".gz"}  # best first
_CONTENT_TYPES = {".js": "text/javascript; charset=utf-8", ".md": "text/plain; charset=utf-8"}

log = logging.getLogger("headgate.gateway")


class Form(NamedTuple):
    """One way a file travels: its Content-Encoding (empty for none), its ETag, its bytes."""

    encoding: str
    etag: str
    body: bytes


class File(NamedTuple):
    """A file in all its forms, best first; the last one is the file as it is."""

    content_type: str
    forms: tuple[Form, ...]

    def form(self, accept_encoding: bytes | None) -> Form:
        """The best form that the reader takes."""
        accepted = _accepted(accept_encoding or b"")
        return next(form for form in self.forms if not form.encoding or form.encoding in accepted)


class Files(NamedTuple):
    """Files by name, chunks by the name under which analytics.js asks for them."""

    named: dict[str, File]
    chunks: dict[str, File]
    heap_version: str


def read_files(directory: Path = DIRECTORY) -> Files:
    """What the build made. Without a build there is nothing to serve, and the log says so."""
    versions = directory / "versions.json"
    if not versions.is_file():
        log.error(
            "pages cannot load analytics.js from here: %s is empty; run make setup", directory
        )
        return Files({}, {}, "none")
    heap_version = msgspec.json.decode(versions.read_bytes())["heap"]
    return Files(_files_in(directory), _files_in(directory / _CHUNKS), heap_version)


def _files_in(directory: Path) -> dict[str, File]:
    return {path.name: _file(path) for path in directory.iterdir() if path.suffix in _CONTENT_TYPES}


def _file(path: Path) -> File:
    body = path.read_bytes()
    digest = hashlib.sha256(body).hexdigest()[:16]
    packed = tuple(
        Form(
            encoding, f'"{digest}-{encoding}"', (path.parent / f"{path.name}{suffix}").read_bytes()
        )
        for encoding, suffix in _PACKED.items()
        if (path.parent / f"{path.name}{suffix}").is_file()
    )
    return File(_CONTENT_TYPES[path.suffix], (*packed, Form("", f'"{digest}"', body)))


def _accepted(accept_encoding: bytes) -> set[str]:
    """The encodings named in Accept-Encoding, less those refused with q=0."""
    named = accept_encoding.decode("latin-1").lower().replace(" ", "").split(",")
    pairs = (one.partition(";q=") for one in named)
    return {encoding for encoding, _, weight in pairs if weight.strip("0.") or not weight}
