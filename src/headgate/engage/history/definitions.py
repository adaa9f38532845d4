"""Which definitions history is asked for: those of the registry, and those that nobody saved yet."""

from collections.abc import Iterable, Mapping

from headgate.engage.computation.model import Computation
from headgate.engage.definitions import computation_of
from headgate.engage.registry import Record, State
from headgate.language.checks import traits_of


def computations_of(records: Iterable[Record]) -> dict[str, Computation]:
    """The computations that there are, by key."""
    return {one.key: computation_of(one) for one in records if one.state is not State.REMOVED}


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
