"""`engage`: audiences and computed traits, listed, tried, explained, checked, exported, told again."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from headgate.cli.console import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    DataDirOrBackup,
    no,
    opened,
    print_json,
    print_lines,
    progress_bar,
    say,
    usage_error,
)
from headgate.cli.engage_text import (
    COLUMNS,
    difference_lines,
    listing_lines,
    member_lines,
    people,
    preview_lines,
    shown,
    verdict,
    why_lines,
)

if TYPE_CHECKING:
    from headgate.engage.history.preview import Asked
    from headgate.engage.registry import Record
    from headgate.records.engage.members import Member
    from headgate.records.engage.stored import Engaged
    from headgate.records.stored import Stored

Key = Annotated[
    str, typer.Argument(help="The key of an audience or computed trait.", metavar="KEY")
]

engage = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@engage.callback()
def about() -> None:
    """Show and try audiences and computed traits.

    They are defined in headgate.yaml, under engage, and computed while a server runs.

    \b
    Example:
      headgate engage list
    """


@engage.command("list")
def list_(
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough", help="Look at every profile, too, for what there was no room for."
        ),
    ] = False,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """List audiences and computed traits, and what is going on.

    How far each is, how many members it has, how many of these have no userId and cannot be told
    of; what waits to be told, and how long that takes under Heap's limits; identifiers that were
    not used.

    \b
    Example:
      headgate engage list --json
    """
    from headgate.destinations.catalog import CATALOG
    from headgate.records.engage.listing import listing

    with opened(data_dir) as stored, _engaged(stored, as_json=as_json) as store:
        found = listing(stored, store, CATALOG, thorough=thorough)
    if as_json:
        print_json(found)
    else:
        print_lines(listing_lines(found))
    if not found.computations:
        say("There are no audiences and no computed traits.")


@engage.command()
def preview(
    definition: Annotated[
        str | None,
        typer.Argument(help="A definition in the query language, in quotes.", metavar="DEFINITION"),
    ] = None,
    audience: Annotated[
        str | None,
        typer.Option(
            help="The definition of this audience or computed trait instead.", metavar="KEY"
        ),
    ] = None,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Count people without a user id, too.")
    ] = False,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait", help="A step that did not happen has to wait for its window to pass."
        ),
    ] = False,
    overlap: Annotated[
        str, typer.Option(help="How many are in this audience, too.", metavar="KEY")
    ] = "",
    sample: Annotated[int, typer.Option(help="Show so many people.", min=0, metavar="N")] = 10,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Try a definition: who would be in it now.

    Computed from all messages that are kept; nothing is stored, nobody is told. Says how many
    people there are, how many of them have a userId and could be told of, and some of them. Of a
    computed trait also its most frequent values. Exit status 1 when it is no definition.

    \b
    Example:
      headgate engage preview "event('Order Completed').within(30 days).count() >= 1"
    """
    import msgspec

    from headgate.clock import SystemClock
    from headgate.engage.history.preview import UnknownAudience
    from headgate.engage.history.preview import preview as try_it
    from headgate.engage.history.view import opened as opened_history
    from headgate.language.checks import Cycle
    from headgate.language.errors import DefinitionError

    if (definition is None) == (audience is None):
        raise usage_error("give either a definition or --audience KEY", "preview")
    with opened(data_dir) as stored:
        try:
            with _engaged(stored, as_json=as_json) as store:
                if definition is None:
                    asked = _asked_of(_record(store, audience or "", as_json=as_json))
                else:
                    asked = _asked(definition, anonymous=anonymous, wait=wait)
            asked = msgspec.structs.replace(asked, overlap=overlap, sample=sample)
            with opened_history(stored.data_dir) as view:
                found = try_it(view, asked, SystemClock().now_ms())
        except DefinitionError as error:
            raise no(f"this is no definition: {error}", as_json=as_json) from None
        except Cycle as error:
            words = f"computations read each other in a circle: {error}"
            raise no(words, as_json=as_json) from None
        except UnknownAudience as error:
            raise no(f"there is no audience with the key {error}", as_json=as_json) from None
    if as_json:
        print_json(found)
    else:
        print_lines(preview_lines(found, asked.kind))


@engage.command()
def verify(data_dir: DataDirOrBackup = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Compute everything anew, and compare.

    Every audience and computed trait for everybody, from all messages that are kept, held against
    what Engage has arrived at step by step. Every difference is named, and makes the exit status
    1. Works beside a running server.

    \b
    Example:
      headgate engage verify
    """
    import msgspec

    from headgate.engage.history.verify import Verified
    from headgate.engage.history.verify import verify as compare
    from headgate.engage.history.view import opened as opened_history

    with opened(data_dir) as stored:
        with _engaged(stored, as_json=as_json):
            pass
        with opened_history(stored.data_dir) as view:
            said = list(compare(view))
    differences = [one for one in said if not isinstance(one, Verified)]
    (verified,) = [one for one in said if isinstance(one, Verified)]
    if as_json:
        print_json({**msgspec.to_builtins(verified), "differences": differences})
    else:
        print_lines(difference_lines(differences))
    words = verdict(verified)
    if verified.differences:
        raise no(words)
    say(words)


@engage.command()
def members(
    key: Key,
    limit: Annotated[int, typer.Option(help="Show at most so many.", min=1, metavar="N")] = 20,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """List who is in an audience, or who has a value of a computed trait.

    In the order in which they were first seen, with everything that identifies them.

    \b
    Example:
      headgate engage members order_completed_last_30days --limit 50
    """
    from itertools import islice

    from headgate.records.engage.members import members as search

    with opened(data_dir) as stored, _engaged(stored, as_json=as_json) as store:
        record = _record(store, key, as_json=as_json)
        with progress_bar("Searching") as looked_at:
            found = list(islice(search(store, record, looked_at), limit))
        size = store.sizes().get(record.number, 0)
    if as_json:
        print_json({"key": key, "size": size, "members": found})
    elif found:
        print_lines(member_lines(record, found))
    if size > len(found):
        say(f"These are {len(found):,} of {size:,}; --limit shows more.")
    elif not found:
        say(f"{key} has no members.")


@engage.command()
def export(
    key: Key,
    output: Annotated[
        Path | None,
        typer.Argument(help="Write to this file, which must not exist, instead of stdout."),
    ] = None,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV, which it does without, too.")
    ] = False,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines, one object each, instead of CSV.")
    ] = False,
) -> None:
    """Print all members of an audience, or all values of a computed trait.

    A row for each person: value, userId, email, anonymousId, and all identifiers as JSON. Several
    of one type stand below each other in their cell.

    \b
    Example:
      headgate engage export order_completed_last_30days --csv members.csv
    """
    from headgate.records.engage.members import members as search

    if as_csv and as_json:
        raise usage_error("one of --csv and --json, not both", "export")
    with opened(data_dir) as stored, _engaged(stored, as_json=False) as store:
        record = _record(store, key, as_json=False)
        with progress_bar("Exporting") as looked_at, _opened_for_writing(output) as out:
            found = search(store, record, looked_at)
            written = _write_json(out, found) if as_json else _write_csv(out, found)
    say(f"{people(written)}{f' in {output}' if output else ''}.")


@engage.command()
def explain(
    key: Key,
    user: Annotated[
        str, typer.Argument(help="A userId, or TYPE:VALUE as in email:a@b.c.", metavar="USER")
    ],
    messages: Annotated[
        int, typer.Option(help="Name at most so many messages for a part.", min=0, metavar="N")
    ] = 5,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Say why a user is in an audience or not, or has a trait's value.

    Every condition with what it comes to and the messages or traits that make it so; when it next
    changes by itself; what each destination was told last, and what Heap answered. Exit status 1
    when there is no such audience, trait or user.

    \b
    Example:
      headgate engage explain order_completed_last_30days ann@example.com
    """
    from headgate.clock import SystemClock
    from headgate.destinations.catalog import CATALOG
    from headgate.records.engage.explaining import explain as ask
    from headgate.records.engage.people import find_person

    with opened(data_dir) as stored, _engaged(stored, as_json=as_json) as store:
        record = _record(store, key, as_json=as_json)
        profile = find_person(store, user)
        if profile is None:
            words = (
                f"{user} is not known in {data_dir}: no message with this userId was read; other"
                " identifiers are written TYPE:VALUE, as in anonymous_id:5f3a"
            )
            raise no(words, as_json=as_json)
        now_ms = SystemClock().now_ms()
        why = ask(stored, store, CATALOG, record, profile, now_ms=now_ms, most=messages)
    if as_json:
        print_json(why)
    else:
        print_lines(why_lines(why, user))


@engage.command()
def resync(key: Key, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Tell destinations again.

    Of every member of an audience, every value of a computed trait, whatever they were told
    before. Live messages go first. A running server begins at once, otherwise the next one.

    \b
    Example:
      headgate engage resync order_completed_last_30days
    """
    import secrets

    from headgate.control import tell_engage
    from headgate.engage.requests import Requests

    with opened(data_dir) as stored, _engaged(stored, as_json=as_json) as store:
        record = _record(store, key, as_json=as_json)
        size = store.sizes().get(record.number, 0)
    Requests(data_dir).ask(secrets.token_hex(8), key)
    why_not = tell_engage(data_dir)
    if as_json:
        server = "stopped" if why_not is None else "trouble" if why_not else "taken"
        print_json({"key": key, "members": size, "server": server, "trouble": why_not or ""})
    if why_not:
        raise no(f"the request is stored, but the running server has not taken it up: {why_not}")
    destinations = ", ".join(record.destinations) or "no destination"
    begins = "it begins when a server does" if why_not is None else "it has begun"
    say(f"{destinations} is told again of {people(size)}; {begins}: see headgate engage list.")


# The way in


@contextmanager
def _engaged(stored: "Stored", *, as_json: bool) -> "Iterator[Engaged]":
    """Engage's store; the answer is no when there is none."""
    from headgate.records.engage.stored import NothingComputed, engaged

    try:
        with engaged(stored.data_dir) as store:
            yield store
    except NothingComputed as nothing:
        raise no(str(nothing), as_json=as_json) from None


def _asked(definition: str, *, anonymous: bool, wait: bool) -> "Asked":
    """A definition as it was typed; a scalar is a computed trait."""
    from headgate.engage.history.preview import Asked
    from headgate.language.parser import parse
    from headgate.language.tree import Scalar

    if isinstance(parse(definition), Scalar):
        return Asked(kind="trait", definition=definition)
    return Asked(kind="audience", definition=definition, include_anonymous=anonymous, wait=wait)


def _asked_of(record: "Record") -> "Asked":
    from headgate.engage.history.preview import Asked

    return Asked(
        kind="audience" if record.is_audience else "trait",
        definition=record.definition,
        include_history=record.include_history,
        include_anonymous=record.include_anonymous,
        wait=record.wait,
    )


def _record(store: "Engaged", key: str, *, as_json: bool) -> "Record":
    record = store.record(key)
    if record is None:
        keys = ", ".join(one.key for one in store.records) or "none"
        words = f"there is no audience or computed trait with the key {key}; there are: {keys}"
        raise no(words, as_json=as_json)
    return record


# The way out


@contextmanager
def _opened_for_writing(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        yield sys.stdout
        sys.stdout.flush()
        return
    try:
        file = output.open("x", encoding="utf-8", newline="")
    except FileExistsError:
        raise usage_error(f"{output} exists already; name another file", "OUTPUT") from None
    with file:
        yield file


def _write_csv(out: TextIO, found: "Iterable[Member]") -> int:
    import csv

    import msgspec

    rows = csv.writer(out, lineterminator="\r\n")  # RFC 4180
    rows.writerow(("profile", "value", *COLUMNS, "identifiers"))
    written = 0
    for written, one in enumerate(found, 1):  # noqa: B007
        cells = ["\n".join(one.identifiers.get(name, ())) for name in COLUMNS]
        everything = msgspec.json.encode(one.identifiers).decode()
        rows.writerow((one.profile, shown(one.value), *cells, everything))
    return written


def _write_json(out: TextIO, found: "Iterable[Member]") -> int:
    import msgspec

    written = 0
    for written, one in enumerate(found, 1):  # noqa: B007
        out.write(msgspec.json.encode(one).decode() + "\n")
    return written
