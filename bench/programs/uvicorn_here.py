"""Runs an ASGI app as fast as uvicorn can, on a free port, which it prints."""

from typing import Any

import uvicorn


def run(app: Any) -> None:
    """Until SIGTERM."""
    config = uvicorn.Config(
        app,
        port=0,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="error",
        server_header=False,
        date_header=False,
    )
    listener = config.bind_socket()
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run([listener])
