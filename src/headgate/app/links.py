"""The one-time link that makes the first owner: what `serve` and `demo` print until it has been used."""

from contextlib import closing
from pathlib import Path

from headgate.clock import Clock
from headgate.stores import WORKSPACE
from headgate.workspace.access_store import AccessStore

SETUP = "/setup"


def owner_link(data_dir: Path, private_url: str, clock: Clock) -> str | None:
    """Where the first owner makes an account, the same at every start; None once there is one.

    Whoever has the link becomes the owner. Raises a WorkspaceError when the store cannot be used.
    """
    with closing(AccessStore(data_dir / WORKSPACE, clock)) as store:
        code = store.first_link()
    return None if code is None else link(private_url, code)


def link(base_url: str, code: str) -> str:
    """Where a one-time code is used."""
    return f"{base_url}{SETUP}?code={code}"
