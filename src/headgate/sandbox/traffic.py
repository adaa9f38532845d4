"""Realistic Segment traffic: the visitors of a web shop, as Segment's browser library reports them.

Stands before the gateway: `headgate send` posts these messages, and benchmarks and tests draw on them.
Visits follow the ecommerce spec (https://segment.com/docs/connections/spec/ecommerce/v2/): people
arrive, search, look, fill a cart, check out, pay; some leave at each step, some come back for a
refund. Every fourth visit begins without a userId and signs in before checkout, or never does.

Several visits are under way at once, at most one per person, and a visit's steps come in order.
Who a person is depends on the person's number alone, what they do on `rng`, the time on `clock`:
equal ones give equal messages, and a later run brings the same people with new message and order ids.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from headgate.clock import Clock
from headgate.spec.timestamps import iso_ms

Message = dict[str, Any]

_SHOP = "https://shop.example.com"
_VISITS_AT_ONCE = 3  # few, so that even a short run gets past the home page
_DAY_MS = 86_400_000
_FIRST_SIGN_UP_MS = 1_577_836_800_000  # 2020-01-01

_FIRST_NAMES = (
    "Zoë",
    "Björn",
    "Amélie",
    "José",
    "Łukasz",
    "Anna",
    "Omar",
    "美咲",
    "Siobhán",
    "Dmitri",
)
_LAST_NAMES = (
    "Müller",
    "O'Neill",
    "García",
    "Nowak",
    "Smith",
    "Ångström",
    "佐藤",
    "Þórsdóttir",
    "Lee",
)
_CITIES = (
    ("Zürich", "ZH", "8001", "CH"),
    ("São Paulo", "SP", "01310-100", "BR"),
    ("Portland", "OR", "97205", "US"),
    ("København", "", "1550", "DK"),
    ("大阪市", "大阪府", "530-0001", "JP"),
    ("Kraków", "", "31-042", "PL"),
    ("Montréal", "QC", "H2Y 1C6", "CA"),
)
_PLANS = ("free", "premium", "business")
_INTERESTS = ("coffee", "tea", "cooking", "garden", "travel", "books", "cycling")
_SHELVES = {
    "Kitchen": ("Café au lait bowl", "Crème brûlée set", "抹茶 whisk", "Cast-iron pan, 26 cm"),
    "Garden": ("Jardinière “Été”", "Bulb planter", "Rain gauge", "Hori-hori"),
    "Travel": ("Weekender 40 l", "Passport sleeve", "Travel adapter ⚡", "Neck pillow"),
    "Books": ("Smørrebrød at home", "The long canal", "Stars over Ålesund", "Notes & margins"),
    "Office": ("Pencil case", "Desk lamp “Jürgen”", "Ink, 50 ml", "Letter tray"),
}
_BRANDS = ("Nordlys", "Maison Été", "Holt & Daughters", "木 Ki")
_VARIANTS = ("blue", "olive", "natural", "vert d'eau")
_AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.6 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
)
_LOCALES = (("de-CH", "Europe/Zurich"), ("pt-BR", "America/Sao_Paulo"), ("en-US", "America/Denver"))
_CAMPAIGNS = (
    {"name": "november-sale", "source": "newsletter", "medium": "email", "content": "hero"},
    {"name": "brand", "source": "google", "medium": "cpc", "term": "canal shop"},
)
_CARDS = ("Visa", "Mastercard", "Amex", "Twint")


def _catalog() -> list[dict[str, Any]]:
    """What the shop sells, as a `products` entry of the ecommerce spec without quantity."""
    names = [(category, name) for category, shelf in _SHELVES.items() for name in shelf]
    return [
        {
            "product_id": f"{507_000 + number}",
            "sku": f"{category[:2].upper()}-{number:03d}",
            "category": category,
            "name": name,
            "brand": _BRANDS[number % len(_BRANDS)],
            "variant": _VARIANTS[number * 3 % len(_VARIANTS)],
            "price": round(4.95 + number * 37 % 120, 2),
            "url": f"{_SHOP}/{category.lower()}/{number}",
            "image_url": f"https://img.example.com/{number}.jpg",
        }
        for number, (category, name) in enumerate(names)
    ]


_PRODUCTS = _catalog()


class Traffic:
    """An endless stream of messages from the people whose numbers are `users`.

    Messages of one visit share parts of their context: read them, or copy before changing one.
    """

    def __init__(self, *, clock: Clock, rng: random.Random, users: Sequence[int]) -> None:
        if not users:
            raise ValueError("expected at least one user, found none")
        self._clock = clock
        self._rng = rng
        self._users = users
        self._orders: dict[int, dict[str, Any]] = {}  # the last one of each person, to be refunded
        places = min(_VISITS_AT_ONCE, (len(users) + 1) // 2)
        self._visitors: list[int | None] = [None] * places
        self._visits: list[Iterator[Message]] = [iter(()) for _ in range(places)]

    def __iter__(self) -> Iterator[Message]:
        return self

    def __next__(self) -> Message:
        while True:
            place = int(self._rng.random() * len(self._visits))
            message = next(self._visits[place], None)
            if message is not None:
                return message
            self._admit(place)

    def take(self, count: int) -> list[Message]:
        """The next `count` messages, as one batch."""
        return list(islice(self, count))

    def _admit(self, place: int) -> None:
        """Let somebody start a visit who is not in the shop already."""
        self._visitors[place] = None
        number = self._rng.choice(self._users)
        while number in self._visitors:
            number = self._rng.choice(self._users)
        self._visitors[place] = number
        self._visits[place] = _Visit(number, self._clock, self._rng, self._orders).steps()


class _Visit:
    """One person's way through the shop; each step takes the time when it is asked for."""

    def __init__(
        self, number: int, clock: Clock, rng: random.Random, orders: dict[int, dict[str, Any]]
    ) -> None:
        self._number = number
        self._clock = clock
        self._rng = rng
        self._orders = orders
        self._signed_in = rng.random() < 0.75
        self._context = _device(number, rng)
        self._url = ""
        self._cart_id = f"cart_{rng.getrandbits(40):010x}"
        self._cart: list[dict[str, Any]] = []

    def steps(self) -> Iterator[Message]:
        yield self._page("Home", "/")
        if self._signed_in and self._happens(0.4):
            yield self._identify()
        if self._signed_in and self._happens(0.1):
            yield self._group()
        if self._signed_in and self._happens(0.1) and self._number in self._orders:
            yield self._refund()
        yield from self._browse()
        if self._cart and self._happens(0.6):
            yield from self._check_out()

    def _browse(self) -> Iterator[Message]:
        if self._happens(0.3):
            query = self._rng.choice(_INTERESTS)
            yield self._page("Search", f"/search?q={query}")
            yield self._track("Products Searched", {"query": query})
        category = self._rng.choice(tuple(_SHELVES))
        shelf = [product for product in _PRODUCTS if product["category"] == category]
        yield self._page(category, f"/{category.lower()}")
        yield self._track(
            "Product List Viewed",
            {"list_id": category.lower(), "category": category, "products": _positions(shelf[:2])},
        )
        for product in self._rng.sample(shelf, self._rng.randint(1, 3)):
            yield from self._look_at(product)
        if self._cart and self._happens(0.1):
            yield self._track("Product Removed", {"cart_id": self._cart_id, **self._cart.pop()})

    def _look_at(self, product: dict[str, Any]) -> Iterator[Message]:
        yield self._track("Product Clicked", {**product, "position": 1, "currency": "USD"})
        yield self._page(product["name"], product["url"].removeprefix(_SHOP))
        yield self._track(
            "Product Viewed", {**product, "currency": "USD", "value": product["price"]}
        )
        if self._happens(0.5):
            item = {**product, "quantity": self._rng.randint(1, 3)}
            self._cart.append(item)
            yield self._track("Product Added", {"cart_id": self._cart_id, **item})

    def _check_out(self) -> Iterator[Message]:
        yield self._page("Cart", "/cart")
        yield self._track("Cart Viewed", {"cart_id": self._cart_id, "products": self._cart})
        if not self._signed_in:
            if self._happens(0.4):
                return
            self._signed_in = True
            yield self._identify()
        order = self._order()
        checkout = {"checkout_id": f"co_{order['order_id']}", "step": 1}
        if "coupon" in order:
            coupon = {key: order[key] for key in ("order_id", "coupon", "discount")}
            yield self._track("Coupon Applied", {"cart_id": self._cart_id, **coupon})
        yield self._page("Checkout", "/checkout")
        yield self._track("Checkout Started", order)
        yield self._track("Checkout Step Viewed", {**checkout, "shipping_method": "Post"})
        yield self._track("Checkout Step Completed", {**checkout, "shipping_method": "Post"})
        if self._happens(0.2):
            return
        payment = {"order_id": order["order_id"], "payment_method": self._rng.choice(_CARDS)}
        yield self._track("Payment Info Entered", {**checkout, **payment, "step": 2})
        self._orders[self._number] = order
        yield self._page("Thank you", "/checkout/done")
        yield self._track("Order Completed", {"checkout_id": checkout["checkout_id"], **order})

    def _order(self) -> dict[str, Any]:
        subtotal = round(sum(item["price"] * item["quantity"] for item in self._cart), 2)
        discount = round(subtotal / 10, 2) if self._happens(0.2) else 0
        shipping = 0 if subtotal > 75 else 4.95
        tax = round((subtotal - discount) * 0.08, 2)
        coupon = {"coupon": "ADVENT10"} if discount else {}
        return {
            "order_id": f"{self._clock.now_ms()}{self._rng.randrange(10_000):04d}",
            "affiliation": "Headgate Shop",
            "subtotal": subtotal,
            "revenue": round(subtotal - discount, 2),
            "shipping": shipping,
            "tax": tax,
            "discount": discount,
            "total": round(subtotal - discount + shipping + tax, 2),
            "currency": "USD",
            **coupon,
            "products": self._cart,
        }

    def _refund(self) -> Message:
        order = self._orders.pop(self._number)
        kept = ("order_id", "total", "currency", "products")
        return self._track("Order Refunded", {key: order[key] for key in kept})

    def _happens(self, chance: float) -> bool:
        return self._rng.random() < chance

    def _page(self, name: str, path: str) -> Message:
        referrer, self._url = self._url or "https://www.google.com/", f"{_SHOP}{path}"
        bare_path, _, search = path.partition("?")
        self._context["page"] = page = {
            "path": bare_path,
            "referrer": referrer,
            "search": f"?{search}" if search else "",
            "title": f"{name} · Headgate Shop",
            "url": self._url,
        }
        return self._message("page", name=name, properties={**page, "name": name})

    def _track(self, event: str, properties: dict[str, Any]) -> Message:
        return self._message("track", event=event, properties=properties)

    def _identify(self) -> Message:
        return self._message("identify", traits=_traits(self._number))

    def _group(self) -> Message:
        number = self._number % 40
        traits = {
            "name": f"Genossenschaft {number}",
            "employees": number * 7 + 3,
            "plan": "business",
        }
        return self._message("group", groupId=f"company_{number}", traits=traits)

    def _message(self, call_type: str, **fields: Any) -> Message:
        now_ms = self._clock.now_ms()
        message = {
            "type": call_type,
            "messageId": f"ajs-next-{now_ms}-{_uuid(self._rng)}",
            "timestamp": iso_ms(now_ms),
            "anonymousId": f"{self._number:08x}-5eed-4a7e-a000-{self._number:012x}",
            "userId": f"user_{self._number:06d}",
            "context": self._context.copy(),  # the page changes as the visit goes on
            "integrations": {},
            **fields,
        }
        if not self._signed_in:
            del message["userId"]
        return message


def batch_body(messages: Sequence[Message], sent_ms: int) -> bytes:
    """A body for `/v1/batch`, encoded once; sentAt stands beside the batch, as server libraries do."""
    return msgspec.json.encode({"batch": messages, "sentAt": iso_ms(sent_ms)})


def single_body(message: Message, sent_ms: int) -> bytes:
    """A body for `/v1/<type>`."""
    return msgspec.json.encode({**message, "sentAt": iso_ms(sent_ms)})


def _device(number: int, rng: random.Random) -> dict[str, Any]:
    locale, timezone = _LOCALES[number % len(_LOCALES)]
    context: dict[str, Any] = {
        "library": {"name": "analytics.js", "version": "next-1.84.3"},
        "userAgent": _AGENTS[number % len(_AGENTS)],
        "locale": locale,
        "timezone": timezone,
        "screen": {"width": 1512, "height": 982, "density": 2},
    }
    if rng.random() < 0.3:
        context["campaign"] = rng.choice(_CAMPAIGNS)
    return context


def _traits(number: int) -> dict[str, Any]:
    first, last = _FIRST_NAMES[number % len(_FIRST_NAMES)], _LAST_NAMES[number % len(_LAST_NAMES)]
    city, state, postal_code, country = _CITIES[number % len(_CITIES)]
    return {
        "email": f"customer{number}@example.com",
        "firstName": first,
        "lastName": last,
        "name": f"{first} {last}",
        "createdAt": iso_ms(_FIRST_SIGN_UP_MS + number % 2000 * _DAY_MS + number % 977),
        "birthday": f"{1950 + number % 55}-{1 + number % 12:02d}-{1 + number % 28:02d}",
        "plan": _PLANS[number % len(_PLANS)],
        "newsletter": number % 3 > 0,
        "loyaltyPoints": number * 13 % 5000,
        "interests": [_INTERESTS[(number + step) % len(_INTERESTS)] for step in (0, 2, 3)],
        "address": {
            "street": f"Kanalstraße {1 + number % 90}",
            "city": city,
            "state": state,
            "postalCode": postal_code,
            "country": country,
        },
    }


def _positions(shelf: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**product, "position": place} for place, product in enumerate(shelf, start=1)]


def _uuid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
