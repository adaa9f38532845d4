"""Parked lanes against a plain model."""

from hypothesis import given
from hypothesis import strategies as st

from headgate.delivery.parked import Parked

steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "before", "between", "drop", "drain"]),
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
            parked.add_all(identity, front)
        elif step == "between" and lane and lane[0] - n not in lane:
            lane.append(lane[0] - n)
            lane.sort()
            low = min(low, lane[0])
            parked.add(identity, lane[0])
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
        for seq in (0, 1_000_000):
            above = [one for one in left if one > seq]
            assert parked.oldest_above(seq) == min(above, default=None)
        assert parked.longest() == max(map(len, model.values()), default=0)


def test_replayed_events_are_parked_apart_and_hold_no_cursor_back() -> None:
    """They have a lane of their own beside their user's."""
    parked = Parked()
    parked.add(("ann",), 3)
    parked.add("ann", 8)
    assert parked.oldest_above(0) == 8
    assert parked.replayed() == [("ann",)]
    assert sorted(parked.drain()) == [3, 8]
