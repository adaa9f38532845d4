"""What the debugger shows: the calls of a source, those that were refused at its door among them.

`Calls` reads pages of them from the log and from the ring of refusals; `Tail` what comes while somebody watches.
What fits is found before anything is left out: a filter that 20 calls a second fit shows each of them.
"""

from collections import deque
from contextlib import suppress
from typing import Any, NamedTuple

from headgate.app.live import last_written
from headgate.eventlog.refused import KeptRefusal, kept_refusals
from headgate.records.arrivals import Arrivals, Call, Wanted, call_of
from headgate.records.stored import Stored
from headgate.stores import DELIVERY

PAGE = 100
REFUSED = "refused"
OUTCOMES = ("delivered", "discarded", "failed", "pending", REFUSED)

_ROWS_A_LOOK = 5  # with four looks a second: 20 rows a second
_HELD_BACK = 20
_WATCHED = 200
_RATE_OVER_S = 5.0
_REFUSALS_LOOKED_THROUGH = 2_000


class Place(NamedTuple):
    """Where a list goes on: below a number of the log and one of the ring of refusals."""

    seq: int
    refusal: int

    def __str__(self) -> str:
        return f"{self.seq}.{self.refusal}"

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """What an address says; None when it says none."""
        with suppress(ValueError):
            seq, refusal = (min(int(one), 2**62) for one in text[:40].split("."))
            return cls(seq, refusal)
        return None


class Row(NamedTuple):
    """A call as one row; `reason` says why it was refused, if it was."""

    call: Call
    reason: str = ""

    @property
    def place(self) -> str:
        """Its name in addresses."""
        return f"r{self.call.seq}" if self.reason else str(self.call.seq)


class Listed(NamedTuple):
    """Rows, newest first. News go on at `top`, earlier ones at `bottom`, which is None when there are none."""

    rows: list[Row]
    top: Place
    bottom: Place | None


class Came(NamedTuple):
    """What has come: rows that fit, oldest first, how many calls arrived and how many fit, shown or not.

    `missed` could not be looked at because there were too many.
    """

    rows: list[Row]
    arrived: int
    fitting: int
    missed: int


class Calls:
    """The calls of one source that are asked for. Keeps files open until it is closed."""

    def __init__(self, stored: Stored, source: str, wanted: Wanted) -> None:
        self._refused_at = stored.refused
        self._source = source
        self._wanted = wanted
        logged = wanted._replace(outcome="") if wanted.outcome == REFUSED else wanted
        self.arrivals = Arrivals(stored, source, logged)

    def close(self) -> None:
        """Let go of the files."""
        self.arrivals.close()

    def top(self) -> Place:
        """The last of what there is now."""
        newest = kept_refusals(self._refused_at, self._source, limit=1)
        return Place(self.arrivals.last_seq(), newest[0].id if newest else 0)

    def before(self, place: Place | None, limit: int = PAGE) -> Listed:
        """A page of what arrived before a place, or of the newest."""
        top = self.top()
        below = place or Place(top.seq + 1, top.refusal + 1)
        logged, next_seq = self._logged(below.seq, limit)
        refused, next_refusal = self._refused_before(below.refusal, limit)
        rows = sorted([*logged, *refused], key=lambda row: row.call.at_ms, reverse=True)[:limit]
        bottom = Place(
            _rest_of(logged, rows, below.seq, next_seq),
            _rest_of(refused, rows, below.refusal, next_refusal),
        )
        return Listed(rows, top, bottom if any(bottom) else None)

    def between(self, above: Place, to: Place, limit: int) -> "Came":
        """What arrived above one place and up to another; of the log, the newest `limit` that fit."""
        news = self.arrivals.after(above.seq, to.seq, limit)
        kept = kept_refusals(
            self._refused_at,
            self._source,
            above=above.refusal,
            below=to.refusal + 1,
            limit=_REFUSALS_LOOKED_THROUGH,
        )
        rows, fitting = [], 0
        if self._wanted.outcome != REFUSED:
            rows, fitting = [Row(call) for call in news.calls], news.fitting
        refused = self._fitting(kept)
        rows = sorted([*rows, *refused], key=lambda row: row.call.at_ms)
        return Came(rows, news.arrived + len(kept), fitting + len(refused), news.missed)

    def library_of(self, row: Row) -> str:
        """The name and the version of the library that made a call, as far as it says; "" for a refused one."""
        return "" if row.reason else self.arrivals.library_of(row.call)

    def _logged(self, below: int, limit: int) -> tuple[list[Row], int]:
        if self._wanted.outcome == REFUSED:
            return [], 0
        found = self.arrivals.before(below, limit)
        return [Row(call) for call in found.calls], found.next_seq

    def _refused_before(self, below: int, limit: int) -> tuple[list[Row], int]:
        if self._wanted.words or self._wanted.type:
            limit = _REFUSALS_LOOKED_THROUGH
        kept = kept_refusals(self._refused_at, self._source, below=below, limit=limit)
        return self._fitting(kept), kept[-1].id if len(kept) == limit else 0

    def _fitting(self, kept: list[KeptRefusal]) -> list[Row]:
        if self._wanted.outcome not in ("", REFUSED):
            return []
        rows = [_refused(one) for one in kept]
        return [row for row in rows if self._wanted.fits(row.call)]


class Frame(NamedTuple):
    """What has come since the last look. `rate` is how many calls arrive in a second, whether they fit or not.

    `fitting` counts those that fit, whether they are among the `rows`, newest first, or not; `settled` are rows
    that were shown before, with what has become of them.
    """

    rows: list[Row]
    settled: list[Row]
    rate: float
    fitting: int
    missed: int


class Tail:
    """What comes while somebody watches; keeps up whatever comes, by leaving out. For one thread at a time."""

    def __init__(self, calls: Calls, after: Place, now_s: float) -> None:
        self._calls = calls
        self._place = after
        self._held_back: list[Row] = []
        self._counts = deque([(now_s, 0)])
        self._rate = 0.0
        self._stamp: Any = None
        shown = calls.before(Place(after.seq + 1, 0)).rows
        self._watched = [row.call for row in shown if not row.call.is_settled]

    def look(self, now_s: float) -> Frame | None:
        """The next frame; None when there is nothing to say."""
        came = self._came()
        rows, self._held_back = self._held_back[:_ROWS_A_LOOK], self._held_back[_ROWS_A_LOOK:]
        settled = self._settled()
        self._watched += [row.call for row in rows if not row.reason and not row.call.is_settled]
        del self._watched[:-_WATCHED]
        before, self._rate = self._rate, self._rate_at(now_s, came.arrived)
        if not (rows or settled or came.fitting or came.missed or self._rate != before):
            return None
        return Frame(rows[::-1], settled, self._rate, came.fitting, came.missed)

    def _came(self) -> Came:
        above, self._place = self._place, self._calls.top()
        came = self._calls.between(above, self._place, _HELD_BACK)
        self._held_back = [*self._held_back, *came.rows][-_HELD_BACK:]
        return came

    def _settled(self) -> list[Row]:
        """What has become of rows that were pending when they were shown."""
        stamp = last_written(self._calls.arrivals.data_dir / DELIVERY)
        if not self._watched or stamp == self._stamp:
            return []
        self._stamp = stamp
        known = self._calls.arrivals.with_fates(self._watched)
        changed = [
            now for then, now in zip(self._watched, known, strict=True) if then.fates != now.fates
        ]
        self._watched = [call for call in known if not call.is_settled]
        return [Row(call) for call in changed]

    def _rate_at(self, now_s: float, arrived: int) -> float:
        self._counts.append((now_s, arrived))
        while now_s - self._counts[1][0] > _RATE_OVER_S and len(self._counts) > 2:
            self._counts.popleft()
        since_s = self._counts[0][0]
        count = sum(n for _, n in self._counts) - self._counts[0][1]
        return count / (now_s - since_s) if now_s > since_s else 0.0


def _rest_of(found: list[Row], shown: list[Row], start: int, rest: int) -> int:
    """Where a list goes on of which some was shown: below the last one that was."""
    if all(row in shown for row in found):
        return rest
    return min((row.call.seq for row in found if row in shown), default=start)


def _refused(kept: KeptRefusal) -> Row:
    refusal = kept.refusal
    call = call_of(refusal.body, seq=kept.id, at_ms=refusal.at_ms, message_id=refusal.message_id)
    return Row(call, refusal.reason)
