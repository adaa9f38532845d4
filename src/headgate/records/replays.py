"""Replays as people ask for them and follow them: requests in `DIR/replays/`, progress in the facts.

A request is written here, durably, and taken up by the worker, which records the replay and removes the
file. So it survives whatever happens in between, and waits when no server runs.
"""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np

from headgate.delivery.facts import REPLAYED
from headgate.delivery.positions import count
from headgate.delivery.reader import DeliveryReader
from headgate.delivery.replays import ReplayRequest, decode, encode
from headgate.delivery.requested import SUFFIX
from headgate.eventlog.segments import sync_directory
from headgate.records.outcomes import PENDING, UNRECORDED, Outcomes
from headgate.records.stored import Stored
from headgate.spec.timestamps import MAX_MS, iso_ms


class Became(msgspec.Struct, frozen=True):
    """How many messages of a replay have an outcome now; `reason` is "" for delivered and pending ones."""

    outcome: str
    reason: str
    messages: int


class Progress(msgspec.Struct, frozen=True, rename="camel"):
    """How far a replay has come at one destination; `state` is waiting, open or ended.

    One that waits has not been taken up by a server yet; what it holds may shrink until then. `outcomes`
    are those that its messages have now, as far as they are on record still, the most frequent first.
    """

    name: str
    destination: str
    state: str
    asked_at: str
    criteria: str
    total: int
    settled: int
    ended_at: str | None = None
    outcomes: list[Became] = []


def new_name(now_ms: int, chance: str) -> str:
    """A name in the order of time; `chance` keeps two of the same millisecond apart."""
    digits = "".join(one for one in iso_ms(now_ms) if one.isdigit())
    return f"{digits[:8]}-{digits[8:]}-{chance}"


def ask(data_dir: Path, request: ReplayRequest) -> Path:
    """Puts the request where the worker finds it; it is on disk, whole, when this returns."""
    directory = data_dir / "replays"
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / f"{request.name}{SUFFIX}"
    growing = path.with_suffix(".part")
    descriptor = os.open(growing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(encode(request))
        file.flush()
        os.fsync(file.fileno())
    growing.replace(path)
    sync_directory(directory)
    sync_directory(data_dir)
    return path


def progress(
    stored: Stored, facts: DeliveryReader | None, *, name: str = "", with_outcomes: bool = False
) -> list[Progress]:
    """Every replay, or the one named, newest first; what is recorded counts, also beside its request.

    `outcomes` stay empty unless they are asked for: they take as long as the replay is large.
    """
    slugs = {stay.id: stay.slug for stay in stored.history}
    recorded = _recorded(facts, slugs, name, with_outcomes=with_outcomes) if facts else []
    known = {one.name for one in recorded}
    asked = (
        one
        for one in _requests(stored.data_dir)
        if one.name not in known and name in ("", one.name)
    )
    return [one for request in asked for one in _unstarted(request, slugs)] + recorded


def _recorded(
    facts: DeliveryReader, slugs: dict[int, str], name: str, *, with_outcomes: bool
) -> list[Progress]:
    return [
        Progress(
            name=one.name,
            destination=slugs.get(one.destination, f"#{one.destination}"),
            state="open" if one.ended_at_ms is None else "ended",
            asked_at=iso_ms(one.asked_at_ms),
            criteria=one.criteria,
            total=one.total,
            settled=one.settled,
            ended_at=None if one.ended_at_ms is None else iso_ms(one.ended_at_ms),
            outcomes=_outcomes(facts, one.destination, one.name) if with_outcomes else [],
        )
        for one in facts.replays()
        if name in ("", one.name)
    ]


def _outcomes(facts: DeliveryReader, destination: int, name: str) -> list[Became]:
    """What became of the messages that the replay took up."""
    taken_up = facts.settled_for(destination, REPLAYED, "", 0, MAX_MS)
    runs = chain.from_iterable(some for _, detail, some in taken_up if detail == name)
    pieces = [np.arange(run.start, run.stop) for run in runs]
    outcomes = Outcomes(facts)
    codes = outcomes.of(destination, np.sort(np.concatenate([np.arange(0), *pieces])))
    found = [
        Became(outcome, "" if outcome == PENDING else reason, n)
        for (outcome, reason), n in zip(
            outcomes.kinds, np.bincount(codes, minlength=len(outcomes.kinds)).tolist(), strict=True
        )
        if n and (outcome, reason) not in UNRECORDED
    ]
    return sorted(found, key=lambda one: -one.messages)


def _unstarted(request: ReplayRequest, slugs: dict[int, str]) -> Iterator[Progress]:
    for destination, wanted in request.destinations.items():
        yield Progress(
            name=request.name,
            destination=slugs.get(destination, f"#{destination}"),
            state="waiting",
            asked_at=iso_ms(request.asked_at_ms),
            criteria=request.criteria,
            total=count(wanted.events) + sum(map(count, wanted.writes.values())),
            settled=0,
        )


def _requests(data_dir: Path) -> Iterator[ReplayRequest]:
    for path in sorted((data_dir / "replays").glob(f"*{SUFFIX}"), reverse=True):
        try:
            yield decode(path.read_bytes())
        except (FileNotFoundError, msgspec.MsgspecError):  # taken up meanwhile; or none of ours
            continue
