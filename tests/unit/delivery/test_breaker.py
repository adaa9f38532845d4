"""When a destination counts as failing, and how it is asked whether it is back."""

import pytest

from headgate.delivery.breaker import PROBE_REFUSING_EVERY_S, REFUSALS_TO_OPEN, Breaker, State


def fail(
    breaker: Breaker,
    *users: str,
    now_s: float = 0,
    lasted_s: float = 0,
    backoff_s: float = 1,
    asked_s: float = 0,
) -> None:
    """One failed request that concerned these users."""
    breaker.failed(
        users, "answered 503", now_s, lasted_s=lasted_s, backoff_s=backoff_s, asked_s=asked_s
    )


def failing() -> Breaker:
    """A breaker that was opened by failures at 0 s."""
    breaker = Breaker()
    for user in "abcde":
        fail(breaker, user)
    assert breaker.state is State.FAILING
    return breaker


def refusing() -> Breaker:
    """A breaker that was opened by refusals at 0 s."""
    breaker = Breaker()
    for n in range(REFUSALS_TO_OPEN):
        assert not breaker.is_open
        breaker.refused(f"user-{n % 2}", "answered 400", 0)
    assert breaker.state is State.REFUSING
    return breaker


@pytest.mark.parametrize(
    ("requests", "opens"),
    [
        (["a", "b", "c", "d", "e"], True),
        (["ab", "bc", "cd", "a", "b"], True),
        (["a", "b", "c", "d"], False),  # not five yet
        (["a"] * 20, False),  # one user alone
        (["a", "ab", "abc", "da", "a", "a"], False),  # one user in all of them
        (["a"] * 9 + ["b"], True),  # the last five have no user in common
        (["a", "b", "c", "d", "ok", "e", "f"], False),  # not in a row
        (["a", "b", "c", "d", "400", "e", "f"], False),  # a refusal is an answer as well
    ],
)
def test_it_opens_after_five_failed_requests_in_a_row_without_a_common_user(
    requests: list[str], opens: bool
) -> None:
    """One user's poison never stops the others."""
    breaker = Breaker()
    for request in requests:
        if request == "ok":
            breaker.succeeded()
        elif request == "400":
            breaker.refused("z", "answered 400", 0)
        else:
            fail(breaker, *request)
    assert breaker.is_open is opens


def test_the_first_failure_is_told_at_once() -> None:
    """Long before the breaker opens, and until the next success."""
    breaker = Breaker()
    fail(breaker, "a")
    assert (breaker.trouble, breaker.state) == ("answered 503", State.CLOSED)
    breaker.succeeded()
    assert breaker.trouble == ""


@pytest.mark.parametrize(
    ("lasted_s", "backoff_s", "asked_s", "probe_in_s"),
    [
        (0, 2, 0, 2),
        (0, 60, 0, 15),
        (10, 60, 0, 5),  # it began 10 s ago
        (11, 2, 0, 2),
        (20, 60, 0, 0),
        (0, 60, 40, 40),
        (10, 2, 300, 300),
    ],
)
def test_probes_are_at_most_15_s_apart_unless_more_was_asked_for(
    lasted_s: float, backoff_s: float, asked_s: float, probe_in_s: float
) -> None:
    """From the beginning of one to that of the next; Retry-After may only lengthen the pause."""
    breaker = failing()
    fail(breaker, "a", now_s=100, lasted_s=lasted_s, backoff_s=backoff_s, asked_s=asked_s)
    assert breaker.probe_in_s(100) == probe_in_s
    assert breaker.probe_in_s(99_999) == 0


def test_any_answer_about_a_message_ends_an_outage() -> None:
    """A success, or a refusal: whoever refuses one message looks at messages."""
    for answer in (Breaker.succeeded, lambda breaker: breaker.refused("a", "answered 400", 0)):
        breaker = failing()
        answer(breaker)
        assert not breaker.is_open


def test_fifty_refusals_of_one_user_are_that_users() -> None:
    """It takes several users to blame the destination."""
    breaker = Breaker()
    for _ in range(500):
        breaker.refused("a", "answered 400", 0)
    assert not breaker.is_open


def test_one_accepted_message_among_fifty_refused_speaks_for_the_destination() -> None:
    """Refusing means that nothing at all is accepted."""
    breaker = Breaker()
    for n in range(10 * REFUSALS_TO_OPEN):
        breaker.refused(f"user-{n}", "answered 400", 0)
        if n % REFUSALS_TO_OPEN == REFUSALS_TO_OPEN - 2:
            breaker.succeeded()
    assert not breaker.is_open


def test_a_refusing_destination_is_asked_once_a_minute_whatever_it_says() -> None:
    """Refusals and failures alike put the next probe a minute away; a success ends it."""
    breaker = refusing()
    assert breaker.probe_in_s(0) == PROBE_REFUSING_EVERY_S == 60
    breaker.refused("a", "answered 400", 60)
    assert breaker.probe_in_s(60) == 60
    fail(breaker, "a", now_s=120)
    assert (breaker.state, breaker.probe_in_s(120)) == (State.REFUSING, 60)
    fail(breaker, "a", now_s=180, asked_s=200)
    assert breaker.probe_in_s(180) == 200
    breaker.succeeded()
    assert not breaker.is_open


def test_other_settings_are_probed_at_once() -> None:
    """Somebody has just corrected the App ID."""
    breaker = refusing()
    breaker.probe_soon()
    assert breaker.probe_in_s(1) == 0
    assert breaker.is_open


def test_a_breaker_that_was_left_open_is_open_and_probed_at_once() -> None:
    """A restart does not make a refusing destination cost another fifty messages."""
    breaker = Breaker(State.REFUSING)
    assert breaker.is_open
    assert breaker.probe_in_s(0) == 0


def test_a_message_that_failed_alone_before_opens_nothing() -> None:
    """Its next failures say nothing about the others; people see the trouble all the same."""
    breaker = Breaker()
    for user in "abcdefgh":
        breaker.failed([user], "answered 500", 0, lasted_s=0, backoff_s=1, asked_s=0, is_news=False)
    assert not breaker.is_open
    assert breaker.shown == "failing"
    breaker.succeeded()
    assert breaker.shown == "delivering"
