"""What is wanted of each figure: at least, and as an aim. The one place that names these numbers."""

import msgspec


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one figure, in the unit that `shown` writes; None where nothing is asked."""

    at_least: float | None = None
    aim: float | None = None
    shown: str
    smaller_is_better: bool = False

    def is_met(self, measured: float) -> bool | None:
        """Whether the figure reaches what it has to; None when it has to reach nothing."""
        return self._reaches(measured, self.at_least)

    def meets_aim(self, measured: float) -> bool | None:
        """Whether the figure reaches the aim; None when there is none."""
        return self._reaches(measured, self.aim)

    def _reaches(self, measured: float, bound: float | None) -> bool | None:
        if bound is None:
            return None
        return measured <= bound if self.smaller_is_better else measured >= bound


_RATE = "{:,.0f}/s"


def _at_most(shown: str, at_least: float | None, aim: float | None = None) -> Goal:
    return Goal(at_least=at_least, aim=aim, shown=shown, smaller_is_better=True)


SINGLE_POSTS = Goal(at_least=0.65, aim=0.85, shown="{:.2f} of uvicorn")
SINGLE_POSTS_OF_NGINX = Goal(aim=0.33, shown="{:.2f} of nginx")
BATCHES = Goal(at_least=150_000, aim=230_000, shown=_RATE)
MAPPING = Goal(at_least=250_000, aim=400_000, shown=_RATE)
END_TO_END = Goal(at_least=20_000, aim=40_000, shown=_RATE)
DRAINING = Goal(at_least=40_000, aim=80_000, shown=_RATE)
LATENCY_P50_MS = _at_most("{:,.0f} ms", 30)
LATENCY_P99_MS = _at_most("{:,.0f} ms", 150, 60)
IDLE_CPU_PERCENT = _at_most("{:.2f} %", 0.3)
IDLE_WAKE_UPS_PER_S = _at_most("{:.1f}/s", None, 0)
IDLE_MB = _at_most("{:,.0f} MB", 100, 70)
START_S = _at_most("{:.2f} s", 2, 1)
BYTES_PER_ID = _at_most("{:.1f} B", 20, 10)
BYTES_PER_MESSAGE = _at_most("{:,.0f} B", 400, 250)
INTEGRATION_BYTES = _at_most("{:,.0f} B", 6_144)
ENGAGE = Goal(at_least=20_000, aim=60_000, shown=_RATE)
ENGAGE_LIVE_P95_MS = _at_most("{:,.0f} ms", 100)
ENGAGE_LIVE_MOST_MS = _at_most("{:,.0f} ms", 1_000)
ENGAGE_EXIT_MOST_MS = _at_most("{:,.0f} ms", 1_000)
ENGAGE_MB = _at_most("{:,.0f} MB", 1_024)
PAGE_SETTINGS_US = _at_most("{:,.0f} µs", 1_000)
PAGE_MAIN_THREAD_MS = _at_most("{:.1f} ms", 5)
