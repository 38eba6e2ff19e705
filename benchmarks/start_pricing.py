"""What the pricing adds to a start: a fresh process, its cache warm, numba's own share apart.

    python benchmarks/start_pricing.py [--repeats 5]

numba's share is its import and the first call of an empty cached kernel, which loads what numba needs for any kernel.
What comes after that is ours: the import of the modules and the load of all kernels. Wall time, the least of the
repeats; the first start, which compiles, is shown apart.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CHILD = """
import sys, time
from pathlib import Path
marks = [time.perf_counter()]
import numpy, msgspec
marks.append(time.perf_counter())
import numba
marks.append(time.perf_counter())
numba.njit(cache=True)(compile_me.f)(1.0)
marks.append(time.perf_counter())
from tradebot.pricing import warmup
marks.append(time.perf_counter())
warm = warmup.warm_up(Path(sys.argv[1]) / "kernels", lambda name: None)
marks.append(time.perf_counter())
print(warm.compiled, *(1e3 * (b - a) for a, b in zip(marks, marks[1:])))
"""
EMPTY = "def f(x):\n    return x\n"
PARTS = ("numpy, msgspec", "import numba", "numba's first call", "import pricing", "load kernels")


def start(folder: str) -> tuple[int, list[float]]:
    script = CHILD.replace("import numba\n", "import numba\nsys.path.insert(0, sys.argv[1])\nimport compile_me\n", 1)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(Path(folder) / "numba")}
    done = subprocess.run(
        [sys.executable, "-c", script, folder], env=environment, capture_output=True, text=True, check=True
    )
    compiled, *parts_ms = done.stdout.split()
    return int(compiled), [float(part) for part in parts_ms]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "compile_me.py").write_text(EMPTY)
        compiled, cold = start(folder)
        warm = [start(folder) for _ in range(repeats)]
    if any(count for count, _ in warm):
        sys.exit("a start with a warm cache compiled a kernel")
    sys.stdout.write(f"cold: {compiled} kernels compiled in {cold[-1]:.0f} ms\n")
    for place, part in enumerate(PARTS):
        sys.stdout.write(f"warm: {part:20} {min(parts[place] for _, parts in warm):6.1f} ms\n")
    ours = min(parts[-2] + parts[-1] for _, parts in warm)
    sys.stdout.write(f"beyond numba's own: {ours:.1f} ms\n")


if __name__ == "__main__":
    main()
