"""The breaker: when a destination fails for everybody, one message at a time asks whether it is back. Pure.

Closed, everything goes. It opens after some failed requests in a row that concern several users; from
then on nothing is attempted but a probe, at most 15 s apart, and the first success closes it again. A
destination that refuses every message of several users with 400 (a wrong App ID does that) is probed
once a minute, and its messages stay pending.
"""

from collections import deque
from collections.abc import Collection
from enum import StrEnum

FAILURES_TO_OPEN = 5
REFUSALS_TO_OPEN = 50
PROBE_EVERY_S = 15.0
PROBE_REFUSING_EVERY_S = 60.0


class State(StrEnum):
    """How the destination is doing."""

    CLOSED = "delivering"
    FAILING = "failing"
    REFUSING = "refusing"


class Breaker:
    """One destination's breaker. Times are monotonic seconds.

    `state` and `trouble` are what an earlier process left; an open one is probed at once.
    """

    def __init__(self, state: State = State.CLOSED, trouble: str = "") -> None:
        self.state = state
        self.trouble = trouble
        self._failures: deque[frozenset[str]] = deque(maxlen=FAILURES_TO_OPEN)
        self._refused: deque[str] = deque(maxlen=REFUSALS_TO_OPEN)
        self._probe_at_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether only probes may be attempted."""
        return self.state is not State.CLOSED

    @property
    def shown(self) -> State:
        """The state that people see: failing, too, while the last answer was a failure."""
        return State.FAILING if self.trouble and not self.is_open else self.state

    def succeeded(self) -> None:
        """A request was accepted."""
        self.state = State.CLOSED
        self.trouble = ""
        self._failures.clear()
        self._refused.clear()

    def failed(
        self,
        identities: Collection[str],
        why: str,
        now_s: float,
        *,
        lasted_s: float,
        backoff_s: float,
        asked_s: float,
        is_news: bool = True,
    ) -> None:
        """A request of `lasted_s` could not be delivered; the destination asked to be left alone for `asked_s`.

        It is no news, and opens nothing, when a message fails that had failed alone before.
        """
        self.trouble = why
        if is_news:
            self._failures.append(frozenset(identities))
        if self.state is State.CLOSED and self._fails_for_several():
            self.state = State.FAILING
        if self.state is State.REFUSING:
            self._probe_at_s = now_s + max(asked_s, PROBE_REFUSING_EVERY_S)
        elif self.state is State.FAILING:
            pause_s = min(backoff_s, max(0.0, PROBE_EVERY_S - lasted_s))
            self._probe_at_s = now_s + max(asked_s, pause_s)

    def refused(self, identity: str, why: str, now_s: float) -> None:
        """One message alone was refused with 400: whoever does that is there, and looks at messages."""
        self._failures.clear()
        self._refused.append(identity)
        full = len(self._refused) == REFUSALS_TO_OPEN
        if self.state is not State.REFUSING and full and len(set(self._refused)) > 1:
            self.state = State.REFUSING
        if self.state is State.REFUSING:
            self.trouble = why
            self._probe_at_s = now_s + PROBE_REFUSING_EVERY_S
        elif self.state is State.FAILING:
            self.state, self.trouble = State.CLOSED, ""

    def probe_soon(self) -> None:
        """The settings have changed: ask at once."""
        self._probe_at_s = 0.0

    def probe_in_s(self, now_s: float) -> float:
        """Seconds until the next probe is due; 0 when it is."""
        return max(0.0, self._probe_at_s - now_s)

    def _fails_for_several(self) -> bool:
        if len(self._failures) < FAILURES_TO_OPEN:
            return False
        return not frozenset.intersection(*self._failures)
