"""The program: all computations together, as the engine runs them.

Messages go in with `take`, values come out of `evaluate`; between the two, a profile's record holds all there
is. A program is made anew when a computation is added, edited or removed.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from headgate.engage.computation.compiler import Compiler
from headgate.engage.computation.leaves.leaf import Leaf, States
from headgate.engage.computation.model import Computation, Explanation, Outcome
from headgate.engage.computation.moment import FOREVER, Evaluate, Finding, Moment, Part
from headgate.engage.computation.registry import Leaves
from headgate.engage.computation.traits import merge_traits, take_traits, trim_traits
from headgate.engage.observed import Observed
from headgate.engage.profile import Profile
from headgate.language.checks import order, traits_of

Numbers = frozenset[int]
Taker = tuple[Callable[[States, Observed], bool], Numbers]  # a leaf's `take`, whom it concerns

_NONE: Numbers = frozenset()


class Program:
    """Computations compiled. `leaf_number` gives the number of a leaf's text, always the same one.

    Raises `headgate.language.checks.Cycle` when computations read each other in a circle. `leaves` are all
    leaves by number, `leaves_of` the numbers of those that a computation depends on, through others too.
    `unknown` is what the computations come to for a profile that nothing is known about.
    """

    def __init__(
        self, computations: Iterable[Computation], leaf_number: Callable[[str], int]
    ) -> None:
        registry = Leaves(leaf_number)
        self._parts: dict[int, Part] = {}
        self._evaluates: dict[int, Evaluate] = {}
        self.leaves_of: dict[int, Numbers] = {}
        names_of: dict[int, frozenset[str]] = {}  # of the traits that a computation depends on
        by_key = {one.key: one for one in computations}
        read_as_traits = frozenset[str]().union(*(traits_of(one.tree) for one in by_key.values()))
        computed: dict[str, Evaluate] = {}
        for key in order({one.key: one.tree for one in by_key.values()}):
            one = by_key[key]
            compiler = Compiler(one, registry, computed)
            part = self._parts[one.number] = _among_the_known(one, compiler.compile())
            evaluate = part.evaluate
            if key in read_as_traits:
                evaluate = computed[key] = _found_once(one.number, evaluate)
            self._evaluates[one.number] = evaluate
            names = traits_of(one.tree)
            read = [by_key[name].number for name in names if name in by_key]
            own = frozenset(leaf.number for leaf in compiler.leaves)
            self.leaves_of[one.number] = own.union(*(self.leaves_of[other] for other in read))
            names_of[one.number] = frozenset(names).union(*(names_of[other] for other in read))
        self.leaves: Mapping[int, Leaf] = registry.by_number()
        self._concerned = _turned(self.leaves_of)
        self._by_trait = _turned(names_of)
        self._takers = self._takers_of(self.leaves)
        self._takers_among: dict[frozenset[int], dict[str, list[Taker]]] = {}
        self.unknown = self._values_of_nobody()

    def take(self, profile: Profile, observed: Observed) -> Numbers:
        """Adds a message to its profile; the numbers of the computations that it may change.

        Each message comes once, and none is evaluated before it arrived.
        """
        touched = _NONE
        for take, concerned in self._takers.get(observed.name, ()):
            if take(profile.leaves, observed):
                touched = touched | concerned if touched else concerned
        if observed.traits:
            for name in take_traits(profile, observed):
                touched |= self._by_trait.get(name, _NONE)
        return touched

    def take_only(self, profile: Profile, observed: Observed, leaves: frozenset[int]) -> Numbers:
        """Adds a message of the past to some leaves only: those that have not seen it."""
        if leaves not in self._takers_among:
            self._takers_among[leaves] = self._takers_of(leaves)
        touched = _NONE
        for take, concerned in self._takers_among[leaves].get(observed.name, ()):
            if take(profile.leaves, observed):
                touched |= concerned
        return touched

    def events_of(self, leaves: Collection[int]) -> frozenset[str]:
        """The names of the events that some leaves are made of: what there is to read again for them."""
        return frozenset(self.leaves[number].name for number in leaves)

    def evaluate(self, profile: Profile, numbers: Iterable[int], at_ms: int) -> dict[int, Outcome]:
        """What computations come to at an instant, and until when. The profile stays as it is.

        What they read of other computations is evaluated with them, never taken from `profile.values`.
        """
        now = Moment(profile, at_ms)
        evaluates, outcomes = self._evaluates, {}
        for number in numbers:
            value, until = evaluates[number](now, None, None)
            outcomes[number] = Outcome(value, until if until < FOREVER else None)
        return outcomes

    def merge(self, into: Profile, gone: Profile) -> None:
        """Gives a profile all events and traits of another one, whose record is used up."""
        merge_traits(into, gone)
        for number, state in gone.leaves.items():
            leaf = self.leaves.get(number)
            if leaf is None:
                continue
            own = into.leaves.get(number)
            into.leaves[number] = state if own is None else leaf.merge(own, state)

    def trim(self, profile: Profile, at_ms: int) -> None:
        """Drops what no computation can see any more, and the leaves that no computation has."""
        trim_traits(profile, at_ms)
        for number, state in list(profile.leaves.items()):
            leaf = self.leaves.get(number)
            rest = None if leaf is None else leaf.trim(state, at_ms)
            if rest is None:
                del profile.leaves[number]
            else:
                profile.leaves[number] = rest

    def dropped(self, profile: Profile) -> dict[int, int]:
        """How often something was left out of a leaf because a profile had too much of it, by leaf."""
        counted = {
            number: self.leaves[number].dropped(state)
            for number, state in profile.leaves.items()
            if number in self.leaves
        }
        return {number: n for number, n in counted.items() if n}

    def explain(self, profile: Profile, number: int, at_ms: int) -> Explanation:
        """A definition part by part, as it stands for a profile at an instant."""
        return _explained(self._parts[number], Moment(profile, at_ms))

    def _takers_of(self, leaves: Collection[int]) -> dict[str, list[Taker]]:
        takers: dict[str, list[Taker]] = defaultdict(list)
        for number in leaves:
            leaf = self.leaves[number]
            takers[leaf.name].append((leaf.take, self._concerned[number]))
        return dict(takers)

    def _values_of_nobody(self) -> dict[int, Any]:
        nobody = Profile(0, 0)
        return {
            number: outcome.value
            for number, outcome in self.evaluate(nobody, self._parts, 0).items()
        }


def _turned(sets: Mapping[int, Collection[Any]]) -> dict[Any, Numbers]:
    """By what stands in the sets, the numbers whose sets it stands in."""
    turned: dict[Any, set[int]] = defaultdict(set)
    for number, members in sets.items():
        for member in members:
            turned[member].add(number)
    return {member: frozenset(numbers) for member, numbers in turned.items()}


def _among_the_known(one: Computation, part: Part) -> Part:
    """The computation's definition; of an audience that wants nobody anonymous, for people who are not."""
    if one.include_anonymous or one.kind != "audience":
        return part
    evaluate = part.evaluate

    def known(now: Moment, event: Any, parent: Any) -> Finding:
        return evaluate(now, event, parent) if now.is_known else (False, FOREVER)

    return part._replace(evaluate=known)


def _found_once(number: int, evaluate: Evaluate) -> Evaluate:
    """A computation that others read: evaluated once in a moment."""

    def found_once(now: Moment, _event: Any, _parent: Any) -> Finding:
        finding = now.found.get(number)
        if finding is None:
            finding = now.found[number] = evaluate(now, None, None)
        return finding

    return found_once


def _explained(part: Part, now: Moment) -> Explanation:
    value, until = part.evaluate(now, None, None)
    return Explanation(
        text=part.text,
        value=value,
        until_ms=until if until < FOREVER else None,
        compared=part.left(now, None, None)[0] if part.left else None,
        parts=tuple(_explained(one, now) for one in part.parts),
    )
