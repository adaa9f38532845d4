"""Profiles: who somebody is, what is known, and what Heap was told."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
