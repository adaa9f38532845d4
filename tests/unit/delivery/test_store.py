"""The delivery store: what goes in comes out, after a restart too, by plans that stay fast."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import factories
from headgate.delivery.facts import (
    DELIVERED,
    DISCARDED,
    FAILED,
    REPLAYED,
    Attempt,
    DeadLetter,
    Facts,
    Replay,
    Settled,
    Spent,
    Standing,
    Waiting,
)
from headgate.delivery.letters import Letter, sealed, unsealed
from headgate.delivery.reader import VERSION, Counted, DeliveryReader, OtherStore, Retry, Tally
from headgate.delivery.store import DeliveryStore
from headgate.queries import load_migrations, load_queries, load_schema

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
    store.record(Facts(settled=[settled(102, 103, at_ms=61_000)]))
    assert store.tallies() == [
        Tally(1, DELIVERED, "", 102, 102),
        Tally(1, DISCARDED, "consent", 1, 1),
    ]
    (newest, oldest) = store.settled_for(1, DELIVERED, "", 0, 120_000)
    assert (newest[0], list(newest[2])) == (61_000, [range(102, 104)])
    assert list(oldest[2]) == [range(1, 101)]


def test_a_replay_takes_back_what_was_recorded(store: DeliveryStore) -> None:
    """The tally says what stands now, the counters what was ever recorded."""
    store.record(Facts(settled=[settled(1, 2), settled(3, 4, outcome=FAILED, reason="refused")]))
    asked = Replay("r1", 1, 5_000, "{}", 3, b"packed")
    taken_back = settled(2, 3, 4, outcome=REPLAYED)
    store.record(Facts(settled=[taken_back], replays=[asked]))
    assert store.tallies() == [
        Tally(1, DELIVERED, "", 2, 1),
        Tally(1, FAILED, "refused", 2, 0),
    ]
    assert store.open_replays() == [asked]
    assert store.knows_replay("r1", 1)
    assert not store.knows_replay("r1", 2)


def test_a_replay_ends_with_its_last_message(store: DeliveryStore) -> None:
    """And lets go of what it had to know."""
    store.record(Facts(replays=[Replay("r1", 1, 5_000, "{}", 3, b"packed")]))
    store.record(Facts(settled=[settled(2, at_ms=6_000)], replayed=Counter({("r1", 1): 1})))
    (progress,) = store.replays()
    assert (progress.settled, progress.ended_at_ms) == (1, None)
    store.record(Facts(settled=[settled(3, 4, at_ms=7_000)], replayed=Counter({("r1", 1): 2})))
    (progress,) = store.replays()
    assert (progress.settled, progress.ended_at_ms) == (3, 7_000)
    assert store.open_replays() == []


def test_the_last_fact_of_each_message_holds(store: DeliveryStore) -> None:
    """However many there are, and whatever others they are about."""
    store.record(Facts(settled=[settled(*range(1, 9)), settled(3, outcome=REPLAYED)]))
    store.record(Facts(settled=[settled(3, 4, outcome=FAILED, reason="refused")]))
    folded = store.folded(1, np.array([2, 3, 4, 40]))
    assert folded.counts() == {(DELIVERED, ""): 1, (FAILED, "refused"): 2, None: 1}
    assert {kind: list(seqs) for kind, seqs in folded.groups()} == {
        None: [40],
        (DELIVERED, ""): [2],
        (FAILED, "refused"): [3, 4],
    }


def test_what_the_log_no_longer_holds_is_forgotten_piece_by_piece(store: DeliveryStore) -> None:
    """Requests and outcomes; the tallies stay."""
    store.record(
        Facts(
            attempts=[attempt(number, number) for number in range(1, 301)],
            settled=[settled(number) for number in range(1, 301)],
        )
    )
    assert not store.forget_before(1, 290)
    while not store.forget_before(1, 290):
        pass
    assert store.outcomes_of(1, 289) == []
    assert store.attempts_of(1, 289) == []
    assert len(store.outcomes_of(1, 290)) == len(store.attempts_of(1, 290)) == 1
    assert store.tallies() == [Tally(1, DELIVERED, "", 300, 300)]


def test_a_dead_letter_keeps_its_own_bytes(store: DeliveryStore) -> None:
    """It outlives the log."""
    kept = Letter(factories.envelope(), b'{"event":"E"}', "")
    row = b'{"identity":"ann"}'
    letter = DeadLetter(1, 5, "m5", "ann", "refused", 2_000, 7, row, sealed(kept))
    store.record(Facts(dead_letters=[letter]))
    assert list(store.dead_letters()) == list(store.dead_letters(user_id="ann")) == [letter]
    assert list(store.dead_letters(reason="other")) == []
    assert unsealed(store.dead_letter_message(1, 5)) == kept
    store.record(Facts(recovered=[(1, 5)]))
    assert list(store.dead_letters()) == []
    assert unsealed(store.dead_letter_message(1, 5)) is None


def test_a_store_of_an_older_headgate_is_brought_up_to_date(tmp_path: Path) -> None:
    """With everything in it, and in one piece."""
    path = tmp_path / "delivery.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.executescript(load_migrations("headgate.delivery")[0])
        old.execute("PRAGMA user_version = 1")
        old.execute(
            "INSERT INTO settled VALUES (1, 1, 'delivered', '', '', 61000, 1, 2, 1, 2, x'0101')"
        )
        old.execute("INSERT INTO breaker VALUES (1, 'failing')")
        old.execute(
            "INSERT INTO dead_letter VALUES (1, 1, 9, 'm9', 'ann', 'refused', 5, 1, x'7b7d')"
        )
    with pytest.raises(OtherStore, match=f"an older Headgate: expected schema {VERSION}, found 1"):
        DeliveryReader(path)
    with closing(DeliveryStore(path)) as store:
        assert store.tallies() == [Tally(1, DELIVERED, "", 2, 2)]
        assert store.counted() == Counted(0, 0, 1, None)
        assert store.standings()[1].state == "failing"
        (letter,) = store.dead_letters()
        assert (letter.message_id, letter.message) == ("m9", b"")


def test_a_store_of_a_newer_headgate_is_left_alone(tmp_path: Path) -> None:
    """By writer and reader, with what to do."""
    path = tmp_path / "delivery.db"
    DeliveryStore(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as newer:
        newer.execute("PRAGMA user_version = 99")
    for opening in (DeliveryStore, DeliveryReader):
        with pytest.raises(
            OtherStore, match=f"a newer Headgate: expected schema {VERSION}, found 99"
        ):
            opening(path)


def test_the_schema_file_is_the_sum_of_the_migrations(store: DeliveryStore) -> None:
    """So that reading it is enough."""
    told = sqlite3.connect(":memory:")
    told.executescript(load_schema("headgate.delivery"))
    assert _shape(store._db) == _shape(told)


def _shape(db: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Every table's columns and every index's columns, by name."""
    shape = {}
    for kind, name in db.execute("SELECT type, name FROM sqlite_schema").fetchall():
        pragma = "table_info" if kind == "table" else "index_xinfo"
        shape[name] = db.execute(f"PRAGMA {pragma}({name})").fetchall()
    return shape


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


def test_a_forgotten_user_is_nowhere_in_the_store(tmp_path: Path) -> None:
    """Neither by name nor by what was sent or answered; the neighbours and all outcomes stay."""
    path = tmp_path / "delivery.db"
    store = DeliveryStore(path)
    both = b'{"events":[{"identity":"ann","secret":"pear"},{"identity":"bob"}]}'
    letter = DeadLetter(1, 5, "m5", "ann", "refused", 2_000, 7, b"pear", b"")
    store.record(
        Facts(
            attempts=[attempt(7, 5, 6, request=both, answer=b"no pear"), attempt(8, 9)],
            settled=[
                settled(5, outcome=FAILED, reason="refused", detail="no pear", attempt_id=7),
                settled(3, outcome=FAILED, reason="destination_refusing", detail="no pear"),
            ],
            dead_letters=[letter],
            spent=[spent(7, 11_000, ann=2, bob=1)],
            standings={1: Standing("failing", "answered 500: no pear", 0)},
            replays=[Replay("r1", 1, 5_000, "user ann", 3, b"packed")],
        )
    )
    cutoffs = {"ann": 6}
    store.erase_users(cutoffs)
    assert store.erase_from_requests(0, 6, _without_ann) is None
    store.wipe()
    assert [(one.outcome, one.reason) for one in store.outcomes_of(1, 5)] == [(FAILED, "refused")]
    (traced,) = store.attempts_of(1, 5)
    assert traced.request == b'{"events":[{"identity":"erased"},{"identity":"bob"}]}'
    assert store.standings()[1].trouble == "answered 500"
    assert list(store.spending_since(0)) == [Spent(7, "app", 11_000, {"bob": 1, "": 2})]
    store.close()
    on_disk = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"pear" not in on_disk
    assert b"ann" not in on_disk.replace(b"scanned", b"")


def _without_ann(destination: int, first_seq: int, body: bytes) -> bytes:
    return body.replace(b'"ann","secret":"pear"', b'"erased"')
