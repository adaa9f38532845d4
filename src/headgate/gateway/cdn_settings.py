"""The settings that analytics.js and the mobile libraries fetch before they send anything.

They say which destinations the page loads itself and which the server delivers to, so that nothing
arrives twice. The shape, and what each library makes of it, was learned from the libraries' sources:
https://github.com/segmentio/analytics-next/blob/master/packages/browser/src/browser/settings.ts
"""

from collections.abc import Mapping
from typing import Any

from headgate.destinations.catalog import CATALOG
from headgate.destinations.heap.browser import page_settings
from headgate.gateway.own_address import Address
from headgate.spec.names import MOBILE, WEBSITE
from headgate.workspace.model import Destination, Source, Workspace

Settings = dict[str, Any]

_PAGE_SETTINGS = {"heap": page_settings}  # by metadataId: what can run in a page
_DEVICE = "device"
_SEGMENT = "Segment.io"
# A request that outlives its page: what a click tells that leads away. A browser refuses more than
# 64 KiB of such requests at a time, and analytics.js then tries again.
_LEAVING_A_PAGE = {"deliveryStrategy": {"config": {"keepalive": True}}}


def settings_for(
    write_key: str, source: Source, workspace: Workspace, versions: Mapping[str, str]
) -> Settings:
    """The settings for a source's write key. `versions` of integrations for the page, by metadataId.

    Only a website loads destinations, of each kind the one in device mode: the workspace allows one
    enabled. The others are named as unbundled, which means that the server delivers to them.
    """
    enabled = [one for one in workspace.destinations_of(source.slug) if one.enabled]
    in_page = {CATALOG[one.metadata_id].name: one for one in enabled if _runs_in_page(one, source)}
    cloud = sorted({CATALOG[one.metadata_id].name for one in enabled} - in_page.keys())
    listed = {name: _bundled(one, versions) for name, one in in_page.items()}
    if source.type == MOBILE:  # these libraries count as unbundled what is listed and not installed
        listed |= {name: {"bundlingStatus": "unbundled"} for name in cloud}
    listed[_SEGMENT] = {
        "apiKey": write_key,
        "addBundledMetadata": True,
        "unbundledIntegrations": [] if source.type == MOBILE else cloud,
        "maybeBundledConfigIds": {name: [one.slug] for name, one in in_page.items()},
        **({} if source.type == MOBILE else _LEAVING_A_PAGE),
    }
    return {
        "integrations": listed,
        "plan": {},
        "edgeFunction": {},
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "remotePlugins": [],
        "metrics": {"sampleRate": 0},  # when left out, pages report on themselves to Segment
        "legacyVideoPluginsEnabled": False,
        "analyticsNextEnabled": True,
        **_consent(in_page),
    }


def with_address(
    settings: Settings, source: Source, address: Address | None, base: str
) -> Settings:
    """The settings with where to send to: `base` is the path of the tracking API.

    Mobile libraries are not told: they put it above what the app itself configures, and an app that
    fetches its settings through a cache would send to the cache's idea of this server.
    """
    if address is None or source.type == MOBILE:
        return settings
    segment = {"apiHost": address.host + base, "protocol": address.protocol}
    listed = settings["integrations"]
    return settings | {"integrations": listed | {_SEGMENT: listed[_SEGMENT] | segment}}


def _runs_in_page(destination: Destination, source: Source) -> bool:
    return (
        source.type == WEBSITE
        and destination.connection_mode == _DEVICE
        and destination.metadata_id in _PAGE_SETTINGS
    )


def _bundled(destination: Destination, versions: Mapping[str, str]) -> Settings:
    """Without `bundlingStatus` a destination would run in the page and be delivered to as well."""
    kind = destination.metadata_id
    categories = destination.settings["consentCategories"]
    return {
        **_PAGE_SETTINGS[kind](destination.settings),
        "type": "browser",
        "bundlingStatus": "bundled",
        "versionSettings": {"version": versions[kind], "componentTypes": ["browser"]},
        **({"consentSettings": {"categories": categories}} if categories else {}),
    }


def _consent(in_page: Mapping[str, Destination]) -> Settings:
    """What Segment's consent wrappers read: https://github.com/segmentio/analytics-next (consent-tools)."""
    asked = [one.settings["consentCategories"] for one in in_page.values()]
    categories = sorted({category for some in asked for category in some})
    if not categories:
        return {}
    return {
        "consentSettings": {"allCategories": categories, "hasUnmappedDestinations": not all(asked)}
    }
