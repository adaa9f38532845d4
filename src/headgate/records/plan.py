"""What a replay would do: which messages go again, what goes along, what is left out, how long it takes.

    fits → _consider → Wanted (writes, events)         nothing is changed: the plan is looked at first
                     └→ _follow: later profile writes of the same users

A replay never lets an old profile value stand over a newer one. So every later profile write of the same
user goes along, in order, also what is pending now and may be settled when the replay is taken up. Where a
newer one that was delivered cannot go along, the older ones stay: when today's settings would discard it,
or when the log has let go of what may have come after them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping

import msgspec

from headgate.delivery.budget import Spending
from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED, REPLAYED
from headgate.delivery.positions import pack
from headgate.delivery.reader import DeliveryReader
from headgate.delivery.replays import ReplayRequest, Wanted
from headgate.delivery.routing import Router
from headgate.destinations.interface import Budget, Discard, Row
from headgate.destinations.interface import Destination as Kind
from headgate.eventlog.block import Entry
from headgate.records.audit import pending
from headgate.records.criteria import Criteria
from headgate.records.fit import Fit
from headgate.records.gist import gist
from headgate.records.outcomes import BROKEN, PENDING
from headgate.records.selection import Selection
from headgate.records.stored import Stored
from headgate.spec.message import normalize
from headgate.spec.names import IDENTIFY
from headgate.spec.repair import DECODE_ERRORS

# Discards that a change of settings, or of the list of suppressed users, may undo.
UNDONE_BY_SETTINGS = frozenset(
    {
        "destination_disabled",
        "junk_identity",
        "consent",
        "device_mode",
        "sent_by_page",
        "suppressed",
    }
)

_WHY = {
    PENDING: "They are pending already.",
    REPLAYED: "Another replay is sending them again.",
    BROKEN: "No outcome is recorded for them; headgate audit names them.",
    DELIVERED: "They were delivered, and none goes for its own sake; --outcome delivered sends them.",
    DISCARDED: "They were discarded for what they are, not for the settings; name the reason with"
    " --reason to try all the same.",
    "removed": "The destination was removed.",
    "erased": "The content was erased at the user's request.",
    "old_profile": "They are profile writes older than the log, and a newer value may have been"
    " delivered since; --old-profiles sends them all the same.",
    "newer_stays": "They are profile writes, and a newer one of the same user that was delivered"
    " would not go along under today's settings.",
    "unread": "Nothing can be read at their place in the log; headgate audit names it.",
    "bare": "They are dead letters of an older Headgate, which kept no message in them.",
}

_FOR_REPLAYS = 0.96  # of a budget

Chosen = Callable[[str, str], bool]
_Kind = tuple[str, str]  # outcome and reason


class Before(msgspec.Struct, frozen=True, rename="camel"):
    """How many messages have this outcome now."""

    outcome: str
    reason: str
    messages: int


class Left(msgspec.Struct, frozen=True, rename="camel"):
    """Messages that fit and are left out. `destination` is "" where it cannot be told."""

    destination: str
    why: str
    sentence: str
    messages: int


class Share(msgspec.Struct, frozen=True, rename="camel"):
    """One destination's share of a replay.

    `messages` are all that go again, `later_profile_writes` among them those that only go along.
    `discarded_again` is what today's settings would discard, by reason. `eta_seconds` counts what is
    pending before; None where no limit is set.
    """

    destination: str
    messages: int
    before: list[Before]
    discarded_again: dict[str, int]
    profile_writes: int
    later_profile_writes: int
    pending: int
    eta_seconds: int | None


class Plan(msgspec.Struct, frozen=True, rename="camel"):
    """A replay before anything is done."""

    criteria: str
    messages: int
    destinations: list[Share]
    left_out: list[Left]


class Planned(msgspec.Struct, frozen=True):
    """A plan for people, and what it takes to carry it out."""

    plan: Plan
    planned_to: int
    destinations: dict[int, Wanted]

    def request(self, name: str, asked_at_ms: int) -> ReplayRequest:
        """The plan as the worker is asked for it."""
        return ReplayRequest(
            name, asked_at_ms, self.plan.criteria, self.planned_to, self.destinations
        )


def chosen_by(criteria: Criteria) -> Chosen:
    """What a replay takes: outcomes and reasons that are named; else what failed, and what settings undo."""
    if criteria.outcomes or criteria.reasons:
        return criteria.fits
    return lambda outcome, reason: (
        outcome == FAILED or (outcome == DISCARDED and reason in UNDONE_BY_SETTINGS)
    )


def plan_of_log(
    stored: Stored,
    catalog: Mapping[str, Kind],
    facts: DeliveryReader,
    criteria: Criteria,
    *,
    old_profiles: bool = False,
) -> Planned:
    """The replay of everything that fits, in the log and beyond; raises `criteria.Unknown`."""
    criteria.check(stored)
    chosen = chosen_by(criteria)
    is_named = bool(criteria.outcomes or criteria.reasons)
    selection = Selection(
        stored,
        facts,
        criteria,
        lambda outcome, reason: not is_named or outcome == PENDING or chosen(outcome, reason),
    )
    planner = Planner(stored, catalog, facts, chosen, old_profiles=old_profiles)
    planner.consider(selection.oldest_first())
    planner.leave("", "unread", selection.lost)
    planner.leave("", "bare", selection.bare)
    return planner.planned(str(criteria))


class Planner:
    """One plan in the making: `consider` what fits, then ask for what is `planned`."""

    def __init__(
        self,
        stored: Stored,
        catalog: Mapping[str, Kind],
        facts: DeliveryReader,
        chosen: Chosen,
        *,
        old_profiles: bool,
    ) -> None:
        self._stored = stored
        self._facts = facts
        self._chosen = chosen
        self._old_profiles = old_profiles
        self._left: Counter[tuple[str, str]] = Counter()
        self._slugs = {stay.id: stay.slug for stay in stored.history}
        self._targets = _targets(stored, catalog)

    def consider(self, found: Iterable[list[Fit]]) -> None:
        """Takes what may go again, and counts the rest as left out."""
        for fits in found:
            for fit in fits:
                self._consider(fit)

    def leave(self, destination: str, why: str, n: int) -> None:
        """Counts messages as left out."""
        if n:
            self._left[destination, why] += n

    def planned(self, criteria: str) -> Planned:
        """The plan, with the later profile writes that go along."""
        planned_to = self._follow()
        self._hold_back()
        taking = [target for target in self._targets.values() if target.total]
        shares = self._shares(taking)
        plan = Plan(criteria, sum(one.messages for one in shares), shares, self._left_out())
        return Planned(plan, planned_to, {target.id: target.wanted() for target in taking})

    # taking

    def _consider(self, fit: Fit) -> None:
        slug = self._slugs.get(fit.destination, "")
        target = self._targets.get(fit.destination)
        why = self._why_not(fit, target)
        if why or target is None:
            self.leave(slug, why, len(fit.seqs))
            return
        for entry in fit.entries():
            self._take(target, entry, (fit.outcome, fit.reason), is_past=fit.is_past)

    def _why_not(self, fit: Fit, target: "_Target | None") -> str:
        if fit.outcome == PENDING:
            return fit.reason or PENDING
        if fit.outcome == BROKEN:
            return BROKEN
        if not self._chosen(fit.outcome, fit.reason):
            return fit.outcome
        return "" if target else "removed"

    def _take(self, target: "_Target", entry: Entry, before: _Kind, *, is_past: bool) -> None:
        if entry.envelope.erased:
            self.leave(target.slug, "erased", 1)
            return
        row = target.row(entry)
        if not target.writes_profile(row):
            target.take(entry.seq, row, before)
        elif is_past and not self._old_profiles:
            self.leave(target.slug, "old_profile", 1)
        else:
            assert isinstance(row, Row)
            target.writes[row.identity][entry.seq] = before

    # what goes along, what stays

    def _follow(self) -> int:
        """Finds the later profile writes of users whose profile writes go again; the last number seen."""
        mine = [seqs for one in self._targets.values() for seqs in one.writes.values()]
        users = {user for one in self._targets.values() for user in one.writes}
        criteria = Criteria(types=(IDENTIFY,), users=tuple(users))
        first_seq = min((min(seqs) for seqs in mine), default=0) + 1
        later = Selection(self._stored, self._facts, criteria, first_seq=first_seq)
        for fits in later.oldest_first() if users else ():
            for fit in fits:
                if fit.destination in self._targets:
                    self._targets[fit.destination].follow(fit)
        return later.last_seq

    def _hold_back(self) -> None:
        for target in self._targets.values():
            self.leave(target.slug, "newer_stays", target.hold_back())

    # the plan in numbers

    def _shares(self, taking: "list[_Target]") -> list[Share]:
        waiting = self._waiting()
        rows: Counter[str] = Counter()
        for target in self._targets.values():
            rows[target.budget.scope] += waiting[target.id] + target.rows.total()
        return [
            Share(
                destination=target.slug,
                messages=target.total,
                before=[Before(*kind, n) for kind, n in target.before.most_common()],
                discarded_again=dict(target.discarded.most_common()),
                profile_writes=target.profile_writes,
                later_profile_writes=target.later_profile_writes,
                pending=waiting[target.id],
                eta_seconds=_eta_s(target, rows[target.budget.scope]),
            )
            for target in taking
        ]

    def _waiting(self) -> Counter[int]:
        """By destination: what goes before, live or of earlier replays."""
        waiting = Counter(pending(self._stored))
        for replay in self._facts.replays():
            if replay.ended_at_ms is None:
                waiting[replay.destination] += replay.total - replay.settled
        return waiting

    def _left_out(self) -> list[Left]:
        return [Left(slug, why, _WHY[why], n) for (slug, why), n in self._left.most_common()]


def _eta_s(target: "_Target", rows: int) -> int | None:
    """Seconds until the last of the rows of its budget is sent; the other 4 % are left for live messages."""
    of_one_user = max(target.rows.values(), default=0)
    alone_s = Spending(target.budget).drain_s(rows, of_one_user)
    return None if alone_s is None else round(alone_s / _FOR_REPLAYS)


class _Target:
    """One destination of a replay: what it is to be sent, and what is known about that.

    `writes` are profile writes by user and number, with the outcome that each has now.
    """

    def __init__(self, id_: int, slug: str, kind: Kind, router: Router, budget: Budget) -> None:
        self.id = id_
        self.slug = slug
        self.budget = budget
        self.writes: defaultdict[str, dict[int, _Kind]] = defaultdict(dict)
        self.before: Counter[_Kind] = Counter()
        self.discarded: Counter[str] = Counter()
        self.rows: Counter[str] = Counter()  # by user
        self.profile_writes = 0
        self.later_profile_writes = 0
        self._kind = kind
        self._router = router
        self._events: list[int] = []
        self._later: defaultdict[str, dict[int, _Kind]] = defaultdict(dict)
        self._stays: dict[str, int] = {}  # by user: the last that was delivered and cannot go along

    @property
    def total(self) -> int:
        """How many messages are to be sent again."""
        return self.before.total()

    def row(self, entry: Entry) -> Row | Discard:
        """The message under today's settings."""
        try:
            message = normalize(entry.raw, entry.envelope, entry.given_id)
            return self._router.row(message, entry.envelope.source)
        except DECODE_ERRORS:
            return Discard("unreadable_message")
        except Exception:  # of the mapping; delivery will say the same, with its details
            return Discard("mapping_failed")

    def writes_profile(self, row: Row | Discard) -> bool:
        """Whether it changes what the destination knows of a user."""
        return isinstance(row, Row) and self._kind.endpoints[row.endpoint].writes_profile

    def take(self, seq: int, row: Row | Discard, before: _Kind) -> None:
        """A message that is no profile write, or none any more."""
        self._events.append(seq)
        self.before[before] += 1
        if isinstance(row, Discard):
            self.discarded[row.reason] += 1
        else:
            self.rows[row.identity] += 1

    def follow(self, fit: Fit) -> None:
        """Messages that may be later profile writes of users whose earlier ones go again."""
        if fit.outcome == BROKEN:
            return
        for entry in fit.entries():
            user = gist(entry).user_id
            if user not in self.writes or entry.seq in self.writes[user]:
                continue
            if self.writes_profile(self.row(entry)):
                self._later[user][entry.seq] = (fit.outcome, fit.reason)
            elif fit.outcome == DELIVERED:
                self._stays[user] = max(self._stays.get(user, 0), entry.seq)

    def hold_back(self) -> int:
        """Settles which profile writes go; how many stay because a newer one does."""
        held_back = 0
        for user in list(self.writes):
            asked = self.writes.pop(user)
            going = {seq: asked[seq] for seq in asked if seq > self._stays.get(user, 0)}
            held_back += len(asked) - len(going)
            if going:
                later = self._later[user]
                along = {seq: later[seq] for seq in later if seq > min(going)}
                self._count(user, going, along)
                self.writes[user] = going | along
        return held_back

    def _count(self, user: str, going: dict[int, _Kind], along: dict[int, _Kind]) -> None:
        """What is pending counts elsewhere; it goes again only if it is settled before the replay begins."""
        settled = [kind for kind in along.values() if kind[0] != PENDING]
        self.before.update([*going.values(), *settled])
        self.profile_writes += len(going) + len(settled)
        self.later_profile_writes += len(settled)
        self.rows[user] += len(going) + len(settled)

    def wanted(self) -> Wanted:
        """The same for the worker."""
        return Wanted(
            {user: pack(sorted(seqs)) for user, seqs in self.writes.items()},
            pack(sorted(self._events)),
        )


def _targets(stored: Stored, catalog: Mapping[str, Kind]) -> dict[int, _Target]:
    """The destinations that there are now, by id."""
    now = stored.current
    targets: dict[int, _Target] = {}
    for one in now.workspace.destinations:
        kind = catalog.get(one.metadata_id)
        if kind is not None:
            id_ = now.destination_ids[one.slug]
            router = Router(one, kind, now.workspace)
            targets[id_] = _Target(id_, one.slug, kind, router, kind.budget(one.settings))
    return targets
