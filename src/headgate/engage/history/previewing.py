"""Previewing: `python -m headgate.engage.history.previewing DATA_DIR`, a question in, an answer out, as JSON.

Stdin holds a `preview.Asked`, or `{"kind": "seen"}` for what has been seen. Stdout gets a `preview.Preview`
or a `seen.Seen`, or `{"error": "…"}` when the definition is none, or refers to what is not there.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from headgate.clock import SystemClock
from headgate.engage.history.preview import Asked, UnknownAudience, preview
from headgate.engage.history.seen import seen
from headgate.engage.history.view import opened
from headgate.language.checks import Cycle
from headgate.language.errors import DefinitionError


def answer(data_dir: Path, question: bytes) -> Any:
    """What there is to say. Raises msgspec.ValidationError when it is no question."""
    with opened(data_dir) as view:
        if msgspec.json.decode(question) == {"kind": "seen"}:
            return seen(view)
        asked = msgspec.json.decode(question, type=Asked)
        try:
            return preview(view, asked, SystemClock().now_ms())
        except DefinitionError as error:
            return {"error": str(error)}
        except Cycle as error:
            return {"error": f"computations read each other in a circle: {error}"}
        except UnknownAudience as error:
            return {"error": f"there is no audience with the key {error}"}


def main() -> None:
    """What commands and the app start: DATA_DIR."""
    (data_dir,) = sys.argv[1:]
    said = answer(Path(data_dir), sys.stdin.buffer.read())
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")


if __name__ == "__main__":
    main()
