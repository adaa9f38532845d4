"""What `headgate snippet` prints: lines that work as they are, for every library, whatever the key."""

import json
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
import segment.analytics  # type: ignore[import-untyped]

from data_dirs import DataDir, source
from headgate.snippets import SNIPPETS, Snippet, snippet_text
from headgate.spec.names import SOURCE_TYPES, WEBSITE
from processes import run

URL = "https://events.example.com:8443/x"
every_snippet = pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda one: one.name)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = DataDir(tmp_path_factory.mktemp("snippets"))
    data.use(
        sources=[
            source("website"),
            source("app", type="mobile"),
            source("shop", type="server", enabled=False),
        ]
    )
    return data.path


def library(name: str) -> Snippet:
    return next(one for one in SNIPPETS if one.name == name)


@every_snippet
def test_every_library_is_told_where_and_who(snippet: Snippet) -> None:
    """Nothing is left to fill in."""
    text = snippet_text(snippet, URL + "/", "wk_website")
    assert "events.example.com" in text
    assert "wk_website" in text
    assert not re.search(r"\{\{|\}\}$", text.replace("} } } },", ""))


@every_snippet
def test_a_key_of_odd_characters_stays_a_key(snippet: Snippet) -> None:
    """Read back by the language's own rules it is the key, and it ends no script."""
    key = "</script><b>'\"`$x#{y}\\"
    written = snippet.literal(key)
    text = snippet_text(snippet, URL, key)
    assert written in text
    assert read_back(snippet, written) == key
    assert text.count("</script>") <= 1 or snippet.source_type != WEBSITE


def read_back(snippet: Snippet, written: str) -> str:
    """The text that a literal stands for."""
    if snippet.name == "http":
        [word] = shlex.split(written)
        return word
    if snippet.name == "php":
        return re.sub(r"\\([\\'])", r"\1", written[1:-1])
    text: str = json.loads(written)
    return text


def test_pythons_lines_run() -> None:
    """They set what the library reads."""
    module = ModuleType("pasted")
    exec(snippet_text(library("python"), URL, "wk$"), module.__dict__)
    assert (segment.analytics.host, segment.analytics.write_key) == (URL, "wk$")


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("kotlin", ['apiHost = "h.example/v1"', 'cdnHost = "h.example/v1"']),
        ("swift", ['.apiHost("h.example/v1")', '.cdnHost("h.example/v1")']),
        ("react-native", ['proxy: "https://h.example/v1"', "useSegmentEndpoints: true"]),
        ("node", ['host: "https://h.example"']),
        ("ruby", ['host: "h.example", port: 443']),
        ("go", ['Endpoint: "https://h.example"']),
        ("java", ['.endpoint("https://h.example")']),
        ("php", ['"host" => \'h.example\', "ssl" => true']),
        ("dotnet", ['apiHost: "h.example/v1"']),
        ("http", ["https://h.example/v1/track --user wk:"]),
    ],
)
def test_each_library_has_its_own_options(name: str, lines: list[str]) -> None:
    """With /v1 and without, with the scheme and without."""
    text = snippet_text(library(name), "https://h.example", "wk")
    for line in lines:
        assert line in text
    assert "allowInsecureProxy" not in text


def test_react_native_has_to_be_told_of_http() -> None:
    """It refuses it otherwise."""
    text = snippet_text(library("react-native"), "http://h.example", "wk")
    assert "allowInsecureProxy: true" in text


@pytest.mark.parametrize("type_", SOURCE_TYPES)
def test_every_type_of_source_has_libraries(type_: str) -> None:
    """The command prints those of the source's type."""
    assert [one for one in SNIPPETS if one.source_type == type_]


def test_the_command_prints_what_suits_the_source(data_dir: Path) -> None:
    """All libraries of its type with their names; with --library one alone, ready to be piped."""
    everything = run("snippet", "app", "--url", URL, "--data-dir", data_dir)
    assert everything.returncode == 0, everything.stderr
    assert re.findall(r"--library ([\w-]+)", everything.stdout) == [
        "kotlin",
        "swift",
        "react-native",
    ]
    one = run("snippet", "website", "--library", "npm", "--url", URL, "--data-dir", data_dir)
    assert one.stdout == snippet_text(library("npm"), URL, "wk_website")
    neutral = run("snippet", "website", "--library", "browser", "--neutral", "--data-dir", data_dir)
    assert "/a/wk_website/l.js" in neutral.stdout


def test_the_command_says_what_is_wrong(data_dir: Path) -> None:
    """An unknown source or library, an address that is none, a source that is disabled."""
    there = ("--data-dir", data_dir)
    unknown = run("snippet", "nope", *there)
    assert unknown.returncode == 1
    assert "there are app, shop, website" in unknown.stderr
    for words in (["--library", "cobol"], ["--url", "events.example.com"], ["--url", "http://a b"]):
        assert run("snippet", "website", *words, *there).returncode == 2
    disabled = run("snippet", "shop", "--library", "go", *there)
    assert (disabled.returncode, "disabled" in disabled.stderr) == (0, True)
