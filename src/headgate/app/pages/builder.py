"""Making and editing a definition."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
