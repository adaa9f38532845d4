"""Whose messages must not go, why, and when what waits is asked about again."""

import pytest

from headgate.clock import ManualClock
from headgate.delivery.withheld import Withheld
from headgate.workspace.errors import StoreBusy
from headgate.workspace.memory_privacy import MemoryPrivacyStore
from headgate.workspace.privacy import Deletion, cutoffs_of


@pytest.fixture
def privacy() -> MemoryPrivacyStore:
    """A store in which nobody is suppressed or deleted."""
    return MemoryPrivacyStore(ManualClock())


@pytest.mark.parametrize(
    ("user_id", "seq", "reason"),
    [
        pytest.param("ann", 1, "suppressed", id="suppressed"),
        pytest.param("Ann", 1, "", id="another user"),
        pytest.param("", 1, "", id="an anonymous message"),
        pytest.param("cid", 7, "erased", id="deleted, the last message"),
        pytest.param("cid", 8, "", id="what a deleted user sends later"),
        pytest.param("bob", 7, "erased", id="suppressed and deleted"),
        pytest.param("bob", 8, "suppressed", id="suppressed and deleted, later"),
        pytest.param("dan", 1, "", id="deleted, and not taken up yet"),
    ],
)
def test_a_message_is_withheld_for_one_reason(
    privacy: MemoryPrivacyStore, user_id: str, seq: int, reason: str
) -> None:
    """By its user and its number."""
    privacy.suppress("ann", actor="root")
    privacy.delete("bob", actor="root", suppress=True)
    privacy.delete("cid", actor="root")
    privacy.take_up(7)
    privacy.delete("dan", actor="root")
    withheld = Withheld(privacy)
    assert withheld.reason(user_id, seq) == ""
    withheld.read()
    assert withheld.reason(user_id, seq) == reason


def test_what_waits_is_asked_about_again_when_more_is_forbidden(
    privacy: MemoryPrivacyStore,
) -> None:
    """And when the log has changed; never for nothing, nor when less is forbidden."""
    withheld = Withheld(privacy)
    assert not withheld.read()
    privacy.suppress("ann", actor="root")
    assert withheld.read()
    assert not withheld.read()
    privacy.unsuppress("ann", actor="root")
    assert not withheld.read()
    privacy.delete("bob", actor="root")
    assert not withheld.read()
    privacy.take_up(7)
    assert withheld.read()
    privacy.facts_erased([1], [])
    assert not withheld.read()
    assert withheld.deletions == privacy.open_deletions()
    privacy.log_erased([1])
    assert withheld.read()
    assert withheld.reason("bob", 7) == ""


@pytest.mark.parametrize("asked", ["open_deletions", "suppression_change", "suppressed"])
def test_a_store_that_cannot_be_read_changes_nothing(
    privacy: MemoryPrivacyStore, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Who was withheld stays so, and nobody else is."""

    def busy() -> None:
        raise StoreBusy("try again")

    withheld = Withheld(privacy)
    privacy.suppress("ann", actor="root")
    withheld.read()
    privacy.delete("bob", actor="root", suppress=True)
    privacy.take_up(7)
    with monkeypatch.context() as broken:
        broken.setattr(privacy, asked, busy)
        with pytest.raises(StoreBusy):
            withheld.read()
    assert (withheld.reason("ann", 1), withheld.reason("bob", 1)) == ("suppressed", "")
    assert withheld.read()
    assert withheld.reason("bob", 1) == "erased"


def test_deletions_count_once_they_were_taken_up() -> None:
    """Of several for one user the one that reaches furthest."""
    deletions = [
        Deletion(1, "ann", 0, "root", cutoff_seq=9),
        Deletion(2, "ann", 0, "root", cutoff_seq=4),
        Deletion(3, "ann", 0, "root"),
        Deletion(4, "bob", 0, "root"),
        Deletion(5, "cid", 0, "root", cutoff_seq=0),
    ]
    assert cutoffs_of(deletions) == {"ann": 9, "cid": 0}
