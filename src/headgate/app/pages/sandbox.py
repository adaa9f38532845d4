"""What the sandbox Heap holds."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
