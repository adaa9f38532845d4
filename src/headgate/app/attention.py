"""What needs somebody's attention: calls that nobody can deliver, and people whom no destination can be told of."""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, urlencode

from headgate.app.computations import AUDIENCES, TRAITS, house_of
from headgate.app.figures import Doing
from headgate.app.periods import Span
from headgate.app.visit import Visit
from headgate.eventlog.refused import UNKNOWN_SOURCE, UnknownKey, refusal_counts, unknown_keys
from headgate.spec.reasons import REASONS
from headgate.stores import REFUSED
from headgate.workspace.model import Workspace

_UNKNOWN_KEY = "unknown_write_key"


class Item(NamedTuple):
    """Something to look at: so many of it, a sentence, and where they are. `key` goes with unknown keys."""

    id: str
    n: int
    words: str
    more: str
    path: str
    label: str
    key: UnknownKey | None = None


def items(
    visit: Visit, workspace: Workspace, failed: dict[str, tuple[Doing, int]], span: Span
) -> list[Item]:
    """Everything of a period, and everything that stands; `failed` counts failed messages by slug."""
    return [
        *_failed(failed),
        *_unknown(visit, span.period.from_ms),
        *_refused(visit, workspace, span),
        *_untold(visit),
    ]


def _failed(failed: dict[str, tuple[Doing, int]]) -> Iterator[Item]:
    for slug, (doing, n) in failed.items():
        if n:
            words = f"{'message' if n == 1 else 'messages'} failed at {doing.name}"
            path = f"/destinations/{quote(slug, safe='')}/failures"
            yield Item(f"failed-{slug}", n, words, "", path, "Show causes")


def _unknown(visit: Visit, from_ms: int) -> Iterator[Item]:
    for one in unknown_keys(visit.parts.outside.data_dir / REFUSED, from_ms):
        words = f"{'call' if one.messages == 1 else 'calls'} used an unknown write key"
        path = "/unknown-keys"
        yield Item(f"key-{one.write_key}", one.messages, words, "", path, "Show calls", one)


def _refused(visit: Visit, workspace: Workspace, span: Span) -> Iterator[Item]:
    names = {one.slug: one.name for one in workspace.sources}
    path = visit.parts.outside.data_dir / REFUSED
    counts = refusal_counts(path, span.period.from_ms, span.period.to_ms)
    for slug, reason, _, n in sorted(counts, key=lambda row: -row[3]):
        if reason == _UNKNOWN_KEY:
            continue
        text = REASONS.get(reason)
        words = f"refused at {names.get(slug, slug) if slug else 'the door'}:"
        listed = "/unknown-keys"
        if slug != UNKNOWN_SOURCE:
            query = f"{span.query}&{urlencode({'reason': reason})}"
            listed = f"/sources/{quote(slug, safe='')}/refused?{query}"
        more = text.sentence if text else reason
        yield Item(f"refused-{slug}-{reason}", n, words, more, listed, "Show")


def _untold(visit: Visit) -> Iterator[Item]:
    """Members without userId, of computations that go to a destination."""
    with house_of(visit) as house:
        for one in (*house.all_of(AUDIENCES), *house.all_of(TRAITS)):
            if one.undeliverable and one.asked.destinations:
                be = "has" if one.undeliverable == 1 else "have"
                who = "person" if one.undeliverable == 1 else "people"
                words = f"{who} in {one.asked.name} {be} no userId and cannot be delivered to Heap"
                path = f"{one.path}/members?among=undeliverable"
                yield Item(f"untold-{one.key}", one.undeliverable, words, "", path, "Show")
