"""What pricing adds to a start: fresh processes, a warm cache, all that a book needs imported and loaded.

    python benchmarks/start_pricing.py [--repeats 9]

Counted from the moment at which numpy and msgspec are there, which the bot needs anyway, to the moment at which every
kernel of a book can be called. Wall and CPU time, the least of the repeats, the latter of the thread that starts: those
of OpenBLAS wait busily beside it, where a core is free. Memory is what the process grew by. The first start, which
compiles, is shown apart.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass

CHILD = """
import resource, sys, time
import numpy, msgspec
def now():
    return time.perf_counter(), time.thread_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = now()
from pathlib import Path
from tradebot.pricing import book, implied, warmup
warm = warmup.warm_up(Path(sys.argv[1]), print)
wall_s, cpu_s, memory_kb = (b - a for a, b in zip(before, now()))
print(warm.compiled, 1e3 * wall_s, 1e3 * cpu_s, memory_kb / 1024, "numba" in sys.modules)
"""


@dataclass(frozen=True, slots=True)
class Start:
    compiled: int
    wall_ms: float
    cpu_ms: float
    memory_mb: float


def start(folder: str) -> Start:
    done = subprocess.run([sys.executable, "-c", CHILD, folder], capture_output=True, text=True, check=True)
    compiled, wall_ms, cpu_ms, memory_mb, numba = done.stdout.split()
    if numba == "True":
        raise SystemExit("a start imported numba")
    return Start(int(compiled), float(wall_ms), float(cpu_ms), float(memory_mb))


def starts(folder: str, repeats: int) -> list[Start]:
    """With a warm cache."""
    found = [start(folder) for _ in range(repeats)]
    if any(each.compiled for each in found):
        raise SystemExit("a start with a warm cache compiled a kernel")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        cold = start(folder)
        warm = starts(folder, repeats)
    sys.stdout.write(f"cold: {cold.compiled} kernels compiled, {cold.wall_ms / 1e3:.1f} s\n")
    wall_ms, cpu_ms = min(each.wall_ms for each in warm), min(each.cpu_ms for each in warm)
    memory_mb = min(each.memory_mb for each in warm)
    sys.stdout.write(f"warm: {wall_ms:.1f} ms, {cpu_ms:.1f} ms of CPU, {memory_mb:.1f} MB\n")


if __name__ == "__main__":
    main()
