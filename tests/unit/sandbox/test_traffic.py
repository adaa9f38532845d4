"""The shop's visitors behave as a shop's visitors do, and the same seed brings the same visits."""

import random
from collections import defaultdict
from typing import Any

import msgspec
import pytest

from headgate.clock import ManualClock
from headgate.sandbox.traffic import Message, Traffic, batch_body, single_body
from headgate.spec.timestamps import parse_ms

NOW_MS = 1_795_458_240_123
NOW = "2026-11-23T18:24:00.123Z"
MANY = 5_000


def traffic(*, seed: int = 7, users: int = 200, now_ms: int = NOW_MS) -> Traffic:
    return Traffic(clock=ManualClock(now_ms), rng=random.Random(seed), users=range(users))


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    return traffic().take(MANY)


def by_person(messages: list[Message]) -> dict[str, list[Message]]:
    people = defaultdict(list)
    for message in messages:
        people[message["anonymousId"]].append(message)
    return people


def test_the_same_seed_and_clock_bring_the_same_messages() -> None:
    assert traffic().take(500) == traffic().take(500)


def test_another_seed_brings_other_messages() -> None:
    assert traffic(seed=1).take(500) != traffic(seed=2).take(500)


def test_a_later_run_brings_the_same_people_with_new_ids() -> None:
    earlier, later = traffic().take(500), traffic(now_ms=NOW_MS + 1).take(500)
    assert [m.get("userId") for m in earlier] == [m.get("userId") for m in later]
    assert not {m["messageId"] for m in earlier} & {m["messageId"] for m in later}


def test_no_message_id_comes_twice_or_is_too_long(messages: list[Message]) -> None:
    ids = {message["messageId"] for message in messages}
    assert len(ids) == MANY
    assert max(map(len, ids)) <= 100


def test_the_time_is_the_clock_s_when_the_message_is_taken() -> None:
    clock = ManualClock(NOW_MS)
    visitors = Traffic(clock=clock, rng=random.Random(7), users=range(10))
    assert next(visitors)["timestamp"] == NOW
    clock.advance(60)
    assert parse_ms(next(visitors)["timestamp"]) == NOW_MS + 60_000


def test_every_call_type_of_a_shop_occurs(messages: list[Message]) -> None:
    assert {message["type"] for message in messages} == {"identify", "track", "page", "group"}


def test_the_whole_funnel_occurs_and_narrows(messages: list[Message]) -> None:
    names = [message["event"] for message in messages if message["type"] == "track"]
    funnel = ["Product Viewed", "Product Added", "Checkout Started", "Order Completed"]
    counts = [names.count(name) for name in [*funnel, "Order Refunded"]]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] > 0


def test_each_step_of_a_person_follows_the_one_it_needs(messages: list[Message]) -> None:
    needs = {
        "Product Added": "Product Viewed",
        "Cart Viewed": "Product Added",
        "Checkout Started": "Cart Viewed",
        "Payment Info Entered": "Checkout Started",
        "Order Completed": "Payment Info Entered",
        "Order Refunded": "Order Completed",
    }
    for steps in by_person(messages).values():
        seen: set[str] = set()
        for step in steps:
            assert needs.get(step.get("event", ""), "") in seen | {""}
            seen.add(step.get("event", ""))


def test_a_person_s_checkout_is_not_interrupted_by_a_second_visit(messages: list[Message]) -> None:
    for steps in by_person(messages).values():
        names = [step.get("event") for step in steps]
        for place, name in enumerate(names):
            if name == "Payment Info Entered" and place + 2 < len(names):
                assert names[place + 2] == "Order Completed"  # the page comes in between


def test_refunds_are_of_orders_that_were_completed_before(messages: list[Message]) -> None:
    completed: dict[str, Any] = {}
    for message in messages:
        order = message.get("properties", {})
        if message.get("event") == "Order Completed":
            completed[order["order_id"]] = order["total"]
        if message.get("event") == "Order Refunded":
            assert completed[order["order_id"]] == order["total"]


def test_an_order_adds_up(messages: list[Message]) -> None:
    orders = [m["properties"] for m in messages if m.get("event") == "Order Completed"]
    for order in orders:
        paid = order["subtotal"] - order["discount"] + order["shipping"] + order["tax"]
        assert order["total"] == pytest.approx(paid, abs=0.01)
        assert order["products"]


def test_some_visitors_stay_anonymous_and_nobody_changes_id(messages: list[Message]) -> None:
    assert any("userId" not in message for message in messages)
    for steps in by_person(messages).values():
        assert len({step["userId"] for step in steps if "userId" in step}) <= 1


def test_identify_always_carries_a_user_and_nested_traits(messages: list[Message]) -> None:
    for message in messages:
        if message["type"] == "identify":
            assert message["userId"]
            assert message["traits"]["address"]["city"]
            assert parse_ms(message["traits"]["createdAt"]) is not None
            assert len(message["traits"]["interests"]) == 3


def test_a_message_is_about_one_kilobyte(messages: list[Message]) -> None:
    sizes = [len(msgspec.json.encode(message)) for message in messages]
    assert 800 < sum(sizes) / MANY < 1_200
    assert max(sizes) < 32_768


@pytest.mark.parametrize("users", [1, 2, 3, 20])
def test_few_people_can_keep_the_shop_busy(users: int) -> None:
    assert len(by_person(traffic(users=users).take(2_000))) == users


def test_a_shop_without_people_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one user"):
        traffic(users=0)


def test_a_batch_has_its_time_of_sending_beside_it(messages: list[Message]) -> None:
    body = msgspec.json.decode(batch_body(messages[:3], NOW_MS))
    assert body == {"batch": messages[:3], "sentAt": NOW}


def test_a_single_message_carries_its_time_of_sending(messages: list[Message]) -> None:
    assert msgspec.json.decode(single_body(messages[0], NOW_MS)) == {**messages[0], "sentAt": NOW}
