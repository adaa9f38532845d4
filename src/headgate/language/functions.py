"""The words of the language: which functions there are, and what those who mistype one are told."""

from typing import cast, get_args

from headgate.language.errors import close_to
from headgate.language.tree import Comparison, DateTest, NearNow, Reducer, TextTest

EXTRACTORS = ("event", "trait", "property", "context", "literal")
FILTERS = ("where", "sources", "within", "between", "expires_after")
REDUCERS = cast(tuple[Reducer, ...], get_args(Reducer))
COMPARISONS: dict[str, Comparison] = {
    "equals": "=",
    "differs": "!=",
    "greater_than": ">",
    "at_least": ">=",
    "less_than": "<",
    "at_most": "<=",
}
TEXT_TESTS = cast(tuple[TextTest, ...], get_args(TextTest))
DATE_TESTS = cast(tuple[DateTest, ...], get_args(DateTest))
NEAR_NOW = cast(tuple[NearNow, ...], get_args(NearNow))
SCALAR_FUNCTIONS = (
    *COMPARISONS,
    *TEXT_TESTS,
    "one_of",
    "none_of",
    "exists",
    "absent",
    *DATE_TESTS,
    *NEAR_NOW,
)
METHODS = (*FILTERS, *REDUCERS, *SCALAR_FUNCTIONS)

SIGNS: dict[str, Comparison] = {
    "=": "=",
    "==": "=",
    "!=": "!=",
    "<>": "!=",
    ">": ">",
    ">=": ">=",
    "<": "<",
    "<=": "<=",
}
_MEANT_SIGNS = {
    "=>": ">=",
    "=<": "<=",
    "===": "=",
    "!==": "!=",
    "&&": "AND",
    "&": "AND",
    "||": "OR",
    "|": "OR",
    "!": "NOT",
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
    "is": "=",
}
_MEANT_NAMES = {
    "performed": "event",
    "user": "trait",
    "traits": "trait",
    "properties": "property",
    "not_exists": "absent",
    "is_null": "absent",
    "is_set": "exists",
    "not_contains": "omits",
    "not_one_of": "none_of",
    "in": "one_of",
    "average": "avg",
    "total": "sum",
    "most_frequent": "mode",
    "source": "sources",
    "filter": "where",
    "last_days": "within",
    "gt": "greater_than",
    "gte": "at_least",
    "lt": "less_than",
    "lte": "at_most",
    "eq": "equals",
    "ne": "differs",
}


def hint_for_name(name: str, known: tuple[str, ...] = (*EXTRACTORS, *METHODS)) -> str:
    """What somebody who wrote `name` for a function may have meant, as a question; "" without an idea."""
    meant = _MEANT_NAMES.get(name.lower(), "")
    if meant not in known:
        meant = close_to(name, known)
    return f"did you mean `{meant}`?" if meant else ""


def hint_for_sign(sign: str) -> str:
    """The sign that was probably meant, as a question; "" without an idea."""
    meant = _MEANT_SIGNS.get(sign, "")
    return f"did you mean `{meant}`?" if meant else ""
