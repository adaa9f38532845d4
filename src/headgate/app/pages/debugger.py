"""Calls of a source as they land, and what became of each."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
