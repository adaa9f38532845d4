"""A definition as SQL: the second opinion, and what previews are made of.

One query over the tables `event` and `profile` of a view of history, for everybody's value at one instant.
Nothing is shared with the incremental computation but the tree, how single values compare, and the bounds
of what is kept. Windows are those of `docs/query-language.md`: half-open, by the messages' own time.

    event condition → the events of its name within its window (a table of its own, with the properties
    that are asked for) → those that pass `where` → reduced, by profile
    within another's `where` → joined with the events they follow → reduced, by event
"""

from collections.abc import Mapping
from typing import Any, Protocol

from headgate.engage.computation.model import Computation
from headgate.engage.history.duck import quoted
from headgate.engage.history.reductions import kind_of, newest_session, nothing_of, reduced
from headgate.engage.history.scalars import (
    Value,
    at_path,
    compared,
    constant,
    date_tested,
    json_at_path,
    near_now,
    one_of,
    text_tested,
)
from headgate.language.paths import steps_of
from headgate.language.tree import (
    And,
    Between,
    Compared,
    Condition,
    Context,
    DateTested,
    Events,
    Exists,
    Literal_,
    NearNowTested,
    Not,
    OneOf,
    Or,
    Property,
    Reduced,
    Scalar,
    Session,
    TextTested,
    Trait,
    Within,
)


class Query:
    """The query of one computation at an instant.

    `computed`: by key, the tables with `profile` and `value` of the computations that it may read. Their
    values are JSON texts, `true` and `false` for audiences.
    """

    def __init__(self, computation: Computation, at_ms: int, computed: Mapping[str, str]) -> None:
        self.at_ms = at_ms
        self.computation = computation
        self._computed = computed
        self._tables: list[str] = []
        self._events: list[_OfEvent] = []
        self._n = 0
        everybody = _OfProfile(self)
        value = _whole(computation, everybody)
        known = ""
        if computation.kind == "audience" and not computation.include_anonymous:
            known = " AND p.profile IN (SELECT profile FROM known)"
        if computation.kind == "audience":
            value = Value(f"({value.sql}){known}", "truth")
        tables = [one.table() for one in self._events] + self._tables
        beginning = f"WITH {', '.join(tables)} " if tables else ""
        self.sql = (
            f"{beginning}SELECT p.profile AS profile, {value.json()} AS value"
            f" FROM profile p {everybody.joined()}"
        )

    def name(self, stem: str) -> str:
        """A name that nothing else has."""
        self._n += 1
        return f"{stem}{self._n}"

    def add(self, stem: str, sql: str) -> str:
        """Names a query, for others to read."""
        name = self.name(stem)
        self._tables.append(f"{name} AS ({sql})")
        return name

    def begin(self, events: "_OfEvent") -> None:
        """Has the events of a condition as a table, which all others may read."""
        self._events.append(events)

    def trait(self, name: str) -> tuple[str, bool]:
        """The table of a trait, and whether it is a computation."""
        if name in self._computed:
            return self._computed[name], True
        value = json_at_path("traits", [name])
        written = (
            f"SELECT profile, at_ms, received_at_ms, message_id, seq, {value} AS v FROM event"
            f" WHERE name = '' AND traits <> '{{}}' AND at_ms <= {self.at_ms}"
        )
        last = (
            "SELECT profile, nullif(arg_max(v, row(at_ms, received_at_ms, message_id, seq)), 'null')"
            f" AS value FROM ({written}) WHERE v IS NOT NULL GROUP BY profile"
        )
        return self.add("trait", last), False


class _Scope(Protocol):
    """Where a part of a definition stands. `wait_until`: an expression, when no more children can follow."""

    query: Query

    def trait(self, path: str) -> Value: ...

    def read(self, of: Property | Context) -> Value: ...

    def reduced(self, tree: Reduced) -> Value: ...


class _Joined:
    """What a scope's rows are joined with, each once."""

    def __init__(self, query: Query, alias: str) -> None:
        self.query = query
        self.alias = alias
        self._joins: list[str] = []
        self._traits: dict[str, tuple[str, bool]] = {}

    def joined(self) -> str:
        return " ".join(self._joins)

    def join(self, table: str, column: str, key: str) -> str:
        """Joins a table by one of its columns; the name it goes by."""
        alias = self.query.name("j")
        self._joins.append(f"LEFT JOIN {table} {alias} ON {alias}.{column} = {self.alias}.{key}")
        return alias

    def trait(self, path: str) -> Value:
        name, *deeper = steps_of(path)
        if name not in self._traits:
            table, is_computed = self.query.trait(name)
            self._traits[name] = self.join(table, "profile", "profile"), is_computed
        alias, is_computed = self._traits[name]
        if not deeper:
            return Value(f"{alias}.value", "json")
        return constant(None) if is_computed else Value(at_path(f"{alias}.value", deeper), "json")


class _OfProfile(_Joined):
    """Outside of every `where`: rows are profiles."""

    def __init__(self, query: Query) -> None:
        super().__init__(query, "p")

    def read(self, of: Property | Context) -> Value:
        raise ValueError("a property outside of an event's where")

    def reduced(self, tree: Reduced) -> Value:
        events = _OfEvent(self.query, tree.events, None)
        rows = events.rows(tree, f"{events.alias}.profile", f"{events.name} {events.alias}", [])
        if isinstance(tree.events.window, Session):
            found = f"SELECT * FROM {self.query.add('rows', rows)}"
            rows = newest_session(found, tree.events.window.gap_ms, self.query.at_ms)
        alias = self.join(self.query.add("reduced", reduced(tree, rows)), "owner", "profile")
        return _or_nothing(tree, alias)


class _OfEvent(_Joined):
    """Inside of a `where`: rows are the events it belongs to, which may follow those of a `parent`."""

    def __init__(self, query: Query, events: Events, parent: "_OfEvent | None") -> None:
        super().__init__(query, query.name("e"))
        self.name = query.name("events")
        self.parent = parent
        self._events = events
        self._columns: dict[str, str] = {}
        query.begin(self)

    def table(self) -> str:
        """The events that may count, whatever their `where` says, with the columns asked for."""
        columns = ["seq", "profile", "at_ms", "received_at_ms", "message_id"]
        columns += [f"{sql} AS {name}" for sql, name in self._columns.items()]
        kept = "MATERIALIZED" if self._columns or self.parent else "NOT MATERIALIZED"
        return (
            f"{self.name} AS {kept} (SELECT {', '.join(columns)} FROM event"
            f" WHERE {' AND '.join(self._bounds())})"
        )

    def read(self, of: Property | Context) -> Value:
        if isinstance(of, Property) and of.of_parent:
            assert self.parent, "a property of a parent without a parent"
            return self.parent.read(Property(of.path))
        sql = at_path("context" if isinstance(of, Context) else "properties", steps_of(of.path))
        column = self._columns.setdefault(sql, f"c{len(self._columns)}")
        return Value(f"{self.alias}.{column}", "json")

    def reduced(self, tree: Reduced) -> Value:
        """What follows each of these events comes to."""
        child = _OfEvent(self.query, tree.events, self)
        source = (
            f"{self.name} {self.alias} JOIN {child.name} {child.alias}"
            f" ON {child.alias}.profile = {self.alias}.profile"
        )
        after = f"{child.alias}.at_ms - {self.alias}.at_ms"
        rows = child.rows(tree, f"{self.alias}.seq", source, _follows(after, tree.events.window))
        return _or_nothing(
            tree, self.join(self.query.add("reduced", reduced(tree, rows)), "owner", "seq")
        )

    def rows(self, tree: Reduced, owner: str, source: str, bounds: list[str]) -> str:
        """The events that pass, with their owner and the value to be reduced."""
        where = self._events.where
        conditions = bounds + ([] if where is None else [condition(where, self)])
        value = self.read(tree.of).sql if tree.of is not None else "NULL::VARCHAR"
        place = ", ".join(
            f"{self.alias}.{name}" for name in ("at_ms", "received_at_ms", "message_id", "seq")
        )
        passing = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return (
            f"SELECT {owner} AS owner, {place}, {value} AS v FROM {source} {self.joined()}{passing}"
        )

    def _bounds(self) -> list[str]:
        at_ms, computation = self.query.at_ms, self.query.computation
        bounds = [f"name = {quoted(self._events.name)}", f"at_ms <= {at_ms}"]
        if self._events.not_from:
            bounds.append(f"source NOT IN ({', '.join(map(quoted, self._events.not_from))})")
        if computation.history is False:
            bounds.append(f"received_at_ms >= {computation.created_at_ms}")
        elif computation.history is not True:
            bounds.append(f"at_ms > {at_ms - computation.history}")
        match self._events.window:
            case Within(span_ms, of_parent=False):
                bounds.append(f"at_ms > {at_ms - span_ms}")
            case Between(from_ms, to_ms, of_parent=False):
                bounds.append(f"at_ms > {at_ms - to_ms} AND at_ms <= {at_ms - from_ms}")
        return bounds


def condition(tree: Condition, scope: Any, wanted: bool = True) -> str:
    """A condition as an expression that is true or false.

    `wanted`: the answer that lets the event around it count; a definition that waits does not give it while
    events that would change it can still follow.
    """
    if isinstance(tree, And | Or):
        joint = " AND " if isinstance(tree, And) else " OR "
        return f"({joint.join(condition(part, scope, wanted) for part in tree.parts)})"
    if isinstance(tree, Not):
        return f"(NOT {condition(tree.part, scope, not wanted)})"
    actual = _tested(tree, _scalar(tree.left, scope), scope)
    awaited_ms = _awaited_ms(tree.left, scope)
    if awaited_ms is None or not isinstance(tree.left, Reduced):
        return actual
    of_nothing = _tested(tree, nothing_of(tree.left), scope)
    still_open = f"{scope.query.at_ms} < {scope.alias}.at_ms + {awaited_ms}"
    return (
        f"(CASE WHEN {still_open} AND {of_nothing} = {_truth(wanted)}"
        f" THEN {_truth(not wanted)} ELSE {actual} END)"
    )


def _whole(computation: Computation, scope: _OfProfile) -> Value:
    tree = computation.tree
    if isinstance(tree, Scalar):
        return _scalar(tree, scope)
    return Value(condition(tree, scope), "truth")


def _tested(tree: Any, left: Value, scope: _Scope) -> str:
    match tree:
        case Compared(comparison=comparison, right=right):
            return compared(left, comparison, _scalar(right, scope))
        case TextTested(test=test, texts=texts):
            return text_tested(left, test, texts)
        case OneOf(values=among, negated=negated):
            return one_of(left, among, negated)
        case Exists(negated=negated):
            return f"(NOT {left.is_there()})" if negated else left.is_there()
        case DateTested(test=test, instant=instant):
            return date_tested(left, test, instant)
        case NearNowTested(test=test, span_ms=span_ms):
            return near_now(left, test, span_ms, scope.query.at_ms)
    raise TypeError(f"not a condition: {tree}")


def _scalar(tree: Scalar, scope: _Scope) -> Value:
    match tree:
        case Literal_(value):
            return constant(value)
        case Trait(path):
            return scope.trait(path)
        case Property() | Context():
            return scope.read(tree)
        case Reduced():
            return scope.reduced(tree)


def _follows(after: str, window: Any) -> list[str]:
    """Strictly behind the parent, and within what the window says."""
    match window:
        case Within(span_ms):
            return [f"{after} > 0", f"{after} <= {span_ms}"]
        case Between(from_ms, to_ms):
            return [f"{after} > 0", f"{after} >= {from_ms}", f"{after} < {to_ms}"]
    return [f"{after} > 0"]


def _awaited_ms(left: Scalar, scope: Any) -> int | None:
    """How long after its parent an event that is awaited may still come."""
    if not (
        scope.query.computation.wait and isinstance(scope, _OfEvent) and isinstance(left, Reduced)
    ):
        return None
    match left.events.window:
        case Within(span_ms):
            return span_ms
        case Between(to_ms=to_ms):
            return to_ms
    return None


def _or_nothing(tree: Reduced, alias: str) -> Value:
    return Value(f"coalesce({alias}.v, {nothing_of(tree).sql})", kind_of(tree))


def _truth(value: bool) -> str:
    return "true" if value else "false"
