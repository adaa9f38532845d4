"""A document as a tree whose every node knows its line; made from YAML or from plain data.

Stands before validation (`check.py`) and knows YAML but no setting. It reads the subset of YAML that
cannot surprise: one document, no anchors, aliases or tags, no duplicate keys, numbers only in their
plain decimal form. Bounds: 4 MiB of text, 32 levels, 200,000 nodes.
"""

import math
import re
from typing import Any

import msgspec
import yaml

from headgate.workspace.errors import InvalidWorkspace, Problem

MAX_TEXT_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 200_000
MAX_INTEGER = 2**53 - 1  # what every JSON reader keeps exactly

Path = tuple[str | int, ...]

_LOADER: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is 30 times faster
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,15})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]{1,3})?")
_NOT_YAML = yaml.reader.Reader.NON_PRINTABLE
_TAGS_OF_TEXT = frozenset(
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "timestamp", "merge", "value")
)


class OddNumber(msgspec.Struct, frozen=True):
    """A number whose text says more than its value (octal, 1e3, 0x1F, 1_000, NaN, too large)."""

    text: str


class Node(msgspec.Struct, frozen=True):
    """A value and the line it starts on: the line of its key inside a mapping, `None` without text.

    `value` is text, int, float, bool, None, `OddNumber`, a list of nodes or a mapping to nodes.
    """

    value: Any
    line: int | None = None

    def line_at(self, path: Path) -> int | None:
        """The line of the node at this path or, when it is not there, of its nearest ancestor."""
        node = self
        for step in path:
            child = _child(node.value, step)
            if child is None:
                break
            node = child
        return node.line


def _child(value: Any, step: str | int) -> Node | None:
    if isinstance(value, dict):
        child = value.get(step)
        return child if isinstance(child, Node) else None
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        child = value[step]
        return child if isinstance(child, Node) else None
    return None


def path_text(path: Path) -> str:
    """A path as people write it: `sources[0].writeKeys`."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif re.fullmatch(r"[\w-]+", step):
            parts.append(f".{step}" if parts else step)
        else:
            parts.append(f"[{msgspec.json.encode(step).decode()}]")
    return "".join(parts)


def from_plain(value: Any, origin: str, depth: int = 0) -> Node:
    """Plain data, such as decoded JSON, as a tree without lines; raises `InvalidWorkspace`."""
    if depth > MAX_DEPTH:
        raise InvalidWorkspace([Problem(f"at most {MAX_DEPTH} levels", "a deeper one", "", origin)])
    if isinstance(value, dict):
        return Node({key: from_plain(item, origin, depth + 1) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return Node([from_plain(item, origin, depth + 1) for item in value])
    if isinstance(value, float) and not math.isfinite(value):
        return Node(OddNumber(str(value)))
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        return Node(OddNumber(str(value)))
    return Node(value)


def from_yaml(text: str, origin: str) -> tuple[Node, list[Problem]]:
    """YAML text as a tree, with the problems that do not hide others: keys given twice.

    Raises `InvalidWorkspace` for whatever ends the reading: text that is not YAML or outside the
    subset above.
    """
    _refuse_unreadable(text, origin)
    loader = _LOADER(text)
    builder = _TreeBuilder(loader, origin)
    try:
        return builder.document(), builder.problems
    except yaml.MarkedYAMLError as error:
        raise InvalidWorkspace([_syntax_problem(error, text, origin)]) from error
    finally:
        loader.dispose()


def _refuse_unreadable(text: str, origin: str) -> None:
    """Text that is too large, or holds characters that YAML does not allow, goes no further."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_TEXT_BYTES:
        expected = f"at most {MAX_TEXT_BYTES} bytes"
        raise InvalidWorkspace([Problem(expected, f"{size} bytes", "", origin)])
    odd = _NOT_YAML.search(text)
    if odd is None:
        return
    before = text[: odd.start()]
    line, column = before.count("\n") + 1, odd.start() - (before.rfind("\n") + 1) + 1
    found = f"the character U+{ord(odd[0]):04X}"
    raise InvalidWorkspace([Problem("printable text", found, "", origin, line, column)])


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, origin: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    found = "a mistake: " + ", ".join(part for part in (error.problem, error.context) if part)
    if mark is None:
        return Problem("YAML", found, "", origin)
    lines = text.splitlines()
    at_fault = lines[mark.line] if mark.line < len(lines) else ""
    hint = ""
    if "\t" in at_fault[: mark.column + 1]:
        hint = "indent with spaces, not tabs"
    elif "${" in at_fault:
        hint = 'write a variable between braces or brackets in quotes: "${NAME}"'
    return Problem("YAML", found, "", origin, mark.line + 1, mark.column + 1, hint)


class _TreeBuilder:
    """Reads the events of one document into nodes; the first thing outside the subset ends it."""

    def __init__(self, loader: Any, origin: str) -> None:
        self._loader = loader
        self._origin = origin
        self._nodes = 0
        self.problems: list[Problem] = []

    def document(self) -> Node:
        self._loader.get_event()  # the start of the stream
        if self._loader.check_event(yaml.StreamEndEvent):
            return Node(None, 1)
        self._loader.get_event()  # the start of the document
        root = self._node(self._loader.get_event(), ())
        self._loader.get_event()  # the end of the document
        after = self._loader.get_event()
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._refusal(after, (), "one document", "a second one")
        return root

    def _node(self, event: Any, path: Path, key_line: int | None = None) -> Node:
        self._nodes += 1
        self._refuse_outside_subset(event, path)
        line = key_line or event.start_mark.line + 1
        if isinstance(event, yaml.ScalarEvent):
            return Node(self._scalar(event), line)
        if isinstance(event, yaml.SequenceStartEvent):
            return Node(self._list(path), line)
        return Node(self._mapping(path), line)

    def _refuse_outside_subset(self, event: Any, path: Path) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise self._refusal(event, path, "a value", f"the alias *{event.anchor}")
        if event.anchor:
            raise self._refusal(event, path, "a value without an anchor", f"&{event.anchor}")
        if event.tag:
            raise self._refusal(event, path, "a value without a tag", f"the tag {event.tag}")
        if len(path) > MAX_DEPTH:
            found = "a deeper one"
            raise self._refusal(event, path[:3], f"at most {MAX_DEPTH} levels", found)
        if self._nodes > MAX_NODES:
            raise self._refusal(event, path, f"at most {MAX_NODES} values", "more")

    def _list(self, path: Path) -> list[Node]:
        items: list[Node] = []
        while not isinstance(event := self._loader.get_event(), yaml.SequenceEndEvent):
            items.append(self._node(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := self._loader.get_event(), yaml.MappingEndEvent):
            key = self._key(event, path)
            line = event.start_mark.line + 1
            if key in entries:
                found = f"it again (first on line {entries[key].line})"
                self.problems.append(self._problem(event, (*path, key), "each key once", found))
            entries[key] = self._node(self._loader.get_event(), (*path, key), line)
        return entries

    def _key(self, event: Any, path: Path) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._refusal(event, path, "a text as key", "something else")
        self._refuse_outside_subset(event, path)
        return str(event.value)

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        """The value that YAML gives to a scalar; numbers in an unusual form stay apart."""
        text = event.value
        tag = self._loader.resolve(yaml.ScalarNode, text, event.implicit)
        if tag in _TAGS_OF_TEXT:
            return text
        if tag.endswith(":null"):
            return None
        if tag.endswith(":bool"):
            return text.lower() in ("true", "yes", "on")
        if _INTEGER.fullmatch(text) and abs(int(text)) <= MAX_INTEGER:
            return int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return float(text)
        return OddNumber(text)

    def _problem(self, event: Any, path: Path, expected: str, found: str) -> Problem:
        mark = event.start_mark
        where = path_text(path)
        return Problem(expected, found, where, self._origin, mark.line + 1, mark.column + 1)

    def _refusal(self, event: Any, path: Path, expected: str, found: str) -> InvalidWorkspace:
        return InvalidWorkspace([self._problem(event, path, expected, found)])
