"""Sample calls that show what mapping does: on the mapping page side by side, in the tester to play with."""

from typing import Any, NamedTuple


class Sample(NamedTuple):
    """A call as a library sends it. `name` stands in addresses."""

    name: str
    title: str
    message: dict[str, Any]


_LIBRARY = {"library": {"name": "analytics.js", "version": "2.1.0"}}

SAMPLES = (
    Sample(
        "nested",
        "Objects and lists",
        {
            "type": "track",
            "userId": "u1",
            "event": "Signed Up",
            "properties": {
                "plan": "pro",
                "foo": {"bar": [1, 2, 3], "cheese": "american"},
                "coupon": None,
            },
            "context": _LIBRARY,
        },
    ),
    Sample(
        "order",
        "An order",
        {
            "type": "track",
            "userId": "u1",
            "event": "Order Completed",
            "properties": {
                "order_id": 9007199254740993,
                "revenue": 42.5,
                "deliver_at": "2026-11-24 10:00:00+02:00",
                "products": [{"sku": "A-1", "added": "2026-11-23T14:02:31+01:00"}],
            },
            "context": _LIBRARY,
        },
    ),
    Sample(
        "traits",
        "A user's traits",
        {
            "type": "identify",
            "userId": "u1",
            "traits": {
                "id": "u1",
                "email": "ann@example.com",
                "createdAt": "2026-11-23T14:02:31Z",
                "address": {"city": "Bern", "zip": None},
            },
            "context": _LIBRARY,
        },
    ),
    Sample(
        "email",
        "An e-mail address for an id",
        {
            "type": "identify",
            "userId": "ann@example.com",
            "traits": {"plan": "pro", "seats": 5},
            "context": {},
        },
    ),
    Sample(
        "known",
        "A user known from traits",
        {
            "type": "track",
            "userId": "u1",
            "event": "Trial Ended",
            "properties": {"segment_library": "mine", "tags": [], "extra": {}},
            "context": {**_LIBRARY, "traits": {"email": "ann@example.com"}},
        },
    ),
)
