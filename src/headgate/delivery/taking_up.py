"""Taking up a replay: which of the messages asked for have an outcome now. Between the store and the couriers."""

from collections.abc import Iterator

import numpy as np

from headgate.delivery.facts import REPLAYED, Facts, Replay, Settled
from headgate.delivery.fold import Seqs
from headgate.delivery.reader import DeliveryReader, Retry
from headgate.delivery.replays import Replays, Taken, packed, unpacked

_AT_ONCE = 50_000


def settled_now(reader: DeliveryReader, destination: int, seqs: Seqs) -> Seqs:
    """Those of the numbers, which ascend, whose messages have an outcome.

    Of messages that the log let go of, outcomes are forgotten, too; but a dead letter is one.
    """

    def is_settled(seq: int) -> bool:
        return bool(reader.dead_letter_message(destination, seq))

    found = [seqs[:0]]
    for kind, some in _groups(reader, destination, seqs):
        if kind is None:
            some = np.array([seq for seq in some.tolist() if is_settled(seq)], np.int64)
        if kind is None or kind[0] != REPLAYED:
            found.append(some)
    return np.sort(np.concatenate(found))


def replayed_now(reader: DeliveryReader, destination: int, seqs: Seqs) -> Seqs:
    """Those of the numbers, which ascend, whose messages wait to be sent again."""
    groups = _groups(reader, destination, seqs)
    found = [some for kind, some in groups if kind is not None and kind[0] == REPLAYED]
    return np.sort(np.concatenate([seqs[:0], *found]))


def begun(replay: Replay, messages: Taken, now_ms: int) -> Facts:
    """What makes the messages pending again."""
    seqs = messages.seqs
    return Facts(
        replays=[replay],
        settled=[
            Settled(replay.destination, REPLAYED, "", replay.name, now_ms, some.tolist())
            for some in _stretches(seqs)
        ],
    )


def replay_of(
    name: str, destination: int, asked_at_ms: int, criteria: str, messages: Taken
) -> Replay:
    """The replay as it is recorded."""
    return Replay(name, destination, asked_at_ms, criteria, len(messages), packed(messages))


def reopened(
    reader: DeliveryReader, destination: int, replays: list[Replay]
) -> tuple[Replays, dict[int, Retry]]:
    """What an earlier process left of the destination's replays, oldest first, and how far it had tried.

    A message that two of them hold was settled by the older one before the newer one took it.
    """
    left: list[tuple[str, Taken]] = []
    retries: dict[int, Retry] = {}
    newer = np.empty(0, np.int64)
    for replay in reversed(replays):
        messages = unpacked(replay.messages)
        waiting = replayed_now(reader, destination, np.setdiff1d(messages.seqs, newer))
        newer = np.union1d(newer, waiting)
        left.insert(0, (replay.name, messages.only(waiting)))
        retries |= _retries(reader, replay, waiting)
    found = Replays(destination)
    for name, some in left:
        found.open(name, some)
    return found, retries


def _retries(reader: DeliveryReader, replay: Replay, waiting: Seqs) -> dict[int, Retry]:
    """The retry state since the replay was asked for; what was tried before it counts no more."""
    if not len(waiting):
        return {}
    found = reader.retries_above(replay.destination, int(waiting[0]) - 1)
    held = np.isin(np.array(list(found), np.int64), waiting)
    return {
        seq: retry
        for (seq, retry), is_held in zip(found.items(), held.tolist(), strict=True)
        if is_held and retry.first_attempt_ms >= replay.asked_at_ms
    }


def _groups(
    reader: DeliveryReader, destination: int, seqs: Seqs
) -> Iterator[tuple[tuple[str, str] | None, Seqs]]:
    for some in _stretches(seqs):
        yield from reader.folded(destination, some).groups()


def _stretches(seqs: Seqs) -> Iterator[Seqs]:
    """Pieces in which the numbers are looked at, so that little has to be in memory."""
    for at in range(0, len(seqs), _AT_ONCE):
        yield seqs[at : at + _AT_ONCE]
