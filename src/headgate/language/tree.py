"""The tree of a definition: what the parser makes of its text and everything else reads.

A definition is a condition (an audience) or a scalar (a computed trait). Durations are milliseconds,
day = 24 h. Names are dotted paths (`address.city`); a dot of the name itself is written `\\.`.
"""

from typing import Literal

import msgspec

Json = str | int | float | bool | None

Comparison = Literal["=", "!=", ">", ">=", "<", "<="]
TextTest = Literal["contains", "omits", "starts_with", "ends_with"]
DateTest = Literal["before_date", "after_date"]
NearNow = Literal["within_last", "within_next", "before_last", "after_next"]
Reducer = Literal["count", "sum", "avg", "min", "max", "mode", "first", "last", "unique"]
ReadAs = Literal["", "string", "number", "array"]  # "": as the reducer usually reads


class Node(msgspec.Struct, frozen=True, tag=True):
    """Any part of a tree. Trees are values: equal when they mean the same, usable as keys."""


# Windows of an event condition


class Within(Node, frozen=True):
    """Events of the last `span_ms`. `of_parent`: those up to `span_ms` after the parent event."""

    span_ms: int
    of_parent: bool = False


class Between(Node, frozen=True):
    """Events at least `from_ms` and less than `to_ms` old; of a parent, that much after it."""

    from_ms: int
    to_ms: int
    of_parent: bool = False


class Session(Node, frozen=True):
    """Events of the newest chain without a gap over `gap_ms`, while it goes on."""

    gap_ms: int


Window = Within | Between | Session


# Scalars: what can be compared, and what a computed trait may be


class Literal_(Node, frozen=True, tag="Literal"):  # noqa: N801
    """A value written in the definition."""

    value: Json


class Property(Node, frozen=True):
    """A property of the event at hand, or of the event whose `where` it stands in (`of_parent`)."""

    path: str
    of_parent: bool = False


class Context(Node, frozen=True):
    """A field of the event's context."""

    path: str


class Trait(Node, frozen=True):
    """A trait of the profile: custom, computed, or an audience (true or false)."""

    path: str


class Events(Node, frozen=True):
    """The events of one name that pass `where`, lie in `window` and come from none of `not_from`."""

    name: str
    where: "Condition | None" = None
    window: Window | None = None
    not_from: tuple[str, ...] = ()  # slugs of sources


class Reduced(Node, frozen=True):
    """Events made into one value: their number, or something of one of their properties.

    `minimum` is how often `mode` wants to see a value. `counted`: `unique(…)` as the length of its list.
    """

    events: Events
    reducer: Reducer
    of: "Property | Context | None" = None
    read_as: ReadAs = ""
    minimum: int = 2
    counted: bool = False


Scalar = Literal_ | Property | Context | Trait | Reduced


# Conditions


class Compared(Node, frozen=True):
    """`left` against `right`; the right side is a literal, a property, a trait."""

    left: Scalar
    comparison: Comparison
    right: Scalar


class TextTested(Node, frozen=True):
    """A text that contains, starts or ends with one of `texts`; `omits`: contains none of them."""

    left: Scalar
    test: TextTest
    texts: tuple[str, ...]


class OneOf(Node, frozen=True):
    """A value that is one of `values`; `negated`: `none_of`."""

    left: Scalar
    values: tuple[Json, ...]
    negated: bool = False


class Exists(Node, frozen=True):
    """A value that is there and not null; `negated`: `absent`."""

    left: Scalar
    negated: bool = False


class DateTested(Node, frozen=True):
    """An ISO instant before or after another, both ends excluded."""

    left: Scalar
    test: DateTest
    instant: str  # as written, ISO 8601


class NearNowTested(Node, frozen=True):
    """An ISO instant against now, both ends included: within the last `span_ms`, and so on."""

    left: Scalar
    test: NearNow
    span_ms: int


class And(Node, frozen=True):
    """All of at least two."""

    parts: "tuple[Condition, ...]"


class Or(Node, frozen=True):
    """At least one of at least two."""

    parts: "tuple[Condition, ...]"


class Not(Node, frozen=True):
    """The opposite."""

    part: "Condition"


Condition = Compared | TextTested | OneOf | Exists | DateTested | NearNowTested | And | Or | Not
Definition = Condition | Scalar
