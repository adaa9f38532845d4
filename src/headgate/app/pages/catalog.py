"""What can be connected."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
