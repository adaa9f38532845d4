"""What pages and apps load: the right file under each path, kept as long as it may be, and nothing else."""

import gzip
from pathlib import Path
from urllib.parse import quote

import pytest
from cdn_requests import Asked, cdn_of, get

import factories
from headgate.gateway.cdn import Cdn
from headgate.gateway.cdn_files import read_files

FILES = read_files()
CHUNK = next(name for name in FILES.chunks if name.startswith("ajs-destination."))
HEAP = "/next-integrations/integrations/heap/{}/heap.dynamic.js.gz"

FOR_EVER = "public, max-age=31536000, immutable"
SHORTLY = "public, max-age=120"


@pytest.fixture(scope="module")
def cdn() -> Cdn:
    return cdn_of(
        factories.source(write_keys=("wk_website", "c", "wk/é %")),
        factories.source("gone", enabled=False),
    )


@pytest.mark.parametrize(
    ("path", "begins", "cached"),
    [
        ("/analytics.js/v1/wk_website/analytics.min.js", b"/*! analytics.js 1.84.3", SHORTLY),
        ("/a/wk_website/l.js", b"/*! analytics.js 1.84.3", SHORTLY),
        ("/a/c/l.js", b"/*! analytics.js 1.84.3", SHORTLY),
        (f"/analytics-next/bundles/{CHUNK}", b'"use strict";(self.webpackChunk', FOR_EVER),
        (f"/a/c/{CHUNK}", b'"use strict";(self.webpackChunk', FOR_EVER),
        (HEAP.format(FILES.heap_version), b'"use strict";(()=>{', FOR_EVER),
        (HEAP.format("latest"), b'"use strict";(()=>{', SHORTLY),
        (HEAP.format("2.1.2"), b'"use strict";(()=>{', SHORTLY),
        ("/a/n/integrations/aGVhcA/latest/aGVhcA.dynamic.js.gz", b'"use strict";(()=>{', SHORTLY),
        ("//analytics.js//v1/wk_website/analytics.min.js", b"/*! analytics.js", SHORTLY),
    ],
)
def test_each_path_has_its_file(cdn: Cdn, path: str, begins: bytes, cached: str) -> None:
    """A script, that may be kept for ever only where its path names its version."""
    answer = get(cdn, path)
    assert answer.status == 200
    assert answer.body.startswith(begins)
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert answer.headers["cache-control"] == cached
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "content-encoding" not in answer.headers


def test_the_licence_of_the_library_is_where_its_files_are(cdn: Cdn) -> None:
    """The banner of the library names this path."""
    licence = get(cdn, "/analytics-next/bundles/LICENSE.md")
    assert b"The MIT License" in licence.body
    assert licence.headers["cache-control"] == SHORTLY, "its name has no version"
    assert b"/analytics-next/bundles/LICENSE.md" in get(cdn, "/a/wk_website/l.js").body[:300]


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        (b"gzip, deflate, br, zstd", "br"),
        (b"GZIP", "gzip"),
        (b"br;q=0, gzip;q=0.5", "gzip"),
        (b"br;q=0.0,gzip;q=0", None),
        (b"identity", None),
        (b"*", None),
        (b"brotli", None),
        (b"", None),
    ],
)
def test_the_best_prepared_form_is_served(cdn: Cdn, accepted: bytes, encoding: str | None) -> None:
    """Each with a tag of its own, so that a cache never takes one for another."""
    plain = get(cdn, "/a/wk_website/l.js")
    answer = get(cdn, "/a/wk_website/l.js", accept_encoding=accepted)
    assert answer.headers.get("content-encoding") == encoding
    assert answer.headers["vary"] == "Accept-Encoding"
    assert (answer.headers["etag"] == plain.headers["etag"]) == (encoding is None)
    if encoding == "gzip":
        assert gzip.decompress(answer.body) == plain.body


@pytest.mark.parametrize("path", ["/a/wk_website/l.js", "/a/wk_website/s"])
def test_what_a_browser_has_is_not_sent_again(cdn: Cdn, path: str) -> None:
    """The tag alone, in a list, or made weak by a proxy; another one gets the whole file."""
    etag = get(cdn, path).headers["etag"].encode()
    for known in (etag, b'"x", ' + etag, b"W/" + etag, b"*"):
        answer = get(cdn, path, if_none_match=known)
        assert (answer.status, answer.body) == (304, b"")
        assert answer.headers["etag"].encode() == etag
        assert "content-length" not in answer.headers
    assert get(cdn, path, if_none_match=b'"x"').status == 200


def test_a_form_that_a_browser_has_is_not_taken_for_another(cdn: Cdn) -> None:
    """Its tag is the packed form's."""
    packed = get(cdn, "/a/wk_website/l.js", accept_encoding=b"br")
    answer = get(cdn, "/a/wk_website/l.js", if_none_match=packed.headers["etag"].encode())
    assert answer.status == 200


@pytest.mark.parametrize(
    "path", ["/analytics.js/v1/{}/analytics.min.js", "/v1/projects/{}/settings", "/a/{}/s"]
)
def test_a_key_that_opens_nothing_is_told_so(cdn: Cdn, path: str) -> None:
    """Nothing of the request comes back, and nobody keeps the answer."""
    for key, code in (("wk_gone", "source_disabled"), ("<script>nope", "unknown_write_key")):
        answer = get(cdn, path.format(key))
        assert (answer.status, answer.json["code"]) == (404, code)
        assert key.encode() not in answer.body
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("key", ["wk_website", "wk%5Fwebsite", "wk/%C3%A9%20%25"])
def test_keys_are_found_as_pages_write_them(cdn: Cdn, key: str) -> None:
    """As they are, or with the escapes that an address needs."""
    assert get(cdn, f"/v1/projects/{key}/settings").status == 200
    assert get(cdn, f"/analytics.js/v1/{key}/analytics.min.js").status == 200


@pytest.mark.parametrize(
    "key", ["k?y", "k#y", "x//y", "k\\y", "k%2Fy", "k/y", "..y", "é", "a/settings"]
)
@pytest.mark.parametrize("path", ["/v1/projects/{}/settings", "/a/{}/s"])
def test_every_key_is_found_as_a_snippet_writes_it(key: str, path: str) -> None:
    """With the escapes of an address, whatever other keys there are."""
    cdn = cdn_of(factories.source(write_keys=(key, "k%2Fy", "k/y", "x/y")))
    settings = get(cdn, path.format(quote(key, safe=""))).json
    assert settings["integrations"]["Segment.io"]["apiKey"] == key


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/a",
        "/a/c/",
        "/a/c/heap.js",
        "/a/c/.made-from",
        f"/a/c/{CHUNK}.br",
        f"/a/c/../{CHUNK}",
        "/analytics-next/bundles/../heap.js",
        "/analytics-next/bundles/..%2fheap.js",
        "/analytics-next/bundles//etc/passwd",
        "/analytics-next/bundles/%00",
        "/analytics-next/bundles/standalone.js.map",
        "/analytics.js/v1/wk_website/analytics.classic.js",
        "/next-integrations/integrations/heap/latest/aGVhcA.dynamic.js.gz",
        "/next-integrations/integrations/heap/../heap.dynamic.js.gz/x",
        "/next-integrations/integrations/other/latest/other.dynamic.js.gz",
        "/v1/projects/settings",
        "/health",
    ],
)
def test_other_paths_are_none_of_its(cdn: Cdn, path: str) -> None:
    """Files are found by their name alone."""
    assert cdn(Asked(path)) is None


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_files_are_only_read(cdn: Cdn, method: str) -> None:
    """Any other method is refused with those that there are."""
    answer = get(cdn, "/a/wk_website/l.js", method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert get(cdn, "/a/wk_website/l.js", "HEAD").status == 200


def test_an_installation_without_the_files_says_so(tmp_path: Path) -> None:
    """Settings are there all the same, for apps."""
    cdn = cdn_of(directory=tmp_path)
    assert get(cdn, "/a/wk_website/l.js").json["code"] == "not_built"
    assert get(cdn, HEAP.format("latest")).json["code"] == "not_built"
    assert get(cdn, "/a/wk_website/s").status == 200
