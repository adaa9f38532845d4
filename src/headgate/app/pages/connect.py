"""Connecting a source to a destination, up to the answer to a test event."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
