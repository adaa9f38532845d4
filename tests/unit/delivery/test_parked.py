"""Parked lanes against a plain model."""

from hypothesis import given
from hypothesis import strategies as st

from headgate.delivery.parked import Parked

steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "before", "drop", "drain"]),
        st.sampled_from("abc"),
        st.integers(1, 5),
    ),
    max_size=40,
)


@given(steps)
def test_parked_lanes_keep_their_numbers_in_order(script: list[tuple[str, str, int]]) -> None:
    """Added behind or in front, dropped from the front, drained at once."""
    parked, model = Parked(), dict[str, list[int]]()
    low, high = 1_000_000, 1_000_000
    for step, identity, n in script:
        lane = model.setdefault(identity, [])
        if step == "add":
            high += 1
            lane.append(high)
            parked.add(identity, high)
        elif step == "before":
            front = list(range(low - n, low))
            low -= n
            lane[:0] = front
            parked.add_before(identity, front)
        elif step == "drop" and lane:
            dropped = lane[:n]
            assert list(parked.first(identity, n)) == dropped
            del lane[:n]
            parked.drop(identity, dropped[-1])
        elif step == "drain":
            assert sorted(parked.drain()) == sorted(seq for each in model.values() for seq in each)
            model.clear()
        left = [seq for each in model.values() for seq in each]
        assert len(parked) == len(left)
        assert all((identity in parked) is bool(model.get(identity)) for identity in "abc")
        if left:
            assert parked.oldest_seq() == min(left)
