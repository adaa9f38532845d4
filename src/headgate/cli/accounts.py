"""Commands that count: audit, status."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.console import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDirOrBackup,
    Line,
    opened,
    print_json,
    print_lines,
    say,
    size_text,
    table,
    usage_error,
)

if TYPE_CHECKING:
    from headgate.records.audit import Audit
    from headgate.records.status import Status

_NAMED = 20
_MINUTE_MS = 60_000
_MINUTE_S = 60


def audit(
    since: Annotated[
        str | None, typer.Option("--from", help="From this receivedAt on.", metavar="TIME")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Up to this receivedAt, not included.", metavar="TIME"),
    ] = None,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Prove that no accepted message was lost.

    Each is delivered, discarded, failed or pending at each of its destinations. Looks at every
    message of the log once for each destination that it was meant for, and at every recorded
    outcome. A message that was lost without a record is named, damage to the log too; either
    makes the exit status 1. TIME is ISO 8601; without a zone it is UTC.

    \b
    Example:
      headgate audit --from 2026-11-01 --to 2026-12-01
    """
    from headgate.cli.find import received
    from headgate.records.audit import audit as prove

    wanted = received(since, to)
    if any(end is not None and end % _MINUTE_MS for end in wanted):
        say("Refused messages are counted by the minute: those of the minutes that begin in range.")
    with opened(data_dir) as stored:
        result = prove(stored, wanted)
    if as_json:
        print_json(result)
    else:
        print_lines(_audit_lines(result))
    say(_verdict(result))
    if not result.is_sound:
        raise typer.Exit(1)


def time_ms(option: str, text: str | None) -> int | None:
    """The moment that an option names, None when it is left out; wrong usage when it is no time."""
    from headgate.spec.timestamps import parse_ms

    if text is None:
        return None
    found = parse_ms(text)
    if found is None:
        words = f"expected a time such as 2026-11-23 or 2026-11-23T18:00Z, found {text!r}"
        raise usage_error(words, option)
    return found


def _audit_lines(result: "Audit") -> Iterator[Line]:
    heads = ("destination", "accepted", "delivered", "discarded", "failed", "pending", "broken")
    rows = [
        (slug, one.accepted, one.delivered, one.discarded, one.failed, one.pending, one.broken)
        for slug, one in result.destinations.items()
    ]
    total = (
        "total",
        result.accepted,
        result.delivered,
        result.discarded,
        result.failed,
        result.pending,
        result.broken_count,
    )
    yield from table(heads, [*rows, total])
    reasons = [
        (slug, reason, n, _sentence(reason))
        for slug, one in result.destinations.items()
        for reason, n in sorted(one.reasons.items(), key=lambda item: -item[1])
    ]
    if reasons:
        yield "", ""
        yield from table(("destination", "reason", "messages", ""), reasons)
    for problem in result.problems[:_NAMED]:
        yield f"broken: {problem.message_id} to {problem.destination}: {problem.why}", "red"
    if len(result.problems) > _NAMED:
        yield f"and {result.broken_count - _NAMED:,} more; --json names them", "red"
    for damage in result.damaged:
        yield f"damaged: messages {damage.first:,} to {damage.last:,}: {damage.why}", "red"


def _sentence(reason: str) -> str:
    from headgate.spec.reasons import REASONS

    return REASONS[reason].sentence if reason in REASONS else ""


def _verdict(result: "Audit") -> str:
    if result.is_sound:
        return (
            f"Every outcome is accounted for: {result.accepted:,} accepted ="
            f" {result.delivered:,} delivered + {result.discarded:,} discarded +"
            f" {result.failed:,} failed + {result.pending:,} pending."
        )
    return (
        f"BROKEN: {result.broken_count:,} outcomes are missing or out of place, and"
        f" {len(result.damaged):,} ranges of the log are damaged."
    )


def status(data_dir: DataDirOrBackup = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Show what a data directory holds.

    The workspace, the log, how each destination is doing and how far it has come, replays that
    are under way, and what is known to be wrong, with or without a running server.

    \b
    Example:
      headgate status --data-dir /var/lib/headgate
    """
    from headgate.control import answers
    from headgate.destinations.catalog import CATALOG
    from headgate.records.status import status as look

    with opened(data_dir) as stored:
        found = look(stored, CATALOG)
        running = answers(stored.data_dir)
    if as_json:
        print_json(_status_object(found, data_dir, running=running))
    else:
        print_lines(_status_lines(found, data_dir, running=running))


def _status_object(found: "Status", data_dir: Path, *, running: bool) -> dict[str, Any]:
    import msgspec

    return {"dataDir": str(data_dir), "running": running, **msgspec.to_builtins(found)}


def _status_lines(found: "Status", data_dir: Path, *, running: bool) -> Iterator[Line]:
    yield from _troubles(found, running=running)
    log, disk = found.log, found.disk
    state = "a server is running" if running else "no server is running"
    yield f"Directory  {data_dir}: {state}, {size_text(disk.total)}", ""
    by = f", {found.workspace.at} by {found.workspace.actor}" if found.workspace.at else ""
    yield f"Workspace  version {found.workspace.version}{by}", ""
    if log.messages:
        yield f"Log        messages {log.first:,} to {log.last:,}, {size_text(disk.log)}", ""
        yield f"           received from {log.since} to {log.until}", ""
    else:
        yield "Log        empty", ""
    if found.engage:
        history = f"{size_text(disk.engage)}, of that history {size_text(found.engage.history)}"
        state = "computing" if found.engage.running else "not running"
        yield f"Engage     {state}, {history}", ""
    refused = ", ".join(f"{reason} {n:,}" for reason, n in found.refused.items())
    yield f"Refused    {refused or 'nothing'}", ""
    for one in found.replays:
        of = f"{one.settled:,} of {one.total:,} settled"
        yield f"Replay     {one.name} to {one.destination}: {one.state}, {of} ({one.criteria})", ""
    yield "", ""
    yield from table(
        ("source", "type", "", "write keys"),
        [
            (one.slug, one.type, "" if one.enabled else "disabled", " ".join(one.write_keys))
            for one in found.sources
        ],
    )
    yield "", ""
    yield from _destination_lines(found)


def _troubles(found: "Status", *, running: bool) -> Iterator[Line]:
    """What is wrong, the newest first; nothing when nothing is."""
    is_idle = running and found.engage is not None and not found.engage.running
    if is_idle:
        yield "Engage is not running, the server's log says why: nothing is computed", "bold red"
    for one in found.destinations:
        if one.since is not None:
            yield f"{one.slug} is {one.state} since {one.since}: {one.trouble}", "bold red"
    for lost in found.damage:
        yield (
            f"messages {lost.first:,} to {lost.last:,} are lost: {lost.why}; see headgate audit",
            "red",
        )
    letters = sum(one.dead_letters for one in found.destinations)
    if letters:
        who = "1 message was" if letters == 1 else f"{letters:,} messages were"
        yield f"{who} given up on: see headgate deadletters list", "yellow"
    if is_idle or found.damage or letters or any(one.since for one in found.destinations):
        yield "", ""


def _destination_lines(found: "Status") -> Iterator[Line]:
    heads = ("destination", "", "delivered", "discarded", "failed", "pending")
    rows = [
        (one.slug, one.state, one.delivered, one.discarded, one.failed, one.pending)
        for one in found.destinations
    ]
    yield from table(heads, rows)
    for one in found.destinations:
        if one.pending + one.replaying:
            replaying = f", {one.replaying:,} more to replay" if one.replaying else ""
            takes = duration_text(one.drain_seconds)
            yield f"{one.slug}: {one.pending:,} pending{replaying}; time to send: {takes}", ""


def duration_text(seconds: int | None) -> str:
    """How long sending takes under a destination's limits, for people."""
    if seconds is None:
        return "no limit is set"
    if seconds < _MINUTE_S:
        return "less than a minute"
    hours, minutes = divmod(seconds // _MINUTE_S, 60)
    return f"about {hours} h {minutes} min" if hours else f"about {minutes} min"
