"""A data directory as one file, both ways: backup, restore."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headgate.cli.console import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    no,
    opened,
    print_json,
    progress_bar,
    say,
    size_text,
    usage_error,
    workspace_path,
)

if TYPE_CHECKING:
    from headgate.backup.archive import Contents
    from headgate.records.audit import Audit


def backup(
    file: Annotated[
        Path, typer.Argument(help="The file to write.", dir_okay=False, metavar="FILE")
    ],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Save a data directory as one file.

    Works beside a running server, which goes on meanwhile, and without one. The file is written
    as FILE.part, read back, and named FILE once it is whole. It holds everything that was
    accepted and recorded until the command began, write keys and API keys among it: keep it as
    safe as the directory. The commands that read take it for --data-dir.

    \b
    Example:
      headgate backup headgate.backup --data-dir /var/lib/headgate
    """
    from headgate.backup.taking import take
    from headgate.clock import SystemClock

    workspace_path(data_dir)
    if not file.absolute().parent.is_dir():
        raise usage_error(f"there is no directory {file.absolute().parent}", "FILE")
    if file.absolute().parent.resolve().is_relative_to(data_dir.resolve()):
        raise usage_error(
            f"{file} lies inside of {data_dir}: a backup belongs elsewhere, best on another disk",
            "FILE",
        )
    with progress_bar(f"Writing {file.name}") as progress:
        contents = take(data_dir, file, SystemClock(), replace=force, progress=progress)
    size_bytes = file.stat().st_size
    if as_json:
        print_json(
            {
                "file": str(file),
                "bytes": size_bytes,
                "messages": contents.messages,
                "outcomes": contents.outcomes,
                "unreadable": contents.unreadable,
            }
        )
    say(
        f"{file} holds {_amount(contents)}, {size_text(size_bytes)}. It was read back and is whole."
    )
    for name in contents.unreadable:
        say(f"{name} is damaged and was copied as it is; headgate audit tells what is missing.")


def restore(
    file: Annotated[
        Path,
        typer.Argument(
            help="What headgate backup has made.", exists=True, dir_okay=False, metavar="FILE"
        ),
    ],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Make a data directory from a backup.

    The directory has to be missing or empty. Afterwards the audit is run: the exit status is 1
    when it finds anything missing, and the directory stays as it is then. What was delivered
    after the backup was made is sent again by the next server, under the same idempotency keys.

    \b
    Example:
      headgate restore headgate.backup --data-dir /var/lib/headgate
    """
    from headgate.backup.restoring import restore as put_back
    from headgate.records.audit import audit

    with progress_bar(f"Restoring {data_dir.name}") as progress:
        manifest, contents = put_back(file, data_dir, progress)
    say(
        f"{data_dir} is as it was at {manifest.created_at}, with {_amount(contents)}. What was"
        " accepted later is not in it. What was delivered later is sent again under the same"
        " idempotency keys once a server runs: Heap counts events once, and takes user properties"
        " as they were."
    )
    with opened(data_dir) as stored:
        found = audit(stored)
    if as_json:
        print_json(_restored_object(data_dir, manifest.created_at, contents, found))
    if not found.is_sound:
        raise no(f"the audit finds gaps: see headgate audit --data-dir {data_dir}")
    say(f"The audit is sound: {found.accepted:,} accepted, {found.pending:,} of them pending.")


def _restored_object(
    data_dir: Path, created_at: str, contents: "Contents", found: "Audit"
) -> dict[str, object]:
    return {
        "dataDir": str(data_dir),
        "createdAt": created_at,
        "messages": contents.messages,
        "outcomes": contents.outcomes,
        "audit": found,
    }


def _amount(contents: "Contents") -> str:
    return f"{_n(contents.messages, 'message')} and {_n(contents.outcomes, 'outcome')}"


def _n(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
