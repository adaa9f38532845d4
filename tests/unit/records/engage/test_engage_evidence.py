"""The messages that are said to count are those that do: as many as the engine counts, at every edge."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from hypothesis import given

from depth import search
from engage_oracle.breakpoints import around, breakpoints
from engage_oracle.definitions import definitions
from engage_oracle.histories import Arrival, histories, log_of
from engage_oracle.oracle import Asked
from headgate.engage.observed import Observed
from headgate.engage.profile import Profile
from headgate.engage.registry import AUDIENCE, TRAIT, Record, State
from headgate.language.printer import text_of
from headgate.language.tree import Definition, Reduced, Session
from headgate.records.engage.evidence import Witness, leaves_of, program_of, read_by


def record(number: int, key: str, asked: Asked) -> Record:
    """A computation as the store remembers it."""
    history = (
        asked.history if isinstance(asked.history, bool) else f"{asked.history // 1000} seconds"
    )
    return Record(
        number=number,
        key=key,
        name=key,
        kind=AUDIENCE if asked.kind == "audience" else TRAIT,
        definition=text_of(asked.tree),
        include_history=history,
        include_anonymous=True,
        wait=asked.wait,
        destinations=(),
        created_at_ms=asked.created_at_ms,
        state=State.LIVE,
    )


def counted(tree: Definition) -> Iterator[Reduced]:
    """The events that a definition counts, funnels included, sessions apart: these only traits have."""
    for leaf in leaves_of(tree):
        for one in read_by(leaf):
            if isinstance(one, Reduced) and not isinstance(one.events.window, Session):
                yield one


@search(25)
@given(histories(), definitions())
def test_as_many_messages_count_as_the_engine_counts(
    arrivals: Sequence[Arrival], asked: Mapping[str, Asked]
) -> None:
    """Put to the definition one by one they add up, whatever the window, the condition, the funnel."""
    log = log_of(arrivals)
    records = [record(number, key, one) for number, (key, one) in enumerate(asked.items(), 1)]
    for one in records:
        for reduced in set(counted(asked[one.key].tree)):
            _check(log, asked, one, reduced, records)


def _check(
    log: Sequence[Observed],
    asked: Mapping[str, Asked],
    one: Record,
    reduced: Reduced,
    records: list[Record],
) -> None:
    count = msgspec.structs.replace(reduced, reducer="count", of=None, read_as="", counted=False)
    number = msgspec.structs.replace(
        one, number=len(records) + 1, key="number", kind=TRAIT, definition=text_of(count)
    )
    everything = [*records, number]
    leaves: dict[str, int] = {}
    for text in (leaf.text for leaf in program_of(everything, {}).leaves.values()):
        leaves[text] = len(leaves) + 1
    program = program_of(everything, leaves)
    profile = Profile(1, 0)
    for message in log:
        program.take(profile, message)
    last_ms = max((message.received_at_ms for message in log), default=0)
    for at_ms in around(breakpoints(log, asked)):
        if at_ms >= last_ms:
            expected = program.evaluate(profile, [number.number], at_ms)[number.number]
            witness = Witness(one, [count], everything, leaves, at_ms)
            found = witness.counting(profile, count, log)
            assert len(found) == expected.value, (at_ms, text_of(count))
            until = [each.until_ms for each in found if each.until_ms is not None]
            if until and expected.until_ms is not None:
                assert min(until) >= expected.until_ms
