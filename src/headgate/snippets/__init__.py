"""What to paste into a page, an app or a server so that a Segment library sends here.

One file beside this one for each library, with the option names that the library has. Whatever is
filled in is a literal of the file's language: a write key may hold any printable character.
"""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import quote, urlsplit

from headgate.spec.names import MOBILE, SERVER, WEBSITE

_PLACE = re.compile(r"\{\{(\w+)\}\}")
_USUAL_PORTS = {"http": 80, "https": 443}
_INTERPOLATED = {"<": "\\u003c", "$": "\\u0024", "#": "\\u0023"}  # </script>, Kotlin, Ruby


@dataclass(frozen=True, slots=True)
class Snippet:
    """One library's lines, in the file of its name: what they are for, how the language writes text."""

    name: str
    title: str
    source_type: str
    literal: Callable[[str], str]
    speaks_http: bool = True
    has_neutral_paths: bool = False


def _double_quoted(text: str) -> str:
    """A text as JavaScript, Python, Go, Java, C#, Kotlin and Ruby take it, within HTML too."""
    written = json.dumps(text, ensure_ascii=False)
    return "".join(_INTERPOLATED.get(one, one) for one in written)


def _plain(text: str) -> str:
    """Swift knows no other escape, and interpolates after a backslash only."""
    return json.dumps(text, ensure_ascii=False)


def _single_quoted(text: str) -> str:
    """A text in PHP."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SNIPPETS = (
    Snippet(
        "browser", "In every page, in its head", WEBSITE, _double_quoted, has_neutral_paths=True
    ),
    Snippet("npm", "In a page that is bundled", WEBSITE, _double_quoted),
    Snippet("kotlin", "Android", MOBILE, _double_quoted, speaks_http=False),
    Snippet("swift", "iOS", MOBILE, _plain, speaks_http=False),
    Snippet("react-native", "React Native", MOBILE, _double_quoted),
    Snippet("node", "Node", SERVER, _double_quoted),
    Snippet("python", "Python", SERVER, _double_quoted),
    Snippet("ruby", "Ruby", SERVER, _double_quoted, speaks_http=False),
    Snippet("go", "Go", SERVER, _double_quoted),
    Snippet("java", "Java", SERVER, _double_quoted),
    Snippet("php", "PHP", SERVER, _single_quoted),
    Snippet("dotnet", ".NET", SERVER, _double_quoted, speaks_http=False),
    Snippet("http", "Anything that speaks HTTP", SERVER, shlex.quote),
)


def snippet_text(snippet: Snippet, url: str, write_key: str, *, neutral: bool = False) -> str:
    """The lines, filled in. `url` is where pages, apps or servers reach this server: http(s)://host[:port][/path].

    `neutral`: a page loads everything under paths that say nothing of analytics; for snippets that have them.
    """
    template = files(__package__).joinpath(f"{snippet.name}.txt").read_text()
    values = _values(snippet.literal, url.rstrip("/"), write_key, neutral)
    return _PLACE.sub(lambda place: values[place[1]], template)


def _values(
    literal: Callable[[str], str], url: str, write_key: str, neutral: bool
) -> dict[str, str]:
    address = urlsplit(url)
    host = url.partition("://")[2]
    key = quote(write_key, safe="")
    library = f"/a/{key}/l.js" if neutral else f"/analytics.js/v1/{key}/analytics.min.js"
    return {
        "url": literal(url),
        "key": literal(write_key),
        "path_key": literal(key),
        "host": literal(host),
        "hostname": literal(address.hostname or ""),
        "port": str(address.port or _USUAL_PORTS[address.scheme]),
        "protocol": literal(address.scheme),
        "is_https": str(address.scheme == "https").lower(),
        "api_host": literal(f"{host}/v1"),
        "api_url": literal(f"{url}/v1"),
        "api": "/a" if neutral else "/v1",
        "library": literal(library),
        "options": "obfuscate: true,\n      " if neutral else "",
        "insecure": "\n  allowInsecureProxy: true," if address.scheme == "http" else "",
        # These two libraries take the path apart from the host.
        "origin": literal(f"{address.scheme}://{address.netloc}"),
        "batch_path": _option(literal, address.path, "/v1/batch"),
        "import_path": _option(literal, address.path, "/v1/import"),
    }


def _option(literal: Callable[[str], str], prefix: str, path: str) -> str:
    return f", path: {literal(prefix + path)}" if prefix else ""
