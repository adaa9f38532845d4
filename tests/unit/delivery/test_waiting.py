"""Batches that wait for their next attempt."""

from headgate.delivery.lanes import Batch, Pending, Run
from headgate.delivery.waiting import WaitingList
from headgate.destinations.interface import Row


def batch(seq: int) -> Batch:
    """A batch of one message."""
    user = f"user-{seq}"
    return Batch("track", [Run(user, [Pending(seq, Row("track", user, b"{}"), f"m{seq}")])])


def waiting(**due_at_s: float) -> WaitingList:
    """`_SEQ=AT`: message SEQ is due AT seconds."""
    found = WaitingList()
    for name, at_s in due_at_s.items():
        found.add(batch(int(name[1:])), at_s)
    return found


def test_what_is_due_is_taken_in_the_order_of_time() -> None:
    """And nothing before its time."""
    found = waiting(_1=30.0, _2=10.0, _3=20.0)
    assert found.next_s() == 10.0
    assert found.take_due(9.9) is None
    taken = [found.take_due(25.0) for _ in range(3)]
    assert [one and one.seqs for one in taken] == [[2], [3], None]
    assert len(found) == 1


def test_the_oldest_are_found_whether_due_or_not() -> None:
    """By their messages' age, among those that are chosen."""
    found = waiting(_3=10.0, _1=30.0, _2=20.0)
    assert [one.seqs for one in found.oldest(2)] == [[1], [2]]
    chosen = found.oldest(5, lambda one: one.seqs != [1])
    assert [one.seqs for one in chosen] == [[2], [3]]
    assert found.take(chosen[0]).seqs == [2]
    assert [one.seqs for one in found.oldest(5)] == [[1], [3]]


def test_all_are_released_at_once() -> None:
    """The oldest first."""
    found = waiting(_3=10.0, _1=300.0, _2=20.0)
    found.release(5.0)
    taken = [found.take_due(5.0) for _ in range(3)]
    assert [one and one.seqs for one in taken] == [[1], [2], [3]]
    assert found.next_s() is None


def test_a_drained_list_is_empty() -> None:
    """Every batch comes out once."""
    found = waiting(_3=10.0, _1=300.0)
    assert sorted((at_s, one.seqs[0]) for at_s, one in found.drain()) == [(10.0, 3), (300.0, 1)]
    assert len(found) == 0


def test_those_due_latest_are_taken_out_first() -> None:
    """With when they are due; others stay in order."""
    found = waiting(_3=10.0, _1=300.0, _2=20.0, _4=400.0)
    late = found.take_latest(2, lambda one: one.seqs != [4])
    assert [(at_s, one.seqs) for at_s, one in late] == [(300.0, [1]), (20.0, [2])]
    assert [one.seqs for one in found.oldest(5)] == [[3], [4]]
    assert found.next_s() == 10.0
