"""Windows as definitions write them: `within`, `between` and `expires_after`, each checked in its place."""

from lark import Token, Tree

from headgate.language.arguments import Arguments, fault_at
from headgate.language.durations import LONGEST_SESSION_MS, SHORTEST_SESSION_MS, duration_text
from headgate.language.tree import Between, Session, Window, Within


def window_of(text: str, call: Tree[Token], given: Arguments, *, nested: bool) -> Window:
    """The window that one call sets. `nested`: of an event inside a `where`. Raises DefinitionError."""
    name, brackets = call.children
    if given.name == "expires_after":
        if nested:
            hint = "an event inside a `where` has its window after its parent"
            raise fault_at(text, name, "`within(parent: …)`", hint)
        return _session(text, brackets, given)
    of_parent = given.is_named("parent")
    if of_parent and not nested:
        hint = "only an event inside a `where` has a parent"
        raise fault_at(text, brackets, f"`{given.name}` without `parent:`", hint)
    if nested and not of_parent:
        hint = "an event inside a `where` is one that came after its parent"
        raise fault_at(text, brackets, f"`parent:`, as in {given.name}(parent: …)", hint)
    if given.name == "within":
        return Within(given.span_ms(), of_parent)
    return Between(*given.span_ends_ms(), of_parent)


def _session(text: str, brackets: Tree[Token] | Token, given: Arguments) -> Session:
    gap_ms = given.span_ms()
    if not SHORTEST_SESSION_MS <= gap_ms <= LONGEST_SESSION_MS:
        shortest, longest = duration_text(SHORTEST_SESSION_MS), duration_text(LONGEST_SESSION_MS)
        raise fault_at(text, brackets, f"{shortest} to {longest}")
    return Session(gap_ms)
