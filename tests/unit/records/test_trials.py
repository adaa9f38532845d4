"""Definitions are tried, and names found, before anything is saved; whoever asks again takes back the first."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import factories
from data_dirs import DataDir
from engage_dirs import EngageDir, audience
from headgate.clock import ManualClock
from headgate.records.trials import Question, Seen, TakenBack, Trials, Tried, Untold

ORDERED = "event('Order Completed').count() >= 1"
TWICE = "event('Order Completed').count() >= 2"


def say_orders(directory: EngageDir | DataDir) -> None:
    """Ann orders twice, bob once, somebody unknown once; bob has said his plan."""
    for n, user in enumerate(("ann", "ann", "bob")):
        total = {"total": 5 * (n + 1)}
        order = directory.say("track", f"m{n}", user, event="Order Completed", properties=total)
        directory.append(order)
    directory.append(directory.say("track", "m8", "", event="Order Completed", anonymousId="a1"))
    directory.append(directory.say("identify", "m9", "bob", traits={"plan": "pro"}))


@pytest.fixture
def fresh(tmp_path: Path) -> DataDir:
    """A data directory in which Engage has never run."""
    directory = DataDir(tmp_path / "data")
    directory.use()
    say_orders(directory)
    return directory


@pytest.fixture
def computed(tmp_path: Path) -> EngageDir:
    """One with an audience of those who ordered twice."""
    directory = EngageDir(tmp_path / "data")
    directory.configure(audience("Twice", TWICE, "heap"))
    say_orders(directory)
    directory.compute()
    return directory


def tried(directory: DataDir, question: Question) -> Tried:
    answer = Trials(directory.path, directory.clock).tried("me", question)
    assert isinstance(answer, Tried), answer
    return answer


def test_the_first_audience_is_tried_before_engage_has_ever_run(fresh: DataDir) -> None:
    found = tried(fresh, Question("audience", ORDERED))
    assert (found.people, found.deliverable, found.calls) == (2, 2, 2)
    assert [one.identifiers for one in found.sample] == [[("user_id", "ann")], [("user_id", "bob")]]

    with_anonymous = tried(fresh, Question("audience", ORDERED, include_anonymous=True))
    assert (with_anonymous.people, with_anonymous.deliverable) == (3, 2)
    assert not (fresh.path / "engage").exists(), "trying leaves nothing behind"


def test_a_changed_definition_says_who_enters_and_who_leaves(computed: EngageDir) -> None:
    changed = Question("audience", "trait('plan') = 'pro'", against="twice")
    found = tried(computed, changed)
    assert (found.people, found.entering, found.leaving) == (1, 1, 1)


def test_a_computed_trait_is_tried_with_its_values(computed: EngageDir) -> None:
    found = tried(computed, Question("trait", "event('Order Completed').sum(property('total'))"))
    assert (found.people, found.least, found.greatest) == (3, 12.5, 15.0)


def test_what_was_seen_is_told_with_its_numbers(fresh: DataDir) -> None:
    seen = Trials(fresh.path, fresh.clock).seen()
    assert isinstance(seen, Seen)
    assert [(one.name, one.messages) for one in seen.events] == [("Order Completed", 4)]
    assert [one.path for one in seen.events[0].properties] == ["total"]
    assert [one.path for one in seen.traits] == ["plan"]


def test_what_was_seen_is_looked_for_once_a_minute(fresh: DataDir) -> None:
    clock = ManualClock(factories.NOW_MS)
    trials = Trials(fresh.path, clock)
    first = trials.seen()
    say_more = fresh.say("track", "m20", "ann", event="Logged In")
    fresh.append(say_more)
    assert trials.seen() is first
    clock.advance(60)
    later = trials.seen()
    assert isinstance(later, Seen)
    assert [one.name for one in later.events] == ["Order Completed", "Logged In"]


def test_a_definition_that_cannot_be_read_is_answered_in_words(fresh: DataDir) -> None:
    answer = Trials(fresh.path, fresh.clock).tried("me", Question("audience", "event('A')"))
    assert isinstance(answer, Untold)
    assert answer.why.startswith("line 1, column 1: expected a condition")


def test_whoever_asks_again_takes_back_what_they_asked_before(fresh: DataDir) -> None:
    trials = Trials(fresh.path, fresh.clock)
    taken_back = threading.Event()

    def ask_first() -> None:
        try:
            trials.tried("me", Question("audience", ORDERED))
        except TakenBack:
            taken_back.set()

    with a_store_that_never_answers(fresh.path) as asked:
        first = threading.Thread(target=ask_first)
        first.start()
        asked()
        second = trials.tried("me", Question("audience", TWICE))
        first.join()
    assert taken_back.is_set()
    assert isinstance(second, Tried)
    assert second.people == 1


@contextmanager
def a_store_that_never_answers(path: Path) -> Iterator[Callable[[], None]]:
    """Whoever opens it waits; what is given waits until somebody does, and takes the store away."""
    store = path / "engage" / "engage.db"
    store.parent.mkdir()
    os.mkfifo(store)
    descriptors: list[int] = []

    def asked() -> None:
        descriptors.append(os.open(store, os.O_WRONLY))
        store.unlink()
        store.parent.rmdir()

    yield asked
    for one in descriptors:
        os.close(one)


def test_somebody_else_takes_nothing_back(fresh: DataDir) -> None:
    trials = Trials(fresh.path, fresh.clock)
    answers: list[Tried | Untold] = []
    other = threading.Thread(
        target=lambda: answers.append(trials.tried("you", Question("audience", ORDERED)))
    )
    other.start()
    assert isinstance(trials.tried("me", Question("audience", TWICE)), Tried)
    other.join()
    assert [isinstance(one, Tried) for one in answers] == [True]
