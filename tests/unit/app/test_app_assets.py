"""The app's own files: named by their content, packed, kept for ever, and told when they are missing."""

import gzip
from pathlib import Path

import pytest

from headgate.app.assets import Assets, NotBuilt


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a build leaves."""
    (tmp_path / "app.css").write_bytes(b"body{}")
    (tmp_path / "app.css.gz").write_bytes(gzip.compress(b"body{}"))
    (tmp_path / "app.css.br").write_bytes(b"as brotli")
    (tmp_path / "app.js").write_bytes(b"1")
    return tmp_path


@pytest.mark.parametrize(
    ("accepted", "encoding", "body"),
    [
        ("gzip, deflate, br;q=1.0", "br", b"as brotli"),
        ("gzip", "gzip", gzip.compress(b"body{}")),
        ("", None, b"body{}"),
        ("zstd", None, b"body{}"),
    ],
)
def test_a_file_travels_as_the_browser_takes_it(
    folder: Path, accepted: str, encoding: str | None, body: bytes
) -> None:
    """Best first; caches are told that it depends on what was asked for."""
    assets = Assets(folder)
    answer = assets.answer(assets.url("app.css").removeprefix("/assets/"), accepted)
    assert answer is not None
    assert answer.headers.get("content-encoding") == encoding
    assert (
        gzip.decompress(bytes(answer.body)) == b"body{}"
        if encoding == "gzip"
        else answer.body == body
    )
    assert answer.headers["vary"] == "Accept-Encoding"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.media_type == "text/css; charset=utf-8"


def test_another_content_has_another_address(folder: Path) -> None:
    """So that it may be kept for ever; the old one is gone."""
    before = Assets(folder).url("app.js")
    (folder / "app.js").write_bytes(b"2")
    after = Assets(folder)
    assert after.url("app.js") != before
    assert after.answer(before.removeprefix("/assets/"), "") is None
    assert after.answer("app.js", "") is None


def test_missing_files_are_told(tmp_path: Path) -> None:
    """With what to do."""
    with pytest.raises(NotBuilt, match="run make setup"):
        Assets(tmp_path)
