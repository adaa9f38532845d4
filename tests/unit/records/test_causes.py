"""Causes of failures: one answer is one cause, in whatever words, and what happened to others tells them apart."""

from contextlib import closing
from pathlib import Path

import pytest

from data_dirs import NOW_MS, DataDir, destination
from headgate.delivery.facts import DELIVERED, FAILED, Facts
from headgate.delivery.reader import DeliveryReader
from headgate.records.causes import Cause, causes, letters_of, numbers_of


@pytest.fixture
def data_dir(tmp_path: Path) -> DataDir:
    """Six messages of two users."""
    made = DataDir(tmp_path)
    made.use(destinations=[destination()])
    made.accept("a", "b", "c", "d")
    made.append(made.say("track", "e", "bob"), made.say("track", "f", "bob"))
    return made


def fail(data_dir: DataDir, *seqs: int, detail: str, reason: str = "refused") -> None:
    """Dead letters, with the answer that they got last."""
    data_dir.give_up(*seqs, reason=reason)
    data_dir.settle("replayed", *seqs)
    data_dir.settle(FAILED, *seqs, reason=reason, detail=detail)


def told(data_dir: DataDir) -> list[Cause]:
    with closing(DeliveryReader(data_dir.path / "delivery" / "delivery.db")) as facts:
        return causes(facts, 1)


def test_answers_that_differ_by_an_id_or_a_number_are_one_cause(data_dir: DataDir) -> None:
    """The status is no such number."""
    fail(data_dir, 1, detail="answered 400: event 123456 of 1f0c6a52-0000-4000-8000-00000000000a")
    fail(data_dir, 2, detail="answered 400: event 77 of 9a0c6a52-0000-4000-8000-00000000000b")
    fail(data_dir, 3, detail="answered 400: event 987654 of 9a0c6a52-0000-4000-8000-00000000000b")
    fail(data_dir, 4, detail="answered 413: event 123456 of none")
    assert [(one.words, one.messages) for one in told(data_dir)] == [
        ("answered 400: event … of …", 2),
        ("answered 400: event 77 of …", 1),
        ("answered 413: event … of none", 1),
    ]


def test_one_answer_is_one_cause_for_whatever_reason_it_was_given_up(data_dir: DataDir) -> None:
    """A destination that refuses everything fails some messages at once, and the rest later."""
    fail(data_dir, 1, 5, detail="answered 400: no")
    fail(data_dir, 2, 3, 6, detail="answered 400: no", reason="destination_refusing")
    (cause,) = told(data_dir)
    assert (cause.messages, cause.users, cause.reason) == (5, 2, "destination_refusing")
    assert cause.is_refusal
    assert cause.is_everything


def test_what_was_delivered_meanwhile_tells_a_message_from_a_setting(data_dir: DataDir) -> None:
    """And it counts only in between."""
    fail(data_dir, 1, detail="answered 400: no")
    data_dir.clock.advance(60)
    data_dir.settle(DELIVERED, 2, 3)
    data_dir.clock.advance(60)
    fail(data_dir, 4, detail="answered 400: no")
    data_dir.clock.advance(60)
    data_dir.settle(DELIVERED, 5)
    (cause,) = told(data_dir)
    assert (cause.first_at_ms, cause.last_at_ms) == (NOW_MS + 50, NOW_MS + 120_050)
    assert cause.delivered_meanwhile == 2
    assert not cause.is_everything


def test_one_refused_message_alone_blames_no_setting(data_dir: DataDir) -> None:
    """Nor does what was not answered at all."""
    fail(data_dir, 1, detail="answered 400: no")
    fail(data_dir, 2, 3, detail="no answer within 10 s", reason="retry_window_over")
    assert [one.is_everything for one in told(data_dir)] == [False, False]


def test_a_letter_whose_facts_are_forgotten_goes_by_its_reason(data_dir: DataDir) -> None:
    """As happens when the log lets go of the message."""
    data_dir.settle(DELIVERED, 6)
    fail(data_dir, 1, 2, detail="answered 400: no")
    data_dir.settle(DELIVERED, 5)
    data_dir.forget_before(5)
    (cause,) = told(data_dir)
    assert (cause.words, cause.messages) == ("refused", 2)


def test_what_was_delivered_after_all_is_no_failure_any_more(data_dir: DataDir) -> None:
    """The others of its cause are."""
    fail(data_dir, 1, 2, 3, detail="answered 400: no")
    data_dir.record(Facts(recovered=[(1, 2)]))
    with closing(DeliveryReader(data_dir.path / "delivery" / "delivery.db")) as facts:
        assert numbers_of(facts, 1, "answered 400: no") == {1, 3}
        assert [one.seq for one in letters_of(facts, 1, "answered 400: no", None, 9)] == [3, 1]
        assert [one.seq for one in letters_of(facts, 1, "answered 400: no", 3, 9)] == [1]
        assert letters_of(facts, 1, "another cause", None, 9) == []


def test_a_cause_keeps_its_key_when_more_fail_for_it(data_dir: DataDir) -> None:
    """An address that was copied still opens it."""
    fail(data_dir, 1, detail="answered 400: no")
    (before,) = told(data_dir)
    fail(data_dir, 2, 3, detail="answered 400: no")
    (after,) = told(data_dir)
    assert before.key == after.key
