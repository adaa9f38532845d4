"""Commands that run something until they are told to stop: serve, demo, sandbox."""

from pathlib import Path
from typing import Annotated

import typer

from headgate.cli.console import DEFAULT_DATA_DIR, DataDir, no

Host = Annotated[str, typer.Option(help="The address to listen on.", metavar="ADDRESS")]
Port = Annotated[int, typer.Option(help="The public port.", min=0, max=65_535, metavar="PORT")]
AppPort = Annotated[
    int, typer.Option(help="The private port: app and metrics.", min=0, max=65_535, metavar="PORT")
]
SandboxPort = Annotated[
    int, typer.Option(help="The sandbox's port.", min=0, max=65_535, metavar="PORT")
]


def serve(
    config: Annotated[
        Path | None,
        typer.Option(
            help="A headgate.yaml, applied when it differs from the one that was applied last.",
            exists=True,
            dir_okay=False,
            metavar="FILE",
        ),
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    app_port: AppPort = 8081,
) -> None:
    """Run the server.

    It takes in messages, delivers them to Heap, and keeps everything in the data directory,
    which is made when missing. Without --config it uses the workspace that is stored there.
    SIGTERM or Ctrl-C stops it; what was accepted and not delivered yet goes on when it starts
    again.

    \b
    Example:
      headgate serve --config headgate.yaml --data-dir /var/lib/headgate
    """
    from headgate.server import ServeOptions
    from headgate.server import serve as run

    options = ServeOptions(
        data_dir=data_dir, config=config, host=host, port=port, app_port=app_port
    )
    raise typer.Exit(run(options))


def demo(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    host: Host = "127.0.0.1",
    port: Port = 8080,
    app_port: AppPort = 8081,
    sandbox_port: SandboxPort = 9091,
) -> None:
    """Run a server and a local Heap, ready to try.

    They are connected, and the lines that are printed say how to send a first message. The
    write key is wk_demo. A port that is taken is passed over for the next free one.

    \b
    Example:
      headgate demo --data-dir /tmp/headgate-demo
    """
    from headgate.demo import run_demo

    raise typer.Exit(run_demo(data_dir, host, port, app_port, sandbox_port))


def sandbox(port: SandboxPort = 9091, host: Host = "127.0.0.1") -> None:
    """Run the local Heap alone.

    It answers like Heap's API and keeps what it received: GET /journal, GET /users/IDENTITY.
    Faults are ordered with POST /faults. Every request is printed as a line.

    \b
    Example:
      headgate sandbox --port 9091
    """
    from headgate.sandbox.server import run

    try:
        run(host, port, announce=True)
    except OSError as error:
        raise no(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another with --port"
        ) from None
