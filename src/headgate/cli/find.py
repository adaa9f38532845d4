"""`find`: which messages were that? Also the options by which commands choose messages."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from headgate.cli.accounts import time_ms
from headgate.cli.console import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDirOrBackup,
    Line,
    opened,
    print_json,
    print_lines,
    say,
    table,
    usage_error,
)

if TYPE_CHECKING:
    from headgate.records.find import Found
    from headgate.records.stretches import Range

OUTCOMES = ("delivered", "discarded", "failed", "pending")
_WIDEST = 30
_MAY_BE_COMMON = ("user", "source", "destination", "outcome", "reason")

From = Annotated[
    str | None, typer.Option("--from", help="Received at this time or later.", metavar="TIME")
]
To = Annotated[str | None, typer.Option("--to", help="Received before this time.", metavar="TIME")]
Sources = Annotated[
    list[str] | None,
    typer.Option("--source", help="Of this source; may be repeated.", metavar="SLUG"),
]
Destinations = Annotated[
    list[str] | None,
    typer.Option("--destination", help="For this destination; may be repeated.", metavar="SLUG"),
]
Users = Annotated[
    list[str] | None,
    typer.Option("--user", help="Of the user with this userId; may be repeated.", metavar="USER"),
]
Types = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        help="Of this call type: identify, track, page, screen, group or alias; may be repeated.",
        metavar="TYPE",
    ),
]
Events = Annotated[
    list[str] | None,
    typer.Option(
        "--event", help="Track calls with this event name; may be repeated.", metavar="NAME"
    ),
]
Ids = Annotated[
    list[str] | None,
    typer.Option("--id", help="With this messageId; may be repeated.", metavar="ID"),
]
Outcomes = Annotated[
    list[str] | None,
    typer.Option(
        "--outcome",
        help="With this outcome now: delivered, discarded, failed or pending; may be repeated.",
        metavar="OUTCOME",
    ),
]
Reasons = Annotated[
    list[str] | None,
    typer.Option(
        "--reason",
        help="With this reason now, e.g. refused; docs/outcomes.md has all; may be repeated.",
        metavar="CODE",
    ),
]


def find(
    since: From = None,
    to: To = None,
    source: Sources = None,
    destination: Destinations = None,
    user: Users = None,
    call_type: Types = None,
    event: Events = None,
    message_id: Ids = None,
    outcome: Outcomes = None,
    reason: Reasons = None,
    limit: Annotated[int, typer.Option(help="Show at most so many.", min=1, metavar="N")] = 20,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """List the messages that fit, newest first.

    One line for each destination of a message, with the outcome that it has there now. What is
    the same for all of them is said once, on top. Of several values of one option one has to fit, of
    several options all. TIME is ISO 8601; without a zone it is UTC.

    \b
    Example:
      headgate find --destination heap --reason refused --from 2026-11-01
    """
    from headgate.records.criteria import Criteria
    from headgate.records.find import find as search
    from headgate.spec.names import is_imported
    from headgate.spec.reasons import DOOR_REASONS

    criteria = Criteria(
        received=received(since, to),
        sources=tuple(source or ()),
        destinations=tuple(destination or ()),
        users=tuple(user or ()),
        types=tuple(call_type or ()),
        events=tuple(event or ()),
        ids=tuple(message_id or ()),
        outcomes=outcomes(outcome, OUTCOMES),
        reasons=tuple(reason or ()),
    )
    with opened(data_dir) as stored, naming_options():
        found = search(stored, criteria, limit)
    if as_json:
        print_json(found)
    else:
        print_lines(_lines(found.messages))
    if found.lost:
        say(f"{found.lost:,} messages could not be read, and may fit; see headgate audit.")
    for one in found.refused:
        say(f"{one} was refused at the door, so it is not in the log: see headgate trace {one}")
    for one in found.imported:
        say(f"{one} was imported and is for no destination: see headgate trace {one}")
    if found.more:
        say(f"There are more than these {limit:,}; show them with --limit.")
    elif any(map(is_imported, criteria.sources)):
        say(
            "Imported messages are for no destination, so they are not listed: see headgate trace ID"
        )
    elif not found.messages and not found.refused and not found.imported:
        say(f"No message fits: {criteria}.")
    if DOOR_REASONS.intersection(criteria.reasons):
        say(
            "Messages that the doors refuse for this reason are not in the log: headgate status"
            " counts them, and headgate trace ID tells of one."
        )


# What the options mean


def received(since: str | None, to: str | None) -> "Range":
    """The range of receivedAt; wrong usage when it is none."""
    from headgate.records.stretches import Range

    wanted = Range(time_ms("--from", since), time_ms("--to", to))
    if wanted.from_ms is not None and wanted.to_ms is not None and wanted.from_ms >= wanted.to_ms:
        raise usage_error(
            f"expected a time after --from {since}, which is included, found {to}", "--to"
        )
    return wanted


def outcomes(named: list[str] | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """The outcomes that are asked for; wrong usage when there is no such one."""
    for name in named or ():
        if name not in known:
            raise usage_error(f"expected one of {', '.join(known)}; found {name!r}", "--outcome")
    return tuple(named or ())


@contextmanager
def naming_options() -> Iterator[None]:
    """Makes wrong usage of a criterion that names something unknown."""
    from headgate.records.criteria import Unknown

    try:
        yield
    except Unknown as error:
        raise usage_error(str(error), error.option) from None


# For people


def _lines(messages: "list[Found]") -> Iterator[Line]:
    """What tells the messages apart; what they have in common stands above."""
    if not messages:
        return
    columns = {
        "received": [one.received_at for one in messages],
        "what": [_cut(f"{one.type} {one.event}".strip()) for one in messages],
        "user": [_cut(one.user_id) for one in messages],
        "source": [one.source for one in messages],
        "destination": [one.destination for one in messages],
        "outcome": [one.outcome for one in messages],
        "reason": [one.reason for one in messages],
        "message": [one.message_id for one in messages],
    }
    common = [
        name for name, cells in columns.items() if name in _MAY_BE_COMMON and len({*cells}) == 1
    ]
    if said := ", ".join(f"{name} {columns[name][0]}" for name in common if columns[name][0]):
        yield f"All of {said}", ""
    shown = [name for name in columns if name not in common]
    yield from table(shown, zip(*(columns[name] for name in shown), strict=True))


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
