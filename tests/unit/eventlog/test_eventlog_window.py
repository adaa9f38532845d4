"""The dedupe window never forgets an id within its 24 hours, and forgets what is older in the end."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from headgate.eventlog import window as window_module
from headgate.eventlog.ids import IdRun, read_ids, write_ids
from headgate.eventlog.window import WINDOW_MS, IdWindow

HOUR_MS = 3600 * 1000
TOP = 2**64 - 1


def window_of(*hashes: int, first_seq: int = 1, now_ms: int = 0) -> IdWindow:
    window = IdWindow()
    window.add(hashes, first_seq, now_ms)
    return window


def loaded(*hashes: int, first_seq: int = 1, now_ms: int = 0) -> IdWindow:
    window = IdWindow()
    seqs = np.arange(first_seq, first_seq + len(hashes), dtype=np.int64)
    window.load(IdRun.of(np.array(hashes, dtype=np.uint64), seqs, now_ms))
    return window


def mapped(*hashes: int, first_seq: int = 1, now_ms: int = 0) -> IdWindow:
    seqs = np.arange(first_seq, first_seq + len(hashes), dtype=np.int64)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "1.ids"
        write_ids(path, IdRun.of(np.array(hashes, dtype=np.uint64), seqs, now_ms))
        run = read_ids(path)
    assert run is not None
    window = IdWindow()
    window.load(run)
    return window


@pytest.mark.parametrize("make", [window_of, loaded, mapped])
def test_what_was_seen_is_suspect(make: Any) -> None:
    """Both ends of the range of hashes included; nothing else is."""
    window = make(0, 7, TOP, first_seq=41)
    assert window.suspects([TOP, 8, 7, 0, 1, TOP - 1]) == {0, 7, TOP}
    assert [window.find(one) for one in (0, 7, TOP, 8)] == [[41], [42], [43], []]
    assert len(window) == 3


def test_an_empty_window_suspects_nobody() -> None:
    """Neither does one that was given nothing to load."""
    window = IdWindow()
    window.load(IdRun.of(np.array([], dtype=np.uint64), np.array([], dtype=np.int64), 0))
    assert window.suspects([1, 2]) == set()
    assert window.find(1) == []


def test_nothing_asked_is_nothing_suspected() -> None:
    """An empty group is no error."""
    assert loaded(1, 2).suspects([]) == set()


def test_two_messages_with_one_hash_are_both_found() -> None:
    """A hash is only a suspicion, so everybody who has it is named, oldest first."""
    window = loaded(7, 8, 7, first_seq=10)
    window.add([7], 20, 0)
    assert window.find(7) == [10, 12, 20]


def test_numbers_far_apart_are_kept() -> None:
    """A log that resumed far above a loss has numbers that no small offset holds."""
    window = window_of(1, first_seq=5)
    window.add([2], 3_000_000_000, 7 * HOUR_MS)
    assert [window.find(1), window.find(2)] == [[5], [3_000_000_000]]


def test_old_ids_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded by the window: what is long past goes when newer ids are folded."""
    monkeypatch.setattr(window_module, "_FOLD_AT", 4)
    window = window_of(*range(100))
    window.add([*range(100, 104)], 101, WINDOW_MS + 1)
    assert window.suspects(range(104)) == set(range(100, 104))
    assert len(window) == 4


def test_what_is_mapped_stays_in_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Merging it would read a whole file into memory; it is forgotten like the rest."""
    monkeypatch.setattr(window_module, "_FOLD_AT", 1)
    window = mapped(*range(10))
    for at in range(3):
        window.add([10 + at], 11 + at, 0)
    assert [(len(run), run.is_mapped) for run in window._runs] == [(10, True), (3, False)]
    window.add([13], 14, WINDOW_MS + 1)
    assert window.suspects(range(14)) == {13}


class NeverForgets(RuleBasedStateMachine):
    """A window against a dict of when each hash was seen last, and under which numbers."""

    hashes = Bundle("hashes")

    def __init__(self) -> None:
        super().__init__()
        self.window = IdWindow()
        self.now_ms = 10 * WINDOW_MS
        self.next_seq = 1
        self.seen: dict[int, list[tuple[int, int]]] = {}

    @rule(target=hashes, value=st.integers(0, TOP))
    def hash(self, value: int) -> int:
        """A hash to draw from again."""
        return value

    @rule(group=st.lists(hashes, max_size=12, unique=True))
    def add(self, group: list[int]) -> None:
        """A group was made durable."""
        self.window.add(group, self.next_seq, self.now_ms)
        for one in group:
            self.seen.setdefault(one, []).append((self.now_ms, self.next_seq))
            self.next_seq += 1

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        """Time passes."""
        self.now_ms += hours * HOUR_MS

    @invariant()
    def holds_what_is_young_and_nothing_that_never_was(self) -> None:
        """Every number of the last 24 h is found, unless a younger one has the same hash; none is invented."""
        suspects = self.window.suspects(list(self.seen))
        for one, seen in self.seen.items():
            found = self.window.find(one)
            newest_ms, newest_seq = seen[-1]
            assert set(found) <= {seq for _, seq in seen}
            assert (one in suspects) == bool(found)
            if newest_ms > self.now_ms - WINDOW_MS:
                assert newest_seq in found


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param({"_FOLD_AT": 5}, id="folds and merges often"),
        pytest.param({"_FOLD_AT": 5, "_MERGE_BELOW": 8}, id="many runs"),
        pytest.param({}, id="folds by age"),
    ],
)
def test_the_window_never_forgets(
    sizes: dict[str, int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whenever dicts are folded and runs merged, the answers stay those of a dict."""
    for name, value in sizes.items():
        monkeypatch.setattr(window_module, name, value)
    run_state_machine_as_test(
        NeverForgets, settings=settings(max_examples=20, stateful_step_count=30, deadline=None)
    )
