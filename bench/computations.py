"""The fifty computations that Engage is measured with: what a web shop wants to know of its visitors.

38 audiences and 12 traits over ten events, with windows from a day to a quarter, conditions on properties,
two funnels, a few that read other computations and traits, and two for the stopwatch. Heap is told of all.
"""

from collections.abc import Sequence
from typing import Any

EVENTS = (
    "Page Viewed",
    "Product Clicked",
    "Product Viewed",
    "Product Added",
    "Product List Viewed",
    "Cart Viewed",
    "Products Searched",
    "Checkout Started",
    "Payment Info Entered",
    "Order Completed",
)

STAMP = "last_look"  # the trait that follows the property `look` of the product viewed last
LINGERING = "lingering"  # the audience that is left this long after a product was viewed
LINGERING_S = 3

SPANS = ((1, 1), (7, 3), (30, 5))  # days, and how often within them
_CONDITIONS = {
    "Page Viewed": "property('title').contains('Kitchen')",
    "Product Clicked": "property('price') > 60",
    "Product Viewed": "property('brand') = 'Nordlys'",
    "Product Added": "property('quantity') >= 2",
    "Order Completed": "property('total') > 100",
}
_FUNNELS = {
    "Left the cart": "event('Product Added').where(event('Order Completed').within(parent: 1 day)"
    ".count() = 0).within(7 days).count() >= 1",
    "Took what was looked at": "event('Product Viewed').where(event('Product Added').where("
    "property('sku') = property(parent: 'sku')).count() >= 1).within(7 days).count() >= 1",
}
_OTHERS = {
    "Lingering": f"event('Product Viewed').within({LINGERING_S} seconds).count() >= 1",
    "Premium regulars": "trait('plan') = 'premium' AND trait('orders') >= 2",
    "Worth a call": "trait('spent') > 500 AND NOT trait('left_the_cart') = true",
    "Business without orders": "trait('plan') = 'business' AND event('Order Completed').count() = 0",
    "Lookers": "event('Product Viewed').within(7 days).count() >= 3 AND "
    "event('Order Completed').within(30 days).count() = 0",
    "Has an address": "trait('address.city').exists()",
}
_TRAITS = {
    "Orders": "event('Order Completed').count()",
    "Spent": "event('Order Completed').sum(property('total'))",
    "Spent in a quarter": "event('Order Completed').within(90 days).sum(property('total'))",
    "Largest order": "event('Order Completed').max(property('total'))",
    "First order": "event('Order Completed').first(property('order_id'))",
    "Carts": "event('Cart Viewed').count()",
    "Taken": "event('Product Added').unique(property('sku'))",
    "Favourite category": "event('Product Added').mode(property('category'), 1)",
    "Last search": "event('Products Searched').last(property('query'))",
    "Last category": "event('Product List Viewed').last(property('category'))",
    "Pays by": "event('Payment Info Entered').last(property('payment_method'))",
    "Last look": "event('Product Viewed').last(property('look'))",
}


def engage(destinations: Sequence[str]) -> dict[str, Any]:
    """The workspace's `engage` section, which feeds these destinations."""
    return {
        "audiences": _named(_audiences(), destinations),
        "computedTraits": _named(_TRAITS, destinations),
    }


def _audiences() -> dict[str, str]:
    counted = {
        f"{event} {count} in {days} days": f"event('{event}'){_where(event, days)}"
        f".within({days} days).count() >= {count}"
        for event in EVENTS
        for days, count in SPANS
    }
    return counted | _FUNNELS | _OTHERS


def _where(event: str, days: int) -> str:
    """Of the middle span, only some of the events count."""
    condition = _CONDITIONS.get(event)
    return f".where({condition})" if condition and days == SPANS[1][0] else ""


def _named(definitions: dict[str, str], destinations: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"name": name, "definition": text, "destinations": list(destinations)}
        for name, text in definitions.items()
    ]
