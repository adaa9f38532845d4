"""What a destination would send for a message, and sending it as a test."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
