"""The access store: accounts, sessions, links, tokens and the trail of their changes, in DIR/workspace.db.

Beside the versions, so that a backup has both. Every change of access and its line in the trail are one
transaction. Used from threads, by the worker and by commands.
"""

import sqlite3
from typing import Any

from headgate.workspace.access import (
    AccessChange,
    AccessRefused,
    Account,
    LastOwner,
    Link,
    LinkGone,
    NameRefused,
    Role,
    Session,
    Token,
    checked_name,
    folded,
    hashed,
    new_secret,
)
from headgate.workspace.database import SQL, DatabaseReader, DatabaseWriter

_DAY_MS = 86_400_000
SESSION_UNUSED_MS = 7 * _DAY_MS
SESSION_MS = 90 * _DAY_MS
LINK_MS = 7 * _DAY_MS
_NOTED_EVERY_MS = 60_000
_MAX_AGENT_CHARS = 200
_NOBODY = b""


class AccessReader(DatabaseReader):
    """Reads who has access."""

    def accounts(self) -> list[Account]:
        """Everybody who can sign in, the first owner first."""
        return [_account(row) for row in self._all("accounts")]

    def account(self, name: str) -> tuple[Account, str] | None:
        """The account of a name, whatever its case, and the hash of its password."""
        row = self._one("account_by_name", folded=folded(name))
        return (_account(row[:4]), row[4]) if row else None

    def link(self, code: str, now_ms: int) -> Link | None:
        """What a code is good for at this moment; None when it is none, was used or has ended."""
        row = self._one("link", hash=hashed(code), now_ms=now_ms)
        if row is None:
            return None
        account = self._one("account", id=row[1]) if row[1] else None
        return Link(_role(row[0]), _account(account) if account else None)

    def sessions(self) -> list[Session]:
        """Everywhere that somebody is signed in, last used first."""
        return [Session(*row) for row in self._all("sessions")]

    def tokens(self) -> list[Token]:
        """Every token, the oldest first."""
        return [Token(*row) for row in self._all("tokens")]

    def changes(self, limit: int, up_to: int = 2**62) -> list[AccessChange]:
        """Changes of access with ids up to this one, the newest first."""
        return [
            AccessChange(*row) for row in self._all("access_changes_before", id=up_to, limit=limit)
        ]


class AccessStore(AccessReader, DatabaseWriter):
    """Reads and changes who has access. `by` is the actor that the trail names."""

    # The first owner

    def first_link(self) -> str | None:
        """The code that makes the first owner, the same until it is used; None once there is an account."""
        with self._writing() as execute:
            if execute(SQL["accounts"]).fetchone():
                return None
            kept = execute(SQL["first_link"]).fetchone()
            if kept:
                return str(kept[0])
            code = new_secret()
            self._add_link(execute, code, Role.OWNER, kept=code)
            return code

    # One-time links

    def invite(self, role: Role, by: str) -> str:
        """A code that makes one account of this role within a week."""
        code = new_secret()
        with self._writing() as execute:
            ends_at_ms = self._clock.now_ms() + LINK_MS
            self._add_link(execute, code, role, ends_at_ms=ends_at_ms)
            self._note(execute, by, "invited somebody", "", after=role.word)
        return code

    def renew(self, account_id: int, by: str) -> str:
        """A code that gives an account a new password within a week; earlier ones for it end."""
        code = new_secret()
        with self._writing() as execute:
            account = _existing(execute, account_id)
            execute(SQL["remove_links_of"], {"account": account_id})
            ends_at_ms = self._clock.now_ms() + LINK_MS
            self._add_link(execute, code, account.role, account=account_id, ends_at_ms=ends_at_ms)
            self._note(execute, by, "made a link for a new password", account.name)
        return code

    def redeem(self, code: str, name: str, password: str) -> Account:
        """Uses a code up: the new account, or the one whose password this is from now on, signed out everywhere.

        Raises LinkGone or NameRefused. `password` is a hash.
        """
        with self._writing() as execute:
            now_ms = self._clock.now_ms()
            found = execute(SQL["link"], {"hash": hashed(code), "now_ms": now_ms}).fetchone()
            if found is None:
                raise LinkGone("This link was used already, or has ended. Ask for a new one.")
            execute(SQL["remove_link"], {"hash": hashed(code)})
            execute(SQL["remove_old_links"], {"now_ms": now_ms})
            role, account_id = found
            if account_id is None:
                return self._add_account(execute, name, role, password)
            account = _existing(execute, account_id)
            self._replace_password(execute, account, password, _NOBODY)
            return account

    # Accounts

    def set_role(self, account_id: int, role: Role, by: str) -> None:
        """Somebody may do more or less from now on; raises LastOwner."""
        with self._writing() as execute:
            account = _existing(execute, account_id)
            if account.role is role:
                return
            _keep_an_owner(execute, account)
            execute(SQL["set_role"], {"id": account_id, "role": role.word})
            self._note(execute, by, "changed a role", account.name, account.role.word, role.word)

    def remove(self, account_id: int, by: str) -> None:
        """Somebody is signed out everywhere and cannot sign in again; raises LastOwner."""
        with self._writing() as execute:
            account = _existing(execute, account_id)
            _keep_an_owner(execute, account)
            execute(SQL["remove_sessions_of"], {"account": account_id, "but": _NOBODY})
            execute(SQL["remove_links_of"], {"account": account_id})
            execute(SQL["remove_account"], {"id": account_id})
            self._note(execute, by, "removed a person", account.name, before=account.role.word)

    def set_password(self, account_id: int, password: str, session: str) -> None:
        """Another password, given as a hash; signed out everywhere but in this session."""
        with self._writing() as execute:
            account = _existing(execute, account_id)
            self._replace_password(execute, account, password, hashed(session))

    # Sessions

    def sign_in(self, account: Account, agent: str) -> str:
        """A new session; its secret is for the browser alone."""
        secret = new_secret()
        with self._writing() as execute:
            now_ms = self._clock.now_ms()
            ends = {"used_ms": now_ms - SESSION_UNUSED_MS, "made_ms": now_ms - SESSION_MS}
            execute(SQL["remove_old_sessions"], ends)
            row = {"hash": hashed(secret), "account": account.id, "at_ms": now_ms}
            execute(SQL["add_session"], {**row, "agent": agent[:_MAX_AGENT_CHARS]})
            self._note(execute, account.name, "signed in", "")
        return secret

    def signed_in(self, secret: str) -> Account | None:
        """Whose session this is; None when it is nobody's, or has ended."""
        row = self._one("person", hash=hashed(secret))
        if row is None:
            return None
        *account, made_at_ms, used_at_ms = row
        now_ms = self._clock.now_ms()
        if now_ms - used_at_ms >= SESSION_UNUSED_MS or now_ms - made_at_ms >= SESSION_MS:
            return None
        if now_ms - used_at_ms >= _NOTED_EVERY_MS:
            with self._writing() as execute:
                execute(SQL["session_used"], {"hash": hashed(secret), "at_ms": now_ms})
        return _account(account)

    def sign_out(self, secret: str) -> None:
        """This session ends."""
        with self._writing() as execute:
            execute(SQL["remove_session"], {"hash": hashed(secret)})

    def sign_out_everywhere(self, account_id: int, by: str) -> None:
        """Every session of an account ends."""
        with self._writing() as execute:
            account = _existing(execute, account_id)
            execute(SQL["remove_sessions_of"], {"account": account_id, "but": _NOBODY})
            self._note(execute, by, "signed out everywhere", account.name)

    # Tokens

    def make_token(self, name: str, scope: str, by: str) -> str:
        """A new token, to be shown once; raises NameRefused."""
        name, secret = checked_name(name), f"hg_{new_secret()}"
        with self._writing() as execute:
            row = {"hash": hashed(secret), "name": name, "scope": scope, "made_by": by}
            execute(SQL["add_token"], {**row, "at_ms": self._clock.now_ms()})
            self._note(execute, by, "made a token", name, after=scope)
        return secret

    def token(self, secret: str, used_from: str) -> Token | None:
        """The token that this is; None when it is none, or was revoked."""
        row = self._one("token", hash=hashed(secret))
        if row is None:
            return None
        token, now_ms = Token(*row), self._clock.now_ms()
        is_noted = (
            token.used_from == used_from and now_ms - (token.used_at_ms or 0) < _NOTED_EVERY_MS
        )
        if not is_noted:
            with self._writing() as execute:
                used = {"id": token.id, "at_ms": now_ms, "used_from": used_from}
                execute(SQL["token_used"], used)
        return token

    def revoke(self, token_id: int, by: str) -> None:
        """The token opens nothing any more."""
        with self._writing() as execute:
            found = [Token(*row) for row in execute(SQL["tokens"]).fetchall() if row[0] == token_id]
            for token in found:
                execute(SQL["remove_token"], {"id": token_id})
                self._note(execute, by, "revoked a token", token.name, before=token.scope)

    def _note(
        self, execute: Any, actor: str, what: str, subject: str, before: str = "", after: str = ""
    ) -> None:
        row = {"actor": actor, "what": what, "subject": subject, "before": before, "after": after}
        execute(SQL["add_access_change"], {**row, "at_ms": self._clock.now_ms()})

    # Parts of the above

    def _add_link(
        self,
        execute: Any,
        code: str,
        role: Role,
        *,
        kept: str = "",
        account: int | None = None,
        ends_at_ms: int | None = None,
    ) -> None:
        row = {"hash": hashed(code), "code": kept, "role": role.word, "account": account}
        execute(SQL["add_link"], {**row, "ends_at_ms": ends_at_ms})

    def _add_account(self, execute: Any, name: str, role: str, password: str) -> Account:
        name = checked_name(name)
        row = {"name": name, "folded": folded(name), "role": role, "password": password}
        try:
            execute(SQL["add_account"], {**row, "at_ms": self._clock.now_ms()})
        except sqlite3.IntegrityError:
            raise NameRefused(f"Somebody is called {name} already. Choose another name.") from None
        self._note(execute, name, "joined", name, after=role)
        return _account(execute(SQL["account_by_name"], {"folded": folded(name)}).fetchone()[:4])

    def _replace_password(self, execute: Any, account: Account, password: str, but: bytes) -> None:
        execute(SQL["set_password"], {"id": account.id, "password": password})
        execute(SQL["remove_sessions_of"], {"account": account.id, "but": but})
        self._note(execute, account.name, "changed a password", account.name)


def _role(word: str) -> Role:
    return Role[word.upper()]


def _account(row: Any) -> Account:
    account_id, name, role, made_at_ms = row
    return Account(account_id, name, _role(role), made_at_ms)


def _existing(execute: Any, account_id: int) -> Account:
    row = execute(SQL["account"], {"id": account_id}).fetchone()
    if row is None:
        raise AccessRefused("That person has been removed meanwhile.")
    return _account(row)


def _keep_an_owner(execute: Any, account: Account) -> None:
    if account.role is Role.OWNER and execute(SQL["owners"]).fetchone()[0] == 1:
        raise LastOwner(f"{account.name} is the only owner. Make somebody else an owner first.")
