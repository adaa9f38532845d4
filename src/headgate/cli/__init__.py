"""The command `headgate`: every command stands in the list below, one module per family beside this file.

Data goes to stdout, words to stderr. Exit status: 0 fine; 1 the answer is "no"; 2 wrong usage. Commands
import what they need when they run, so that help and completion are quick.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from headgate.cli import (
    accounts,
    backup,
    deadletters,
    engage,
    find,
    imports,
    privacy,
    replay,
    running,
    snippet,
    story,
    traffic,
    workspace,
)
from headgate.cli.console import explain


class _Commands(TyperGroup):
    """Tells people what they can mend in words, without a traceback; anything else stays an error of ours."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except Exception as error:
            if not explain(error):
                raise
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"headgate {version('headgate')}")
        raise typer.Exit


@app.callback()
def headgate(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Headgate takes in what Segment's libraries send and delivers it to Heap.

    \b
    Try it:        headgate demo
    Run it:        headgate serve --config headgate.yaml --data-dir /var/lib/headgate
    Ask about it:  headgate trace MESSAGE_ID

    Results go to stdout, words about them to stderr. Exit status: 0 fine, 1 the answer is no (a broken
    audit, an unknown id, a file that was refused), 2 wrong usage.
    """


for _command in (
    running.serve,
    running.demo,
    workspace.apply,
    workspace.export,
    story.trace,
    find.find,
    accounts.audit,
    accounts.status,
    replay.replay,
    privacy.suppress,
    privacy.unsuppress,
    privacy.delete,
    backup.backup,
    backup.restore,
    traffic.send,
    running.sandbox,
    snippet.snippet,
):
    app.command()(_command)
app.command("import")(imports.import_)
app.add_typer(deadletters.deadletters, name="deadletters")
app.add_typer(engage.engage, name="engage")


def main() -> None:
    """Runs the command line and exits."""
    app(prog_name="headgate")
