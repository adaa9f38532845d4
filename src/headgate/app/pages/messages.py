"""Search over everything the log holds, and the trace: one message from its arrival to the answer."""

from headgate.app.routes import AppRoute

ROUTES: tuple[AppRoute, ...] = ()
