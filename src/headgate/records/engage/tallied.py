"""Counts one computation for a large store: `python -m headgate.records.engage.tallied DATA_DIR NUMBER NOW_MS`.

A short-lived process: looking at a million people takes seconds, in which the server's own process does better
things. It writes a `Tally` as JSON to stdout.
"""

import subprocess
import sys
from pathlib import Path

import msgspec

from headgate.records.engage.stored import engaged
from headgate.records.engage.tallying import Tally, tally

_ANSWER_WITHIN_S = 120.0
_THIS = "headgate.records.engage.tallied"

_decode = msgspec.json.Decoder(Tally).decode


def tallied(data_dir: Path, number: int, now_ms: int) -> Tally:
    """The figures of a computation, by its number. Raises OSError when they cannot be counted."""
    command = [sys.executable, "-m", _THIS, str(data_dir), str(number), str(now_ms)]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=_ANSWER_WITHIN_S, check=False)
    except subprocess.TimeoutExpired:
        raise OSError(f"people cannot be counted within {_ANSWER_WITHIN_S:g} s") from None
    if answer.returncode:
        last = answer.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise OSError(f"people cannot be counted: {last}")
    return _decode(answer.stdout)


def main() -> None:
    """What `tallied` starts: DATA_DIR, NUMBER, NOW_MS."""
    data_dir, number, now_ms = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with engaged(data_dir) as store:
        records = [one for one in store.records if one.number == number]
        counted = tally(store, records, now_ms)
    sys.stdout.buffer.write(msgspec.json.encode(counted.get(number, Tally())))


if __name__ == "__main__":
    main()
