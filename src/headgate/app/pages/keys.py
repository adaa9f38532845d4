"""The keys of the app, as `keys.js` has them, and the switch that turns them off."""

from starlette.responses import Response

from headgate.app.routes import page
from headgate.app.visit import Visit

KEYS = (
    (("/",), "Search"),
    (("g", "o"), "Go to the overview"),
    (("g", "m"), "Go to the messages"),
    (("g", "s"), "Go to the sources"),
    (("g", "d"), "Go to the destinations"),
    (("g", "a"), "Go to the audiences"),
    (("g", "t"), "Go to the computed traits"),
    (("g", "p"), "Go to the profiles"),
    (("j",), "Next row"),
    (("k",), "Previous row"),
    (("Enter",), "Open the row"),
    (("Esc",), "Close what is open"),
    (("p",), "Pause what is live, and resume it"),
    (("c",), "Copy the id of the row"),
    (("[",), "Earlier period"),
    (("]",), "Later period"),
    (("r",), "Load the page again"),
    (("?",), "Show this list"),
)


def keys(visit: Visit) -> Response:
    """The list."""
    return visit.render("keys.html", keys=KEYS)


ROUTES = (page("/help/keys", keys),)
