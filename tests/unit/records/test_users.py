"""How many messages of a user are held here."""

from pathlib import Path

import pytest

from data_dirs import DataDir, destination
from headgate.records.users import held_of


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """Three messages of ann and one of bob, each in a segment of its own."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination(), destination("second")])
    for n, user in enumerate(("ann", "bob", "ann", "ann"), 1):
        data_dir.append(data_dir.say("track", f"m-{n}", user), segment_messages=1)
    return data_dir


def held(data_dir: DataDir, user: str) -> int:
    with data_dir.opened() as opened:
        return held_of(opened, user)


def test_a_users_messages_are_counted_to_the_letter(stored: DataDir) -> None:
    """Nobody's are none."""
    assert [held(stored, user) for user in ("ann", "bob", "Ann", "nobody")] == [3, 1, 0, 0]


def test_a_message_counts_by_what_it_says_itself(stored: DataDir) -> None:
    """Its hash only hints at the user: what was erased or is another's does not count."""
    stored.accept_raw(b'{"type":"track","messageId":"m-5"}', "m-5", erased=True)
    stored.accept_raw(b'{"type":"track","messageId":"m-6","userId":"eve"}', "m-6")
    assert held(stored, "ann") == 3


def test_a_dead_letter_counts_that_the_log_has_let_go(stored: DataDir) -> None:
    """Once, for however many destinations it is kept; one that the log still holds counts there."""
    for to in (1, 2):
        stored.give_up(1, 3, to=to)
    stored.retire(3)
    assert held(stored, "ann") == 3


def test_nothing_is_held_before_anything_came(tmp_path: Path) -> None:
    """Neither log nor facts are there."""
    data_dir = DataDir(tmp_path)
    data_dir.use()
    assert held(data_dir, "ann") == 0
