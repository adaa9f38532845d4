"""Audiences and computed traits: the list, one of them, its members and why."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
