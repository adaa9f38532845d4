"""`/live?page=ADDRESS`: what moves on the page at that address; on any page without one, the verdict."""

from headgate.app.live import follow
from headgate.app.routes import stream

ROUTES = (stream("/live", follow),)
