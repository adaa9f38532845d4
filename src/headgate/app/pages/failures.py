"""What a destination did not take, cause by cause, and sending it again.

    causes → rows of one → trace
          └→ replay: what it would do, in numbers → asked for → its progress, until it has ended

A replay is asked for as `headgate replay` does it: a request on disk, which the server takes up. So its progress
survives this page, the session and a restart.
"""

import secrets
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from typing import Any, NamedTuple

from starlette.responses import Response

from headgate.app.changes import Changed, changes_since
from headgate.app.figures import facts_of, ids_of, stored_in
from headgate.app.masking import mask, masks
from headgate.app.pages.destinations import destination_of
from headgate.app.routes import action, page
from headgate.app.visit import Change, NothingHere, Visit
from headgate.control import tell_replay, tell_retries
from headgate.delivery.facts import FAILED, DeadLetter
from headgate.delivery.reader import DeliveryReader
from headgate.destinations.catalog import CATALOG
from headgate.records.causes import Cause, causes, letters_of
from headgate.records.criteria import Criteria, Unknown
from headgate.records.dead_letters import DeadLetters, Wanted
from headgate.records.plan import Planned, plan_of_log
from headgate.records.replays import Progress, ask, new_name, progress
from headgate.records.stored import Stored
from headgate.records.stretches import Range
from headgate.spec.settings import duration_s
from headgate.spec.timestamps import parse_ms
from headgate.workspace.access import Role
from headgate.workspace.model import Destination

_ROWS = 100
_ENDED_SHOWN = 3
_BLAMED_MS = 24 * 3600 * 1000  # before the first failure
_ASKED = ("cause", "outcome", "reason", "from", "to", "id")


class Told(NamedTuple):
    """A cause, and the change of settings that came before it and may explain it."""

    cause: Cause
    change: Changed | None


class Rows(NamedTuple):
    """Messages of one cause, newest first; `before` is where the next page begins, None at the end."""

    cause: Cause
    letters: list[DeadLetter]
    before: int | None


def failures(visit: Visit) -> Response:
    """The page."""
    found, stored = destination_of(visit), stored_in(visit)
    now_ms = visit.parts.outside.clock.now_ms()
    number = stored.current.destination_ids[found.slug]
    with facts_of(stored) as facts:
        known = causes(facts, number) if facts else []
        values: dict[str, Any] = {
            "destination": found,
            "causes": _told(visit, found, known),
            "failed": sum(one.messages for one in known),
            "lost": _without_content(facts, stored, found, known),
            "rows": _rows(visit, facts, number, known),
            "replays": _replays(stored, facts, found),
            "next_ms": facts.next_attempt_ms(number, now_ms) if facts else None,
            "window": found.settings["retryWindow"],
            "window_s": duration_s(found.settings["retryWindow"]),
            "now_ms": now_ms,
            "hidden": mask if masks(visit.request) else str,
        }
    standing = next((one for one in visit.standing if one.slug == found.slug), None)
    pending = standing.pending + standing.unread if standing else 0
    return visit.render("failures.html", **values, standing=standing, pending=pending)


def _told(visit: Visit, found: Destination, known: list[Cause]) -> list[Told]:
    if not known:
        return []
    since_ms = min(one.first_at_ms for one in known) - _BLAMED_MS
    changed = list(changes_since(visit, since_ms, found.slug)) if since_ms else []
    return [Told(one, _blamed(one, changed)) for one in known]


def _blamed(cause: Cause, changed: list[Changed]) -> Changed | None:
    """The last change before everything was refused; a destination that was made then is none."""
    if not cause.is_everything:
        return None
    before = (one for one in changed if one.at_ms <= cause.first_at_ms)
    last = next(before, None)
    return last if last and any(line.startswith("~") for line in last.lines) else None


def _without_content(
    facts: DeliveryReader | None, stored: Stored, found: Destination, known: list[Cause]
) -> int:
    """Failed messages that nothing is kept of: they cannot be sent again."""
    ids = set(ids_of(stored, found.slug))
    tallies = facts.tallies() if facts else []
    failed = sum(
        one.standing for one in tallies if one.destination in ids and one.outcome == FAILED
    )
    return max(0, failed - sum(one.messages for one in known))


def _rows(
    visit: Visit, facts: DeliveryReader | None, number: int, known: list[Cause]
) -> Rows | None:
    cause = next((one for one in known if one.key == visit.query.get("cause")), None)
    if cause is None or facts is None:
        return None
    given = visit.query.get("before", "")
    before = int(given[:18]) if given.isascii() and given.isdigit() else None
    letters = letters_of(facts, number, cause.words, before, _ROWS + 1)
    shown = letters[:_ROWS]
    return Rows(cause, shown, shown[-1].seq if len(letters) > _ROWS else None)


def _replays(stored: Stored, facts: DeliveryReader | None, found: Destination) -> list[Progress]:
    """Those that go on, and the last ones that have ended, with what became of their messages."""
    mine = [one for one in progress(stored, facts) if one.destination == found.slug]
    ended = islice((one for one in mine if one.ended_at), _ENDED_SHOWN)
    told = [
        each
        for one in ended
        for each in progress(stored, facts, name=one.name, with_outcomes=True)
        if each.destination == found.slug
    ]
    return [one for one in mine if not one.ended_at] + told


def try_now(change: Change) -> Response:
    """What waits for its next attempt is attempted at once, at every destination."""
    found = destination_of(change)
    why_not = tell_retries(change.parts.outside.data_dir)
    words = "What was waiting is tried now."
    if why_not is None:
        words = "No server runs; what waits is tried when one starts."
    elif why_not:
        words = f"The running server does not try it: {why_not}"
    return change.done(f"/destinations/{found.slug}/failures", words)


# Replay


def confirm(visit: Visit) -> Response:
    """What the replay would do, before anything is done."""
    found, stored = destination_of(visit), stored_in(visit)
    cause, planned = _planned(visit, stored, found, visit.query.get)
    plan = planned.plan
    share = next(iter(plan.destinations), None)
    asked = {name: visit.query[name] for name in _ASKED if visit.query.get(name)}
    values: dict[str, Any] = {"destination": found, "cause": cause, "plan": plan, "share": share}
    skipped = sum(
        one.messages for one in plan.left_out if one.why in ("newer_stays", "old_profile")
    )
    return visit.render("replay.html", **values, asked=asked, skipped=skipped)


def begin(change: Change) -> Response:
    """Asks the server for it, planned anew: what has been settled meanwhile is not sent again."""
    found, stored = destination_of(change), stored_in(change)
    _, planned = _planned(change, stored, found, change.form.get)
    back = f"/destinations/{found.slug}/failures"
    n = planned.plan.messages
    if not n:
        return change.done(back, "Nothing was left to send again.")
    now_ms = change.parts.outside.clock.now_ms()
    data_dir = change.parts.outside.data_dir
    ask(data_dir, planned.request(new_name(now_ms, secrets.token_hex(2)), now_ms))
    why_not = tell_replay(data_dir)
    words = f"{n:,} {'message' if n == 1 else 'messages'} queued for replay."
    if why_not:
        words = f"{words} The running server has not taken it up yet: {why_not}"
    return change.done(back, words)


def _planned(
    visit: Visit, stored: Stored, found: Destination, asked: Callable[[str], str | None]
) -> tuple[Cause | None, Planned]:
    """The plan of what an address or a form asks for: a cause, or messages by outcome, reason and receipt."""
    number = stored.current.destination_ids[found.slug]
    with facts_of(stored) as facts:
        if facts is None:
            raise NothingHere("Nothing has an outcome yet, so there is nothing to send again.")
        if key := asked("cause"):
            cause = next((one for one in causes(facts, number) if one.key == key), None)
            if cause is None:
                raise NothingHere("Nothing is failed for that cause any more.")
            return cause, _plan_of_cause(stored, found, cause)
        return None, _plan_of_log(stored, facts, found, asked)


def _plan_of_cause(stored: Stored, found: Destination, cause: Cause) -> Planned:
    with closing(DeadLetters(stored)) as letters:
        wanted = Wanted(destination=found.slug, cause=cause.words)
        planned = letters.plan(CATALOG, wanted, old_profiles=False)
    assert planned is not None  # there are facts
    return planned


def _plan_of_log(
    stored: Stored, facts: DeliveryReader, found: Destination, asked: Callable[[str], str | None]
) -> Planned:
    criteria = Criteria(
        received=Range(parse_ms(asked("from") or ""), parse_ms(asked("to") or "")),
        destinations=(found.slug,),
        outcomes=tuple(filter(None, [asked("outcome")])),
        reasons=tuple(filter(None, [asked("reason")])),
        ids=tuple(filter(None, [asked("id")])),
    )
    if not criteria.outcomes:
        raise NothingHere("The address does not say which messages are to be sent again.")
    try:
        return plan_of_log(stored, CATALOG, facts, criteria)
    except Unknown as unknown:
        raise NothingHere(f"{unknown}") from None


ROUTES = (
    page("/destinations/{slug}/failures", failures),
    action("/destinations/{slug}/retry", try_now, Role.EDITOR),
    page("/destinations/{slug}/replay", confirm),
    action("/destinations/{slug}/replay", begin, Role.EDITOR),
)
