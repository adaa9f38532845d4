"""The command that tells what to paste: snippet."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headgate.cli.console import DEFAULT_DATA_DIR, DataDirOrBackup, no, opened, say, usage_error

if TYPE_CHECKING:
    from headgate.snippets import Snippet
    from headgate.workspace.model import Source

_LOCAL_URL = "http://127.0.0.1:8080"
_URL = r"https?://[A-Za-z0-9.:_\[\]-]+(/[A-Za-z0-9._~/-]*)?"


def snippet(
    source: Annotated[str, typer.Argument(help="The source's slug.", metavar="SOURCE")],
    library: Annotated[
        str | None,
        typer.Option(
            help="One library only, for example browser, npm, node, python, swift, kotlin.",
            metavar="NAME",
        ),
    ] = None,
    url: Annotated[
        str,
        typer.Option(help="Where pages, apps or servers reach this server.", metavar="URL"),
    ] = _LOCAL_URL,
    neutral: Annotated[
        bool,
        typer.Option(
            "--neutral", help="Load everything under paths that say nothing of analytics."
        ),
    ] = False,
    data_dir: DataDirOrBackup = DEFAULT_DATA_DIR,
) -> None:
    """Print what to paste so that Segment's libraries send to a source.

    Without --library, all that suit the source's type are printed. URL may be an address on your
    own domain that leads here, with a path if need be. With --neutral, which pages that are not
    bundled have, no path tells an ad blocker what it is for.

    \b
    Example:
      headgate snippet website --library browser --url https://events.example.com
    """
    from headgate.snippets import snippet_text

    _check_url(url)
    found = _source(data_dir, source)
    wanted = _wanted(found, library, neutral=neutral)
    if not found.enabled:
        say(f"The source {source} is disabled: what it sends is refused until it is enabled.")
    for one in wanted:
        _warn(found, one, url)
        if len(wanted) > 1:
            print(f"\n{one.title} (--library {one.name}):\n")
        print(snippet_text(one, url, found.write_keys[0], neutral=neutral), end="", flush=True)


def _check_url(url: str) -> None:
    import re
    from urllib.parse import urlsplit

    try:
        is_fine = re.fullmatch(_URL, url) is not None and urlsplit(url).port != 0
    except ValueError:  # a port or an IPv6 address that is none
        is_fine = False
    if not is_fine:
        raise usage_error(f"expected http(s)://host[:port][/path], found {url!r}", "--url")
    if re.search("/v1/*$", url):
        raise usage_error(f"give the address without /v1, found {url!r}", "--url")


def _warn(source: "Source", one: "Snippet", url: str) -> None:
    """What makes the lines useless, and does not forbid them."""
    if one.source_type != source.type:
        say(
            f"The library {one.name} is for {one.source_type} sources; {source.slug} is {source.type}."
        )
    if url.startswith("http://") and not one.speaks_http:
        say(f"The library {one.name} speaks https only: give --url an https address.")


def _source(data_dir: Path, slug: str) -> "Source":
    with opened(data_dir) as stored:
        sources = {one.slug: one for one in stored.current.workspace.sources}
    if slug not in sources:
        there = (
            f"there {'is' if len(sources) < 2 else 'are'} {', '.join(sorted(sources)) or 'none'}"
        )
        raise no(f"{data_dir} has no source {slug!r}; {there}")
    if not sources[slug].write_keys:
        raise no(f"the source {slug} has no write key")
    return sources[slug]


def _wanted(source: "Source", library: str | None, *, neutral: bool) -> list["Snippet"]:
    from headgate.snippets import SNIPPETS

    if library is None:
        named = [one for one in SNIPPETS if one.source_type == source.type]
    else:
        named = [one for one in SNIPPETS if one.name == library]
    if not named:
        raise usage_error(f"expected {', '.join(one.name for one in SNIPPETS)}", "--library")
    wanted = [one for one in named if one.has_neutral_paths or not neutral]
    if not wanted:
        raise usage_error("only --library browser has paths that say nothing", "--neutral")
    return wanted
