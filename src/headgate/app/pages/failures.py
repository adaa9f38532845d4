"""What failed, by cause, and sending it again."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
