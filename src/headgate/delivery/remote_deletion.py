"""Asks destinations to delete users, and then how far they are, until they say that it is done.

    what is due → login → deletion (many users in one request) → status, with growing pauses

Comes after forgetting, which sees to it that nothing of these users is on its way any more. What fails is
tried again as deliveries are (`answers.py`). Where each deletion stands is in the privacy store, so that
a restart goes on. Keys and tokens are in memory only, and hidden where an answer repeats them.
"""

import logging
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from headgate.clock import Clock
from headgate.delivery.answers import Answer, Meaning, backoff_s, in_words, meaning, retry_after_s
from headgate.delivery.transport import Transport
from headgate.destinations.interface import Destination as Kind
from headgate.destinations.interface import Request, UnreadableAnswer, UserDeletion
from headgate.spec.settings import duration_s
from headgate.workspace.model import Workspace
from headgate.workspace.privacy import Deletion, PrivacyStore, RemoteDeletion, RemoteState

FIRST_STATUS_S = 60.0
MAX_STATUS_S = 3600.0
STATUS_WINDOW_S = 86_400.0  # at least: what was taken up is most likely done, seen or not

_NOBODY_LEFT = "no destination of the workspace sends there any more"
_Read = TypeVar("_Read")

log = logging.getLogger("headgate.delivery")


class Account(msgspec.Struct, frozen=True):
    """Where users can be deleted, with the settings of a destination that sends there."""

    scope: str
    api: UserDeletion
    settings: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The secret that is needed; "" when none is configured."""
        return self.api.key(self.settings)

    @property
    def retry_window_s(self) -> float:
        """How long the account is tried when it does not answer as it should."""
        return duration_s(self.settings["retryWindow"])


def accounts_of(workspace: Workspace, catalog: Mapping[str, Kind]) -> dict[str, Account]:
    """Every account that a destination sends to or has sent to, by scope; one with a key goes first."""
    accounts: dict[str, Account] = {}
    for destination in workspace.destinations:
        kind = catalog.get(destination.metadata_id)
        if kind is None or kind.user_deletion is None:
            continue
        api = kind.user_deletion
        account = Account(api.scope(destination.settings), api, destination.settings)
        if account.scope not in accounts or not accounts[account.scope].key:
            accounts[account.scope] = account
    return accounts


class _Trouble(Exception):
    """A request did not bring what it was for: why, in words, and how long to leave the account alone."""

    def __init__(self, why: str, found: Meaning, asked_s: float) -> None:
        super().__init__(why)
        self.why = why
        self.is_refusal = found in (Meaning.REFUSED, Meaning.TOO_LARGE)
        self.asked_s = asked_s


class RemoteDeletions:
    """Brings deletions to an end at every account. `accounts` are those of the workspace now."""

    def __init__(
        self,
        *,
        privacy: PrivacyStore,
        accounts: Callable[[], Mapping[str, Account]],
        transport: Transport,
        clock: Clock,
        chance: random.Random,
    ) -> None:
        self._privacy = privacy
        self._accounts = accounts
        self._transport = transport
        self._clock = clock
        self._chance = chance

    def asks(self, deletions: Iterable[Deletion]) -> list[RemoteDeletion]:
        """What is to be asked, and of whom, for deletions that delivery is through with."""
        now_ms = self._clock.now_ms()
        return [
            RemoteDeletion(one.id, one.user_id, scope, RemoteState.ASKING, now_ms)
            for one in deletions
            for scope in self._accounts()
        ]

    async def ask(self) -> float | None:
        """Asks whatever is due; seconds until something will be, None when nothing is left to ask."""
        accounts = self._accounts()
        by_scope: dict[str, list[RemoteDeletion]] = {}
        for one in self._privacy.open_remote_deletions():
            by_scope.setdefault(one.scope, []).append(one)
        for scope, standing in by_scope.items():
            account = accounts.get(scope)
            if account is None:
                self._stand(standing, RemoteState.FAILED, _NOBODY_LEFT)
            elif not account.key:
                self._stand(standing, RemoteState.NO_KEY, "")
            else:
                await self._converse(account, [one for one in standing if self._is_due(one)])
        return self._next_s()

    # one account

    async def _converse(self, account: Account, due: list[RemoteDeletion]) -> None:
        """A token for everything that is due, then one request after the other."""
        if not due:
            return
        try:
            request = account.api.login(account.settings)
            token = await self._told(account, request, account.api.token)
        except _Trouble as trouble:
            self._record(account, [self._failed(account, one, trouble) for one in due])
            return
        new = [one for one in due if one.state is not RemoteState.PENDING]
        for at in range(0, len(new), account.api.max_users):
            await self._ask_for(account, token, new[at : at + account.api.max_users])
        taken_up: dict[str, list[RemoteDeletion]] = {}
        for one in due:
            if one.state is RemoteState.PENDING:
                taken_up.setdefault(one.request_id, []).append(one)
        for request_id, asked in taken_up.items():
            await self._ask_status(account, token, request_id, asked)

    async def _ask_for(self, account: Account, token: str, new: list[RemoteDeletion]) -> None:
        """Asks for deletions; one user who is refused is found by halves and keeps nobody else."""
        users = list(dict.fromkeys(one.user_id for one in new))
        request = account.api.deletion(account.settings, token, users)
        try:
            request_id = await self._told(account, request, account.api.request_id)
        except _Trouble as trouble:
            if trouble.is_refusal and len(users) > 1:
                half = set(users[: len(users) // 2])
                await self._ask_for(account, token, [one for one in new if one.user_id in half])
                await self._ask_for(account, token, [one for one in new if one.user_id not in half])
                return
            final = trouble.is_refusal
            failed = [self._failed(account, one, trouble, is_final=final) for one in new]
            self._record(account, failed)
            return
        self._record(account, [self._taken_up(one, request_id) for one in new])

    async def _ask_status(
        self, account: Account, token: str, request_id: str, asked: list[RemoteDeletion]
    ) -> None:
        request = account.api.status(account.settings, token, request_id)
        try:
            is_complete = await self._told(account, request, account.api.is_complete)
        except _Trouble as trouble:
            self._record(account, [self._failed(account, one, trouble) for one in asked])
            return
        self._record(account, [self._answered(one, is_complete=is_complete) for one in asked])

    async def _told(
        self, account: Account, request: Request, read: Callable[[bytes], _Read]
    ) -> _Read:
        """What a request brought; `_Trouble` when that is not what it was for."""
        answer = await self._transport.send(request)
        found = meaning(answer)
        if found is not Meaning.DONE:
            why = in_words(_without_secrets(answer, account, request))
            raise _Trouble(why, found, retry_after_s(answer, self._clock.now_ms()))
        try:
            return read(answer.body)
        except UnreadableAnswer as error:
            why = f"answered {answer.status}, {error}"
            raise _Trouble(why, Meaning.TRY_AGAIN, 0.0) from None

    # where deletions stand

    def _taken_up(self, one: RemoteDeletion, request_id: str) -> RemoteDeletion:
        now_ms = self._clock.now_ms()
        return RemoteDeletion(
            one.deletion_id,
            one.user_id,
            one.scope,
            RemoteState.PENDING,
            now_ms,
            request_id=request_id,
            due_at_ms=now_ms + round(FIRST_STATUS_S * 1000),
        )

    def _answered(self, one: RemoteDeletion, *, is_complete: bool) -> RemoteDeletion:
        now_ms = self._clock.now_ms()
        if is_complete:
            return replace(one, state=RemoteState.COMPLETE, at_ms=now_ms, answer="")
        attempts = one.attempts + 1
        due_at_ms = now_ms + round(_status_pause_s(attempts) * 1000)
        return replace(one, attempts=attempts, answer="", failing_since_ms=0, due_at_ms=due_at_ms)

    def _failed(
        self, account: Account, one: RemoteDeletion, trouble: _Trouble, *, is_final: bool = False
    ) -> RemoteDeletion:
        """Tried again later, unless the trouble has lasted for the whole retry window."""
        now_ms, attempts = self._clock.now_ms(), one.attempts + 1
        since_ms = one.failing_since_ms or now_ms
        pause_s, window_s = backoff_s(attempts, self._chance), account.retry_window_s
        if one.state is RemoteState.PENDING:
            pause_s, window_s = _status_pause_s(attempts), max(window_s, STATUS_WINDOW_S)
        due_at_ms = now_ms + round(max(pause_s, trouble.asked_s) * 1000)
        is_over = is_final or due_at_ms - since_ms > window_s * 1000
        return replace(
            one,
            state=RemoteState.FAILED if is_over else _open_state(one),
            at_ms=now_ms if is_over else one.at_ms,
            answer=trouble.why,
            attempts=attempts,
            failing_since_ms=since_ms,
            due_at_ms=due_at_ms,
        )

    def _stand(self, standing: list[RemoteDeletion], state: RemoteState, answer: str) -> None:
        now_ms = self._clock.now_ms()
        changed = [one for one in standing if one.state is not state]
        self._privacy.record_remote(
            RemoteDeletion(one.deletion_id, one.user_id, one.scope, state, now_ms, answer=answer)
            for one in changed
        )

    def _record(self, account: Account, states: list[RemoteDeletion]) -> None:
        self._privacy.record_remote(states)
        for state in sorted({one.state for one in states}):
            n = sum(one.state is state for one in states)
            log.info("%s: deletion of users: %s %s", account.scope, n, state)

    # time

    def _is_due(self, one: RemoteDeletion) -> bool:
        return self._due_in_s(one) <= 0

    def _due_in_s(self, one: RemoteDeletion) -> float:
        """Seconds; one that would be due later than any pause lasts is due: the clock was set back."""
        wait_s = (one.due_at_ms - self._clock.now_ms()) / 1000
        return wait_s if wait_s <= MAX_STATUS_S else 0.0

    def _next_s(self) -> float | None:
        waiting = [
            self._due_in_s(one)
            for one in self._privacy.open_remote_deletions()
            if one.state is not RemoteState.NO_KEY
        ]
        return max(0.0, min(waiting)) if waiting else None


def _open_state(one: RemoteDeletion) -> RemoteState:
    return RemoteState.PENDING if one.state is RemoteState.PENDING else RemoteState.ASKING


def _status_pause_s(attempts: int) -> float:
    """The wait after the n-th time that a status was asked for: 2 min, 4 min, … 1 h."""
    return min(MAX_STATUS_S, FIRST_STATUS_S * 2.0 ** min(attempts, 10))


def _without_secrets(answer: Answer, account: Account, request: Request) -> Answer:
    """The answer without the key and the credentials of the request: some peers repeat them."""
    body, error = answer.body, answer.error
    credentials = request.headers.get("Authorization", "").rpartition(" ")[2]
    for secret in filter(None, (account.key, credentials)):
        body = body.replace(secret.encode(), b"[hidden]")
        error = error.replace(secret, "[hidden]")
    return replace(answer, body=body, error=error)
