"""Dead letters as messages: opened, with the outcome that each has now. For selections and commands."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from headgate.delivery.facts import FAILED, DeadLetter
from headgate.delivery.letters import unsealed
from headgate.eventlog.block import BrokenBlock, Entry
from headgate.eventlog.log import BlockReader
from headgate.records.fit import Fit
from headgate.records.outcomes import UNRECORDED, Outcomes

_AT_ONCE = 1_000

_Place = tuple[int, int]  # destination and number
_Kind = tuple[str, str]  # outcome and reason


def opened(letter: DeadLetter, log: BlockReader | None = None) -> Entry | None:
    """The letter's message; out of the log when an older Headgate kept none, None when that fails too."""
    found = unsealed(letter.message)
    if found is not None:
        return Entry(letter.seq, found.raw, found.envelope, found.given_id)
    try:
        return log.entry(letter.seq) if log else None
    except (KeyError, BrokenBlock):
        return None


class LetterSearch:
    """Goes through dead letters. `bare` counts those whose message is not to be had any more."""

    def __init__(self, outcomes: Outcomes, first_held: int, log: BlockReader | None = None) -> None:
        self._outcomes = outcomes
        self._first_held = first_held
        self._log = log
        self.bare = 0

    def fits(
        self,
        letters: Iterable[DeadLetter],
        has_outcome: Callable[[str, str], bool],
        says: Callable[[Entry], bool] = lambda _: True,
    ) -> Iterator[list[Fit]]:
        """Some letters at a time, those that fit by their outcome and by what they say."""
        for some in _in_pieces(letters):
            yield list(self._fits_of(some, has_outcome, says))

    def _fits_of(
        self,
        letters: list[DeadLetter],
        has_outcome: Callable[[str, str], bool],
        says: Callable[[Entry], bool],
    ) -> Iterator[Fit]:
        kinds = self._kinds_of(letters)
        held = _Held()
        found: defaultdict[tuple[int, _Kind, bool], list[int]] = defaultdict(list)
        for letter in letters:
            kind = kinds[letter.destination, letter.seq]
            if not has_outcome(*kind):
                continue
            entry = held.keep(opened(letter, self._log))
            if entry is None:
                self.bare += 1
            elif says(entry):
                found[letter.destination, kind, letter.seq < self._first_held].append(letter.seq)
        for (destination, kind, is_past), seqs in found.items():
            yield Fit(destination, *kind, sorted(seqs), held, is_past)

    def _kinds_of(self, letters: list[DeadLetter]) -> dict[_Place, _Kind]:
        """The outcome of each; the facts of what the log has let go may be forgotten by now."""
        kinds: dict[_Place, _Kind] = {}
        for destination in {one.destination for one in letters}:
            mine = sorted(
                (one for one in letters if one.destination == destination), key=lambda one: one.seq
            )
            codes = self._outcomes.of(destination, np.array([one.seq for one in mine]))
            for letter, code in zip(mine, codes.tolist(), strict=True):
                kind = self._outcomes.kinds[code]
                unrecorded = kind in UNRECORDED
                kinds[destination, letter.seq] = (FAILED, letter.reason) if unrecorded else kind
        return kinds


class _Held:
    """Messages by number."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}

    def keep(self, entry: Entry | None) -> Entry | None:
        if entry is not None:
            self._entries[entry.seq] = entry
        return entry

    def entry(self, seq: int) -> Entry:
        return self._entries[seq]


def _in_pieces(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    piece: list[DeadLetter] = []
    for letter in letters:
        piece.append(letter)
        if len(piece) == _AT_ONCE:
            yield piece
            piece = []
    if piece:
        yield piece
