"""Verifying: `python -m headgate.engage.history.verify DATA_DIR` computes everything anew and compares.

Every live computation for everybody, from history alone, at the instant up to which Engage has come; held
against what the profiles' records say. Prints a `Difference` a line as JSON, then a `Verified`. Beside a
running server it sees one moment of its store.

Whoever is still to be evaluated at that moment, because the time for it has just come or a sweep is on its
way, is not compared, only counted.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from headgate.engage.computation.kept import storable
from headgate.engage.computation.model import Computation
from headgate.engage.computation.program import Program
from headgate.engage.history.definitions import computations_of, read_by
from headgate.engage.history.view import View, opened
from headgate.engage.planning import records_of
from headgate.engage.profile import Identifier, Profile
from headgate.engage.registry import State
from headgate.engage.sync import same

_PROFILES_AT_ONCE = 20_000

_decode = msgspec.json.decode
_encode = msgspec.json.encode


class Difference(msgspec.Struct, frozen=True, rename="camel"):
    """A computation whose value for somebody is not what history makes of it.

    `left_out`: how often something that the value depends on had no room in the profile's record; then the
    incremental value is the bounded one, and not wrong.
    """

    computation: str
    profile: int
    identifiers: list[Identifier]
    incremental: Any
    recomputed: Any
    left_out: int


class Verified(msgspec.Struct, frozen=True, rename="camel"):
    """How much was compared: computations, profiles; as of which message and instant.

    `waiting` profiles were still to be evaluated. `differences` are those with nothing left out, `bounded`
    those with something.
    """

    computations: int
    profiles: int
    waiting: int
    differences: int
    bounded: int
    seq: int
    at_ms: int


def verify(view: View) -> Iterator[Difference | Verified]:
    """Every difference, then what was compared."""
    records = records_of(view.store.computations())
    known = computations_of(records)
    live = [known[one.key] for one in records if one.state is State.LIVE]
    at_ms = view.position.clock_ms
    view.add_profiles(view.store.ids())
    tables = view.compute(read_by(live, known), at_ms)
    waiting = view.store.unsettled(at_ms)
    compared = _Compared(view, live, tables, known.values())
    profiles = 0
    everybody = (one for one in view.store.profiles() if one.id not in waiting)
    for some in _lists(everybody, _PROFILES_AT_ONCE):
        profiles += len(some)
        yield from compared.with_records(some)
    yield Verified(
        computations=len(live),
        profiles=profiles,
        waiting=len(waiting),
        differences=compared.differences,
        bounded=compared.bounded,
        seq=view.position.seq,
        at_ms=at_ms,
    )


def _lists(profiles: Iterator[Profile], n: int) -> Iterable[list[Profile]]:
    return iter(lambda: list(islice(profiles, n)), [])


class _Compared:
    """Compares, and counts what differs."""

    def __init__(
        self,
        view: View,
        live: Collection[Computation],
        tables: Mapping[str, str],
        known: Collection[Computation],
    ) -> None:
        self.differences = 0
        self.bounded = 0
        self._view = view
        self._live = live
        self._tables = tables
        self._program = Program(known, _leaf_numbers(view.store.leaves()))

    def with_records(self, profiles: Collection[Profile]) -> Iterator[Difference]:
        """What differs between these records, which follow each other, and what was computed."""
        ids = [one.id for one in profiles]
        for one in self._live:
            computed = self._values(one, min(ids), max(ids))
            is_audience = one.kind == "audience"
            for profile in profiles:
                incremental = profile.value(one.number, is_audience=is_audience)
                recomputed = computed.get(profile.id, False if is_audience else None)
                if not same(incremental, recomputed):
                    yield self._difference(one, profile, incremental, recomputed)

    def _values(self, one: Computation, first: int, last: int) -> dict[int, Any]:
        """By profile, without null and without those who are not in the audience, as the records have them."""
        worth = "value <> 'false'" if one.kind == "audience" else "value IS NOT NULL"
        rows = self._view.rows(
            f"SELECT profile, value FROM {self._tables[one.key]}"
            f" WHERE profile BETWEEN {first} AND {last} AND {worth}"
        )
        return {profile: storable(_decode(value)) for profile, value in rows}

    def _difference(
        self, one: Computation, profile: Profile, incremental: Any, recomputed: Any
    ) -> Difference:
        dropped = self._program.dropped(profile)
        left_out = sum(dropped.get(leaf, 0) for leaf in self._program.leaves_of[one.number])
        self.bounded += bool(left_out)
        self.differences += not left_out
        return Difference(
            computation=one.key,
            profile=profile.id,
            identifiers=profile.identifiers,
            incremental=incremental,
            recomputed=recomputed,
            left_out=left_out,
        )


def _leaf_numbers(known: Mapping[str, int]) -> Callable[[str], int]:
    """The numbers that the records use; a leaf that none has yet gets one that none uses."""
    numbers = dict(known)
    return lambda text: numbers.setdefault(text, -1 - len(numbers))


def main() -> None:
    """What commands start: DATA_DIR."""
    (data_dir,) = sys.argv[1:]
    with opened(Path(data_dir)) as view:
        for said in verify(view):
            sys.stdout.buffer.write(_encode(said) + b"\n")


if __name__ == "__main__":
    main()
