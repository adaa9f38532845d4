"""Which definitions history is asked for: those of the registry, and those that nobody saved yet."""

from collections.abc import Iterable, Mapping

from headgate.engage.computation.model import Computation
from headgate.engage.registry import Record, State
from headgate.language.checks import traits_of
from headgate.language.parser import parse
from headgate.spec.settings import duration_s


def computations_of(records: Iterable[Record]) -> dict[str, Computation]:
    """The computations that there are, by key."""
    return {one.key: _computation(one) for one in records if one.state is not State.REMOVED}


def history_of(said: bool | str) -> bool | int:
    """`includeHistory` as a computation has it: a span in milliseconds."""
    return said if isinstance(said, bool) else duration_s(said) * 1000


def read_by(wanted: Iterable[Computation], known: Mapping[str, Computation]) -> list[Computation]:
    """The computations that are wanted, and all that they read, directly or not."""
    found: dict[str, Computation] = {}
    waiting = list(wanted)
    while waiting:
        one = waiting.pop()
        if one.key not in found:
            found[one.key] = one
            waiting += [known[name] for name in traits_of(one.tree) & known.keys()]
    return list(found.values())


def _computation(record: Record) -> Computation:
    return Computation(
        number=record.number,
        key=record.key,
        kind="audience" if record.is_audience else "trait",
        tree=parse(record.definition),
        created_at_ms=record.created_at_ms,
        history=history_of(record.include_history),
        wait=record.wait,
        include_anonymous=record.include_anonymous,
    )
