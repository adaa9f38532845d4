"""The management API's audiences and computed traits, by key: https://docs.segmentapis.com/tag/Audiences"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from headgate.app.computations import AUDIENCES, TRAITS
from headgate.app.definition_form import items_in, lay, proposed_key
from headgate.app.listed import Item, Listed
from headgate.app.operations import Operation, given
from headgate.app.pages.api_sources import Done
from headgate.app.visit import Call
from headgate.spec.settings import with_defaults
from headgate.workspace.table import AUDIENCE, COMPUTED_TRAIT


def _key_of(one: Mapping[str, Any]) -> str:
    return one.get("key") or proposed_key(one["name"])


_AUDIENCES = Listed(
    "audience", "engage.audiences", lambda document: items_in(document, AUDIENCES), _key_of
)
_TRAITS = Listed(
    "computed trait", "engage.computedTraits", lambda document: items_in(document, TRAITS), _key_of
)


class TraitTold(msgspec.Struct, frozen=True, rename="camel"):
    """A computed trait. Its key never changes."""

    id: str
    key: str
    name: str
    definition: str
    destinations: list[str]
    enabled: bool


class AudienceTold(TraitTold, frozen=True, rename="camel"):
    """An audience. Its key never changes."""

    include_history: bool | str
    include_anonymous: bool
    wait: bool


class Audiences(msgspec.Struct, frozen=True):
    """Every audience."""

    audiences: list[AudienceTold]


class OneAudience(msgspec.Struct, frozen=True):
    """One audience."""

    audience: AudienceTold


class Traits(msgspec.Struct, frozen=True, rename="camel"):
    """Every computed trait."""

    computed_traits: list[TraitTold]


class OneTrait(msgspec.Struct, frozen=True, rename="camel"):
    """One computed trait."""

    computed_trait: TraitTold


class NewTrait(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A computed trait to be. Without a key it gets the one that its name makes."""

    name: str
    definition: str
    key: str | UnsetType = UNSET
    destinations: list[str] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class NewAudience(NewTrait, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An audience to be. Without a key it gets the one that its name makes."""

    include_history: bool | str | UnsetType = UNSET
    include_anonymous: bool | UnsetType = UNSET
    wait: bool | UnsetType = UNSET


class TraitChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What becomes of a computed trait; what is left out stays."""

    name: str | UnsetType = UNSET
    definition: str | UnsetType = UNSET
    destinations: list[str] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class AudienceChange(TraitChange, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What becomes of an audience; what is left out stays."""

    include_history: bool | str | UnsetType = UNSET
    include_anonymous: bool | UnsetType = UNSET
    wait: bool | UnsetType = UNSET


def audiences(asked: Call) -> Audiences:
    """List every audience."""
    return Audiences([_audience(one) for one in _AUDIENCES.all(asked)])


def audience(asked: Call) -> OneAudience:
    """Show one audience."""
    return OneAudience(_audience(_AUDIENCES.get(asked, _key(asked))))


def add_audience(asked: Call) -> OneAudience:
    """Make an audience; its destinations are told of everybody who is in it."""
    return OneAudience(_audience(_AUDIENCES.add(asked, given(asked.body))))


def change_audience(asked: Call) -> OneAudience:
    """Change an audience."""
    return OneAudience(_audience(_changed(_AUDIENCES, asked)))


def traits(asked: Call) -> Traits:
    """List every computed trait."""
    return Traits([_trait(one) for one in _TRAITS.all(asked)])


def trait(asked: Call) -> OneTrait:
    """Show one computed trait."""
    return OneTrait(_trait(_TRAITS.get(asked, _key(asked))))


def add_trait(asked: Call) -> OneTrait:
    """Make a computed trait; its destinations are told of everybody's value."""
    return OneTrait(_trait(_TRAITS.add(asked, given(asked.body))))


def change_trait(asked: Call) -> OneTrait:
    """Change a computed trait."""
    return OneTrait(_trait(_changed(_TRAITS, asked)))


def remove(listed: Listed, asked: Call) -> Done:
    """Delete it; destinations keep what they were told last, and the key is never used again."""
    listed.remove(asked, _key(asked))
    return Done()


def _changed(listed: Listed, asked: Call) -> Item:
    key = _key(asked)

    def change(found: Item) -> None:
        lay(found, {"name": found["name"], **given(asked.body)}, key)

    return listed.change(asked, key, change)


def _key(asked: Call) -> str:
    return str(asked.request.path_params["key"])


def _audience(found: Item) -> AudienceTold:
    return msgspec.convert(with_defaults(AUDIENCE, found) | _named(found), AudienceTold)


def _trait(found: Item) -> TraitTold:
    return msgspec.convert(with_defaults(COMPUTED_TRAIT, found) | _named(found), TraitTold)


def _named(found: Item) -> dict[str, str]:
    return {"id": _key_of(found), "key": _key_of(found)}


_ALL_AUDIENCES, _AUDIENCE = "/api/audiences", "/api/audiences/{key}"
_ALL_TRAITS, _TRAIT = "/api/computed-traits", "/api/computed-traits/{key}"
OPERATIONS = (
    Operation("GET", _ALL_AUDIENCES, audiences, Audiences),
    Operation("POST", _ALL_AUDIENCES, add_audience, OneAudience, NewAudience),
    Operation("GET", _AUDIENCE, audience, OneAudience),
    Operation("PATCH", _AUDIENCE, change_audience, OneAudience, AudienceChange),
    Operation("DELETE", _AUDIENCE, partial(remove, _AUDIENCES), Done),
    Operation("GET", _ALL_TRAITS, traits, Traits),
    Operation("POST", _ALL_TRAITS, add_trait, OneTrait, NewTrait),
    Operation("GET", _TRAIT, trait, OneTrait),
    Operation("PATCH", _TRAIT, change_trait, OneTrait, TraitChange),
    Operation("DELETE", _TRAIT, partial(remove, _TRAITS), Done),
)
