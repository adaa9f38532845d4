"""`python -m bench [--quick] [--json] [--only TEXT]`: every figure once, with its yardstick of the same minute."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from bench import table
from bench.figure import Figure
from bench.rooms import ROOMS
from bench.scale import FULL, QUICK, Scale

_WORK = Path(__file__).parent / "work"  # beside the code: a temporary directory may be in memory


def main() -> int:
    """Measures, and prints what came out; the exit status, 1 when something could not be measured."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under a minute, rougher")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="rooms whose name has this in it"
    )
    options = parser.parse_args()
    load_before, began = table.load(), time.monotonic()
    failures: list[Exception] = []
    figures = list(_figures(QUICK if options.quick else FULL, options.only, failures))
    show = table.print_json if options.json else table.print_table
    show(figures, load_before=load_before, took_s=time.monotonic() - began)
    return 1 if failures else 0


def _figures(scale: Scale, only: str, failures: list[Exception]) -> Iterator[Figure]:
    """Room after room; each has an empty directory, and says on stderr what it has found.

    One that fails leaves a line in the table, and the others their figures.
    """
    console = Console(stderr=True, highlight=False)
    _WORK.mkdir(exist_ok=True)
    for name, room in ROOMS.items():
        if only not in name:
            continue
        console.print(f"measuring {name} …")
        began = time.monotonic()
        place = Path(tempfile.mkdtemp(dir=_WORK))
        try:
            for figure in room(scale, place):
                console.print(f"  {figure.what}: {figure.value}", markup=False)
                yield figure
        except Exception as error:
            console.print_exception()
            failures.append(error)
            yield Figure(what=name, value=f"could not be measured: {error}")
        finally:
            shutil.rmtree(place)
        console.print(f"  in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
