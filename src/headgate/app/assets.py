"""The app's own CSS, JS and mark, as the build left them: read once, named by their content, answered from memory."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from starlette.responses import Response

DIRECTORY = Path(__file__).parent.parent / "web" / "app"
MOUNTED_AT = "/assets"

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PACKED = {"br": ".br", "gzip": ".gz"}  # best first
_FOR_EVER = "public, max-age=31536000, immutable"


class NotBuilt(Exception):
    """The files are not there; the text says how to make them."""


class _Asset(NamedTuple):
    content_type: str
    forms: dict[str, bytes]  # by Content-Encoding, best first; "" is the file as it is


class Assets:
    """The files by the names under which pages ask for them."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._named: dict[str, _Asset] = {}
        self._names: dict[str, str] = {}
        for path in sorted(directory.glob("*")):
            if path.suffix in _TYPES:
                self._add(path)
        if not self._names:
            raise NotBuilt(
                f"the app's pages lack their files: {directory} is empty; run make setup"
            )

    def url(self, name: str) -> str:
        """Where a file is found; another address as soon as its content is another."""
        return f"{MOUNTED_AT}/{self._names[name]}"

    def answer(self, name: str, accepted: str) -> Response | None:
        """The file, packed as the browser likes it best; None when there is none of this name."""
        asset = self._named.get(name)
        if asset is None:
            return None
        encodings = {one.partition(";")[0].strip() for one in accepted.split(",")} | {""}
        encoding = next(one for one in asset.forms if one in encodings)
        headers = {"Cache-Control": _FOR_EVER, "Vary": "Accept-Encoding"}
        if encoding:
            headers["Content-Encoding"] = encoding
        return Response(asset.forms[encoding], 200, headers, media_type=asset.content_type)

    def _add(self, path: Path) -> None:
        body = path.read_bytes()
        forms = {
            encoding: packed.read_bytes()
            for encoding, suffix in _PACKED.items()
            if (packed := path.with_name(f"{path.name}{suffix}")).is_file()
        }
        name = f"{path.stem}.{hashlib.sha256(body).hexdigest()[:12]}{path.suffix}"
        self._names[path.name] = name
        self._named[name] = _Asset(_TYPES[path.suffix], {**forms, "": body})
