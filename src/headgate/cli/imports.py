"""`import`: the history that an archive holds, taken into the log."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from headgate.cli.console import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    Line,
    no,
    opened,
    print_json,
    print_lines,
    progress_bar,
    say,
    usage_error,
    workspace_path,
)

if TYPE_CHECKING:
    from io import BufferedIOBase

    from headgate.eventlog.log import BlockLog
    from headgate.gateway.imports.known import KnownIds
    from headgate.gateway.imports.lines import Archive
    from headgate.gateway.imports.run import Counts, Importer
    from headgate.gateway.imports.ways import Way
    from headgate.records.stored import Stored
    from headgate.workspace.sqlite_privacy import SqlitePrivacyReader

_TELL_EVERY_S = 10.0
_STDIN = "-"
_WHY = {
    "malformed_message": "not a JSON object",
    "message_too_large": "larger than 32 KiB",
    "unknown_type": "the type is none of identify, track, page, screen, group and alias",
    "no_ids": "neither a userId nor an anonymousId",
    "no_event_name": "a track call without an event name",
    "suppressed": "of users who are suppressed",
    "deleted": "of users who were deleted after that",
}


def import_(
    file: Annotated[
        str,
        typer.Argument(
            help="JSON lines of Segment messages, gzipped or not; - for stdin.", metavar="FILE"
        ),
    ],
    source: Annotated[
        str, typer.Option(help="The source that the messages belong to.", metavar="SLUG")
    ],
    deliver: Annotated[
        bool, typer.Option("--deliver", help="Deliver them to the source's destinations, too.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first line that cannot be taken in.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be taken in.")
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Take in the history that an archive holds.

    Every line is one message as Segment's libraries send it or Segment's archives hold it. Engage
    sees it as a message of the source; nobody is sent it, unless --deliver asks for that.
    A message counts at its own timestamp, which no clock corrects; without one at its
    originalTimestamp, sentAt or receivedAt.

    A message whose id the log holds already, of whatever age, is a duplicate. So an import that was
    cut off is simply run again. A line that is no message the doors would take is counted and
    passed over. Works beside a running server and without one. The exit status is 1 when it did
    not come to the end of the file, or found not one message in it.

    \b
    Example:
      headgate import segment-archive.json.gz --source website
      cat archive/*.gz | headgate import - --source website
    """
    from headgate.gateway.imports.lines import Archive
    from headgate.gateway.imports.run import Asked, Importer

    with ExitStack() as held:
        archive_file = held.enter_context(_file(file))
        stored = held.enter_context(opened(data_dir))
        _check(source, stored)
        privacy = held.enter_context(closing(_privacy(stored)))
        known, way = _way(stored, privacy, held, dry_run=dry_run)
        asked = Asked(source, deliver=deliver, strict=strict)
        importer = Importer(way, known, lambda: _forgotten(privacy), asked)
        archive = Archive(archive_file)
        trouble = _run(importer, archive, _size(file))
    counts = importer.counts
    if not trouble and counts.lines and not counts.accepted and not counts.duplicates:
        trouble = f"no line of {file} is a message that could be taken in"
    if as_json:
        print_json(_object(counts, source, trouble, deliver=deliver, dry_run=dry_run))
    else:
        print_lines(_lines_of(counts, dry_run=dry_run))
    if trouble:
        raise no(trouble)


# What it works with


@contextmanager
def _file(file: str) -> "Iterator[BufferedIOBase]":
    if file == _STDIN:
        yield cast("BufferedIOBase", sys.stdin.buffer)
        return
    try:
        opened_file = Path(file).open("rb")  # noqa: SIM115
    except OSError as error:
        raise usage_error(f"{file}: {error.strerror}", "FILE") from None
    with opened_file:
        yield opened_file


def _size(file: str) -> int:
    return 0 if file == _STDIN else Path(file).stat().st_size


def _check(source: str, stored: "Stored") -> None:
    slugs = [one.slug for one in stored.current.workspace.sources]
    if source not in slugs:
        there_are = ", ".join(slugs) or "none"
        raise usage_error(f"there is no source {source!r}; there are: {there_are}", "--source")


def _privacy(stored: "Stored") -> "SqlitePrivacyReader":
    from headgate.workspace.sqlite_privacy import SqlitePrivacyReader

    return SqlitePrivacyReader(workspace_path(stored.data_dir))


def _forgotten(privacy: "SqlitePrivacyReader") -> dict[str, int]:
    """When users asked to be forgotten, the last time."""
    return {one.user_id: one.asked_at_ms for one in privacy.deletions()}


def _way(
    stored: "Stored", privacy: "SqlitePrivacyReader", held: ExitStack, *, dry_run: bool
) -> "tuple[KnownIds, Way]":
    """The ids that the log holds, and the way into it; both last as long as `held`."""
    from headgate.clock import SystemClock
    from headgate.control import answers
    from headgate.gateway.imports.known import KnownIds
    from headgate.gateway.imports.ways import IntoLog, Nowhere, ThroughServer
    from headgate.locks import Locked, hold
    from headgate.workspace.suppressed import SuppressedUsers

    data_dir = stored.data_dir
    suppressed = SuppressedUsers(privacy)
    try:
        if not dry_run:
            held.enter_context(hold(data_dir / "import.lock", 0))
    except Locked:
        raise no(f"another import into {data_dir} is under way; wait for its end") from None
    if dry_run or answers(data_dir):
        known = held.enter_context(closing(KnownIds(stored.log)))
        suppressed.read()
        return known, Nowhere(known, suppressed()) if dry_run else ThroughServer(data_dir)
    try:
        held.enter_context(hold(data_dir / "gateway.lock", 0))
    except Locked:
        raise no(f"a server on {data_dir} is about to start or to stop; try again") from None
    log = held.enter_context(closing(_log(stored)))
    way = IntoLog(log, suppressed, SystemClock(), stored.newest.number)
    return held.enter_context(closing(KnownIds(stored.log))), way


def _log(stored: "Stored") -> "BlockLog":
    """The log for its one writer, under the limits that a server would hold it to."""
    from headgate.clock import SystemClock
    from headgate.delivery.reader import seen_to
    from headgate.eventlog.sqlite import sqlite_log
    from headgate.stores import DELIVERY

    log = sqlite_log(stored.log, SystemClock(), seen_to(stored.data_dir / DELIVERY))
    log.limit(stored.current.workspace.retention.max_bytes)
    return log


# Running it


def _run(importer: "Importer", archive: "Archive", size_bytes: int) -> str:
    """Imports to the end; "", or why it is not the end."""
    from headgate.gateway.imports.lines import BrokenArchive
    from headgate.gateway.imports.run import StoppedAt
    from headgate.gateway.imports.ways import NotTaken

    try:
        with _shown(size_bytes) as show:
            importer.run(
                archive.lines(), lambda: show(archive.done_bytes, importer.counts.accepted)
            )
    except StoppedAt as error:
        return f"stopped at line {error.bad.line:,}: {_WHY[error.bad.reason]}"
    except BrokenArchive as error:
        return f"{error}, after line {importer.counts.lines:,}; what was read is taken in"
    except NotTaken as error:
        return f"{error}; run the same import again, and it goes on where this one ended"
    except KeyboardInterrupt:
        return "interrupted; run the same import again, and it goes on where this one ended"
    return ""


@contextmanager
def _shown(size_bytes: int) -> Iterator[Callable[[int, int], None]]:
    """Is told the bytes of the file and the messages so far: a bar on a terminal, else a line now and then."""
    if sys.stderr.isatty() and size_bytes:
        with progress_bar("Importing") as bar:
            yield lambda done_bytes, accepted: bar(done_bytes, size_bytes)
        return
    told_s = monotonic()

    def tell(done_bytes: int, accepted: int) -> None:
        nonlocal told_s
        if monotonic() - told_s >= _TELL_EVERY_S:
            told_s = monotonic()
            share = f", {done_bytes / size_bytes:.0%} of the file" if size_bytes else ""
            say(f"{accepted:,} messages taken in{share}.")

    yield tell


# Telling


def _object(
    counts: "Counts", source: str, trouble: str, *, deliver: bool, dry_run: bool
) -> dict[str, Any]:
    return {
        "source": source,
        "deliver": deliver,
        "dryRun": dry_run,
        "complete": not trouble,
        "trouble": trouble,
        "lines": counts.lines,
        "accepted": counts.accepted,
        "duplicates": counts.duplicates,
        "refused": counts.refused,
        "badLines": [one._asdict() for one in counts.bad_lines],
        "times": counts.times,
        "withoutId": counts.without_id,
    }


def _lines_of(counts: "Counts", *, dry_run: bool) -> Iterator[Line]:
    refused = sum(counts.refused.values())
    accepted = "would be accepted" if dry_run else "accepted"
    yield (
        f"{counts.lines:,} lines: {counts.accepted:,} {accepted}, {counts.duplicates:,} duplicates,"
        f" {refused:,} refused",
        "bold",
    )
    for reason, n in counts.refused.most_common():
        named = [f"{one.line:,}" for one in counts.bad_lines if one.reason == reason]
        more = ", …" if named and len(named) < n else ""
        where = f" ({'lines' if n > 1 else 'line'} {', '.join(named)}{more})" if named else ""
        yield f"  {n:,} refused: {_WHY[reason]}{where}", "yellow"
    for place, n in counts.times.most_common():
        if place == "now":
            yield f"  {n:,} have no time of their own and count as of now", "yellow"
        elif place != "timestamp":
            yield f"  {n:,} have no timestamp and count at their {place}", ""
    if counts.without_id:
        yield (
            f"  {counts.without_id:,} have no messageId and were given one made of their content",
            "",
        )
