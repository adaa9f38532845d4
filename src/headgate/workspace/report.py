"""The report: the problems of one document, up to 200, gathered before anything is refused.

Filled by `check.py` and `rules.py`, each problem placed on the line of the node it is about.
"""

import difflib
from collections.abc import Iterable
from itertools import islice

from headgate.workspace.errors import InvalidWorkspace, Problem
from headgate.workspace.tree import Node, Path, path_text

MAX_PROBLEMS = 200
_COMPARED_WORDS = 1000


class Report:
    """Problems of the document under `root`, which came from `origin`."""

    def __init__(self, root: Node, origin: str, problems: Iterable[Problem] = ()) -> None:
        self._root = root
        self._origin = origin
        self._problems = list(problems)

    def add(
        self, path: Path, *, expected: str, found: str, hint: str = "", at: Path | None = None
    ) -> None:
        """Record a problem with the value at `path`; `at`, when given, is the node whose line it has.

        The 200th problem raises at once: a document that wrong is told so without reading on.
        """
        line = self._root.line_at(path if at is None else at)
        where = path_text(path)
        self._problems.append(Problem(expected, found, where, self._origin, line, hint=hint))
        if len(self._problems) >= MAX_PROBLEMS:
            self.refuse_if_any()

    def refuse_if_any(self) -> None:
        """Raise `InvalidWorkspace` with everything recorded, in the order of lines."""
        if self._problems:
            raise InvalidWorkspace(sorted(self._problems, key=lambda one: one.line or 0))


def suggestion(wrong: str, allowed: Iterable[str]) -> str:
    """A hint naming the allowed word that is nearest to a wrong one; empty when none is near."""
    by_plain = {_plain(word): word for word in islice(allowed, _COMPARED_WORDS)}
    near = difflib.get_close_matches(_plain(wrong[:100]), by_plain, n=1)
    return f"did you mean {by_plain[near[0]]}?" if near else ""


def listing(words: Iterable[str]) -> str:
    """Words as a sentence lists them: `a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")
