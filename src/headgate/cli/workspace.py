"""The workspace as a file, both ways: apply, export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headgate.cli.console import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    DataDirOrBackup,
    catalog_settings,
    no,
    print_json,
    readable,
    say,
    workspace_path,
)

if TYPE_CHECKING:
    from headgate.workspace.model import Document

_ACTOR = "apply"


def apply(
    file: Annotated[
        Path, typer.Argument(help="A headgate.yaml.", exists=True, dir_okay=False, metavar="FILE")
    ],
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
    timeout: Annotated[
        float,
        typer.Option(help="How long a running server may take.", min=0.1, metavar="SECONDS"),
    ] = 10.0,
) -> None:
    """Make the workspace equal to a file.

    Prints the difference. The file is checked as a whole first; when anything is wrong with it,
    nothing changes. A server that runs on the data directory uses the change at once, without a
    restart, and this command waits until it does. Otherwise the change is stored for the next
    start.

    \b
    Example:
      headgate apply headgate.yaml --data-dir /var/lib/headgate
    """
    from headgate.control import check_workspace, use_workspace
    from headgate.stores import check_versions

    document = _checked(file)
    check_versions(data_dir)
    if misfit := check_workspace(data_dir, document, timeout):
        if as_json:
            print_json({"version": None, "changes": [], "server": "refused", "trouble": misfit})
        raise no(f"the running server cannot use {file}, nothing was changed\n{misfit}")
    is_new = not (data_dir / "workspace.db").exists()
    version, lines = _commit(document, data_dir)
    if is_new:
        say(f"{data_dir} is a new data directory.")
    why_not = use_workspace(data_dir, version, timeout)
    if as_json:
        state = "stopped" if why_not is None else "using" if not why_not else "trouble"
        print_json(
            {"version": version, "changes": lines, "server": state, "trouble": why_not or ""}
        )
    else:
        print("\n".join(lines) or "nothing changed", flush=True)
    if why_not:
        raise no(f"version {version} is stored, but the running server does not use it: {why_not}")
    if why_not is None:
        say(f"Version {version} is stored. No server runs on {data_dir}; the next start uses it.")
    else:
        say(f"The running server uses version {version}.")


def _checked(file: Path) -> "Document":
    import os

    from headgate.workspace.file import parse, read_text

    return parse(
        read_text(file), catalog=catalog_settings(), environment=os.environ, origin=str(file)
    )


def _commit(document: "Document", data_dir: Path) -> tuple[int, list[str]]:
    """The version and what changed; compared and committed as one step, whoever else writes."""
    from contextlib import closing

    from headgate.clock import SystemClock
    from headgate.workspace.diff import changes
    from headgate.workspace.errors import Conflict
    from headgate.workspace.sqlite_store import SqliteWorkspaceStore

    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(SqliteWorkspaceStore(data_dir / "workspace.db", SystemClock())) as store:
        while True:
            before = store.current()
            try:
                version = store.commit(document, actor=_ACTOR, expected_version=before.number)
            except Conflict:
                continue
            return version, list(changes(before.document, document, catalog_settings()))


def export(data_dir: DataDirOrBackup = DEFAULT_DATA_DIR) -> None:
    """Print the workspace as headgate.yaml.

    Variables stay as they were written, so the text holds no secret that came from the
    environment. Applying it again changes nothing.

    \b
    Example:
      headgate export --data-dir /var/lib/headgate > headgate.yaml
    """
    from contextlib import closing

    from headgate.workspace.export import export as as_text
    from headgate.workspace.sqlite_store import SqliteWorkspaceReader

    with (
        readable(data_dir) as directory,
        closing(SqliteWorkspaceReader(workspace_path(directory))) as store,
    ):
        print(as_text(store.current().document, catalog_settings()), end="", flush=True)
