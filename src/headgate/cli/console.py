"""What commands share: options, the way into a data directory, and how results are printed."""

import errno
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from headgate.records.stored import Stored
    from headgate.workspace.table import Catalog

DEFAULT_DATA_DIR = Path("headgate-data")


def _directory(data_dir: Path) -> Path:
    """Wrong usage when a command that writes is given a file: a backup is for reading."""
    if data_dir.is_file():
        raise usage_error(
            f"{data_dir} is a file; when it is a backup, restore it first: headgate restore"
            f" {data_dir} --data-dir DIR"
        )
    return data_dir


DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="HEADGATE_DATA_DIR",
        help="The data directory; ./headgate-data when left out.",
        show_default=False,
        callback=_directory,
        metavar="DIR",
    ),
]
DataDirOrBackup = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="HEADGATE_DATA_DIR",
        help="The data directory, or a backup of one; ./headgate-data when left out.",
        show_default=False,
        metavar="DIR",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text for people.")]

Line = tuple[str, str]  # the text and its style on a terminal


# Data and words


def say(words: str) -> None:
    """Words for people, on stderr."""
    print(printable(words, keep="\n"), file=sys.stderr, flush=True)


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    import msgspec

    encoded = msgspec.json.encode(value)
    print(msgspec.json.format(encoded, indent=2).decode(), flush=True)


def print_lines(lines: Iterable[Line]) -> None:
    """Lines on stdout; styled on a terminal, plain anywhere else."""
    if not sys.stdout.isatty():
        for text, _ in lines:
            print(printable(text).rstrip())
        sys.stdout.flush()
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for text, style in lines:
        console.print(Text(printable(text), style), soft_wrap=True)


def table(heads: Sequence[str], rows: Iterable[Sequence[str | int]]) -> Iterator[Line]:
    """Columns as wide as they need to be; numbers with separators, to the right."""
    written = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *written, strict=True)]
    to_the_right = [bool(written) and _is_number(column) for column in zip(*written, strict=True)]
    to_the_right = to_the_right or [False] * len(heads)
    for at, row in enumerate((heads, *written)):
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, to_the_right, strict=True)
        ]
        yield "  ".join(cells), "" if at else "bold"


def _is_number(column: Sequence[str]) -> bool:
    return all(cell.replace(",", "").isdigit() for cell in column)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr that is told (bytes done, bytes in all); nothing at all without a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def printable(text: str, keep: str = "") -> str:
    """The text with control characters escaped: what senders wrote must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in keep else one.encode("unicode_escape").decode()
        for one in text
    )


# Ways to say no


def usage_error(words: str, option: str = "--data-dir") -> typer.BadParameter:
    """What to raise when an option has a value that cannot be: exit status 2."""
    return typer.BadParameter(words, param_hint=option)


def no(words: str, *, as_json: bool = False) -> typer.Exit:
    """What to raise when the answer is no, with the reason in words: exit status 1.

    `as_json` is for a command that has printed nothing yet: programs get {"error": …} to read.
    """
    if as_json:
        print_json({"error": words})
    say(f"headgate: {words}")
    return typer.Exit(1)


def explain(error: Exception) -> bool:
    """Says what a person can mend; false when the error is none of these."""
    import sqlite3

    from headgate.backup.archive import BackupError
    from headgate.delivery.reader import OtherStore
    from headgate.engage.history.parts import UnreadableHistory
    from headgate.eventlog.segments import NewerLog
    from headgate.stores import UnusableDirectory
    from headgate.workspace.errors import InvalidWorkspace, WorkspaceError

    if isinstance(error, InvalidWorkspace):
        say(f"headgate: the workspace was refused, nothing was changed\n{error}")
    elif isinstance(
        error,
        WorkspaceError
        | UnusableDirectory
        | OtherStore
        | NewerLog
        | BackupError
        | UnreadableHistory,
    ):
        say(f"headgate: {error}")
    elif isinstance(error, sqlite3.Error):
        say(f"headgate: the stored data cannot be read: {error}")
    elif isinstance(error, OSError) and error.errno != errno.EPIPE:
        say(f"headgate: {error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    else:
        return False
    return True


# The data directory


def catalog_settings() -> "Catalog":
    """The settings of every kind of destination."""
    from headgate.destinations.catalog import CATALOG

    return {name: destination.settings for name, destination in CATALOG.items()}


@contextmanager
def opened(data_dir: Path) -> "Iterator[Stored]":
    """A data directory or a backup for reading; wrong usage when it is neither."""
    import os
    from contextlib import closing

    from headgate.records.stored import Stored
    from headgate.stores import check_readable, check_versions
    from headgate.workspace.sqlite_store import SqliteWorkspaceReader

    with readable(data_dir) as directory:
        path = workspace_path(directory)
        check_versions(directory)
        check_readable(directory)
        with closing(SqliteWorkspaceReader(path)) as workspace, _naming_the_damaged(directory):
            yield Stored(directory, workspace, catalog=catalog_settings(), environment=os.environ)


@contextmanager
def _naming_the_damaged(data_dir: Path) -> Iterator[None]:
    """Says which store it is when SQLite comes upon damage, which by itself it does not."""
    import sqlite3

    from headgate.stores import check_readable, is_damage

    try:
        yield
    except sqlite3.Error as error:
        if is_damage(error):
            check_readable(data_dir, thoroughly=True)
        raise


@contextmanager
def readable(data_dir: Path) -> Iterator[Path]:
    """The directory to read: the data directory itself, or what a backup is unpacked to meanwhile."""
    if not data_dir.is_file():
        yield data_dir
        return
    from tempfile import TemporaryDirectory

    from headgate.backup.archive import NotABackup
    from headgate.backup.restoring import unpack

    with TemporaryDirectory(prefix="headgate-") as directory:
        try:
            with progress_bar(f"Unpacking {data_dir.name}") as progress:
                unpack(data_dir, Path(directory), progress)
        except NotABackup as error:
            raise usage_error(str(error)) from None
        yield Path(directory)


def workspace_path(data_dir: Path) -> Path:
    """The workspace store of a data directory that there is; wrong usage when there is none."""
    path = data_dir / "workspace.db"
    if not data_dir.is_dir():
        raise usage_error(
            f"there is no directory {data_dir}: name Headgate's data directory with --data-dir,"
            " or start headgate serve, which makes one"
        )
    if not path.exists():
        raise usage_error(
            f"{data_dir} is no data directory of Headgate: expected workspace.db in it; name"
            " another with --data-dir, or fill this one with headgate apply or serve"
        )
    return path


def size_text(size_bytes: int) -> str:
    """Bytes for people: 1.2 MB."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    power = min((len(str(size_bytes)) - 1) // 3, 4)
    return f"{size_bytes / 1000**power:.1f} {' kMGT'[power]}B"
