"""The keys of the app."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
