"""What `engage` prints for people: each answer as lines."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from headgate.cli.console import Line, table

if TYPE_CHECKING:
    from headgate.engage.history.preview import Preview, Shown
    from headgate.engage.history.verify import Difference, Verified
    from headgate.engage.registry import Record
    from headgate.records.engage.explaining import Message, Reason, Why
    from headgate.records.engage.listing import Listed, Listing
    from headgate.records.engage.listing import Telling as Going
    from headgate.records.engage.members import Member
    from headgate.records.engage.tellings import Telling

COLUMNS = ("user_id", "email", "anonymous_id")

_WIDEST = 60
_MOST_SHOWN = 3
_JUNCTIONS = {"all": "all of", "any": "one of", "not": "not"}
_STYLES = {True: "green", False: "red"}


def listing_lines(found: "Listing") -> Iterator[Line]:
    yield from _progress_lines(found)
    if found.computations:
        heads = ("key", "kind", "state", "members", "without userId", "told last", "destinations")
        yield from table(heads, [_row(one) for one in found.computations])
    if found.destinations:
        yield "", ""
        waits = ("destination", "", "to the log", "to Heap", "time under its limits")
        yield from table(waits, [_destination_row(one) for one in found.destinations])
    if found.violations:
        yield "", ""
        yield "Identifiers that were not used", "bold"
        for kind, n in found.violations.items():
            yield f"  {n:,} {kind.replace('_', ' ')}", "yellow"
    left_out = [one for one in found.computations if one.left_out]
    for one in left_out:
        yield f"{one.key}: {one.left_out:,} events or values had no room in people's records", "red"


def _progress_lines(found: "Listing") -> Iterator[Line]:
    at = f", evaluated at {found.evaluated_at}" if found.evaluated_at else ""
    yield f"{people(found.people)}{at}", "bold"
    if found.behind:
        yield f"{found.behind:,} messages are still to be read", "yellow"
    if found.sweep_percent is not None:
        yield f"Everybody is being looked at after a change: {found.sweep_percent} %", "yellow"
    yield "", ""


def _row(one: "Listed") -> tuple[str | int, ...]:
    ready = f" {one.ready_percent} %" if one.ready_percent is not None else ""
    told = one.told_at or ("not lately" if one.destinations else "")
    return (
        one.key,
        one.kind,
        one.state + ready,
        one.members,
        one.undeliverable,
        told,
        " ".join(one.destinations),
    )


def _destination_row(one: "Going") -> tuple[str | int, ...]:
    from headgate.cli.accounts import duration_text

    took = duration_text(one.drain_seconds) if one.waiting or one.pending else ""
    return one.destination, "" if one.enabled else "disabled", one.waiting, one.pending, took


def member_lines(record: "Record", found: "list[Member]") -> Iterator[Line]:
    heads = ("profile", *(() if record.is_audience else ("value",)), *COLUMNS)
    yield from table(heads, [_member_row(record, one) for one in found])


def _member_row(record: "Record", one: "Member") -> tuple[str, ...]:
    value = () if record.is_audience else (_cut(shown(one.value)),)
    cells = (_first(one.identifiers.get(name, [])) for name in COLUMNS)
    return (str(one.profile), *value, *cells)


def _first(values: list[str]) -> str:
    more = f" and {len(values) - 1:,} more" if len(values) > 1 else ""
    return _cut(values[0]) + more if values else ""


def preview_lines(found: "Preview", kind: str) -> Iterator[Line]:
    what = "are members" if kind == "audience" else "have a value"
    share = _share(found.having, found.profiles)
    yield f"{found.having:,} of {people(found.profiles)} {what}{share}", "bold"
    deliverable = _share(found.deliverable, found.having)
    yield f"{found.deliverable:,} of these have a userId and can be told of{deliverable}", ""
    if found.overlap is not None:
        yield f"{found.overlap:,} of these are in the other audience, too", ""
    if found.top:
        yield "", ""
        if found.least is not None:
            yield f"values from {shown(found.least)} to {shown(found.greatest)}", ""
        tops = [(_cut(shown(one.value)), one.profiles) for one in found.top]
        yield from table(("value", "people"), tops)
    if found.sample:
        yield "", ""
        yield from table(
            ("profile", "value", "identifiers"),
            [(str(one.profile), _cut(shown(one.value)), _known(one)) for one in found.sample],
        )


def _known(one: "Shown | Difference") -> str:
    return "  ".join(f"{each.type}:{_cut(each.value)}" for each in one.identifiers[:_MOST_SHOWN])


def _share(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.0f} %)" if whole else ""


def difference_lines(differences: "list[Difference]") -> Iterator[Line]:
    if differences:
        heads = ("computation", "profile", "Engage has", "history says", "left out", "identifiers")
        yield from table(heads, [_difference_row(one) for one in differences])


def _difference_row(one: "Difference") -> tuple[str | int, ...]:
    values = (_cut(shown(one.incremental)), _cut(shown(one.recomputed)))
    return one.computation, str(one.profile), *values, one.left_out, _known(one)


def verdict(verified: "Verified") -> str:
    from headgate.spec.timestamps import iso_ms

    what = f"{verified.computations:,} computations for {people(verified.profiles)}"
    at = f"as of {iso_ms(verified.at_ms)}"
    bounded = (
        f" {verified.bounded:,} values differ because people's records had no room for more."
        if verified.bounded
        else ""
    )
    waiting = (
        f" {people(verified.waiting)} were about to be evaluated and are left out."
        if verified.waiting
        else ""
    )
    if verified.differences:
        return f"{verified.differences:,} values are WRONG of {what}, {at}.{bounded}{waiting}"
    return f"All is as it should be: {what}, {at}.{bounded}{waiting}"


def why_lines(why: "Why", user: str) -> Iterator[Line]:
    yield f"{why.key}: {shown(why.value)} for {user} at {why.at}", "bold"
    if why.changes_at is not None:
        yield f"  by itself it becomes {shown(why.changes_to)} at {why.changes_at}", ""
    else:
        yield "  it does not change by itself", ""
    known = ", ".join(f"{type_} {_first(values)}" for type_, values in why.identifiers.items())
    yield f"  profile {why.profile}: {known}", ""
    if why.state != "live":
        yield f"  the {why.kind} is {why.state}", "yellow"
    if why.behind:
        yield f"  {why.behind:,} messages are still to be read", "yellow"
    if why.computed != why.value:
        computed = shown(why.computed)
        yield f"  what was evaluated last is {computed}; a server that runs comes to it", "yellow"
    if why.left_out:
        yield f"  {why.left_out:,} events or values had no room in the profile's record", "red"
    yield "", ""
    yield from _reason_lines(why.reason, 0)
    yield "", ""
    if why.undeliverable:
        yield why.undeliverable, "yellow"
    for one in why.told:
        yield from _told_lines(one)
    if not why.told and not why.undeliverable:
        yield f"The {why.kind} goes to no destination.", ""


def _reason_lines(reason: "Reason", depth: int) -> Iterator[Line]:
    indent = "  " * depth
    current = "" if reason.current is None else f"  (now {_cut(shown(reason.current))})"
    style = _STYLES.get(reason.value, "") if isinstance(reason.value, bool) else ""
    value = _cut(shown(reason.value))
    yield f"{indent}{value:<6} {_JUNCTIONS.get(reason.junction, reason.text)}{current}", style
    for part in reason.parts:
        yield from _reason_lines(part, depth + 1)
    for trait in reason.traits:
        by = f"from {trait.by} at {trait.at}" if trait.at else trait.by or "nobody set it"
        yield f"{indent}       trait {trait.name}: {_cut(shown(trait.value))}, {by}", ""
    if reason.counting:
        named = len(reason.messages)
        newest = f", the newest {named:,}" if named < reason.counting else ""
        counts = "1 message counts" if reason.counting == 1 else f"{reason.counting:,} count"
        yield f"{indent}       {counts}{newest}:", ""
    for one in reason.messages:
        value = "" if one.value is None else f"  {_cut(shown(one.value))}"
        until = f"  until {one.until}" if one.until else ""
        yield f"{indent}         {_message(one)}{value}{until}", ""
    if reason.newest_other is not None:
        do_not = "1 does not" if reason.others == 1 else f"{reason.others:,} do not, the newest"
        yield f"{indent}       {do_not}: {_message(reason.newest_other)}", ""


def _message(one: "Message") -> str:
    return f"{one.id}  {one.at}  {one.name}  {one.source}"


def _told_lines(one: "Telling") -> Iterator[Line]:
    who = f"{one.destination}, userId {one.user_id}"
    if one.at is None:
        yield f"{who}: never told", "bold"
    else:
        times = "once" if one.times == 1 else f"{one.times:,} times in all"
        yield f"{who}: told {shown(one.told)} at {one.at}, {times}", "bold"
        reason = f" ({one.reason})" if one.reason else ""
        answered = f", answered {one.status}" if one.status else ""
        sentence = f" {one.sentence}" if one.sentence else ""
        outcome = f"{one.outcome}{reason}{answered}" if one.outcome else ""
        yield f"  {outcome}{sentence}".rstrip(), ""
        if one.answer:
            yield f"  Heap: {_cut(one.answer)}", ""
        yield f"  headgate trace {one.message_id}", ""
    if one.why:
        yield f"  {one.why}", "yellow"


def people(n: int) -> str:
    return "1 person" if n == 1 else f"{n:,} people"


def shown(value: Any) -> str:
    import msgspec

    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
