"""Destinations: the list, settings, switching on and off, deleting."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
