"""History, with the real log, store and engine: parts and tail are one, whatever is archived of them."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import factories
from depth import search
from engage_oracle.definitions import definitions
from engage_oracle.histories import START_MS, UNIT_MS, histories
from engage_oracle.histories import Arrival as Said
from engage_oracle.oracle import Asked as OfOracle
from headgate.clock import ManualClock
from headgate.engage.engine import Engine
from headgate.engage.history import merging, preview
from headgate.engage.history.archiving import archive
from headgate.engage.history.backfill import select
from headgate.engage.history.chunks import chunks
from headgate.engage.history.erasing import erase
from headgate.engage.history.parts import (
    Part,
    engage_store,
    history_directory,
    parts_in,
    reading,
    size_bytes,
)
from headgate.engage.history.seen import seen
from headgate.engage.history.verify import Difference, Verified, verify
from headgate.engage.history.view import View, opened
from headgate.engage.plan import plan_of
from headgate.engage.profile import Identifier, Profile
from headgate.engage.reader import Computed
from headgate.engage.registry import Record, State
from headgate.engage.store import EngageStore
from headgate.eventlog.interface import Arrival
from headgate.eventlog.log import BlockLog
from headgate.eventlog.sqlite import SqliteStorage
from headgate.language.errors import DefinitionError
from headgate.language.printer import text_of
from headgate.locks import Locked
from headgate.spec.names import CALL_TYPE_CODES
from headgate.spec.timestamps import parse_ms
from headgate.workspace.model import Engage

DAY_MS = 86_400_000
NOON_MS = START_MS + DAY_MS // 2
ORDERED = "event('Order Completed').count() >= 1"


class Place:
    """A data directory in which Engage runs when it is told to."""

    def __init__(self, path: Path, at_ms: int = NOON_MS) -> None:
        self.path = path
        self.clock = ManualClock(at_ms)
        self.log = BlockLog(SqliteStorage(path / "log", self.clock), self.clock)
        self.store = EngageStore(engage_store(path))
        self.engine = Engine(event_log=self.log, store=self.store, clock=self.clock)
        self.compute()
        self._n = 0

    def compute(self, *records: Record) -> None:
        """Engage computes these from now on."""
        rows = [Computed(r.number, r.key, r.kind, msgspec.msgpack.encode(r)) for r in records]
        self.store.save_computations(rows)
        self.engine.use(plan_of(records, Engage(), {}, self.store.leaf_number))

    def say(self, user: str = "ann", event: str = "Order Completed", **fields: Any) -> None:
        """A message arrives now."""
        self._n += 1
        message = {"type": "track", "userId": user, "event": event} | fields
        self.post(f"m{self._n}", message, "website")

    def post(self, message_id: str, message: dict[str, Any], source: str) -> None:
        """A message arrives now, as it is."""
        raw = msgspec.json.encode(message | {"messageId": message_id})
        code = CALL_TYPE_CODES[message["type"]]
        envelope = factories.envelope(source=source, received_at_ms=self.clock.now_ms())
        self.log.append([Arrival(envelope, [raw], [message_id], [""], bytearray([code]))])

    def run(self) -> None:
        """Engage does what there is to do."""
        while self.engine.read() or self.engine.let_time_pass():
            pass

    def pass_days(self, days: float) -> None:
        """Time goes by."""
        self.clock.advance(days * DAY_MS / 1000)

    def archive(self) -> int:
        """What Engage does now and then."""
        archived_to = archive(self.path)
        self.store.archived(archived_to)
        return archived_to

    def messages(self) -> list[tuple[Any, ...]]:
        """All of history, by number."""
        with opened(self.path) as view:
            return view.rows("SELECT * FROM event ORDER BY seq")

    def people(self) -> dict[str, int]:
        """Everybody's number, by userId."""
        return {one.of_type("user_id")[0]: one.id for one in self.store.profiles()}

    def close(self) -> None:
        """Let go of everything."""
        self.store.close()
        self.log.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty data directory."""
    made = Place(tmp_path)
    yield made
    made.close()


def record(number: int, definition: str, **fields: Any) -> Record:
    """A live audience, all of it computed from the beginning."""
    usual: dict[str, Any] = {
        "key": f"d{number}",
        "name": f"d{number}",
        "kind": "audience",
        "include_history": True,
        "include_anonymous": True,
        "wait": False,
        "destinations": (),
        "created_at_ms": START_MS,
        "state": State.LIVE,
    }
    return Record(number=number, definition=definition, **(usual | fields))


def asked_in_a_process(place: Place, module: str, question: Any) -> list[Any]:
    """What one of history's own processes answers, line by line."""
    ran = subprocess.run(
        [sys.executable, "-m", f"headgate.engage.history.{module}", place.path],
        input=msgspec.json.encode(question),
        capture_output=True,
        check=True,
        timeout=60,
    )
    return [msgspec.json.decode(line) for line in ran.stdout.splitlines()]


# Parts and tail


def test_what_is_not_archived_yet_is_history_all_the_same(place: Place) -> None:
    """Before archiving, when a part of it is done, and when Engage has been told, history is one."""
    for user in ("ann", "bob", "ann"):
        place.say(user, properties={"total": 5.0, "of": ["ü", None, {"a.b": 1}]})
    place.run()
    before = place.messages()
    assert [row[:2] for row in before] == [(1, 1), (2, 2), (3, 1)]
    assert archive(place.path) == 3
    assert place.messages() == before
    place.store.archived(3)
    assert place.messages() == before
    place.say("cid")
    place.run()
    assert place.messages()[:3] == before
    assert [row[:2] for row in place.messages()[3:]] == [(4, 3)]


@pytest.mark.parametrize("archives", [False, True])
def test_a_view_is_of_the_moment_it_was_opened_at(
    place: Place, monkeypatch: pytest.MonkeyPatch, archives: bool
) -> None:
    """What is read, merged and archived after that is not in it."""
    place.say("ann")
    place.say("bob")
    place.run()
    before = place.messages()

    def go_on(directory: Path) -> list[Part]:
        place.say("cid")
        place.say("ann", anonymousId="x")
        place.say("", type="alias", userId="bob", anonymousId="y")
        place.run()
        if archives:
            place.archive()
        return parts_in(directory)

    monkeypatch.setattr("headgate.engage.history.view.parts_in", go_on)
    assert place.messages() == before
    monkeypatch.undo()
    assert [row[0] for row in place.messages()] == [1, 2, 3, 4, 5]


def test_archiving_twice_doubles_nothing(place: Place) -> None:
    """Engage may start it again before it has heard of the end of the first one."""
    place.say()
    place.run()
    archive(place.path)
    archive(place.path)
    place.say()
    place.run()
    archive(place.path)
    assert [row[0] for row in place.messages()] == [1, 2]
    assert [(part.first, part.last) for part in parts_in(history_directory(place.path))] == [
        (1, 1),
        (2, 2),
    ]


def test_a_run_that_died_between_two_days_is_made_up_for(place: Place) -> None:
    """One day's part stands, the other's does not, and more has arrived since on both sides."""
    place.say()
    place.pass_days(1)
    place.say()
    place.run()
    whole = place.messages()
    archive(place.path)
    parts_in(history_directory(place.path))[1].path.unlink()
    assert place.messages() == whole
    place.say()
    place.run()
    assert archive(place.path) == 3
    assert [
        (part.day, part.first, part.last) for part in parts_in(history_directory(place.path))
    ] == [
        ("2026-01-01", 1, 1),
        ("2026-01-02", 2, 3),
    ]
    assert place.messages()[:2] == whole


def test_what_a_dead_writer_left_is_cleared(place: Place) -> None:
    """A file that was not finished does not count, and goes."""
    place.say()
    place.run()
    archive(place.path)
    part = parts_in(history_directory(place.path))[0].path
    unfinished = part.with_name("000000000002-000000000009.unfinished")
    unfinished.write_bytes(b"half")
    spill = history_directory(place.path) / "spill-of-the-dead"
    spill.mkdir()
    assert len(place.messages()) == 1
    archive(place.path)
    assert not unfinished.exists()
    assert not spill.exists()
    assert sorted(one.name for one in history_directory(place.path).iterdir()) == [
        "2026-01-01",
        "readers.lock",
        "writer.lock",
    ]


def test_messages_of_nobody_are_not_history(place: Place) -> None:
    """Blocked identifiers only: there is no profile to keep them for."""
    place.say("anonymous")
    place.say("ann")
    place.run()
    assert place.archive() == 2
    assert [row[0] for row in place.messages()] == [2]


def test_history_knows_who_was_merged_into_whom(place: Place) -> None:
    """Rows keep the number that was given at first, and are read under the one it is now."""
    place.say("ann")
    place.say("", type="track", anonymousId="x")
    place.run()
    archive(place.path)
    place.say("ann", anonymousId="x")
    place.run()
    assert [row[:2] for row in place.messages()] == [(1, 1), (2, 1), (3, 1)]


def test_small_parts_become_one_and_their_day_stays_what_it_was(place: Place) -> None:
    """Of the day that goes on several are needed, of one that is over two are enough."""
    for _ in range(9):
        place.say()
        place.run()
        place.archive()
    whole = place.messages()
    directory = history_directory(place.path)
    assert [(part.first, part.last) for part in parts_in(directory)] == [(1, 8), (9, 9)]
    place.pass_days(1)
    place.say()
    place.run()
    place.archive()
    assert [(part.first, part.last) for part in parts_in(directory)] == [(1, 9), (10, 10)]
    assert place.messages()[:9] == whole
    assert size_bytes(directory) == sum(part.path.stat().st_size for part in parts_in(directory))


def test_a_merge_that_died_before_it_removed_the_small_parts_doubles_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small ones count no longer as soon as the large one is there, and go with the next run."""
    monkeypatch.setattr(merging, "remove", lambda parts: None)
    for _ in range(8):
        place.say()
        place.run()
        place.archive()
    assert len(list(history_directory(place.path).glob("*/*.parquet"))) == 9
    assert len(place.messages()) == 8
    monkeypatch.undo()
    place.archive()
    assert len(list(history_directory(place.path).glob("*/*.parquet"))) == 1


def test_nothing_is_removed_under_a_reader(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody reads, parts are added but not merged."""
    monkeypatch.setattr(merging, "_READERS_TIMEOUT_S", 0.0)
    with opened(place.path):
        pass
    place.say()
    place.run()
    place.archive()
    with reading(history_directory(place.path)):
        for _ in range(8):
            place.say()
            place.run()
            place.archive()
        assert len(parts_in(history_directory(place.path))) == 9
    place.archive()
    assert len(parts_in(history_directory(place.path))) == 1


# Erasing


def test_who_is_erased_is_in_no_part_and_does_not_come_back(place: Place) -> None:
    """Also what is assigned to them and waits to be archived; everybody else's stays as it is."""
    place.say("ann")
    place.say("bob")
    place.run()
    place.archive()
    place.say("ann")
    place.say("bob")
    place.run()
    bobs = [row for row in place.messages() if row[1] == 2]
    (answer,) = asked_in_a_process(place, "erasing", [1])
    assert answer == {"erased": 2, "archived_to": 4}
    assert place.messages() == bobs
    place.archive()
    assert place.messages() == bobs
    assert erase(place.path, [1, 2]).erased == 2
    assert place.messages() == []


def test_erasing_waits_for_readers_and_says_when_they_stay(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part is never exchanged under somebody who reads it."""
    monkeypatch.setattr("headgate.engage.history.erasing._READERS_TIMEOUT_S", 0.0)
    place.say()
    place.run()
    place.archive()
    with opened(place.path), pytest.raises(Locked):
        erase(place.path, [1])
    assert erase(place.path, [1]).erased == 1


# Previews


def _previewed(place: Place, definition: str, **fields: Any) -> preview.Preview:
    asked = preview.Asked(**({"kind": "audience", "definition": definition} | fields))
    with opened(place.path) as view:
        return preview.preview(view, asked, place.clock.now_ms())


def test_a_preview_counts_members_and_shows_some_of_them(place: Place) -> None:
    """In parts and in the tail, with and without a userId, and the other audience beside it."""
    place.compute(record(1, "event('Page Viewed').count() >= 1"))
    place.say("ann")
    place.say("ann", type="page")
    place.say("", anonymousId="x")
    place.run()
    place.archive()
    place.say("bob", event="Seen")
    place.say("cid")
    place.run()
    found = _previewed(place, ORDERED, overlap="d1", sample=2)
    assert (found.profiles, found.having, found.deliverable, found.overlap) == (4, 3, 2, 1)
    assert found.seq == 5
    assert [(one.profile, one.identifiers, one.value) for one in found.sample] == [
        (1, [Identifier("user_id", "ann")], True),
        (2, [Identifier("anonymous_id", "x")], True),
    ]
    assert _previewed(place, ORDERED, include_anonymous=False).having == 2
    assert _previewed(place, f"not {ORDERED}").having == 1
    assert _previewed(place, "trait('d1') = true").having == 1
    place.pass_days(1)
    assert _previewed(place, ORDERED, include_history=False).having == 0


def test_a_preview_of_a_trait_shows_its_values(place: Place) -> None:
    """How many have one, the least, the greatest, the most frequent ones."""
    for user, total in (("ann", 5), ("bob", 7.5), ("cid", 5), ("dan", None)):
        place.say(user, properties={"total": total})
    place.run()
    found = _previewed(place, "event('Order Completed').sum(property('total'))", kind="trait")
    assert (found.profiles, found.having, found.least, found.greatest) == (4, 3, 5, 7.5)
    assert [(one.value, one.profiles) for one in found.top] == [(5, 2), (7.5, 1)]


def test_a_preview_of_what_is_no_definition_says_so(place: Place) -> None:
    """The process answers in words."""
    with pytest.raises(DefinitionError):
        _previewed(place, "event('Order Completed').count() >")
    question = {"kind": "audience", "definition": "event('x').cuont() > 1"}
    (answer,) = asked_in_a_process(place, "previewing", question)
    assert "cuont" in answer["error"]
    question = {"kind": "audience", "definition": ORDERED, "overlap": "vip"}
    (answer,) = asked_in_a_process(place, "previewing", question)
    assert answer == {"error": "there is no audience with the key vip"}


def test_events_and_properties_that_were_seen_are_suggested(place: Place) -> None:
    """With their types, nested ones by their paths."""
    place.say("ann", properties={"total": 5, "box": {"a.b": "x"}, "tags": [1]})
    place.say("ann", properties={"total": "5"})
    place.say("ann", type="page", name="Home")
    place.say("ann", type="identify", traits={"plan": "pro"})
    place.run()
    (answer,) = asked_in_a_process(place, "previewing", {"kind": "seen"})
    orders, pages = answer["events"]
    assert (orders["name"], orders["messages"]) == ("Order Completed", 2)
    assert orders["properties"] == [
        {"path": "total", "messages": 2, "types": {"number": 1, "text": 1}},
        {"path": r"box.a\.b", "messages": 1, "types": {"text": 1}},
        {"path": "tags", "messages": 1, "types": {"list": 1}},
    ]
    assert pages["properties"] == [{"path": "page_name", "messages": 1, "types": {"text": 1}}]
    assert answer["traits"] == [{"path": "plan", "messages": 1, "types": {"text": 1}}]


def test_a_name_that_was_not_seen_lately_still_has_its_properties(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are looked for among the newest messages first, and then among all."""
    monkeypatch.setattr("headgate.engage.history.seen._NEWEST", 1)
    place.say("ann", properties={"total": 5})
    place.say("ann", event="Seen")
    place.run()
    with opened(place.path) as view:
        fields = {one.name: [field.path for field in one.properties] for one in seen(view).events}
    assert fields == {"Order Completed": ["total"], "Seen": []}


# Backfill


def test_a_backfill_goes_on_from_every_offset(place: Place, tmp_path: Path) -> None:
    """Profile by profile, in the log's order, only the names and numbers that are asked for."""
    for n in range(12):
        place.say(f"u{n % 3}", properties={"n": n, "of": {"a": [1.5, None]}})
        place.say(f"u{n % 3}", event="Other")
        if n == 5:
            place.run()
            place.archive()
    place.run()
    into = tmp_path / "selected"
    with opened(place.path) as view:
        assert select(view, ["Order Completed"], 20, into) == 10
    found = list(chunks(into, messages=2))
    assert [
        (id_, [one.properties["n"] for one in messages])
        for chunk in found
        for id_, messages in chunk.profiles
    ] == [(1, [0, 3, 6, 9]), (2, [1, 4, 7]), (3, [2, 5, 8])]
    assert found[0].profiles[0][1][0].properties["of"] == {"a": [1.5, None]}
    for at, chunk in enumerate(found):
        assert list(chunks(into, chunk.offset, messages=2)) == found[at + 1 :]
    assert found[-1].offset == into.stat().st_size


def test_a_backfill_that_failed_leaves_nothing(place: Place, tmp_path: Path) -> None:
    """The file is whole or absent."""
    into = tmp_path / "missing" / "selected"
    place.say()
    place.run()
    with opened(place.path) as view, pytest.raises(Exception, match="missing"):
        select(view, ["Order Completed"], 9, into)
    assert not into.parent.exists()


# Verifying


def _verified(view: View) -> tuple[list[Difference], Verified]:
    *differences, last = list(verify(view))
    assert isinstance(last, Verified)
    return [one for one in differences if isinstance(one, Difference)], last


def test_a_record_that_is_not_what_history_says_is_named(place: Place) -> None:
    """The computation, the person, both values."""
    place.compute(record(1, ORDERED), record(2, "not trait('d1') = true"))
    place.say("ann")
    place.say("bob", event="Other")
    place.run()
    with opened(place.path) as view:
        assert _verified(view)[0] == []
    place.store._db.execute(
        "UPDATE profile SET record = ? WHERE id = 1",
        (msgspec.msgpack.encode(Profile(1, 0, [Identifier("user_id", "ann")])),),
    )
    *differences, last = asked_in_a_process(place, "verify", None)
    assert differences == [
        {
            "computation": "d1",
            "profile": 1,
            "identifiers": [["user_id", "ann"]],
            "incremental": False,
            "recomputed": True,
            "leftOut": 0,
        }
    ]
    assert (last["computations"], last["profiles"], last["differences"]) == (2, 2, 1)


def test_traits_that_are_false_or_null_are_values_like_others(place: Place) -> None:
    """Neither is taken for a difference; what the record lacks is one."""
    place.compute(record(1, "event('Answered').last(property('yes'))", kind="trait"))
    place.say("ann", event="Answered", properties={"yes": False})
    place.say("bob", event="Answered")
    place.run()
    assert place.store.find(Identifier("user_id", "ann")).values == {1: False}  # type: ignore[union-attr]
    with opened(place.path) as view:
        assert _verified(view)[0] == []
    emptied = msgspec.msgpack.encode(Profile(1, 0, [Identifier("user_id", "ann")]))
    place.store._db.execute("UPDATE profile SET record = ? WHERE id = 1", (emptied,))
    with opened(place.path) as view:
        (difference,) = _verified(view)[0]
    assert (difference.incremental, difference.recomputed) == (None, False)


def test_who_is_still_to_be_evaluated_is_counted_and_not_compared(place: Place) -> None:
    """Time has come for ann's membership to end, and Engage has not been at it."""
    place.compute(record(1, "event('Order Completed').within(1 day).count() >= 1"))
    place.say("ann")
    place.run()
    place.pass_days(1)
    place.say("bob", event="Other")
    place.engine.read()
    with opened(place.path) as view:
        differences, verified = _verified(view)
    assert (differences, verified.waiting, verified.profiles) == ([], 1, 1)


def _records(asked: dict[str, OfOracle]) -> list[Record]:
    return [
        record(
            number,
            text_of(one.tree),
            key=key,
            kind=one.kind,
            wait=one.wait,
            created_at_ms=one.created_at_ms,
            include_history=(
                one.history if isinstance(one.history, bool) else f"{one.history // 1000} seconds"
            ),
        )
        for number, (key, one) in enumerate(asked.items(), 1)
    ]


def _live_through(place: Place, arrivals: list[Said]) -> None:
    """Engage sees the messages as they come; the first half of them is archived."""
    known = set()
    for n, (source, message) in enumerate(arrivals):
        received_ms = parse_ms(message["receivedAt"]) or 0
        place.clock.advance((received_ms - place.clock.now_ms()) / 1000)
        place.run()
        if (source, message["messageId"]) not in known:
            known.add((source, message["messageId"]))
            said = {name: value for name, value in message.items() if name != "receivedAt"}
            place.post(message["messageId"], said, source)
        place.run()
        if n == len(arrivals) // 2:
            place.archive()


@search(25)
@given(histories(), definitions(), st.integers(0, 10 * UNIT_MS))
def test_what_engage_kept_message_by_message_is_what_history_makes_of_it_all(
    arrivals: list[Said], asked: dict[str, OfOracle], later_ms: int
) -> None:
    """Late or early, repeated, merged in between: the second opinion is the same."""
    with tempfile.TemporaryDirectory() as directory:
        place = Place(Path(directory), START_MS)
        place.compute(*_records(asked))
        _live_through(place, arrivals)
        place.clock.advance(later_ms / 1000)
        place.run()
        with opened(place.path) as view:
            assert _verified(view)[0] == []
        place.close()


def test_the_servers_processes_never_load_duckdb() -> None:
    """It weighs more than all else together."""
    modules = "headgate.engage.process, headgate.server, headgate.engage.history.chunks"
    program = f"import sys, {modules}; sys.exit('duckdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
