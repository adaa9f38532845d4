"""Settings of the data directory: retention, backups, the system."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
