"""Heap in the page (device mode): what the integration that pages load is told of a destination.

Everybody can read it, so only settings that the page needs are named here. The integration itself is
TypeScript, in `web/heap`; its `types.ts` lists the same names.
"""

from collections.abc import Mapping
from typing import Any

_IN_THE_PAGE = (
    "appId",
    "mapping",
    "heapScript",
    "region",
    "scriptHost",
    "secureCookie",
    "disableTextCapture",
    "ingestServer",
    "junkIdentities",
)


def page_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that pages get; `settings` are complete."""
    return {name: settings[name] for name in _IN_THE_PAGE if settings[name] is not None}
