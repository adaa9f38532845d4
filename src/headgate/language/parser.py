"""Definitions read: text in, tree out. Where everything that is not of the language is refused."""

from headgate.language.errors import DefinitionError
from headgate.language.tree import Condition, Definition, Reduced


def parse(text: str) -> Definition:
    """The tree of a condition or a value. Raises DefinitionError, and nothing else whatever the text."""
    # Here and not above: they bring in the parser generator, and most processes never read a definition.
    from headgate.language.building import Builder
    from headgate.language.syntax import syntax_of

    return Builder(text).definition(syntax_of(text))


def parse_audience(text: str) -> Condition:
    """The tree of an audience's definition, a condition. Raises DefinitionError."""
    tree = parse(text)
    if isinstance(tree, Condition):
        return tree
    raise DefinitionError(
        text,
        0,
        expected="a condition, which is true or false of a user",
        found="a value",
        hint="compare it, such as event('Order Completed').count() >= 1 or trait('plan') = 'pro'",
    )


def parse_trait(text: str) -> Reduced:
    """The tree of a computed trait's definition, a value made of events. Raises DefinitionError."""
    tree = parse(text)
    if isinstance(tree, Reduced):
        return tree
    raise DefinitionError(
        text,
        0,
        expected="a value made of events, such as event('Order Completed').sum(property('total'))",
        found="a condition" if isinstance(tree, Condition) else "a value of another kind",
        hint="a condition defines an audience" if isinstance(tree, Condition) else "",
    )
