"""Who may see and change the workspace: accounts with roles, sessions, one-time links, tokens, and a trail of changes.

What the app asks for and `access_store.py` keeps. Secrets are random and kept as hashes; passwords come here
hashed already.
"""

import hashlib
import secrets
from enum import IntEnum

import msgspec

from headgate.workspace.errors import StoreError

MAX_NAME_CHARS = 100
_SECRET_BYTES = 32
# Those who change a workspace without an account; nobody is to be mistaken for them.
_OTHER_ACTORS = frozenset({"apply", "serve", "terminal"})


class Role(IntEnum):
    """What an account may do; each may do what those below it may."""

    VIEWER = 1
    EDITOR = 2
    OWNER = 3

    @property
    def word(self) -> str:
        """The role as people read it and the store keeps it."""
        return self.name.lower()


SCOPES = {"read": Role.VIEWER, "write": Role.EDITOR}  # what a token may do


class Account(msgspec.Struct, frozen=True):
    """Somebody who can sign in."""

    id: int
    name: str
    role: Role
    made_at_ms: int


class Link(msgspec.Struct, frozen=True):
    """What a one-time link is good for: a new account of this role, or a new password for `account`."""

    role: Role
    account: Account | None


class Session(msgspec.Struct, frozen=True):
    """Where an account is signed in: what the browser called itself, and when it was last seen."""

    account: int
    agent: str
    made_at_ms: int
    used_at_ms: int


class Token(msgspec.Struct, frozen=True):
    """What a program authenticates with; the token itself is known to its owner alone."""

    id: int
    name: str
    scope: str
    made_by: str
    made_at_ms: int
    used_at_ms: int | None
    used_from: str


class AccessChange(msgspec.Struct, frozen=True):
    """One line of the trail: who did what to whom, and what held before and after."""

    id: int
    at_ms: int
    actor: str
    what: str
    subject: str
    before: str
    after: str


class AccessRefused(StoreError):
    """What was asked for is not to be had; nothing was changed. The text says why, and what to do."""


class LinkGone(AccessRefused):
    """The one-time link was used, has ended, or never was one."""


class NameRefused(AccessRefused):
    """The name cannot be an account's."""


class LastOwner(AccessRefused):
    """Without this owner nobody could manage accounts."""


def new_secret() -> str:
    """What nobody can guess, safe in an address and in a cookie."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def hashed(secret: str) -> bytes:
    """What the store keeps of a secret. It is random, so a quick hash cannot be turned back."""
    return hashlib.sha256(secret.encode()).digest()


def folded(name: str) -> str:
    """What makes two names the same."""
    return name.strip().casefold()


def checked_name(name: str) -> str:
    """The name that people sign in with, trimmed; raises NameRefused."""
    name = name.strip()
    if not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable():
        raise NameRefused(f"A name has 1 to {MAX_NAME_CHARS} printable characters.")
    if folded(name) in _OTHER_ACTORS or folded(name).startswith("token "):
        raise NameRefused(f"{name} means something else in the audit trail. Choose another name.")
    return name
