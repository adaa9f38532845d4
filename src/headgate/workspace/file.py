"""headgate.yaml: from text to a checked document, with every problem named by file and line."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from headgate.workspace.document import checked_tree
from headgate.workspace.errors import InvalidWorkspace, Problem
from headgate.workspace.model import Document
from headgate.workspace.report import Report
from headgate.workspace.table import Catalog
from headgate.workspace.tree import MAX_TEXT_BYTES, from_yaml


def read_text(path: Path) -> str:
    """The text of a workspace file, at most 4 MiB of UTF-8; raises `InvalidWorkspace`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TEXT_BYTES + 1)
    except OSError as error:
        found = f"{path} ({error.strerror})"
        raise InvalidWorkspace([Problem("a readable file", found, "", path.name)]) from error
    if len(content) > MAX_TEXT_BYTES:
        expected = f"at most {MAX_TEXT_BYTES} bytes"
        raise InvalidWorkspace([Problem(expected, "more", "", path.name)])
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{content[error.start]:02x}"
        raise InvalidWorkspace([Problem("UTF-8 text", found, "", path.name, line)]) from error


def digest(text: str) -> str:
    """What tells one content of a file from another; kept for the file that `serve` applied last."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def parse(
    text: str,
    *,
    catalog: Catalog,
    environment: Mapping[str, str],
    origin: str = "headgate.yaml",
) -> Document:
    """The canonical document of a headgate.yaml; raises `InvalidWorkspace` with every problem.

    Variables must be set and their values fit, yet the document keeps them as written. A file without
    any content is refused: more often it was cut off on its way than meant to remove everything.
    """
    if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
        hint = "to remove everything, write sources: []"
        raise InvalidWorkspace([Problem("a workspace", "an empty file", "", origin, hint=hint)])
    root, problems = from_yaml(text, origin)
    report = Report(root, origin, problems)
    return checked_tree(root, report=report, catalog=catalog, environment=environment)
