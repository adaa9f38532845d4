"""However segments are ended, sealed, erased from and opened again, the log holds what a plain list holds."""

from contextlib import closing
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from log_dirs import LogDir, damage, told

from factories import arrival
from headgate.eventlog.erasing import erase, segments_holding
from headgate.eventlog.interface import DUPLICATE
from headgate.eventlog.sealing import seal, unsealed

USERS = ("ann", "bob")


class HoldsWhatAListHolds(RuleBasedStateMachine):
    """A log directory against a list of (messageId, user or None when erased)."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self.directory = LogDir(self.folder / str(len(list(self.folder.iterdir()))))
        self.log = self.directory.open()
        self.messages: list[tuple[str, str | None]] = []

    @rule(names=st.lists(st.integers(0, 20), min_size=1), user=st.sampled_from(USERS))
    def append(self, names: list[int], user: str) -> None:
        """One request of a user; ids that are known, erased or not, are dropped."""
        ids = [f"m-{name}" for name in names]
        [answer] = self.log.append([arrival(*ids, user=user)])
        for message_id, seq in zip(ids, answer, strict=True):
            known = any(message_id == held for held, _ in self.messages)
            assert (seq == DUPLICATE) == known
            if not known:
                self.messages.append((message_id, user))

    @rule()
    def roll(self) -> None:
        """The open segment ends."""
        self.log.roll()

    @rule()
    def seal(self) -> None:
        """What is closed is sealed, beside the writer."""
        for first_seq in unsealed(self.directory.path, self.log.open_first_seq()):
            seal(self.directory.path, first_seq)

    @rule(user=st.sampled_from(USERS), share=st.integers(0, 4))
    def erase(self, user: str, share: int) -> None:
        """A user is forgotten up to some message."""
        self.log.roll()
        last_seq = len(self.messages) * share // 4
        for first_seq in segments_holding(self.directory.path, {user: last_seq}):
            assert erase(self.directory.path, first_seq, {user: last_seq}) > 0
        for at, (message_id, held) in enumerate(self.messages[:last_seq]):
            self.messages[at] = message_id, None if held == user else held

    @rule()
    def reopen(self) -> None:
        """A restart."""
        self.log.close()
        self.log = self.directory.open()

    @invariant()
    def holds_the_list(self) -> None:
        """In order, whole, and with nothing of whom it has forgotten."""
        read = [(msgspec.json.decode(raw), left.erased) for _, raw, left, _ in told(self.directory)]
        assert [(one["messageId"], one.get("userId")) for one, _ in read] == self.messages
        assert [erased for _, erased in read] == [user is None for _, user in self.messages]
        assert (damage(self.directory), self.log.lost()) == ([], [])

    def teardown(self) -> None:
        with closing(self.log):
            for at, (message_id, _) in enumerate(self.messages, 1):
                assert self.log.find("website", message_id) == [at]


def test_the_files_hold_what_a_list_holds(tmp_path: Path) -> None:
    """Any sequence of appending, ending, sealing, erasing and restarting."""
    HoldsWhatAListHolds.folder = tmp_path
    run_state_machine_as_test(
        HoldsWhatAListHolds,
        settings=settings(max_examples=12, stateful_step_count=12, deadline=None),
    )
