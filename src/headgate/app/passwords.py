"""Passwords of accounts: hashed by argon2id, one at a time, so that a flood of them takes 19 MiB and no more.

The costs are those of https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html. Call
from a thread: a hash takes some 30 ms.
"""

import threading

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

MIN_CHARS = 12
MAX_CHARS = 1_000
_MEMORY_KIB = 19_456
_ROUNDS = 2

_hasher = PasswordHasher(time_cost=_ROUNDS, memory_cost=_MEMORY_KIB, parallelism=1)
_one_at_a_time = threading.Lock()
# Of no password: checked when there is no such account, so that the answer takes as long.
_NOBODYS = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def trouble_with(password: str) -> str:
    """Why this can be nobody's password; "" when it can."""
    if len(password) < MIN_CHARS:
        return f"A password has at least {MIN_CHARS} characters; this one has {len(password)}."
    if len(password) > MAX_CHARS:
        return f"A password has at most {MAX_CHARS:,} characters."
    return ""


def hash_of(password: str) -> str:
    """What the store keeps."""
    with _one_at_a_time:
        return _hasher.hash(password)


def is_password(password: str, kept: str | None) -> bool:
    """Whether this is the password; `kept` is its hash, None without an account. Takes equally long."""
    with _one_at_a_time:
        try:
            return _hasher.verify(kept or _NOBODYS, password[:MAX_CHARS])
        except (Argon2Error, InvalidHashError):
            return False
