"""Headgate itself, as `headgate serve` runs it, on free ports; it prints the public one.

python -m bench.programs.serve DATA_DIR
"""

import sys
from pathlib import Path

from headgate.server import ServeOptions, serve


def _say(public: str, _private: str) -> None:
    print(public.rpartition(":")[2], flush=True)


if __name__ == "__main__":
    sys.exit(serve(ServeOptions(Path(sys.argv[1]), None, "127.0.0.1", 0, 0), _say))
