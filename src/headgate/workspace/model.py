"""The workspace ready for use: what the gateway and delivery look things up in.

Two forms exist and do not mix. A `Document` is the workspace as written: plain data, sparse, with
`${VAR}` left in place; the store keeps it, `export` prints it, the app edits it. A `Workspace` is
made from it with variables expanded and defaults filled in; it may hold secrets and is never stored.
"""

from functools import cached_property
from typing import Any, Literal

import msgspec

from headgate.spec.names import engage_destination

Document = dict[str, Any]

SourceType = Literal["website", "mobile", "server"]
ConnectionMode = Literal["cloud", "device"]


class Source(msgspec.Struct, frozen=True, rename="camel"):
    """Where messages come from: a website, an app, a server. Its write keys open the door."""

    slug: str
    name: str
    type: SourceType
    enabled: bool
    write_keys: tuple[str, ...]


class Destination(msgspec.Struct, frozen=True, rename="camel"):
    """One configured instance of a catalog entry, fed by exactly one source.

    `settings` are complete: every setting of the catalog entry is there, absent ones at their default.
    """

    slug: str
    name: str
    metadata_id: str
    source_id: str
    enabled: bool
    connection_mode: ConnectionMode
    settings: dict[str, Any]


class Retention(msgspec.Struct, frozen=True, rename="camel"):
    """How long the event log is kept, in days, and how large it may grow; 0 bytes = no cap."""

    days: int
    max_bytes: int


class Audience(msgspec.Struct, frozen=True, rename="camel"):
    """Who belongs to a group of users, by a definition in the query language."""

    name: str
    definition: str
    include_history: bool | str
    include_anonymous: bool
    wait: bool
    destinations: tuple[str, ...]
    key: str = ""  # made from the name
    enabled: bool = True


class ComputedTrait(msgspec.Struct, frozen=True, rename="camel"):
    """A value computed for each user, by a definition in the query language."""

    name: str
    definition: str
    destinations: tuple[str, ...]
    key: str = ""  # made from the name
    enabled: bool = True


class IdentifierLimit(msgspec.Struct, frozen=True):
    """How many values of one identifier a profile may have."""

    limit: int


class Engage(msgspec.Struct, frozen=True, rename="camel"):
    """What is computed of the messages, and how profiles are told apart."""

    sync_interval: int = 0
    identity: dict[str, IdentifierLimit] = {}
    audiences: tuple[Audience, ...] = ()
    computed_traits: tuple[ComputedTrait, ...] = ()
    profile_api_tokens: tuple[str, ...] = ()

    @property
    def configured(self) -> bool:
        """Whether anything is to be computed at all."""
        return bool(self.audiences or self.computed_traits)


class Workspace(msgspec.Struct, frozen=True, dict=True):
    """Everything configured, with the look-ups that the path of a message needs."""

    sources: tuple[Source, ...]
    destinations: tuple[Destination, ...]
    retention: Retention
    engage: Engage = Engage()

    def source_by_write_key(self, write_key: str) -> Source | None:
        """The source that this key opens, disabled ones included; `None` when the key is unknown."""
        return self._by_write_key.get(write_key)

    def destinations_of(self, source_slug: str) -> tuple[Destination, ...]:
        """The destinations connected to a source, disabled ones included, in the file's order.

        A hidden source of Engage has the one destination that it is named after, one of imported messages
        has none.
        """
        slug = engage_destination(source_slug)
        if slug:
            return tuple(one for one in self.destinations if one.slug == slug)
        return self._by_source.get(source_slug, ())

    @cached_property
    def _by_write_key(self) -> dict[str, Source]:
        return {key: source for source in self.sources for key in source.write_keys}

    @cached_property
    def _by_source(self) -> dict[str, tuple[Destination, ...]]:
        slugs = {destination.source_id for destination in self.destinations}
        return {
            slug: tuple(one for one in self.destinations if one.source_id == slug) for slug in slugs
        }
