"""The audit: what it counts, and that nothing that is lost or damaged escapes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from data_dirs import NOW_MS, DataDir, destination, source
from headgate.delivery.facts import DELIVERED, DISCARDED, FAILED
from headgate.delivery.reader import DeliveryReader
from headgate.eventlog.block import StoredBlock
from headgate.eventlog.sqlite import SqliteReadStorage
from headgate.records import stretches
from headgate.records.audit import Audit, audit, pending
from headgate.records.stretches import Range

MINUTE_MS = 60_000


@pytest.fixture
def stored(tmp_path: Path) -> DataDir:
    """A data directory with one source and one destination (id 1)."""
    data_dir = DataDir(tmp_path / "a folder")
    data_dir.use(destinations=[destination()])
    return data_dir


@pytest.fixture
def small_stretches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stretches of four messages, so that a handful crosses their borders."""
    for module in ("stretches", "audit"):
        monkeypatch.setattr(f"headgate.records.{module}.STRETCH", 4)
    yield


def audited(data_dir: DataDir, from_ms: int | None = None, to_ms: int | None = None) -> Audit:
    with data_dir.opened() as opened:
        return audit(opened, Range(from_ms, to_ms))


def totals(result: Audit) -> dict[str, int]:
    names = ("accepted", "delivered", "discarded", "failed", "pending", "broken_count")
    return {name: getattr(result, name) for name in names if getattr(result, name)}


def test_an_empty_directory_is_sound(stored: DataDir) -> None:
    """A workspace alone, with neither log nor facts, has nothing to account for."""
    result = audited(stored)
    assert (result.is_sound, totals(result), result.messages) == (True, {}, 0)


def test_every_outcome_is_counted_once(stored: DataDir) -> None:
    """Each of the four outcomes, with its reasons; what was settled twice counts as it was last."""
    stored.accept(*(f"m-{n}" for n in range(1, 11)))
    stored.settle(DELIVERED, 1, 2, 5)
    stored.settle(DISCARDED, 3, 4, reason="no_user_id")
    stored.settle(FAILED, 6, 8, reason="refused", cursor=6)
    stored.settle(DELIVERED, 8)
    result = audited(stored)
    assert totals(result) == {
        "accepted": 10,
        "delivered": 4,
        "discarded": 2,
        "failed": 1,
        "pending": 3,
    }
    assert result.destinations["heap"].reasons == {"no_user_id": 2, "refused": 1}
    assert result.is_sound


def test_messages_count_once_per_destination_of_their_source(tmp_path: Path) -> None:
    """Two destinations of one source owe two outcomes each, a source without any owes none."""
    data_dir = DataDir(tmp_path)
    data_dir.use(
        sources=[source(), source("shop"), source("alone")],
        destinations=[destination(), destination("second"), destination("third", "shop")],
    )
    data_dir.accept("a", "b")
    data_dir.accept("c", source="shop")
    data_dir.accept("d", source="alone")
    data_dir.settle(DELIVERED, 1, 2, to=2, cursor=4)
    result = audited(data_dir)
    accepted = {slug: one.accepted for slug, one in result.destinations.items()}
    assert accepted == {"heap": 2, "second": 2, "third": 1, "-": 0}
    assert (result.messages, result.accepted, result.pending) == (4, 5, 3)


def test_a_destination_owes_only_what_came_while_it_was_connected(tmp_path: Path) -> None:
    """One that was added later, removed, and added again counts under its slug, each stay its own."""
    data_dir = DataDir(tmp_path)
    data_dir.use()
    data_dir.accept("before")
    with_heap = data_dir.use(destinations=[destination()])
    data_dir.accept("during", workspace_version=with_heap)
    without = data_dir.use()
    data_dir.accept("between", workspace_version=without)
    again = data_dir.use(destinations=[destination()])
    data_dir.accept("after", workspace_version=again)
    data_dir.settle(DELIVERED, 2, cursor=4)
    data_dir.settle(DELIVERED, 4, to=2, cursor=4)
    result = audited(data_dir)
    assert totals(result) == {"accepted": 2, "delivered": 2}
    assert result.is_sound


def test_a_message_below_the_cursor_without_an_outcome_is_broken(stored: DataDir) -> None:
    """The loss that the audit exists for is named by messageId; its neighbours are not."""
    stored.accept("m-1", "m-2", "m-3")
    stored.settle(DELIVERED, 1, 3, cursor=3)
    result = audited(stored)
    assert (result.broken, result.broken_count, result.is_sound) == (["m-2"], 1, False)
    problem = result.problems[0]
    assert (problem.position, problem.destination) == (2, "heap")
    assert totals(result) == {"accepted": 3, "delivered": 2, "broken_count": 1}


def test_an_outcome_that_nobody_owes_is_broken(tmp_path: Path) -> None:
    """A fact of a destination that was not connected to the message's source, or never existed."""
    data_dir = DataDir(tmp_path)
    data_dir.use(sources=[source(), source("shop")], destinations=[destination()])
    data_dir.accept("mine")
    data_dir.accept("theirs", source="shop")
    data_dir.settle(DELIVERED, 1, 2, cursor=2)
    data_dir.settle(DELIVERED, 1, to=7)
    result = audited(data_dir)
    assert [(one.message_id, one.destination) for one in result.problems] == [
        ("mine", "#7"),
        ("theirs", "heap"),
    ]
    assert (result.accepted, result.delivered) == (1, 1)


def test_only_so_many_broken_messages_are_named(
    stored: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is bounded, the count is exact."""
    monkeypatch.setattr("headgate.records.audit.MAX_NAMED", 2)
    stored.accept("a", "b", "c")
    stored.pass_by(3)
    result = audited(stored)
    assert (result.broken, result.broken_count) == (["a", "b"], 3)


def test_refused_messages_that_were_answered_with_success_count_at_the_door(
    stored: DataDir,
) -> None:
    """They are accepted and discarded under `-`; a 400 is the sender's to know."""
    stored.refuse("r-1", "unknown_write_key", source="")
    stored.refuse("r-2", "no_ids")
    stored.refuse("r-3", "bad_json", answered=400)
    result = audited(stored)
    assert totals(result) == {"accepted": 2, "discarded": 2}
    assert result.destinations["-"].reasons == {"unknown_write_key": 1, "no_ids": 1}


def test_the_range_is_half_open_on_received_at(stored: DataDir) -> None:
    """From is included, to is not, in the log and at the door; what lies outside is neither counted nor judged."""
    for minute, name in enumerate(("early", "first", "last", "late")):
        stored.accept(name)
        stored.refuse(name, "no_ids")
        if minute < 3:
            stored.clock.advance(60)
    stored.pass_by(4)
    result = audited(stored, NOW_MS + MINUTE_MS, NOW_MS + 3 * MINUTE_MS)
    assert result.broken == ["first", "last"]
    assert result.destinations["-"].discarded == 2
    assert (result.from_, result.to) == ("2023-11-14T22:14:20.000Z", "2023-11-14T22:16:20.000Z")


def test_requests_of_one_block_are_told_apart_by_time(stored: DataDir) -> None:
    """A block may hold requests from both sides of a range's end."""
    stored.accept("a")
    stored.accept("b", received_at_ms=NOW_MS + 5)
    assert audited(stored, to_ms=NOW_MS + 5).accepted == 1
    assert audited(stored, from_ms=NOW_MS + 5).accepted == 1


@pytest.mark.usefixtures("small_stretches")
def test_a_log_longer_than_a_stretch_counts_the_same(stored: DataDir) -> None:
    """Blocks and facts that cross the borders of stretches are counted once."""
    for at in range(5):
        stored.accept(*(f"m-{at}-{n}" for n in range(3)))
    stored.settle(DELIVERED, *range(1, 12))
    stored.settle(DISCARDED, 3, 4, 5, 13, reason="no_user_id", cursor=11)
    result = audited(stored)
    assert totals(result) == {"accepted": 15, "delivered": 8, "discarded": 4, "pending": 3}
    assert result.is_sound


# What goes on beside the audit


def test_what_is_accepted_and_settled_during_the_audit_looks_pending(stored: DataDir) -> None:
    """Facts are read first: a message that delivery finishes meanwhile must not look broken."""
    stored.accept("m-1")
    stored.settle(DELIVERED, 1, cursor=1)
    with stored.opened() as opened:
        whole = opened.facts

        def facts_then_more() -> DeliveryReader:
            facts = whole()
            assert facts is not None
            freeze = facts.freeze

            def freeze_then_more() -> None:
                freeze()
                stored.accept("m-2", "m-3")
                stored.settle(DELIVERED, 2, 3, cursor=3)

            facts.freeze = freeze_then_more  # type: ignore[method-assign]
            return facts

        opened.facts = facts_then_more  # type: ignore[method-assign]
        result = audit(opened)
    assert totals(result) == {"accepted": 3, "delivered": 1, "pending": 2}
    assert result.is_sound


# Damage


def damaged(result: Audit) -> list[tuple[int, int]]:
    return [(one.first, one.last) for one in result.damaged]


def test_missing_blocks_are_damage(stored: DataDir) -> None:
    """Numbers skip: the range is named, and outcomes recorded for it still count."""
    for name in ("a", "b", "c"):
        stored.accept(name)
    stored.settle(DELIVERED, 1, 2, 3, cursor=3)
    stored.lose_block(2)
    result = audited(stored)
    assert damaged(result) == [(2, 2)]
    assert totals(result) == {"accepted": 3, "delivered": 3}
    assert not result.is_sound


def test_a_flipped_bit_is_damage(stored: DataDir) -> None:
    """The checksum tells; what comes after is read all the same."""
    for name in ("a", "b", "c"):
        stored.accept(name)
    stored.flip_a_bit(2)
    result = audited(stored)
    assert damaged(result) == [(2, 2)]
    assert totals(result) == {"accepted": 2, "pending": 2}


def test_a_lost_end_is_told_by_the_witness(stored: DataDir) -> None:
    """SQLite drops a torn end without a word; the number of the last durable message stands beside it."""
    for name in ("a", "b", "c"):
        stored.accept(name)
    stored.lose_block(3)
    assert damaged(audited(stored)) == [(3, 3)]


def test_a_lost_end_is_told_by_delivery(stored: DataDir) -> None:
    """Also without a witness, nothing was settled that the log never held."""
    for name in ("a", "b", "c"):
        stored.accept(name)
    stored.settle(DELIVERED, 1, 2, 3, cursor=3)
    stored.lose_block(3)
    (stored.path / "log" / "witness").unlink()
    assert damaged(audited(stored)) == [(3, 3)]


def test_a_block_that_was_exchanged_is_damage(stored: DataDir) -> None:
    """A block with a right checksum in the wrong place breaks the chain."""
    stored.accept("a")
    stored.accept("b")
    other = DataDir(stored.path.with_name("another"))
    other.use(destinations=[destination()])
    other.accept("x")
    other.accept("y")
    path = next((other.path / "log").glob("*.db"))
    (stored.path / "log" / "witness").unlink()
    stored.sql(
        1,
        f"ATTACH '{path}' AS other",
        "INSERT OR REPLACE INTO block SELECT * FROM other.block WHERE first_seq = 2",
    )
    assert damaged(audited(stored)) == [(2, 2)]


def test_a_segment_that_is_no_database_is_damage_as_a_whole(stored: DataDir) -> None:
    """The next segment is read, and the messages in between are named by range."""
    for name in ("a", "b", "c"):
        stored.accept(name, segment_messages=1)
    segment = stored.path / "log" / f"{2:016d}.db"
    segment.write_bytes(b"nothing of the kind" * 1000)
    result = audited(stored)
    assert damaged(result) == [(2, 2)]
    assert result.pending == 2


def test_a_last_segment_that_is_no_database_is_damage_up_to_the_witness(stored: DataDir) -> None:
    """How much is lost at the end is known from the witness."""
    stored.accept("a", segment_messages=1)
    stored.accept("b", "c", segment_messages=1)
    (stored.path / "log" / f"{2:016d}.db").write_bytes(b"nothing of the kind" * 1000)
    assert damaged(audited(stored)) == [(2, 3)]


def test_retired_segments_are_no_damage(stored: DataDir) -> None:
    """Retention takes whole segments from the beginning; their facts are left and count no more."""
    for name in ("a", "b", "c"):
        stored.accept(name, segment_messages=1)
    stored.settle(DELIVERED, 1, 2, 3, cursor=3)
    stored.retire(2)
    result = audited(stored)
    assert (totals(result), damaged(result)) == ({"accepted": 2, "delivered": 2}, [])


def test_a_segment_that_is_retired_during_the_audit_is_no_damage(
    stored: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention may run at any moment; what it takes was settled."""
    for name in ("a", "b", "c"):
        stored.accept(name, segment_messages=1)
    stored.settle(DELIVERED, 1, 2, 3, cursor=3)
    read = SqliteReadStorage.blocks

    def retire_and_read(storage: SqliteReadStorage, after_seq: int) -> Iterator[StoredBlock]:
        stored.retire(2)
        return read(storage, after_seq)

    monkeypatch.setattr(SqliteReadStorage, "blocks", retire_and_read)
    result = audited(stored)
    assert (totals(result), damaged(result)) == ({"accepted": 2, "delivered": 2}, [])


def test_damage_outside_the_range_is_not_told(stored: DataDir) -> None:
    """It is told when it lies, or may lie, between the range's ends."""
    for name in ("a", "b", "c", "d"):
        stored.accept(name)
        stored.clock.advance(60)
    stored.lose_block(2)
    assert damaged(audited(stored, from_ms=NOW_MS + 3 * MINUTE_MS)) == []
    assert damaged(audited(stored, from_ms=NOW_MS + MINUTE_MS)) == [(2, 2)]
    assert damaged(audited(stored, to_ms=NOW_MS)) == []


@pytest.mark.usefixtures("small_stretches")
def test_a_damaged_range_of_any_length_is_counted_quickly(stored: DataDir) -> None:
    """A witness that names an absurd number makes one line, not an endless count."""
    stored.accept("a")
    stored.settle(DELIVERED, 1, cursor=1)
    (stored.path / "log" / "witness").write_bytes((2**60).to_bytes(8, "little") + bytes(4))
    result = audited(stored)
    assert damaged(result) == [(2, 2**60)]
    assert totals(result) == {"accepted": 1, "delivered": 1}


# Replays and erased messages


def test_what_is_sent_again_is_pending_wherever_the_cursor_stands(stored: DataDir) -> None:
    """A replay takes the outcome back; the message is not lost, and counts once."""
    stored.accept("a", "b", "c", "d")
    stored.settle(DELIVERED, 1, 2, 3, cursor=3)
    stored.replay("again", 1, 2)
    result = audited(stored)
    assert result.is_sound
    assert totals(result) == {"accepted": 4, "delivered": 1, "pending": 3}
    stored.settle(FAILED, 1, reason="refused")
    assert totals(audited(stored)) == {"accepted": 4, "delivered": 1, "failed": 1, "pending": 2}


def test_a_replay_of_what_is_owed_nothing_is_broken(tmp_path: Path) -> None:
    """As any other fact would be."""
    data_dir = DataDir(tmp_path)
    data_dir.use(
        sources=[source(), source("shop")], destinations=[destination(), destination("b", "shop")]
    )
    data_dir.accept("a")
    data_dir.settle(DELIVERED, 1, cursor=1)
    data_dir.replay("again", 1, to=2)
    assert audited(data_dir).broken == ["a"]


def test_erased_messages_count_by_their_outcomes(stored: DataDir) -> None:
    """What became of them stays on record, and the sum adds up."""
    for name in "abc":
        raw = f'{{"type":"track","messageId":"{name}"}}'.encode()
        stored.accept_raw(raw, name, erased=True)
    stored.settle(DELIVERED, 1)
    stored.settle(DISCARDED, 2, reason="erased", cursor=2)
    result = audited(stored)
    assert result.is_sound
    assert totals(result) == {"accepted": 3, "delivered": 1, "discarded": 1, "pending": 1}
    assert result.destinations["heap"].reasons == {"erased": 1}


def test_a_lost_message_that_was_erased_is_named_by_its_id(stored: DataDir) -> None:
    """The id is what is left of it."""
    stored.accept_raw(b'{"type":"track","messageId":"m-1"}', "m-1", erased=True)
    stored.pass_by(1)
    assert audited(stored).broken == ["m-1"]


# Pending


def test_pending_is_counted_from_the_cursors_on(tmp_path: Path) -> None:
    """By destination; what is settled out of order above the cursor is not pending."""
    data_dir = DataDir(tmp_path)
    data_dir.use(destinations=[destination(), destination("second")])
    data_dir.accept(*"abcdef")
    data_dir.settle(DELIVERED, 1, 2, 3, cursor=3)
    data_dir.settle(DELIVERED, 6)
    data_dir.settle(DELIVERED, 1, to=2, cursor=1)
    with data_dir.opened() as opened:
        assert pending(opened) == {1: 2, 2: 5}


def test_what_replays_send_again_is_not_pending_besides(stored: DataDir) -> None:
    """It is counted with the replays, below the cursor and above."""
    stored.accept(*"abc")
    stored.settle(DELIVERED, 1, cursor=1)
    stored.settle(DELIVERED, 3)
    stored.replay("again", 1, 3)
    with stored.opened() as opened:
        assert pending(opened) == {1: 1}


def test_a_range_without_ends_holds_everything() -> None:
    """And each end cuts off its own side."""
    assert stretches.Range().holds(0)
    assert [stretches.Range(5, 7).holds(ms) for ms in (4, 5, 6, 7)] == [False, True, True, False]
