"""`replay`: settled messages sent again, planned first, followed afterwards."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from headgate.cli.accounts import duration_text
from headgate.cli.console import (
    DEFAULT_DATA_DIR,
    AsJson,
    DataDirOrBackup,
    Line,
    no,
    opened,
    print_json,
    print_lines,
    progress_bar,
    say,
    table,
    usage_error,
)
from headgate.cli.find import (
    Destinations,
    Events,
    From,
    Ids,
    Reasons,
    Sources,
    To,
    Types,
    Users,
    naming_options,
    outcomes,
    received,
)

if TYPE_CHECKING:
    from headgate.records.plan import Plan, Planned, Share
    from headgate.records.replays import Became, Progress
    from headgate.records.stored import Stored

_REPLAYABLE = ("delivered", "discarded", "failed")
_LOOK_EVERY_S = 0.5
_TELL_EVERY_S = 10.0

Outcomes = Annotated[
    list[str] | None,
    typer.Option(
        "--outcome",
        help="With this outcome now: delivered, discarded or failed; may be repeated.",
        metavar="OUTCOME",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only say what would be sent, and how long it takes.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Return as soon as the server has taken it up.")
]
OldProfiles = Annotated[
    bool,
    typer.Option(
        "--old-profiles",
        help="Send profile writes, too, that are older than the log; a newer value may have been"
        " delivered since.",
    ),
]


def replay(
    since: From = None,
    to: To = None,
    source: Sources = None,
    destination: Destinations = None,
    user: Users = None,
    call_type: Types = None,
    event: Events = None,
    message_id: Ids = None,
    outcome: Outcomes = None,
    reason: Reasons = None,
    everything: Annotated[
        bool, typer.Option("--all", help="All messages, without any other criterion.")
    ] = False,
    old_profiles: OldProfiles = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    no_wait: NoWait = False,
    listing: Annotated[
        bool, typer.Option("--list", help="List all replays with their progress instead.")
    ] = False,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
    as_json: AsJson = False,
) -> None:
    """Send messages again that have their outcome already.

    Says first how many, and how long it takes under Heap's limits; live messages go before. Each
    goes under its own idempotency key and today's settings, and every later profile write of the
    same users goes along, so that the newest value lands last.

    Without --outcome and --reason it takes what failed, and what was discarded because of
    settings that may have changed: destination_disabled, junk_identity, consent, device_mode,
    sent_by_page, suppressed. With --reason it takes what failed or was discarded for it.
    Delivered messages go again with --outcome delivered only. Ctrl-C leaves the replay going.

    At the end it says what became of the messages. The exit status is 0 also when some failed
    again: they are dead letters, and headgate deadletters list names them.

    \b
    Example:
      headgate replay --destination heap --from 2026-11-01 --to 2026-11-02 --dry-run
      headgate replay --reason refused --yes
    """
    from headgate.destinations.catalog import CATALOG
    from headgate.records.criteria import Criteria
    from headgate.records.plan import plan_of_log

    if listing:
        _list(data_dir, as_json=as_json)
        return
    criteria = Criteria(
        received=received(since, to),
        sources=tuple(source or ()),
        destinations=tuple(destination or ()),
        users=tuple(user or ()),
        types=tuple(call_type or ()),
        events=tuple(event or ()),
        ids=tuple(message_id or ()),
        outcomes=outcomes(outcome, _REPLAYABLE),
        reasons=tuple(reason or ()),
    )
    if criteria.asks_for_nothing and not everything:
        raise usage_error(
            "say which messages, for instance with --destination, --reason or --from; --all is for"
            " every message that failed or was discarded by settings",
            "replay",
        )
    with opened(data_dir) as stored, naming_options():
        facts = stored.facts()
        if facts is None:
            raise no(_NOTHING_YET.format(data_dir), as_json=as_json)
        with closing(facts):
            facts.freeze()
            planned = plan_of_log(stored, CATALOG, facts, criteria, old_profiles=old_profiles)
    if message_id and not planned.plan.messages and not planned.plan.left_out:
        words = f"no message has the id {' or '.join(message_id)}; see headgate trace"
        raise no(words, as_json=as_json)
    carry_out(planned, data_dir, dry_run=dry_run, yes=yes, wait=not no_wait, as_json=as_json)


_NOTHING_YET = "nothing has an outcome in {} yet, so there is nothing to send again"


# From the plan to its end


def carry_out(
    planned: "Planned", data_dir: Path, *, dry_run: bool, yes: bool, wait: bool, as_json: bool
) -> None:
    """Shows the plan; asks for it and follows it, unless it is a dry run or nothing would be sent."""
    if not as_json:
        print_lines(plan_lines(planned.plan))
    if dry_run or not planned.plan.messages:
        if as_json:
            print_json({"plan": planned.plan})
        say("Nothing was changed." if dry_run else "Nothing fits that could be sent again.")
        return
    if not data_dir.is_dir():
        raise no(f"{data_dir} is a backup; restore it first, or plan with --dry-run only")
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Send {counted(planned.plan.messages)} again?", abort=True, err=True)
    name, why_not = _ask(planned, data_dir)
    followed: list[Progress] = []
    if why_not == "" and wait:
        followed = _follow(name, data_dir)
    if as_json:
        server = "stopped" if why_not is None else "trouble" if why_not else "taken"
        print_json(
            {
                "name": name,
                "server": server,
                "trouble": why_not or "",
                "plan": planned.plan,
                "progress": followed,
            }
        )
    if why_not:
        raise no(f"replay {name} is stored, but the running server has not taken it up: {why_not}")


def _ask(planned: "Planned", data_dir: Path) -> tuple[str, str | None]:
    """The new replay's name, and what the server says: None without one, "" when it has taken it up."""
    import secrets

    from headgate.clock import SystemClock
    from headgate.control import tell_replay
    from headgate.records.replays import ask, new_name

    now_ms = SystemClock().now_ms()
    name = new_name(now_ms, secrets.token_hex(2))
    ask(data_dir, planned.request(name, now_ms))
    why_not = tell_replay(data_dir)
    if why_not is None:
        say(f"Replay {name} is stored. No server runs on {data_dir}; it begins when one does.")
    elif not why_not:
        say(f"Replay {name} has begun. See how far it is with headgate replay --list.")
    return name, why_not


def _follow(name: str, data_dir: Path) -> "list[Progress]":
    """Shows the replay's progress until it has ended; Ctrl-C only ends the showing."""
    found: list[Progress] = []
    try:
        with opened(data_dir) as stored, _shown(name) as show:
            for found in _looks(stored, name):
                show(sum(one.settled for one in found), sum(one.total for one in found))
            found = _progress(stored, name, with_outcomes=True)
    except KeyboardInterrupt:
        say(f"\nReplay {name} goes on. See how far it is with headgate replay --list.")
        return found
    say(_ended(name, found))
    return found


def _looks(stored: "Stored", name: str) -> "Iterator[list[Progress]]":
    """How far the replay is, again and again until it has ended or the server has gone.

    Another process records it, so there is nothing here that could wait for a change.
    """
    from time import sleep

    from headgate.control import answers

    while True:
        running = answers(stored.data_dir)
        found = [one for one in _progress(stored, name) if one.state != "waiting"]
        yield found
        if not running or all(one.state == "ended" for one in found):
            return
        sleep(_LOOK_EVERY_S)


def _progress(stored: "Stored", name: str = "", *, with_outcomes: bool = False) -> "list[Progress]":
    from headgate.records.replays import progress

    facts = stored.facts()
    with closing(facts) if facts else nullcontext():
        return progress(stored, facts, name=name, with_outcomes=with_outcomes)


@contextmanager
def _shown(name: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; elsewhere a line now and then."""
    if sys.stderr.isatty():
        with progress_bar(f"Replay {name}") as bar:
            yield bar
        return
    told_s = monotonic()

    def tell(settled: int, total: int) -> None:
        nonlocal told_s
        if monotonic() - told_s >= _TELL_EVERY_S:
            told_s = monotonic()
            say(f"Replay {name}: {settled:,} of {total:,} settled.")

    yield tell


def _ended(name: str, found: "list[Progress]") -> str:
    settled, total = (sum(getattr(one, field) for one in found) for field in ("settled", "total"))
    if any(one.state != "ended" for one in found):
        return f"The server has gone; replay {name} goes on from {settled:,} of {total:,} when it starts."
    became = [one for each in found for one in each.outcomes]
    where = "headgate status"
    if any(one.outcome == "failed" for one in became):
        where = "headgate deadletters list"
    return f"Replay {name} has ended: {outcomes_text(became)}; see {where}."


# For people


def plan_lines(plan: "Plan") -> Iterator[Line]:
    """The plan as text."""
    yield f"{counted(plan.messages)} to send again ({plan.criteria})", "bold"
    for share in plan.destinations:
        yield "", ""
        yield from _share_lines(share)
    if plan.left_out:
        yield "", ""
        yield "Left out", "bold"
    for left in plan.left_out:
        where = f" at {left.destination}" if left.destination else ""
        yield f"  {counted(left.messages)}{where}: {left.sentence}", ""


def _share_lines(share: "Share") -> Iterator[Line]:
    yield f"{share.destination}: {counted(share.messages)}", "bold"
    for one in share.before:
        kind = f"{one.outcome}, {one.reason}" if one.reason else one.outcome
        yield f"  {one.messages:,} {kind}", ""
    for reason, n in share.discarded_again.items():
        yield f"  {n:,} would be discarded again: {reason}", "yellow"
    if share.later_profile_writes:
        yield (
            f"  {share.profile_writes:,} of them are profile writes,"
            f" {share.later_profile_writes:,} of these later ones that only go along",
            "",
        )
    if share.pending:
        verbs = "is pending and goes" if share.pending == 1 else "are pending and go"
        yield f"  {counted(share.pending)} {verbs} before", ""
    yield f"  time under the destination's limits: {duration_text(share.eta_seconds)}", ""


def outcomes_text(became: "list[Became]") -> str:
    """What became of the messages of a replay, the same outcomes at several destinations summed up."""
    total: Counter[str] = Counter()
    for one in became:
        again = "failed again" if one.outcome == "failed" else one.outcome
        total[f"{again} ({one.reason})" if one.reason else again] += one.messages
    return (
        ", ".join(f"{n:,} {what}" for what, n in total.most_common())
        or "no outcome is on record any more"
    )


def counted(n: int) -> str:
    """So many messages, in words."""
    return "1 message" if n == 1 else f"{n:,} messages"


def _list(data_dir: Path, *, as_json: bool) -> None:
    with opened(data_dir) as stored:
        found = _progress(stored, with_outcomes=True)
    if as_json:
        print_json({"replays": found})
        return
    print_lines(_list_lines(found))
    if not found:
        say("There has been no replay.")


def _list_lines(found: "list[Progress]") -> Iterator[Line]:
    """A row for each replay at each destination, and below it which messages and what became of them."""
    heads = ("replay", "destination", "state", "settled", "of")
    rows = [(one.name, one.destination, one.state, one.settled, one.total) for one in found]
    head, *lines = table(heads, rows)
    if found:
        yield head
    for one, line in zip(found, lines, strict=True):
        yield line
        became = f": {outcomes_text(one.outcomes)}" if one.outcomes else ""
        yield f"  {one.criteria}{became}", ""
