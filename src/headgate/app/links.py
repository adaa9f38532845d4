"""One-time links for the terminal: the first owner's, printed by `serve` and `demo` until it has been used, and
the one that gives somebody a new password when no owner can.
"""

from contextlib import closing
from pathlib import Path

from headgate.clock import Clock
from headgate.stores import WORKSPACE
from headgate.workspace.access_store import AccessStore

SETUP = "/setup"
TERMINAL = "terminal"  # who the trail says it was


def owner_link(data_dir: Path, private_url: str, clock: Clock) -> str | None:
    """Where the first owner makes an account, the same at every start; None once there is one.

    Whoever has the link becomes the owner. Raises a WorkspaceError when the store cannot be used.
    """
    with closing(AccessStore(data_dir / WORKSPACE, clock)) as store:
        code = store.first_link()
    return None if code is None else link(private_url, code)


def password_link(data_dir: Path, private_url: str, name: str, clock: Clock) -> str | None:
    """Where somebody sets a new password, within a week; None when nobody has this name."""
    with closing(AccessStore(data_dir / WORKSPACE, clock)) as store:
        found = store.account(name)
        return None if found is None else link(private_url, store.renew(found[0].id, TERMINAL))


def link(base_url: str, code: str) -> str:
    """Where a one-time code is used."""
    return f"{base_url}{SETUP}?code={code}"
