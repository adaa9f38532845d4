"""How long and how large every measurement is: in full, or quick and rougher."""

import msgspec


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """Lengths in seconds, sizes in messages; `rounds` is how often a figure alternates with its yardstick."""

    is_quick: bool
    rounds: int
    post_s: float  # one round of posts
    log_s: float  # one round of appends
    map_s: float
    delivered: int  # posted and acknowledged, for the rate end to end
    drained: int
    live_s: float  # paced posts, for latencies
    beside_s: float  # the same beside a destination in trouble
    rest_s: float
    pending: int
    known_ids: int
    settled: int  # delivered and sealed, for the disk they take
    pages: int
    people: int  # whom Engage knows
    models: int  # of these, the ones whose profiles are copied
    computed: int  # messages that Engage reads
    history: int  # messages that DuckDB computes all of


FULL = Scale(
    is_quick=False,
    rounds=5,
    post_s=3,
    log_s=1.5,
    map_s=4,
    delivered=400_000,
    drained=1_000_000,
    live_s=15,
    beside_s=11,
    rest_s=20,
    pending=1_000_000,
    known_ids=10_000_000,
    settled=100_000,
    pages=11,
    people=1_000_000,
    models=2_000,
    computed=150_000,
    history=2_000_000,
)
QUICK = Scale(
    is_quick=True,
    rounds=1,
    post_s=1.2,
    log_s=0.5,
    map_s=1,
    delivered=40_000,
    drained=100_000,
    live_s=2,
    beside_s=1.2,
    rest_s=2,
    pending=100_000,
    known_ids=1_000_000,
    settled=20_000,
    pages=3,
    people=20_000,
    models=200,
    computed=20_000,
    history=200_000,
)
