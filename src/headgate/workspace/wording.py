"""How a refusal names what was found, and how to mend it. Secrets and long values are never shown."""

from headgate.spec.settings import Kind, Setting
from headgate.workspace import variables
from headgate.workspace.forms import is_digits
from headgate.workspace.report import suggestion
from headgate.workspace.tree import Node, OddNumber

_SHOWN_CHARS = 60


def type_of(node: Node) -> str:
    """What kind of value a node holds; numbers with their text."""
    match node.value:
        case None:
            return "nothing"
        case bool():
            return "true" if node.value else "false"
        case int() | float():
            return f"the number {node.value}"
        case OddNumber(text):
            return f"the number {cut(text)}"
        case str():
            return "text"
        case list():
            return "a list"
    return "a mapping"


def shown(setting: Setting, node: Node, expanded: str | None = None) -> str:
    """What was found, cut short; a secret and the value of a variable are never shown."""
    if setting.secret and not isinstance(node.value, list | dict):
        return "a value that is not shown, being secret"
    if not isinstance(node.value, str):
        return type_of(node)
    if expanded is not None and expanded != node.value:
        return f"a value of {len(expanded)} characters from {cut(node.value)}"
    return f"text '{cut(node.value)}'" if node.value.strip() else "a blank text"


def hint(setting: Setting, node: Node) -> str:
    """How to mend a scalar of the wrong type or form, where that can be told."""
    value = node.value
    if setting.kind in (Kind.FLAG, Kind.COUNT):
        if isinstance(value, OddNumber):
            return "write it in plain digits"
        if isinstance(value, str) and (value in ("true", "false") or is_digits(value)):
            return f"write it without quotes: {value}"
        return ""
    if isinstance(value, OddNumber):
        return f'write it in quotes: "{cut(value.text)}"'
    if isinstance(value, bool | int | float):
        return "write it in quotes"
    if setting.literal and isinstance(value, str) and variables.names(value):
        return "variables are not read here"
    if setting.kind is Kind.CHOICE and isinstance(value, str):
        return suggestion(value, setting.choices)
    if setting.kind is Kind.HOST and isinstance(value, str) and "/" in value:
        return "write the host alone, without https:// and without a path"
    return ""


def shape_hint(expected: str, node: Node) -> str:
    """How to turn what was found into the list that was expected, where that can be told."""
    if not expected.startswith("a list"):
        return ""
    if isinstance(node.value, str):
        return f"write it as [{cut(node.value)}]"
    if isinstance(node.value, dict):
        return "begin each item with a dash"
    return ""


def cut(text: str) -> str:
    """A text made safe for a terminal and at most 60 characters of it."""
    text = text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
