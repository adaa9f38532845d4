"""The delivery page: figures that add up, and from each of them to the messages it counts."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import Answer, House, opened

from data_dirs import destination, source
from headgate.app.periods import DAY_MS, HOUR_MS, MINUTE_MS, span_of
from headgate.delivery.facts import DELIVERED, DISCARDED
from headgate.records.audit import audit
from headgate.workspace.access import Role

NOW_MS = 1_700_000_000_000  # 22:13:20
OUTCOMES = ("delivered", "discarded", "failed", "pending")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Ten messages more than the usual one: of each outcome, and for two reasons."""
    with opened(tmp_path) as one:
        one.data_dir.accept(*(f"n{number}" for number in range(2, 12)))
        number = one.data_dir.attempt(1, 2, 3)
        one.data_dir.settle(DELIVERED, 1, 2, 3, attempt_id=number)
        one.data_dir.settle(DISCARDED, 4, 5, reason="unsupported_type")
        one.data_dir.settle(DISCARDED, 6, reason="no_user_id")
        one.data_dir.give_up(7, cursor=7)
        yield one


async def page(house: House, address: str = "/destinations/heap") -> Answer:
    """The page as a viewer gets it."""
    viewer = await house.somebody(Role.VIEWER)
    return await viewer.get(address)


def figures(text: str) -> dict[str, int]:
    """What the sum says, by outcome."""
    found = re.findall(r'data-outcome="(\w+)" data-count="(\d+)"', text)
    return {outcome: int(n) for outcome, n in found}


@pytest.mark.parametrize("period", ["1h", "24h", "7d"])
async def test_figures_add_up_to_what_was_received_and_to_the_audit(
    house: House, period: str
) -> None:
    """In each period that holds everything."""
    text = (await page(house, f"/destinations/heap?period={period}")).text
    found = figures(text)
    assert found == {"delivered": 3, "discarded": 3, "failed": 1, "pending": 4}
    assert 'data-figure="received" data-count="11"' in text
    with house.data_dir.opened() as stored:
        said = audit(stored).destinations["heap"]
    assert found == {outcome: getattr(said, outcome) for outcome in OUTCOMES}
    assert said.accepted == sum(found.values())


async def test_a_figure_opens_exactly_the_messages_it_counts(house: House) -> None:
    """The list that it leads to has that total, and so has each reason's."""
    viewer = await house.somebody(Role.VIEWER)
    text = (await viewer.get("/destinations/heap")).text
    for outcome, n in figures(text).items():
        pane = (await viewer.get(f"/destinations/heap?period=1h&outcome={outcome}")).text
        (listed,) = set(re.findall(rf'href="(/messages\?[^"]*)" data-count="{n}"><b>', pane))
        rows = (await viewer.get(listed.replace("&amp;", "&"))).text
        assert rows.count('class="row"') == n


async def test_any_discarded_message_is_three_clicks_away(house: House) -> None:
    """Reason, row, trace; what is as intended stands apart from what is worth a look."""
    viewer = await house.somebody(Role.VIEWER)
    answer = await viewer.get("/destinations/heap")
    assert "Worth a look 1 The message has no userId" in answer.words
    assert "As intended 2 The destination takes identify and track calls only." in answer.words
    (reason,) = re.findall(r'href="([^"]*reason=no_user_id[^"]*)"', answer.text)
    pane = await viewer.get(reason.replace("&amp;", "&"))
    (row,) = re.findall(r'class="row" href="(/messages/[^"]*)"', pane.text)
    assert row == "/messages/n6?position=6"
    assert "Order Completed 1" in pane.words
    assert (await viewer.get(row)).status == 200


async def test_another_period_has_its_own_ends(house: House) -> None:
    """To the minute; outside of it there is nothing."""
    minute = "/destinations/heap?from=2023-11-14T22:13&to=2023-11-14T22:14"
    assert figures((await page(house, minute)).text)["pending"] == 4
    before = "/destinations/heap?from=2023-11-14T22:00&to=2023-11-14T22:13"
    answer = await page(house, before)
    assert figures(answer.text) == dict.fromkeys(OUTCOMES, 0)
    assert "Nothing was received for heap in the period." in answer.words


async def test_a_period_that_is_none_says_so_and_keeps_the_page(house: House) -> None:
    """The last hour is shown instead."""
    answer = await page(house, "/destinations/heap?from=2023-11-14T23:00&to=yesterday")
    assert answer.status == 200
    assert (
        "Expected two moments such as 2026-11-24T14:02, the first before the second."
        in answer.words
    )
    assert figures(answer.text)["delivered"] == 3


async def test_what_an_address_makes_up_is_not_shown(house: House) -> None:
    """Outcomes and reasons that there are not."""
    answer = await page(house, "/destinations/heap?outcome=lost&period=9y")
    assert "Choose a figure or a reason above" in answer.words
    answer = await page(house, "/destinations/heap?outcome=discarded&reason=<script>")
    assert "<script> 0 messages" in answer.words
    assert "<script>" not in answer.text.partition("<main")[2]


async def test_the_chart_is_told_as_text_and_as_a_table(house: House) -> None:
    """With the changes of settings in the period."""
    house.data_dir.use(sources=[source()], destinations=[destination(name="Heap production")])
    answer = await page(house)
    assert "By minute of receipt: 3 delivered, 3 discarded, 1 failed, 4 pending." in answer.words
    assert 'data-at="1699999980000"' in answer.text
    assert "destination heap: name heap → Heap production" in answer.words


async def test_the_budget_of_heap_is_shown_with_what_is_used(house: House) -> None:
    """By the minute."""
    assert "0 of 15,000 rows in the last minute" in (await page(house)).words


async def test_latency_is_from_acceptance_to_the_yes(house: House) -> None:
    """As the newest requests took."""
    assert "p50 0.05 s · p95 0.05 s · p99 0.05 s newest 3 delivered" in (await page(house)).words


async def test_in_device_mode_nobody_claims_to_know_heaps_answer(house: House) -> None:
    """The page says what it is about."""
    house.data_dir.use(
        sources=[source()], destinations=[destination(connectionMode="device", name="Page")]
    )
    words = (await page(house)).words
    assert "What Heap answers to it cannot be seen from here" in words


async def test_a_destination_that_is_not_there_is_no_page(house: House) -> None:
    """With the words why."""
    assert (await page(house, "/destinations/nowhere")).status == 404


# Periods


@pytest.mark.parametrize(
    ("query", "length_ms", "step_ms"),
    [
        ({}, HOUR_MS, MINUTE_MS),
        ({"period": "24h"}, DAY_MS, 10 * MINUTE_MS),
        ({"period": "7d"}, 7 * DAY_MS, HOUR_MS),
        ({"from": "2023-11-14T22:00Z", "to": "2023-11-14T22:10:30Z"}, 11 * MINUTE_MS, MINUTE_MS),
        ({"from": "2023-01-01", "to": "2023-12-31"}, 364 * DAY_MS, 7 * DAY_MS),
    ],
)
def test_a_period_has_whole_minutes_and_at_most_170_steps(
    query: dict[str, str], length_ms: int, step_ms: int
) -> None:
    """And ends with the minute that has begun."""
    period = span_of(query, NOW_MS).period
    assert period.from_ms % MINUTE_MS == period.to_ms % MINUTE_MS == 0
    assert length_ms <= period.to_ms - period.from_ms < length_ms + step_ms
    assert period.step_ms == step_ms
    assert (period.to_ms - period.from_ms) / period.step_ms <= 170


async def test_the_period_before_and_the_one_behind_are_one_click_away(house: House) -> None:
    """Of the same length, end to end; what was chosen stays chosen."""
    viewer = await house.somebody(Role.VIEWER)
    now = await viewer.get("/destinations/heap?outcome=failed")
    assert 'aria-label="Later period"' not in now.text
    (earlier,) = re.findall(r'href="([^"]*)" data-key="\["', now.text)
    assert "from=2023-11-14T20%3A14%3A00.000Z&amp;to=2023-11-14T21%3A14%3A00.000Z" in earlier
    assert "outcome=failed" in earlier
    before = await viewer.get(earlier.replace("&amp;", "&"))
    assert figures(before.text) == dict.fromkeys(OUTCOMES, 0)
    (later,) = re.findall(r'href="([^"]*)" data-key="\]"', before.text)
    assert figures((await viewer.get(later.replace("&amp;", "&"))).text)["failed"] == 1


def test_the_last_hour_holds_the_minute_that_has_begun() -> None:
    """A message that came just now is in it."""
    period = span_of({"period": "1h"}, NOW_MS).period
    assert period.from_ms <= NOW_MS - HOUR_MS + MINUTE_MS
    assert period.to_ms > NOW_MS
