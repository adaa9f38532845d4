"""Sets of message numbers as bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.delivery.positions import count, holds, pack, runs, unpack

seqs = st.lists(st.integers(1, 2**62), unique=True).map(sorted)
dense = st.sets(st.integers(1, 300)).map(sorted)


@given(seqs | dense)
def test_what_was_packed_comes_out(numbers: list[int]) -> None:
    """In order, whatever gaps and runs there are."""
    packed = pack(numbers)
    assert list(unpack(packed)) == numbers
    assert count(packed) == len(numbers)


@given(dense)
def test_runs_are_maximal_and_ascend(numbers: list[int]) -> None:
    """No two runs touch."""
    found = list(runs(pack(numbers)))
    assert all(one.stop < other.start for one, other in pairwise(found))


@given(dense, st.integers(0, 301))
def test_holds_says_what_was_packed(numbers: list[int], seq: int) -> None:
    """For numbers inside, between and outside."""
    assert holds(pack(numbers), seq) is (seq in numbers)


@pytest.mark.parametrize(
    ("numbers", "size_bytes"),
    [([], 0), ([1], 2), (range(1, 101), 2), (range(1, 10**6), 4), (range(2, 202, 2), 200)],
)
def test_a_run_costs_a_few_bytes(numbers: list[int], size_bytes: int) -> None:
    """Two varints for each run of neighbours."""
    assert len(pack(numbers)) == size_bytes
