"""What processes have used of the machine, as the kernel counts it."""

import os
from collections.abc import Sequence
from pathlib import Path


def cpu_s(pids: Sequence[int]) -> float:
    """Processor seconds that processes have used so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss_mb(pids: Sequence[int], kind: str = "Pss") -> float:
    """Memory of processes together, shared pages counted once; `Pss_Anon` leaves out files' pages."""
    total_kb = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{kind}:"):
                total_kb += int(line.split()[1])
    return total_kb / 1024


def wake_ups(pids: Sequence[int]) -> int:
    """Times that processes, all their threads counted, went to sleep and were woken."""
    total = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            for line in status.read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches:"):
                    total += int(line.split()[1])
    return total


def disk_bytes(directory: Path) -> int:
    """What the files of a directory weigh, those below it included."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
