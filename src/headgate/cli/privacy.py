"""What users may ask for: to be left alone, to be forgotten. suppress, unsuppress, delete."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from headgate.cli.console import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDir,
    Line,
    no,
    opened,
    print_json,
    print_lines,
    printable,
    say,
    table,
    usage_error,
    workspace_path,
)

if TYPE_CHECKING:
    from headgate.workspace.privacy import (
        Deletion,
        RemoteDeletion,
        Suppression,
        SuppressionChange,
    )
    from headgate.workspace.sqlite_privacy import SqlitePrivacyReader, SqlitePrivacyStore

_User = Annotated[
    str, typer.Argument(help="The userId, to the letter; numbers as text.", metavar="USER")
]
_UserOrList = Annotated[
    str | None,
    typer.Argument(help="The userId, to the letter; numbers as text.", metavar="USER"),
]


def suppress(
    user: _UserOrList = None,
    list_them: Annotated[
        bool,
        typer.Option(
            "--list", help="Show who is suppressed; with USER, what was changed for them."
        ),
    ] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Take in nothing more from a user.

    New messages with this userId are answered with success and not kept; what waits for delivery
    is discarded. A running server does so at once, otherwise the next one. What is stored and
    what Heap has stays: see headgate delete. With --list USER the exit status is 1 when that user
    is not suppressed.

    \b
    Example:
      headgate suppress ann@example.com
      headgate suppress --list
    """
    if list_them:
        _list_suppressed(user, data_dir, as_json=as_json)
        return
    user = _checked(user)
    with _store(data_dir) as store:
        changed = store.suppress(user, actor=_actor())
    told = _tell(data_dir)
    if as_json:
        print_json({"user": user, "suppressed": True, "changed": changed} | told)
    was = "is suppressed" if changed else "was suppressed already"
    _say_told(f"{user} {was}.", told, "nothing more is taken in or sent", data_dir)


def unsuppress(user: _User, data_dir: DataDir = DEFAULT_DATA_DIR, as_json: AsJson = False) -> None:
    """Take in a user's messages again.

    What was refused meanwhile is gone. A running server does so at once, otherwise the next one.

    \b
    Example:
      headgate unsuppress ann@example.com
    """
    user = _checked(user)
    with _store(data_dir) as store:
        changed = store.unsuppress(user, actor=_actor())
    told = _tell(data_dir)
    if as_json:
        print_json({"user": user, "suppressed": False, "changed": changed} | told)
    was = "is no longer suppressed" if changed else "was not suppressed"
    _say_told(f"{user} {was}.", told, "new messages are taken in", data_dir)


def delete(
    user: _UserOrList = None,
    and_suppress: Annotated[
        bool, typer.Option("--suppress", help="Take in nothing more from the user, too.")
    ] = False,
    list_them: Annotated[
        bool, typer.Option("--list", help="Show deletions and how far they are; with USER, theirs.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask on a terminal.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Forget a user, here and at Heap.

    Nothing that was taken in from the user so far is sent any more, and within 24 hours it is
    erased: from the log, from recorded requests and dead letters, and from what was refused.
    It says first how many messages of the user are held here; with none it is a deletion all the
    same, since Heap may know the user. What stays is that there were messages, their ids and
    outcomes, and the record of the deletion. Heap is asked to delete the user at every account whose destination has a
    deletionApiKey. What the user sends later is taken in, unless they are suppressed as well.
    Backups that were made before still hold the user. With --list USER the exit status is 1 when
    that user was never deleted.

    \b
    Example:
      headgate delete ann@example.com --suppress --yes
      headgate delete --list
    """
    if list_them:
        _list_deletions(user, data_dir, as_json=as_json)
        return
    user = _checked(user)
    held = _held(user, data_dir)
    if not yes and _on_a_terminal() and not _confirmed(user, held):
        raise no("nothing was changed")
    with _store(data_dir) as store:
        deletion = store.delete(user, actor=_actor(), suppress=and_suppress)
    told = _tell(data_dir)
    if as_json:
        found = {
            "deletion": deletion.id,
            "user": user,
            "messages": held,
            "suppressed": and_suppress,
        }
        print_json(found | told)
    what = (
        f"Deletion {deletion.id} of {user} is recorded; headgate delete --list shows how far it is."
        f"\n{_held_text(user, held)}."
    )
    if not and_suppress:
        what += f"\nWhat {user} sends from now on is taken in, unless they are suppressed, too."
    _say_told(what, told, "nothing of them is sent any more, and erasing has begun", data_dir)


# Telling


def _checked(user: str | None) -> str:
    if not user:
        raise usage_error("name a user, or ask for the list with --list", "USER")
    try:
        user.encode()
    except UnicodeEncodeError:
        raise usage_error(f"expected text in UTF-8, found {user!r}", "USER") from None
    return user


def _on_a_terminal() -> bool:
    import sys

    return sys.stdin.isatty()


def _held(user: str, data_dir: Path) -> int:
    from headgate.records.users import held_of

    with opened(data_dir) as stored:
        return held_of(stored, user)


def _held_text(user: str, held: int) -> str:
    if not held:
        return f"No message of {user} is held here: check the spelling, or go by what Heap holds"
    return (
        f"1 message of {user} is held here"
        if held == 1
        else f"{held:,} messages of {user} are held here"
    )


def _confirmed(user: str, held: int) -> bool:
    """What is typed in answer to a question, which stands on stderr; anything but yes is no."""
    import sys

    print(f"{printable(_held_text(user, held))}.", file=sys.stderr)
    print(f"Forget {printable(user)}? This cannot be undone. [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _actor() -> str:
    """The account of whoever runs the command."""
    import os
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _store(data_dir: Path) -> "closing[SqlitePrivacyStore]":
    from headgate.clock import SystemClock
    from headgate.stores import check_versions
    from headgate.workspace.sqlite_privacy import SqlitePrivacyStore

    check_versions(data_dir)
    return closing(SqlitePrivacyStore(workspace_path(data_dir), SystemClock()))


def _tell(data_dir: Path) -> dict[str, str]:
    """Whether a running server knows by now: `server` is using, stopped or trouble."""
    from headgate.control import tell_privacy_changed

    why_not = tell_privacy_changed(data_dir)
    state = "stopped" if why_not is None else "using" if not why_not else "trouble"
    return {"server": state, "trouble": why_not or ""}


def _say_told(what: str, told: dict[str, str], effect: str, data_dir: Path) -> None:
    """What was recorded, and what happens next; exit status 1 when a server does not go along."""
    if told["server"] == "trouble":
        raise no(f"{what}\nBut the running server does not use it: {told['trouble']}")
    if told["server"] == "stopped":
        say(f"{what}\nNo server runs on {data_dir}; it takes effect when one starts.")
    else:
        say(f"{what}\nThe running server knows: {effect}.")


# Lists


def _list_suppressed(user: str | None, data_dir: Path, *, as_json: bool) -> None:
    with _reader(data_dir) as store:
        if user is None:
            _print_suppressions(store.suppressions(), as_json=as_json)
            return
        changes = store.suppression_changes(user)
    _print_changes(user, changes, as_json=as_json)
    if not changes or not changes[-1].suppressed:
        raise no(f"{user} is not suppressed")


def _print_suppressions(found: "list[Suppression]", *, as_json: bool) -> None:
    rows = [(one.user_id, _iso(one.at_ms), one.actor) for one in found]
    if as_json:
        objects = [{"user": user, "since": since, "by": actor} for user, since, actor in rows]
        print_json({"suppressed": objects})
    else:
        print_lines(table(("user", "since", "by"), rows) if rows else ())
    if not rows:
        say("Nobody is suppressed.")


def _print_changes(user: str, changes: "list[SuppressionChange]", *, as_json: bool) -> None:
    rows = [(_iso(one.at_ms), one.suppressed, one.actor) for one in changes]
    if as_json:
        objects = [{"at": at, "suppressed": on, "by": actor} for at, on, actor in rows]
        print_json({"user": user, "changes": objects})
    else:
        words = [(at, "suppressed" if on else "unsuppressed", actor) for at, on, actor in rows]
        print_lines(table(("at", "what", "by"), words))


def _list_deletions(user: str | None, data_dir: Path, *, as_json: bool) -> None:
    with _reader(data_dir) as store:
        found = [one for one in store.deletions() if user in (None, one.user_id)]
        asked: dict[int, list[RemoteDeletion]] = {}
        for one in store.remote_deletions():
            asked.setdefault(one.deletion_id, []).append(one)
    if as_json:
        objects = [_deletion_object(one, asked.get(one.id, [])) for one in found]
        print_json({"deletions": objects})
    else:
        print_lines(_deletion_lines(found, asked))
    if user is not None and not found:
        raise no(f"{user} was never deleted")
    if not found:
        say("Nobody was ever deleted.")


def _deletion_object(one: "Deletion", asked: "list[RemoteDeletion]") -> dict[str, Any]:
    return {
        "deletion": one.id,
        "user": one.user_id,
        "askedAt": _iso(one.asked_at_ms),
        "by": one.actor,
        "messagesUpTo": one.cutoff_seq,
        "deliveriesErasedAt": _iso_if(one.facts_erased_at_ms),
        "logErasedAt": _iso_if(one.log_erased_at_ms),
        "engageErasedAt": _iso_if(one.history_erased_at_ms),
        "accounts": [
            {
                "account": each.scope,
                "state": each.state.value,
                "since": _iso(each.at_ms),
                "requestId": each.request_id,
                "answer": each.answer,
            }
            for each in asked
        ],
    }


def _deletion_lines(
    found: "list[Deletion]", asked: "dict[int, list[RemoteDeletion]]"
) -> Iterator[Line]:
    rows = [
        (str(one.id), one.user_id, _iso(one.asked_at_ms), one.actor, _here(one)) for one in found
    ]
    if rows:
        yield from table(("deletion", "user", "asked at", "by", "here"), rows)
    accounts = [
        (str(one.id), each.scope, each.state.value, _iso(each.at_ms), each.answer)
        for one in found
        for each in asked.get(one.id, [])
    ]
    if accounts:
        yield "", ""
        yield from table(("deletion", "account", "state", "since", "last answer"), accounts)


def _here(one: "Deletion") -> str:
    if one.log_erased_at_ms is not None:
        return "erased" if one.history_erased_at_ms is not None else "erased, Engage follows"
    if one.facts_erased_at_ms is not None:
        return "erased from deliveries, the log follows"
    if one.cutoff_seq is not None:
        return "withheld, erasing begins"
    return "waits for a server"


def _reader(data_dir: Path) -> "closing[SqlitePrivacyReader]":
    from headgate.workspace.sqlite_privacy import SqlitePrivacyReader

    return closing(SqlitePrivacyReader(workspace_path(data_dir)))


def _iso(at_ms: int) -> str:
    from headgate.spec.timestamps import iso_ms

    return iso_ms(at_ms)


def _iso_if(at_ms: int | None) -> str | None:
    return None if at_ms is None else _iso(at_ms)
