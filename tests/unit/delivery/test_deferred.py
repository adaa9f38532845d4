"""Deferred messages: which are waiting, and whose they are."""

import random

import numpy as np
import pytest

from headgate.delivery import deferred
from headgate.delivery.deferred import Deferred


def made(*users: str) -> Deferred:
    """The messages 1, 2, 3 …, one of each of these users in turn."""
    found = Deferred()
    for seq, user in enumerate(users, 1):
        found.add(seq, user)
    return found


def numbers(*seqs: int) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.array(seqs, np.int64)


def test_messages_wait_in_order_until_they_are_taken() -> None:
    found = made("a", "b", "c", "d")
    assert (len(found), found.oldest(), found.first(3)) == (4, 1, [1, 2, 3])
    assert found.take([1, 3]) == [1, 3]
    assert (len(found), found.oldest(), found.first(9)) == (2, 2, [2, 4])
    assert found.take([1, 2]) == [2]
    assert found.take([4]) == [4]
    assert (len(found), found.oldest(), found.first(9)) == (0, None, [])


def test_a_user_s_are_taken_apart_and_once() -> None:
    found = made("a", "b", "a")
    assert found.take_of("a") == [1, 3]
    assert found.take_of("a") == found.take_of("nobody") == []
    assert found.first(9) == [2]


def test_what_was_taken_waits_again_when_it_is_put_back() -> None:
    """Others are returned; whose they are stays known."""
    found = made("a", "b", "a")
    found.take_of("a")
    found.take([2])
    assert found.put_back(numbers(1, 3, 7)).tolist() == [7]
    assert (len(found), found.oldest(), found.first(9)) == (2, 1, [1, 3])
    assert found.take_of("a") == [1, 3]


def test_what_was_deferred_is_known_until_it_is_let_go() -> None:
    found = made("a", "b", "c")
    found.take([1, 2])
    assert [seq in found for seq in (0, 1, 2, 3, 4)] == [False, True, True, True, False]
    found.let_go(1)
    assert 1 in found  # not before it is more than half
    found.let_go(2)
    assert (1 in found, 2 in found, 3 in found) == (False, False, True)
    assert (found.oldest(), found.take_of("c"), found.take_of("a")) == (3, [3], [])
    found.let_go(3)
    found.add(9, "a")
    assert (found.first(9), found.take_of("a")) == ([9], [9])


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_is_what_a_dict_would_do(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when users are found in sorted lists."""
    monkeypatch.setattr(deferred, "_FOUND_ONE_BY_ONE", 3)
    chance = random.Random(seed)
    found, waiting, taken = Deferred(), dict[int, str](), dict[int, str]()
    for seq in range(1, 1_500):
        user = f"user {chance.randrange(40)}"
        found.add(seq, user)
        waiting[seq] = user
        match chance.randrange(12):
            case 0:
                mine = [seq for seq, of in waiting.items() if of == user]
                assert found.take_of(user) == sorted(mine)
                taken |= {seq: waiting.pop(seq) for seq in mine}
            case 1:
                first = sorted(waiting)[:15]
                assert found.first(15) == found.take(first) == first
                taken |= {seq: waiting.pop(seq) for seq in first}
            case 2:
                back = sorted(chance.sample(sorted(taken), len(taken) // 3))
                assert not len(found.put_back(numbers(*back)))
                waiting |= {seq: taken.pop(seq) for seq in back}
            case 3:
                settled_to = min(waiting, default=seq) - 1
                found.let_go(settled_to)
                taken = {seq: of for seq, of in taken.items() if seq > settled_to}
        assert (len(found), found.oldest()) == (len(waiting), min(waiting, default=None))
    assert all(seq in found for seq in taken)
