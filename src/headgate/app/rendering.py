"""Templates: Jinja, with every value escaped and every missing one an error."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from headgate.app import bodies
from headgate.app.assets import Assets
from headgate.app.masking import masks
from headgate.app.showing import ago, clock, figure, instant, made_visible, masked, moment
from headgate.app.values import in_address, in_json, seconds_in_words


def templates(assets: Assets) -> Environment:
    """The environment of the app's pages."""
    environment = Environment(
        loader=PackageLoader("headgate.app"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Any] = {
        "visible": made_visible,
        "moment": moment,
        "instant": instant,
        "clock": clock,
        "ago": ago,
        "figure": figure,
        "masked": masked,
        "body": bodies.shown,
        "exact": bodies.exact,
        "json": in_json,
        "address": in_address,
        "seconds": seconds_in_words,
    }
    environment.filters.update(filters)
    environment.globals["asset"] = assets.url
    environment.globals["masks"] = masks
    return environment
