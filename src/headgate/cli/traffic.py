"""`send`: realistic traffic, for a first look and for load."""

from typing import Annotated

import typer

from headgate.cli.console import AsJson, no, print_json, usage_error


def send(
    url: Annotated[
        str, typer.Option(help="Where Headgate listens.", metavar="URL")
    ] = "http://127.0.0.1:8080",
    write_key: Annotated[str, typer.Option(help="The source's write key.", metavar="KEY")] = (
        "wk_demo"
    ),
    messages: Annotated[
        int | None, typer.Option(help="Stop after so many messages.", min=0, metavar="N")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Stop after so many seconds.", min=0, metavar="N")
    ] = None,
    rate: Annotated[
        float, typer.Option(help="Messages per second; 0: as fast as it goes.", min=0, metavar="N")
    ] = 0,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Messages per request; 1: each alone. By default 20, fewer at a low rate.",
            min=1,
            max=2500,
            metavar="N",
        ),
    ] = None,
    users: Annotated[int, typer.Option(help="How many people act.", min=1, metavar="N")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed sends the same.", metavar="N")] = 0,
    as_json: AsJson = False,
) -> None:
    """Send realistic shop traffic.

    Posts as Segment's libraries do, and says how it was received. People visit, look at
    products, sign up and buy, in the words of Segment's ecommerce spec. Without --messages and
    --seconds it goes on until Ctrl-C. What is not accepted is tried again, never after --seconds.
    A message that is not accepted in the end makes the exit status 1. An address that refuses every
    connection from the start ends the run within three seconds.

    \b
    Example:
      headgate send --rate 100 --seconds 30
    """
    from headgate.clock import SystemClock
    from headgate.sandbox.send import Plan, report, run

    try:
        plan = Plan(
            url=url,
            write_key=write_key,
            messages=messages,
            seconds=seconds,
            rate=rate,
            batch_size=batch_size or _batch_size(rate),
            users=users,
            seed=seed,
        )
    except ValueError as error:
        option, _, words = str(error).partition(": ")
        raise usage_error(words, f"--{option.replace('_', '-')}") from None
    summary = run(plan, clock=SystemClock())
    if as_json:
        print_json(summary.as_dict())
    else:
        print(report(summary), flush=True)
    if summary.refused and not summary.answered:
        raise no(f"nobody answers at {url}; is Headgate running there?")
    if summary.refused:
        raise typer.Exit(1)


def _batch_size(rate: float) -> int:
    """At a low rate several requests a second rather than one large one now and then."""
    return min(20, max(1, int(rate / 10))) if rate else 20
