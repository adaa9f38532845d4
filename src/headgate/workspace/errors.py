"""What can go wrong in the workspace room: one tree, drawn here.

WorkspaceError
├── InvalidWorkspace    a file or document was refused: every problem, each with its place
└── StoreError
    ├── Conflict        somebody else committed first: read again, decide again
    ├── UnknownVersion  no such version
    ├── StoreBusy       another process held the store longer than the deadline: try again
    └── UnusableStore   missing, damaged or written by another Headgate: needs a person
"""

from collections.abc import Sequence

import msgspec

_SHOWN_PROBLEMS = 50


class Problem(msgspec.Struct, frozen=True):
    """One reason to refuse a workspace. `origin` is the file's name or another word for the source.

    `line` and `column` count from 1; `None` where the origin has no lines. `path` is the place
    inside the document, such as `sources[0].writeKeys`, empty when there is none.
    """

    expected: str
    found: str
    path: str
    origin: str
    line: int | None = None
    column: int | None = None
    hint: str = ""

    @property
    def place(self) -> str:
        """Where a person has to look: file, line, column."""
        return ":".join(str(part) for part in (self.origin, self.line, self.column) if part)

    def __str__(self) -> str:
        where = f"at {self.path} ({self.place})" if self.path else f"in {self.place}"
        sentence = f"expected {self.expected}, found {self.found}, {where}"
        return f"{sentence}; {self.hint}" if self.hint else sentence


class WorkspaceError(Exception):
    """Root of everything this room raises on purpose."""


class InvalidWorkspace(WorkspaceError):
    """A workspace was refused; `problems` holds every reason, its text the first fifty."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[:_SHOWN_PROBLEMS]]
        if len(self.problems) > _SHOWN_PROBLEMS:
            lines.append("and more; mend these first")
        return "\n".join(lines)


class StoreError(WorkspaceError):
    """The store could not do what it was asked; nothing was changed."""


class Conflict(StoreError):
    """The workspace has moved on since the caller read it; nothing was changed."""


class UnknownVersion(StoreError):
    """The store has no such version."""


class StoreBusy(StoreError):
    """Another process kept the store locked past the deadline; the same call may be made again."""


class UnusableStore(StoreError):
    """The store is missing, damaged or made by another Headgate; its text says what to do."""
