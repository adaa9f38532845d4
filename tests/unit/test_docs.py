"""The docs are true: what they list exists, what exists is listed, samples work, links lead somewhere.

Tables made from the code stand between `<!-- generated: NAME -->` and `<!-- end -->`. After a change of
commands, settings or reasons, rewrite them:

    python tests/unit/test_docs.py --write
"""

import ast
import importlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, cast, get_args, get_origin

import msgspec
import pytest
import typer.main
from starlette.routing import Route

from headgate.app.private import PrivatePort
from headgate.cli import app
from headgate.clock import SystemClock
from headgate.delivery.engine import Delivery
from headgate.destinations.catalog import CATALOG
from headgate.destinations.heap.mapping import map_message
from headgate.destinations.heap.settings import MAPPING_CLASSIC, MAPPING_HEAP, SETTINGS
from headgate.destinations.interface import Discard
from headgate.gateway.routes import ROUTES
from headgate.sandbox import answers, faults, rules
from headgate.sandbox.control import control_app
from headgate.sandbox.heap import Sandbox
from headgate.sandbox.options import Options
from headgate.spec.reasons import DOOR_REASONS, REASONS
from headgate.spec.settings import Kind, Setting, with_defaults
from headgate.workspace import table, variables
from headgate.workspace.file import parse

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "headgate"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
CATALOG_SETTINGS = {name: destination.settings for name, destination in CATALOG.items()}

KEPT_LINES = "\b\n"  # how a help text marks a paragraph whose lines stay as they are
_GENERATED = re.compile(r"(<!-- generated: ([\w -]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# What is generated


def made_by() -> dict[str, Callable[[], str]]:
    """How each generated part is made, by its name."""
    return {
        "commands": commands_text,
        "workspace settings": lambda: settings_text(table.WORKSPACE, deep=False),
        "source settings": lambda: settings_text(table.SOURCE, "sources[]."),
        "destination settings": lambda: settings_text(table.DESTINATION, "destinations[]."),
        "heap settings": lambda: settings_text(SETTINGS, "settings."),
        "retention settings": lambda: settings_text(table.RETENTION, "retention."),
        "engage settings": lambda: settings_text(table.ENGAGE, "engage."),
        "door reasons": lambda: reasons_text(code for code in REASONS if code in DOOR_REASONS),
        "destination reasons": lambda: reasons_text(
            code for code in REASONS if code not in DOOR_REASONS
        ),
    }


def table_text(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    cells = ([cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines)
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def reasons_text(codes: Iterable[str]) -> str:
    """Reasons with their sentences and remedies."""
    reasons = (REASONS[code] for code in codes)
    rows = ((f"`{one.code}`", one.sentence, one.remedy) for one in reasons)
    return table_text(("reason", "what happened", "what to do"), rows)


def settings_text(rows: tuple[Setting, ...], prefix: str = "", *, deep: bool = True) -> str:
    """Settings with what they accept, their defaults and what they do."""
    return table_text(
        ("setting", "accepts", "default", "what it does"),
        (
            (f"`{name}`", one.allowed.replace(" | ", " or "), default_text(one), meaning(one))
            for name, one in flat_settings(rows, prefix, deep=deep)
        ),
    )


def flat_settings(
    rows: tuple[Setting, ...], prefix: str, *, deep: bool
) -> Iterator[tuple[str, Setting]]:
    """Every setting under its path, members behind the group that holds them."""
    inner = {Kind.GROUP: ".", Kind.GROUPS: "[].", Kind.NAMED_GROUPS: ".NAME."}
    for one in rows:
        yield prefix + one.name, one
        if deep and one.kind in inner:
            yield from flat_settings(one.members, prefix + one.name + inner[one.kind], deep=True)


def default_text(one: Setting) -> str:
    """What holds when the setting is left out."""
    if one.required:
        return "required"
    if isinstance(one.default, tuple):
        return ", ".join(f"`{item}`" for item in one.default) or "empty"
    if one.default is None:
        return "none"
    return f"`{one.default}`" if isinstance(one.default, str) else f"`{json.dumps(one.default)}`"


def meaning(one: Setting) -> str:
    """The setting's sentence, with what its row says besides."""
    notes = [one.description]
    if one.secret:
        notes.append("A secret: write it as `${VAR}`.")
    if one.literal:
        notes.append("Taken as written, without `${VAR}`.")
    return " ".join(notes)


def commands_text() -> str:
    """Every command with its help, arguments and options."""
    parts = []
    for name, command in commands():
        how = f"```\n{usage(name, command)}\n```"
        parts.append(f"\n## `{name}`\n\n{how}\n\n{prose(command.help)}\n")
        shown = [one for one in command.params if not one.hidden]
        if shown:
            rows = ((spelled(one), accepts(one), default_of(one), told(one)) for one in shown)
            parts.append("\n" + table_text(("option", "accepts", "default", "what it does"), rows))
    return "".join(parts) + "\n"


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that is not hidden, with its full name; groups stand before their commands."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        members = getattr(command, "commands", {})
        if not members or any(not one.hidden for one in command.params):
            yield name, command
        for inner, member in members.items():
            if not member.hidden:
                yield from walk(f"{name} {inner}", member)

    yield from walk("headgate", typer.main.get_command(app))


def prose(text: str | None) -> str:
    """A help text as Markdown: a paragraph that keeps its lines on a terminal becomes code."""
    parts = re.split(r"\n\s*\n", (text or "").strip())
    return "\n\n".join(
        f"```\n{part.removeprefix(KEPT_LINES)}\n```" if part.startswith(KEPT_LINES) else part
        for part in parts
    )


def usage(name: str, command: Any) -> str:
    """The command's line of usage."""
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = any(one.param_type_name == "option" and not one.hidden for one in command.params)
    words = [name, *(["[OPTIONS]"] if options else []), *map(argument_text, arguments)]
    return " ".join([*words, "COMMAND"] if getattr(command, "commands", {}) else words)


def argument_text(one: Any) -> str:
    """An argument as usage shows it."""
    text = (one.metavar or one.name).upper() + ("..." if one.nargs == -1 else "")
    return text if one.required else f"[{text}]"


def spelled(one: Any) -> str:
    """How the parameter is written on the command line."""
    if one.param_type_name == "argument":
        return f"`{argument_text(one)}`"
    value = f" {one.metavar}" if one.metavar else ""
    return ", ".join(f"`{text}{value}`" for text in (*one.opts, *one.secondary_opts))


def accepts(one: Any) -> str:
    """What may follow the option."""
    if one.param_type_name == "option" and one.is_flag:
        return "nothing"
    kind = one.type_descriptor.annotation
    if get_origin(kind) is list:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " or ".join(str(member.value) for member in kind)
    words = {"str": "text", "int": "a whole number", "float": "a number", "Path": "a path"}
    return words.get(getattr(kind, "__name__", ""), str(kind))


def default_of(one: Any) -> str:
    """What holds when the parameter is left out."""
    if one.required:
        return "required"
    if one.default is None or one.default is False or one.default == () or one.default == []:
        return "none" if not getattr(one, "is_flag", False) else "off"
    return "on" if one.default is True else f"`{one.default}`"


def told(one: Any) -> str:
    """The parameter's help, with the environment variable that may stand for it."""
    variable = f" Environment variable: `{one.envvar}`." if one.envvar else ""
    return prose(one.help).replace("\n", " ") + variable


# Reading pages


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def section(text: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    level, start = next(
        (match[0].index(" "), match.end())
        for match in _HEADING.finditer(text)
        if match[1] == heading
    )
    ends = (m.start() for m in _HEADING.finditer(text, start) if m[0].index(" ") <= level)
    return text[start : next(ends, len(text))]


def rows_of(text: str) -> list[list[str]]:
    """The cells of every table row in a text, heads and rulers left out."""
    lines = text.splitlines()
    rulers = [at for at, line in enumerate(lines) if re.fullmatch(r"\|(\s*:?-+:?\s*\|)+", line)]
    heads = {at - 1 for at in rulers}
    return [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for at, line in enumerate(lines)
        if line.startswith("|") and at not in heads and at not in rulers
    ]


def codes(cell: str) -> list[str]:
    return _CODE.findall(cell)


def first_codes(text: str) -> list[str]:
    """What stands as code in the first column of the tables of a text."""
    return [code for row in rows_of(text) for code in codes(row[0])]


def prose_of(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCE.sub("", page.read_text())


def code_of(page: Path) -> Iterator[str]:
    """Every piece of code on a page, block by block and line by line."""
    text = page.read_text()
    for fence in _FENCE.finditer(text):
        yield from fence[2].splitlines()
    yield from codes(_FENCE.sub("", text))


# The tests


@pytest.mark.parametrize("name", [*made_by()])
def test_what_is_generated_is_up_to_date(name: str) -> None:
    """Every generated part stands in exactly one page, as the code would write it today."""
    found = [
        part[3]
        for page in PAGES
        for part in _GENERATED.finditer(page.read_text())
        if part[2] == name
    ]
    assert len(found) == 1, f"the part {name!r} stands in {len(found)} pages"
    assert found[0] == made_by()[name](), "run: python tests/unit/test_docs.py --write"


def test_no_page_holds_a_generated_part_that_nothing_makes() -> None:
    """A marker with a wrong name would never be rewritten."""
    names = {part[2] for page in PAGES for part in _GENERATED.finditer(page.read_text())}
    assert names == made_by().keys()


@pytest.mark.parametrize(("name", "command"), [*commands()], ids=[name for name, _ in commands()])
def test_every_command_and_option_explains_itself(name: str, command: Any) -> None:
    """No command without a help text, no option or argument without a sentence."""
    assert prose(command.help), name
    silent = [one.name for one in command.params if not one.hidden and not told(one)]
    assert silent == [], name


def test_the_public_routes_are_those_documented() -> None:
    """Every path with its methods, and no other."""
    documented = {
        path: tuple(row[1].split(", "))
        for row in rows_of(section(text_of("docs/http-api.md"), "Paths"))
        for path in codes(row[0])
    }
    assert documented == {path: route.methods for path, route in ROUTES.items()}


def test_the_private_routes_are_those_documented() -> None:
    """Every path of the private port, and no other."""
    port = PrivatePort(cast("Delivery", None), Path("refused.db"))
    routes = {route.path for route in port._app.routes if isinstance(route, Route)}
    page = section(text_of("docs/http-api.md"), "The private port")
    assert {code for code in first_codes(page) if code.startswith("/")} == routes


def test_the_metrics_are_those_documented() -> None:
    """Every name in the text of the metrics, and no other."""
    names = set(re.findall(r"\bheadgate_[a-z_]+", (SOURCE / "app" / "private.py").read_text()))
    page = section(text_of("docs/http-api.md"), "The private port")
    assert {code for code in first_codes(page) if code.startswith("headgate_")} == names


def test_the_error_codes_are_those_documented() -> None:
    """Every code that an answer may carry, and no other."""
    files = [*(SOURCE / "gateway").glob("*.py"), SOURCE / "http.py"]
    makers = {"BadBody", "error_body", "refused", "try_again", "_refuse"}
    given = {code for file in files for code in first_texts(file, makers)}
    assert given == set(first_codes(section(text_of("docs/http-api.md"), "Errors")))


def test_every_reason_that_is_given_is_on_the_list() -> None:
    """Routing, mapping and delivery give no reason that nobody documents."""
    files = [*(SOURCE / "delivery").glob("*.py"), *(SOURCE / "destinations").rglob("*.py")]
    given = {code for file in files for code in first_texts(file, {"Discard"})}
    given |= {code for file in files for code in texts_behind(file, {"FAILED", "DISCARDED"})}
    assert given - REASONS.keys() == set()


def first_texts(file: Path, makers: set[str]) -> Iterator[str]:
    """The first text among the arguments of each call of one of `makers`, where it is written out."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name not in makers:
            continue
        texts = [
            one.value
            for one in node.args
            if isinstance(one, ast.Constant) and isinstance(one.value, str)
        ]
        yield from texts[:1]


def texts_behind(file: Path, names: set[str]) -> Iterator[str]:
    """The texts written out right behind one of `names`, in a tuple or in the arguments of a call."""
    for node in ast.walk(ast.parse(file.read_text())):
        items: Any = getattr(node, "elts", getattr(node, "args", []))
        for one, other in pairwise(items if isinstance(items, list) else []):
            if isinstance(one, ast.Name) and one.id in names and isinstance(other, ast.Constant):
                yield str(other.value)


def test_the_sandbox_is_documented() -> None:
    """Its routes, Heap's endpoints, and every word of its faults and scripted answers."""
    page = text_of("docs/sandbox.md")
    routes = control_app(Sandbox(Options(), SystemClock())).routes
    control = {
        (route.path.replace(":path", ""), method)
        for route in routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    documented = {
        (path, method)
        for row in rows_of(section(page, "What you can ask it"))
        for path in codes(row[0])
        for method in row[1].split(", ")
    }
    assert documented == control
    assert rules.ENDPOINTS.keys() <= set(first_codes(section(page, "What it plays")))
    words = {field for one in (faults.Rule, faults.Match, faults.Answer) for field in names_of(one)}
    listed = set(first_codes(section(page, "Faults")))
    assert listed == words - {"answer", "match"}
    scripted = section(page, "Answers that travel in the message")
    assert answers.WORDS.keys() <= set(first_codes(scripted))


def names_of(struct: type[msgspec.Struct]) -> Iterator[str]:
    return (field.encode_name for field in msgspec.structs.fields(struct))


@every_page
def test_samples_of_the_workspace_are_accepted(page: Path) -> None:
    """Every sample of headgate.yaml can be applied as it stands."""
    for fence in _FENCE.finditer(page.read_text()):
        if fence[1] == "yaml" and "sources:" in fence[2]:
            environment = dict.fromkeys(variables.names(fence[2]), "a-value")
            assert parse(fence[2], catalog=CATALOG_SETTINGS, environment=environment)["sources"]


def test_the_readme_shows_every_setting() -> None:
    """Its annotated sample holds every key there is, and what stands behind a `#` is accepted too."""
    *_, (_, sample) = _FENCE.findall(section(text_of("README.md"), "headgate.yaml"))
    text = re.sub(r"^( +)# (?=\w+: )", r"\1", sample, flags=re.MULTILINE)
    environment = dict.fromkeys(variables.names(text), "a-value")
    assert parse(text, catalog=CATALOG_SETTINGS, environment=environment)["sources"]
    keys = set(re.findall(r"(?:^[ -]*|\{)(\w+):", text, re.MULTILINE))
    known = {one.name for _, one in flat_settings((*table.WORKSPACE, *SETTINGS), "", deep=True)}
    assert known - keys == set()


def test_the_readme_shows_the_settings_of_heap_at_their_defaults() -> None:
    """Its annotated sample changes no setting by being copied."""
    *_, (_, sample) = _FENCE.findall(section(text_of("README.md"), "headgate.yaml"))
    [destination] = parse(sample, catalog=CATALOG_SETTINGS, environment={})["destinations"]
    given = destination["settings"]
    assert with_defaults(SETTINGS, given) == with_defaults(SETTINGS, {"appId": given["appId"]})


def test_the_examples_of_the_mapping_come_out_as_written() -> None:
    """Each row: traits or properties, and what Heap is sent by either mapping."""
    page = text_of("docs/mapping.md")
    checked = 0
    for call, field in (("identify", "traits"), ("track", "properties")):
        for row in rows_of(section(page, f"Examples: {field}")):
            given, *expected = (json.loads(cell.strip("`")) for cell in row[:3])
            message = {"type": call, "userId": "u1", "event": "E", field: given}
            assert [mapped(message, one) for one in (MAPPING_HEAP, MAPPING_CLASSIC)] == expected
            checked += 1
    assert checked > 10


def mapped(message: Mapping[str, Any], mapping: str) -> dict[str, Any]:
    settings = with_defaults(SETTINGS, {"appId": "1", "mapping": mapping})
    unit = map_message({"timestamp": "2026-11-23T00:00:00.000Z", **message}, settings)
    assert not isinstance(unit, Discard)
    return {key: value for key, value in unit.properties.items() if key != "segment_library"}


def test_the_functions_on_the_path_of_a_message_exist() -> None:
    """The README's five names can be imported."""
    rows = rows_of(section(text_of("README.md"), "A message in five functions"))
    names = [codes(row[0])[0] for row in rows]
    assert len(names) == 5
    for name in names:
        module, _, path = name.partition(":")
        found: Any = importlib.import_module(module)
        for step in path.split("."):
            found = getattr(found, step)
        assert callable(found), name


def test_the_file_map_is_complete() -> None:
    """Every folder and module of the package has its line in the README."""
    listed = set(first_codes(section(text_of("README.md"), "File map")))
    folders = {f"{one.parent.name}/" for one in SOURCE.glob("*/__init__.py")}
    modules = {one.name for one in SOURCE.glob("*.py")} - {"__init__.py"}
    assert (folders | modules) <= listed
    for name in listed:
        assert (SOURCE / name).exists() or (ROOT / name).exists(), name


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    """Relative links name files that exist, and anchors headings that exist there."""
    for target in _LINK.findall(prose_of(page)):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in {anchor_of(heading) for heading in _HEADING.findall(file.read_text())}


def anchor_of(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@every_page
def test_files_commands_and_targets_that_are_named_exist(page: Path) -> None:
    """`tests/…`, `src/…` and `docs/…`, `make …` and `headgate …`."""
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    known = {name.split(" ")[1] for name, _ in commands() if " " in name}
    for code in map(str.strip, code_of(page)):
        if re.fullmatch(r"(?:tests|src|docs|bench)/[\w./-]+", code):
            assert (ROOT / code).exists(), code
        if match := re.match(r"make ([a-z-]+)", code):
            assert match[1] in targets, code
        if match := re.match(r"(?:\.venv/bin/)?headgate ([a-z][a-z-]*)\b(?!:)", code):
            assert match[1] in known, code


@every_page
def test_no_words_that_do_not_belong(page: Path) -> None:
    """No paths of somebody's machine, no numbers of issues, nothing left to do."""
    unfit = r"/(?:home|root|Users|work|mnt)/|(?<![\w&/(])#\d+\b|\b(?:TODO|FIXME|TBD)\b"
    assert re.findall(unfit, page.read_text()) == []


def write() -> None:
    """Rewrites every generated part."""
    parts = made_by()
    for page in PAGES:
        old = page.read_text()
        new = _GENERATED.sub(lambda part: part[1] + parts[part[2]]() + part[4], old)
        if new != old:
            page.write_text(new)
            print(f"rewritten: {page.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/unit/test_docs.py --write")
    write()
