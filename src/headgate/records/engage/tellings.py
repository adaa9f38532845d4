"""What destinations were told of one person and one computation, and what became of it.

The ids of these messages are made of what is told and how often it was told before, so the message of the
last telling is known without looking for it; its story is `trace`'s.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from headgate.destinations.interface import Destination as Kind
from headgate.engage.identifies import Told, computation_id, identify
from headgate.engage.profile import Profile, Sent
from headgate.engage.registry import Record, State
from headgate.engage.rules import USER_ID
from headgate.engage.sync import is_empty
from headgate.records.engage.standing import is_due
from headgate.records.stored import Stored
from headgate.records.trace import Story, trace
from headgate.spec.names import engage_source
from headgate.spec.timestamps import iso_ms
from headgate.workspace.model import Workspace

NO_USER_ID = "There is no userId, and Heap has no user without one: it is told when one appears."


class Telling(msgspec.Struct, frozen=True, rename="camel"):
    """Where one destination stands with one userId.

    `told` and `at` are of the last telling, None when there was none; `times` counts all. `outcome` and what
    follows is what became of that message: `status` and `answer` are of its last attempt. `why` says what
    keeps the destination from being told what holds now; "" when it knows.
    """

    destination: str
    user_id: str
    told: Any = None
    at: str | None = None
    times: int = 0
    message_id: str = ""
    outcome: str = ""
    reason: str = ""
    sentence: str = ""
    attempts: int = 0
    status: int | None = None
    answer: str = ""
    why: str = ""


def tellings(
    stored: Stored, catalog: Mapping[str, Kind], profile: Profile, record: Record, value: Any
) -> Iterator[Telling]:
    """One for each of the person's userIds at each destination that is told, or was."""
    workspace = stored.current.workspace
    for user_id in profile.of_type(USER_ID):
        sent = profile.sent.get(user_id, {})
        for slug in _destinations(record, sent):
            last = sent.get(f"{record.number}/{slug}")
            why = _why(workspace, record, slug, value, last)
            if last is None:
                yield Telling(slug, user_id, why=why)
            else:
                yield _told(stored, catalog, profile, record, slug, user_id, last, why)


def _destinations(record: Record, sent: Mapping[str, Sent]) -> list[str]:
    told = (name.partition("/") for name in sent)
    before = {slug for number, _, slug in told if number == str(record.number)}
    return [*record.destinations, *sorted(before - set(record.destinations))]


def _told(
    stored: Stored,
    catalog: Mapping[str, Kind],
    profile: Profile,
    record: Record,
    slug: str,
    user_id: str,
    last: Sent,
    why: str,
) -> Telling:
    message_id = message_id_of(profile, record, slug, user_id, last)
    telling = Telling(
        slug, user_id, last.value, iso_ms(last.at_ms), last.times, message_id, why=why
    )
    found = trace(stored, catalog, message_id, source=engage_source(slug))
    if found.story is not None:
        return _with_story(telling, found.story)
    is_gone = found.since is not None and iso_ms(last.at_ms) < found.since
    sentence = (
        "The log has let go of the message."
        if is_gone
        else "The message waits to be taken into the log."
    )
    return msgspec.structs.replace(telling, outcome="" if is_gone else "pending", sentence=sentence)


def message_id_of(profile: Profile, record: Record, slug: str, user_id: str, last: Sent) -> str:
    """The messageId of a telling."""
    told = Told(
        number=record.number,
        key=record.key,
        is_audience=record.is_audience,
        computation_id=computation_id(
            record.key, is_audience=record.is_audience, created_at_ms=record.created_at_ms
        ),
        destination=slug,
        destination_name="",
    )
    return identify(
        profile, user_id, told, last.value, nth=last.number, at_ms=last.at_ms
    ).message_id


def _with_story(telling: Telling, story: Story) -> Telling:
    if not story.outcomes:
        return msgspec.structs.replace(telling, sentence="The destination is not there any more.")
    outcome = story.outcomes[-1]
    attempts = [one for one in story.attempts if one.destination == outcome.destination]
    last = attempts[-1] if attempts else None
    return msgspec.structs.replace(
        telling,
        outcome=outcome.outcome,
        reason=outcome.reason,
        sentence=outcome.sentence,
        attempts=len(attempts),
        status=last.status if last else None,
        answer=(last.answer or last.error) if last else "",
    )


def _why(workspace: Workspace, record: Record, slug: str, value: Any, last: Sent | None) -> str:
    """Why the destination does not know what holds now; "" when it does, or has no need to."""
    if last is not None and not is_due(last, record, value):
        return ""
    if record.state is State.DISABLED:
        return "It is disabled: what was told stands, and the difference is told when it is enabled again."
    if record.state is State.PREPARING:
        return "It is still being prepared: nothing is told before history has been read."
    found = next((one for one in workspace.destinations if one.slug == slug), None)
    if slug not in record.destinations:
        return "It does not go to this destination any more."
    if found is None or not found.enabled:
        return (
            "The destination is disabled: the difference is told when it is enabled again."
            if found
            else "There is no such destination any more."
        )
    if last is None and (value is not True if record.is_audience else is_empty(value)):
        return "Nobody is told false, or an empty value, who was never told anything else."
    if last is not None and last.is_lost:
        return (
            "The last telling never arrived: it is told again when something happens to the person,"
            " after a pause that grows each time, or by a resync."
        )
    interval_s = workspace.engage.sync_interval
    if interval_s:
        return f"It is told at the next sync, at most {interval_s} s from the change."
    return "It is about to be told: a server that runs does so at once."
