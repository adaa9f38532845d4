"""The key that is made of a name: the property which everybody after will see."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.language.names import RESERVED, NameRefused, check_key, key_of

KEYS = {
    "Order completed last 30days": "order_completed_last_30days",
    "Orders Completed Last 30 Days": "orders_completed_last_30_days",
    "First-Time Shopper": "first_time_shopper",
    "VIP Users (EU)": "vip_users_eu",
    "iOS Users": "ios_users",
    "Buyers > $100": "buyers_100",
    "total_revenue_180_days": "total_revenue_180_days",
    "  __Odd -- one!  ": "odd_one",
    "30 day buyers 🎉": "30_day_buyers",
    "“Quoted” – dashed": "quoted_dashed",  # noqa: RUF001 (people paste these)
}
REFUSED = {
    "": "a letter or a digit",
    "  !? ": "a letter or a digit",
    "🎉": "a letter or a digit",
    "Покупатели": "found `П`",
    "買い物客": "found `買`",
    "Käufer": "found `ä`",
    "Kau\u0308fer": "found `\u0308`",
    "Level ²": "found `²`",
    "a" * 256: "at most 255 characters, found 256",
    "Email": "which is a trait of every user",
    "First Name": "which is a trait of every user",
}


@pytest.mark.parametrize(("name", "key"), KEYS.items())
def test_a_name_becomes_its_key(name: str, key: str) -> None:
    assert key_of(name) == key


@pytest.mark.parametrize(("name", "why"), REFUSED.items())
def test_a_name_without_a_good_key_is_refused(name: str, why: str) -> None:
    with pytest.raises(NameRefused, match=why):
        key_of(name)


def test_the_longest_key_has_255_characters() -> None:
    assert key_of("A" * 255) == "a" * 255


@given(st.text())
def test_a_key_is_its_own_key(name: str) -> None:
    try:
        key = key_of(name)
    except NameRefused:
        return
    assert key_of(key) == check_key(key) == key


@pytest.mark.parametrize("key", ["vip", "a__b", "30_days"])
def test_a_key_may_be_chosen(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "Vip", "a b", "_a", "a_", "a-b", "vip\n", *RESERVED])
def test_a_chosen_key_has_the_form_of_one_and_is_none_that_every_user_has(key: str) -> None:
    with pytest.raises(NameRefused):
        check_key(key)
