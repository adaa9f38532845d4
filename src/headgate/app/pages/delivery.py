"""What became of the messages of a destination, from the figures to each of them."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
