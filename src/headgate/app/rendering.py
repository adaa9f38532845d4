"""Templates: Jinja, with every value escaped and every missing one an error."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from headgate.app.assets import Assets
from headgate.app.showing import figure, instant, made_visible, masked, moment


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
        "figure": figure,
        "masked": masked,
    }
    environment.filters.update(filters)
    environment.globals["asset"] = assets.url
    return environment
