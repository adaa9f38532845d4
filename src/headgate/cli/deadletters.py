"""`deadletters`: what was given up on, listed, shown, exported, sent again."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from headgate.cli.console import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDirOrBackup,
    Line,
    no,
    opened,
    print_json,
    print_lines,
    say,
    table,
    usage_error,
)
from headgate.cli.find import naming_options, received
from headgate.cli.replay import DryRun, NoWait, OldProfiles, Yes, carry_out

if TYPE_CHECKING:
    from headgate.records.dead_letters import DeadLetters, Listing, Shown, Wanted

_SHOWN_CHARACTERS = 4_000

Destination = Annotated[str | None, typer.Option(help="Only this destination's.", metavar="SLUG")]
Reason = Annotated[str | None, typer.Option(help="Only with this reason.", metavar="CODE")]
User = Annotated[str | None, typer.Option(help="Only of this user.", metavar="USER")]
From = Annotated[
    str | None, typer.Option("--from", help="Given up on at this time or later.", metavar="TIME")
]
To = Annotated[
    str | None, typer.Option("--to", help="Given up on before this time.", metavar="TIME")
]

deadletters = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@deadletters.callback()
def about() -> None:
    """List, show, export and replay dead letters.

    A dead letter is a message that was given up on: Heap refused it, or did not take it within the
    retry window. It is kept, with its message, until it is sent again with success.

    \b
    Example:
      headgate deadletters list
    """


@deadletters.command("list")
def list_(
    destination: Destination = None,
    reason: Reason = None,
    user: User = None,
    since: From = None,
    to: To = None,
    limit: Annotated[int, typer.Option(help="Show at most so many.", min=0, metavar="N")] = 20,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first.

    All of them are counted by destination and reason on top.

    \b
    Example:
      headgate deadletters list --destination heap --reason refused
    """
    wanted = _wanted(destination, reason, user, since, to)
    with _letters(data_dir, wanted) as letters:
        found = letters.listing(wanted, limit)
    if as_json:
        print_json(found)
    else:
        print_lines(_listing_lines(found))
    if len(found.letters) < found.total and limit:
        say(f"These are {len(found.letters):,} of {found.total:,}; --limit shows more.")
    elif not found.total:
        say(f"There are none: {wanted}.")


@deadletters.command()
def show(
    message_id: Annotated[str, typer.Argument(help="The message's messageId.", metavar="ID")],
    destination: Destination = None,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Show a dead letter in full.

    The message as it came, the row as it was sent, the request with Heap's answer, the reason in
    words, and what to do. Exit status 1 when there is none with this id.

    \b
    Example:
      headgate deadletters show 022bb90c-bbac-11e4-8dfc-aa07a5b093db
    """
    wanted = _wanted(destination, ids=(message_id,))
    with _letters(data_dir, wanted) as letters:
        found = list(letters.shown(wanted))
    if not found:
        raise no(
            f"there is no dead letter with the id {message_id!r}"
            f"{f' for {destination}' if destination else ''}; headgate trace tells what became of"
            " the message, and headgate deadletters list which ones there are",
            as_json=as_json,
        )
    if as_json:
        print_json({"letters": found})
        return
    for number, one in enumerate(found):
        if number:
            print()
        print_lines(_letter_lines(one))


@deadletters.command()
def export(
    destination: Destination = None,
    reason: Reason = None,
    user: User = None,
    since: From = None,
    to: To = None,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write to this file, which must not exist, instead of stdout.", metavar="FILE"
        ),
    ] = None,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    _as_json: Annotated[
        bool, typer.Option("--json", help="What it prints is JSON with and without.")
    ] = False,
) -> None:
    """Print dead letters as JSON lines.

    One object each, with the message as it came, so that it can be posted again or kept, and with
    ids, reason and Heap's answer.

    \b
    Example:
      headgate deadletters export --reason refused > refused.jsonl
    """
    import msgspec

    wanted = _wanted(destination, reason, user, since, to)
    written = 0
    with _letters(data_dir, wanted) as letters, _opened_for_writing(output) as out:
        for one in letters.kept(wanted):
            out.write(msgspec.json.encode(one) + b"\n")
            written += 1
    say(f"{written:,} dead letters{f' in {output}' if output else ''}.")


@deadletters.command()
def replay(
    message_ids: Annotated[
        list[str] | None, typer.Argument(help="Only these messageIds.", metavar="[ID]...")
    ] = None,
    destination: Destination = None,
    reason: Reason = None,
    user: User = None,
    since: From = None,
    to: To = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All dead letters, without any other criterion.")
    ] = False,
    old_profiles: OldProfiles = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_wait: NoWait = False,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Send dead letters again.

    Works as headgate replay does, and also for messages that the log has let go of. One that is
    delivered or discarded then is no dead letter any more.

    \b
    Example:
      headgate deadletters replay --reason refused --dry-run
      headgate deadletters replay 022bb90c-bbac-11e4-8dfc-aa07a5b093db
    """
    from headgate.destinations.catalog import CATALOG
    from headgate.records.dead_letters import Wanted

    ids = tuple(dict.fromkeys(message_ids or ()))
    wanted = _wanted(destination, reason, user, since, to, ids)
    if wanted == Wanted() and not everything:
        raise usage_error("say which by id, --destination, --reason or --from; or --all", "replay")
    with _letters(data_dir, wanted) as letters:
        planned = letters.plan(CATALOG, wanted, old_profiles=old_profiles)
    if planned is None or (ids and not planned.plan.messages and not planned.plan.left_out):
        raise no(
            f"there are no such dead letters: {wanted}; see headgate deadletters list",
            as_json=as_json,
        )
    carry_out(planned, data_dir, dry_run=dry_run, yes=yes, wait=not no_wait, as_json=as_json)


# Options and files


def _wanted(
    destination: str | None = None,
    reason: str | None = None,
    user: str | None = None,
    since: str | None = None,
    to: str | None = None,
    ids: tuple[str, ...] = (),
) -> "Wanted":
    from headgate.records.dead_letters import Wanted

    return Wanted(
        destination=destination or "",
        reason=reason or "",
        user=user or "",
        given_up=received(since, to),
        ids=ids,
    )


@contextmanager
def _letters(data_dir: Path, wanted: "Wanted") -> "Iterator[DeadLetters]":
    from headgate.records.dead_letters import DeadLetters

    with opened(data_dir) as stored, naming_options():
        wanted.check(stored)
        with closing(DeadLetters(stored)) as letters:
            yield letters


@contextmanager
def _opened_for_writing(output: Path | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        file = output.open("xb")
    except FileExistsError:
        raise usage_error(f"{output} exists already; name another file", "--output") from None
    with file:
        yield file


# For people


def _listing_lines(found: "Listing") -> Iterator[Line]:
    if not found.total:
        return
    yield from table(
        ("destination", "reason", "letters", ""),
        [(one.destination, one.reason, one.letters, one.sentence) for one in found.groups],
    )
    if found.letters:
        yield "", ""
        yield from table(
            ("given up on", "message", "user", "destination", "reason"),
            [
                (one.at, one.message_id, one.user_id, one.destination, one.reason)
                for one in found.letters
            ],
        )


def _letter_lines(one: "Shown") -> Iterator[Line]:
    yield f"{one.message_id} at {one.destination}: {one.reason}", "bold"
    for sentence in (one.sentence, one.remedy):
        if sentence:
            yield f"  {sentence}", ""
    yield f"  given up on at {one.at}, message number {one.position:,}", ""
    if one.received_at:
        yield f"  received at {one.received_at} by source {one.source}", ""
    for head, value in (("As it came", one.message), ("The row as it was sent", one.row)):
        yield "", ""
        yield head, "bold"
        yield _cut(_compact(value)) if value is not None else "(no longer kept)", ""
    yield "", ""
    yield "The request and its answer", "bold"
    if one.request is None:
        yield "(no longer kept)", ""
        return
    yield f"POST {one.url}", ""
    yield _request(one), ""
    yield f"answered {one.status}" if one.status else str(one.error), ""
    yield _cut(one.answer or "(empty)"), ""


def _request(one: "Shown") -> str:
    """The request; of a long one, which the row above has shared with others, only its size."""
    request = one.request or ""
    if len(request) <= _SHOWN_CHARACTERS or one.row is None:
        return _cut(request)
    return f"the row above among others, {len(request):,} characters; --json shows all"


def _cut(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text):,} characters; --json shows all)"


def _compact(value: Any) -> str:
    import msgspec

    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
