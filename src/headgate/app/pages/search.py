"""The one search box: whatever is pasted into it, what it names is opened."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
