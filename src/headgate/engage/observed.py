"""What Engage sees of a message: who it is about, when it happened, what it says.

Made from the normalised message; everything after it (identity, computation, history) reads this form.
"""

from typing import Any

import msgspec

from headgate.engage.profile import Identifier


class Observed(msgspec.Struct, gc=False):
    """One message. `name` is the event's name, "" for what is no event (identify, group, alias).

    A page call is the event `Page Viewed`, a screen call `Screen Viewed`; their own name is the property
    `page_name` or `screen_name`. `identifiers` come in order of priority, unusable ones left out.
    `traits` are those of an identify.
    """

    seq: int
    message_id: str
    source: str
    at_ms: int
    received_at_ms: int
    name: str
    identifiers: tuple[Identifier, ...] = ()
    properties: dict[str, Any] = {}
    context: dict[str, Any] = {}
    traits: dict[str, Any] = {}
