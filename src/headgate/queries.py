"""SQL lives in files beside the code that runs it: `queries.sql`, by name, and `schema.sql`."""

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


def load_queries(package: str) -> dict[str, str]:
    """The statements of a package's queries.sql by name; each starts at its `-- name:` line."""
    parts = _NAME.split(files(package).joinpath("queries.sql").read_text())
    return dict(zip(parts[1::2], map(str.strip, parts[2::2]), strict=True))


def load_schema(package: str) -> str:
    """A package's schema.sql."""
    return files(package).joinpath("schema.sql").read_text()
