"""Every asv benchmark once at its smoke size, in one process: does each still run, and what does all of it cost?

    python benchmarks/smoke.py [-k REGEX]

A line for each benchmark, its wall and CPU time with what prepares it and what it starts, and the sum. One run is no
measurement: figures come from `asv run`, promises from `pytest benchmarks/gate`.
"""

from __future__ import annotations

import argparse
import inspect
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

KINDS = ("time_", "timeraw_", "track_", "peakmem_")
NAMED = 58


def benchmarks() -> Iterator[tuple[str, Callable[[], object]]]:
    """Name and run of each, the way asv calls it."""
    for module in sorted(path.stem for path in HERE.glob("bench_*.py")):
        for made_name, made in inspect.getmembers(import_module(module), inspect.isclass):
            if made.__module__ == module:
                for verb in sorted(vars(made)):
                    if verb.startswith(KINDS):
                        yield f"{module}.{made_name}.{verb}", lambda made=made, verb=verb: once(made(), verb)  # type: ignore[misc]


def once(made: Any, verb: str) -> object:
    """The object is discarded with what it keeps."""
    params = [values[0] for values in getattr(made, "params", ())]
    if verb.startswith("timeraw_"):
        code = getattr(made, verb)()
        statement, setup = code if isinstance(code, tuple) else (code, "")
        return subprocess.run([sys.executable, "-c", f"{setup}\n{statement}"], check=True)
    if hasattr(made, "setup"):
        made.setup(*params)
    try:
        return getattr(made, verb)(*params)
    finally:
        if hasattr(made, "teardown"):
            made.teardown(*params)


def spent_s() -> tuple[float, float]:
    """Wall and CPU time so far, that of ended children included."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter(), time.process_time() + children.ru_utime + children.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", metavar="REGEX", default="", help="only the benchmarks whose name it finds")
    wanted = re.compile(parser.parse_args().k)
    first = last = spent_s()
    count = 0
    for name, run in benchmarks():
        if wanted.search(name):
            run()
            now = spent_s()
            sys.stdout.write(f"{name:{NAMED}} {now[0] - last[0]:7.3f} s {now[1] - last[1]:7.3f} s CPU\n")
            sys.stdout.flush()
            last, count = now, count + 1
    sys.stdout.write(f"{f'{count} benchmarks':{NAMED}} {last[0] - first[0]:7.3f} s {last[1] - first[1]:7.3f} s CPU\n")


if __name__ == "__main__":
    main()
