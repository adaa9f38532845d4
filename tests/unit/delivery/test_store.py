"""The delivery store: what goes in comes out, after a restart too, by plans that stay fast."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headgate.delivery.facts import (
    DELIVERED,
    DISCARDED,
    FAILED,
    Attempt,
    DeadLetter,
    Facts,
    Settled,
    Spent,
    Waiting,
)
from headgate.delivery.store import DeliveryReader, DeliveryStore, Retry
from headgate.queries import load_queries

SQL = load_queries("headgate.delivery")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeliveryStore]:
    """An empty store."""
    made = DeliveryStore(tmp_path / "delivery" / "delivery.db")
    yield made
    made.close()


def attempt(number: int = 1, *seqs: int, **fields: Any) -> Attempt:
    """A request that was answered 503."""
    usual: dict[str, Any] = {
        "id": number,
        "destination": 1,
        "started_at_ms": 1_000,
        "ended_at_ms": 1_250,
        "url": "https://heap/api/track",
        "status": 503,
        "error": "",
        "answer": b"busy",
        "request": b'{"events":[]}' * 1_000,
        "seqs": list(seqs) or [1],
    }
    return Attempt(**(usual | fields))


def settled(*seqs: int, **fields: Any) -> Settled:
    """An outcome of some messages."""
    usual: dict[str, Any] = {
        "destination": 1,
        "outcome": DELIVERED,
        "reason": "",
        "detail": "",
        "at_ms": 2_000,
    }
    return Settled(**(usual | fields), seqs=list(seqs))


def spent(number: int, ended_at_ms: int, **rows: int) -> Spent:
    """What an attempt took out of a budget."""
    return Spent(number, "app", ended_at_ms, rows)


def test_facts_come_out_as_they_went_in(store: DeliveryStore) -> None:
    """Attempts with request and answer, outcomes, retry state, cursor."""
    store.record(
        Facts(
            attempts=[attempt(7, 1, 2, 5)],
            settled=[settled(1, 5, attempt_id=7), settled(2, outcome=FAILED, reason="refused")],
            waiting=[Waiting(1, 2, 900, 5_000, [9, 11])],
            cursors={1: 2},
        )
    )
    assert store.cursors() == {1: 2}
    assert [tuple(one) for one in store.outcomes_of(1, 5)] == [(DELIVERED, "", "", 2_000, 7)]
    assert store.outcomes_of(1, 3) == store.outcomes_of(2, 5) == []
    (traced,) = store.attempts_of(1, 2)
    assert (traced.status, traced.answer, traced.request) == (
        503,
        b"busy",
        b'{"events":[]}' * 1_000,
    )
    assert store.retry_of(1, 11) == Retry(2, 900, 5_000)
    assert store.retry_of(1, 10) is None
    assert store.last_attempt_id() == 7


def test_after_a_restart_everything_is_still_there(tmp_path: Path) -> None:
    """What `record` returned from is on disk."""
    path = tmp_path / "delivery.db"
    first = DeliveryStore(path)
    first.record(Facts(settled=[settled(3, 4)], cursors={1: 2}))
    first.close()
    for opened in (DeliveryStore(path), DeliveryReader(path)):
        assert opened.cursors() == {1: 2}
        assert list(opened.settled_above(1, 2)) == [range(3, 5)]
        opened.close()


def test_facts_are_recorded_whole_or_not_at_all(store: DeliveryStore) -> None:
    """One impossible row takes its whole group with it, and the store goes on."""
    odd = settled(2, outcome="lost")
    with pytest.raises(sqlite3.IntegrityError):
        store.record(Facts(settled=[settled(1), odd], cursors={1: 9}))
    assert store.cursors() == {}
    assert store.outcomes_of(1, 1) == []
    store.record(Facts(settled=[settled(1)], cursors={1: 1}))
    assert store.cursors() == {1: 1}


def test_what_is_settled_above_the_cursor_is_found(store: DeliveryStore) -> None:
    """Facts wholly below it are not read; the destination's own only."""
    store.record(Facts(settled=[settled(1, 2), settled(4, 5, 6, 9), settled(8, destination=2)]))
    assert list(store.settled_above(1, 2)) == [range(4, 7), range(9, 10)]
    assert list(store.settled_above(1, 9)) == []


def test_the_newest_retry_state_holds(store: DeliveryStore) -> None:
    """And what the cursor has passed is forgotten."""
    store.record(Facts(waiting=[Waiting(1, 1, 100, 1_000, [3, 4, 5])]))
    store.record(Facts(waiting=[Waiting(1, 2, 100, 2_000, [4])], cursors={1: 3}))
    assert store.retries_above(1, 3) == {4: Retry(2, 100, 2_000), 5: Retry(1, 100, 1_000)}
    store.record(Facts(cursors={1: 5}))
    assert store.retry_of(1, 4) is None


def test_an_attempts_spending_is_replaced_when_it_has_ended(store: DeliveryStore) -> None:
    """Recorded when it starts, so that a kill forgets nothing; never counted twice."""
    store.record(Facts(spent=[spent(1, 11_000, ann=2)]))
    assert store.last_attempt_id() == 1
    store.record(Facts(spent=[spent(1, 2_000, ann=2), spent(2, 1_000, bob=1)]))
    assert list(store.spending_since(0)) == [spent(2, 1_000, bob=1), spent(1, 2_000, ann=2)]
    assert list(store.spending_since(1_500)) == [spent(1, 2_000, ann=2)]


def test_spending_is_forgotten_after_two_minutes(store: DeliveryStore) -> None:
    """It counts for 61 s."""
    store.record(Facts(spent=[spent(1, 0, ann=1)]))
    store.record(Facts(spent=[spent(2, 120_001, ann=1)]))
    assert list(store.spending_since(0)) == [spent(2, 120_001, ann=1)]


def test_outcomes_are_counted_by_reason(store: DeliveryStore) -> None:
    """By message, not by fact."""
    store.record(
        Facts(settled=[settled(*range(1, 101)), settled(101, outcome=DISCARDED, reason="consent")])
    )
    store.record(Facts(settled=[settled(102, 103)]))
    assert sorted(store.counts()) == [(1, DELIVERED, "", 102), (1, DISCARDED, "consent", 1)]


def test_a_dead_letter_keeps_its_own_bytes(store: DeliveryStore) -> None:
    """It outlives the log."""
    letter = DeadLetter(1, 5, "m5", "ann", "refused", 2_000, 7, b'{"identity":"ann"}')
    store.record(Facts(dead_letters=[letter]))
    row = store._db.execute("SELECT seq, message_id, user_id, reason, row FROM dead_letter")
    assert row.fetchall() == [(5, "m5", "ann", "refused", b'{"identity":"ann"}')]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("settled_above", "settled_by_seq"),
        ("settled_around", "settled_by_seq"),
        ("waiting_above", "waiting_by_seq"),
        ("waiting_around", "waiting_by_seq"),
        ("attempts_around", "attempt_by_seq"),
    ],
)
def test_hot_queries_search_by_their_index(store: DeliveryStore, query: str, index: str) -> None:
    """None of them reads a whole table."""
    asked = {"destination": 1, "seq": 5}
    plan = store._db.execute(f"EXPLAIN QUERY PLAN {SQL[query]}", asked).fetchall()
    assert any(f"USING INDEX {index} (destination=? AND last_seq>?)" in row[3] for row in plan)
