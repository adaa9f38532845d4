"""Engage's engine on a prepared directory, as its process runs it, reading the log up to a message.

    python -m bench.programs.engage DATA_DIR UP_TO

It prints one JSON line: how many messages it read, in how many seconds, what that took.
"""

import gc
import json
import os
import sys
import time
from contextlib import closing
from pathlib import Path

from bench import usage
from bench.crowd import engine_of
from headgate.clock import SystemClock
from headgate.engage.process import ENGAGE
from headgate.engage.store import EngageStore
from headgate.eventlog.sqlite import sqlite_reader
from headgate.stores import LOG


def run(data_dir: Path, up_to: int) -> dict[str, float]:
    """What was read, in what time."""
    clock = SystemClock()
    with (
        closing(EngageStore(data_dir / ENGAGE)) as store,
        closing(sqlite_reader(data_dir / LOG)) as log,
    ):
        engine = engine_of(data_dir, log, store, clock)
        first, told_before = engine.read_to, store.outbox_count()
        started, used = time.monotonic(), time.process_time()
        while engine.read_to < up_to:
            engine.read()
        return {
            "messages": engine.read_to - first,
            "seconds": time.monotonic() - started,
            "cpu_seconds": time.process_time() - used,
            "told": store.outbox_count() - told_before,
            "memory_mb": usage.pss_mb([os.getpid()]),
        }


if __name__ == "__main__":
    gc.disable()  # as Engage's process does
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]))))
